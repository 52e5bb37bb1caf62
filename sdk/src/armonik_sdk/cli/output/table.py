"""Tables of text: the same on a terminal and in a pipe, but for colours."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import click
from rich.cells import cell_len

from armonik_sdk.cli.views.reading import printable

GAP: Final = 3
"""Spaces between columns."""
COLOURS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("Running", "Completed", "Serving", "Succeeded", "Ready"), "green"),
    **dict.fromkeys(("Pending", "Paused", "Cancelling", "Creating", "Starting", "ScaledToZero"), "yellow"),
    **dict.fromkeys(("Error", "Timeout", "Failed", "Aborted", "Deleting", "CrashLoopBackOff"), "red"),
    **dict.fromkeys(("ImagePullFailed", "WorkerCrashLooping", "Unschedulable", "ErrImagePull"), "red"),
}
"""Of words of status; the word itself is always there."""


class Table:
    """Rows under titles. Columns become wider as rows need it, never narrower."""

    def __init__(self, titles: Sequence[str], right: Iterable[int] = (), *, coloured: bool = False) -> None:
        self._titles, self._right, self._coloured = list(titles), set(right), coloured
        self._widths = [cell_len(title) for title in titles]
        self._begun = False

    def lines(self, rows: Sequence[Sequence[str]]) -> list[str]:
        """The lines of these rows, which follow those before; the first time with the titles."""
        cells = [[printable(" ".join(cell.split())) for cell in row] for row in rows]
        for row in cells:
            self._widths = [max(width, cell_len(cell)) for width, cell in zip(self._widths, row, strict=True)]
        above = [] if self._begun else [self._line(self._titles, head=True)]
        self._begun = True
        return [*above, *(self._line(row) for row in cells)]

    def _line(self, row: Sequence[str], *, head: bool = False) -> str:
        parts = []
        for at, cell in enumerate(row):
            room = " " * (self._widths[at] - cell_len(cell))
            shown = self._colour(cell, head=head)
            last = at == len(row) - 1
            parts.append(room + shown if at in self._right else shown + ("" if last else room))
        return (" " * GAP).join(parts).rstrip()

    def _colour(self, cell: str, *, head: bool) -> str:
        if not self._coloured:
            return cell
        if head:
            return click.style(cell, bold=True)
        colour = COLOURS.get(cell)
        return click.style(cell, fg=colour) if colour else cell
