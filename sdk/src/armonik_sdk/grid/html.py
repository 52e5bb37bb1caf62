"""HTML of what notebooks show: plain elements, which need no extension and no style sheet."""

import html
from collections.abc import Iterable, Sequence


def bar(ended: int, total: int) -> str:
    """How much has ended, as a bar and in numbers."""
    most = max(total, 1)
    return (
        f'<progress value="{min(ended, most)}" max="{most}" style="width: 20em"></progress> '
        f"{ended:,}/{total:,}"
    )


def text(said: object) -> str:
    """Text, with what HTML would take for its own made harmless."""
    return html.escape(str(said))


def facts(title: str, rows: Iterable[tuple[str, str]]) -> str:
    """A title over names and values; the values are HTML, and rows without one are left out."""
    shown = "".join(
        f'<tr><td style="text-align: left">{text(name)}</td><td style="text-align: left">{value}</td></tr>'
        for name, value in rows
        if value
    )
    return f"<div><strong>{text(title)}</strong><table>{shown}</table></div>"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of texts; empty without rows."""
    cells = [[f'<td style="text-align: left">{text(cell)}</td>' for cell in row] for row in rows]
    if not cells:
        return ""
    names = "".join(f'<th style="text-align: left">{text(name)}</th>' for name in head)
    lines = "".join(f"<tr>{''.join(row)}</tr>" for row in cells)
    return f"<table><tr>{names}</tr>{lines}</table>"
