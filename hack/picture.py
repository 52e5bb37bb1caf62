#!/usr/bin/env python3
"""Draw `docs/way-of-a-task.svg`, the picture of the front page; `--check` fails when it is not up to date.

It is ARCHITECTURE.md's diagram of the parts, with the steps of a task in their order. A file, since the
front page is also read where no diagrams are drawn. Standard library only.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "way-of-a-task.svg"
WIDTH, HEIGHT = 960, 400
INK, SOFT, LINE, COMMIT = "#1f2933", "#52606d", "#7b8794", "#c2410c"


class Box(NamedTuple):
    """A part: where it is, its name, and what it holds or does."""

    x: int
    y: int
    name: str
    text: str
    fill: str
    width: int = 170
    height: int = 58


class Arrow(NamedTuple):
    """A step: its line, its words, and their place."""

    start: tuple[int, int]
    end: tuple[int, int]
    text: str
    at: tuple[int, int]
    both: bool = False
    color: str = LINE


BOXES = (
    Box(20, 156, "you", "kubectl, Python", "#e0f2fe"),
    Box(270, 40, "kube-apiserver", "Session, Task, Partition", "#ede9fe"),
    Box(540, 40, "operator", "decides, writes statuses", "#dcfce7"),
    Box(540, 236, "NATS JetStream", "queue and journal", "#fef9c3"),
    Box(270, 306, "S3", "payloads and results", "#fef9c3"),
    Box(764, 292, "agent", "owns the run", "#dcfce7"),
    Box(764, 192, "worker", "your code", "#e0f2fe"),
)
ARROWS = (
    Arrow((150, 156), (270, 84), "1  apply", (168, 108)),
    Arrow((440, 56), (540, 56), "2  watch", (464, 48)),
    Arrow((610, 98), (610, 236), "3  queue a run", (516, 172)),
    Arrow((700, 294), (764, 312), "4  pull", (712, 282)),
    Arrow((836, 292), (836, 250), "5  execute", (848, 276), both=True),
    Arrow((764, 328), (640, 294), "6  commit", (622, 318), color=COMMIT),
    Arrow((660, 236), (660, 98), "7  read it", (670, 172)),
    Arrow((540, 82), (440, 82), "9  status", (464, 100)),
    Arrow((540, 262), (190, 196), "8  result, once", (330, 216)),
    Arrow((764, 341), (440, 341), "data, checked by SHA-256", (500, 357), both=True),
    Arrow((110, 214), (270, 330), "large data", (108, 290), both=True),
)


def picture() -> str:
    """The whole file."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'height="{HEIGHT}" font-family="system-ui, sans-serif" role="img">',
        "<title>The way of a task: from kubectl apply over the queue and a worker to the commit</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="8" fill="#ffffff"/>',
        *(_marker(color) for color in (LINE, COMMIT)),
        '<rect x="748" y="160" width="202" height="204" rx="8" fill="none" stroke="#9aa5b1" '
        'stroke-dasharray="5 4"/>',
        _text(760, 182, "pod of a Partition", SOFT, 13),
    )
    note = _text(
        20,
        386,
        "Step 6 is one record in the journal: before it nothing is visible, after it no crash loses it.",
        COMMIT,
        13,
    )
    return "\n".join([*head, *map(_arrow, ARROWS), *map(_box, BOXES), note, "</svg>", ""])


def _marker(color: str) -> str:
    shape = f'<path d="M0,0 L8,4 L0,8 z" fill="{color}"/>'
    size = 'viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto-start-reverse"'
    return f'<defs><marker id="tip{color[1:]}" {size}>{shape}</marker></defs>'


def _box(box: Box) -> str:
    middle = box.x + box.width // 2
    size = f'x="{box.x}" y="{box.y}" width="{box.width}" height="{box.height}"'
    frame = f'<rect {size} rx="6" fill="{box.fill}" stroke="{LINE}"/>'
    name = _text(middle, box.y + 25, box.name, INK, 16, 'text-anchor="middle" font-weight="600"')
    return frame + name + _text(middle, box.y + 45, box.text, SOFT, 13, 'text-anchor="middle"')


def _arrow(arrow: Arrow) -> str:
    (x1, y1), (x2, y2) = arrow.start, arrow.end
    tip = f"url(#tip{arrow.color[1:]})"
    ends = f'marker-end="{tip}"' + (f' marker-start="{tip}"' if arrow.both else "")
    line = f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{arrow.color}" stroke-width="1.6" {ends}/>'
    return line + _text(*arrow.at, arrow.text, arrow.color if arrow.color != LINE else INK, 13)


def _text(x: int, y: int, text: str, color: str, size: int, more: str = "") -> str:
    return f'<text x="{x}" y="{y}" font-size="{size}" fill="{color}" {more}>{text}</text>'


def main() -> int:
    """Write it, or look whether it is written."""
    if "--check" not in sys.argv[1:]:
        PICTURE.write_text(picture())
    elif not PICTURE.exists() or PICTURE.read_text() != picture():
        print(f"{PICTURE.name} is not up to date: run python hack/picture.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
