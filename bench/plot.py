"""The results as bars: one panel a workload, one bar a system, the median with the extremes as a line."""

from collections.abc import Iterable, Sequence
from typing import Final
from xml.sax.saxutils import escape

from bench.report import HELD, Result, number

WIDTH, LABEL, BAR, GAP, HEAD = 860, 190, 18, 6, 40
COLOURS: Final = ("#1b6ca8", "#b8651b", "#5b8c3a", "#8a4f9e", "#7d7d7d")


def plot(results: Iterable[Result]) -> str:
    """An SVG; bare limits, CPU times, memory and ratios are left to the table."""
    panels: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        limits = result.system == "bare" or " / " in result.workload
        if not limits and result.unit != HELD and not result.unit.startswith("CPU"):
            panels.setdefault((result.workload, result.unit), []).append(result)
    systems = list(dict.fromkeys(result.system for panel in panels.values() for result in panel))
    lines: list[str] = []
    top = 8
    for (workload, unit), panel in panels.items():
        lines.append(_text(8, top + 20, f"{workload}, {unit}", "bold"))
        top += HEAD - 12
        lines += _bars(panel, top, systems)
        top += len(panel) * (BAR + GAP) + 14
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top}" viewBox="0 0 {WIDTH} {top}">'
    )
    style = '<g font-family="sans-serif" font-size="13">'
    ground = f'<rect width="{WIDTH}" height="{top}" fill="#ffffff"/>'
    return "\n".join([head, style, ground, *lines, "</g>", "</svg>", ""])


def _bars(panel: Sequence[Result], top: int, systems: Sequence[str]) -> list[str]:
    scale = (WIDTH - LABEL - 100) / (max(result.max for result in panel) or 1)
    lines: list[str] = []
    for result in panel:
        middle = top + BAR / 2
        low, high = LABEL + scale * result.min, LABEL + scale * result.max
        colour = COLOURS[systems.index(result.system) % len(COLOURS)]
        size = f'width="{scale * result.median:.1f}" height="{BAR}"'
        line = f"M{low:.1f} {middle}H{high:.1f}M{low:.1f} {middle - 4}v8M{high:.1f} {middle - 4}v8"
        lines += [
            _text(16, middle + 4, result.system),
            f'<rect x="{LABEL}" y="{top}" {size} fill="{colour}"/>',
            f'<path d="{line}" stroke="#111"/>',
            _text(high + 8, middle + 4, number(result.median)),
        ]
        top += BAR + GAP
    return lines


def _text(x: float, y: float, text: str, weight: str = "normal") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-weight="{weight}" fill="#111">{escape(text)}</text>'
