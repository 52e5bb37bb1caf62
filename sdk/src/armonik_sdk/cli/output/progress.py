"""How far something is: a line on a terminal, nothing elsewhere."""

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

from armonik_sdk.cli.frame.settings import Settings

if TYPE_CHECKING:
    from rich import progress as rich_progress


class Progress:
    """Bars on stderr while the block lasts. Its end, also by Ctrl-C, leaves the terminal as it was."""

    def __init__(self, settings: Settings, unit: str) -> None:
        self._shown = not settings.quiet and sys.stderr.isatty()
        self._unit = unit
        self._bars: dict[str, rich_progress.TaskID] = {}
        self._rich: rich_progress.Progress | None = None

    def __enter__(self) -> Self:
        if self._shown:
            from rich import progress
            from rich.console import Console

            size: progress.ProgressColumn = progress.MofNCompleteColumn()
            if self._unit == "bytes":
                size = progress.DownloadColumn()
            columns = (progress.TextColumn("{task.description}"), progress.BarColumn(), size)
            self._rich = progress.Progress(
                *columns, progress.TimeElapsedColumn(), console=Console(stderr=True), transient=True
            )
            self._rich.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._rich is not None:
            self._rich.stop()

    def at(self, what: str, done: int, total: int) -> None:
        """So much of it is done; a total of 0 is not known."""
        if self._rich is None:
            return
        if what not in self._bars:
            self._bars[what] = self._rich.add_task(what, total=total or None)
        self._rich.update(self._bars[what], completed=done, total=total or None)
