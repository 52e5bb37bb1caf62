"""Where progress is shown: a terminal, a notebook, or anything else that takes lines."""

import importlib
import sys
import time
from typing import Any, Final, Protocol, TextIO

from armonik_sdk.aio.display.pace import View
from armonik_sdk.grid import html

LINE_SECONDS: Final = 10.0
"""Between two lines where they cannot be replaced."""
BAR_WIDTH: Final = 26


class Screen(Protocol):
    """Shows the newest view in the place of the one before. Any thread may call it, one at a time."""

    def show(self, view: View) -> None:
        """This is how far it is."""
        ...

    def close(self, view: View) -> None:
        """This is how far it came."""
        ...


def screen_for(stream: TextIO | None) -> Screen:
    """The best that this program has: a notebook's output, a terminal with Rich, or lines."""
    shell = notebook_shell()
    if shell is not None:
        return Notebook()
    if stream is not None and stream.isatty():
        try:
            return Terminal(stream)
        except ImportError:
            return Lines(stream)
    return Lines(stream)


def notebook_shell() -> Any | None:
    """The shell of a notebook, if this is one."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell if getattr(shell, "kernel", None) is not None else None


class Terminal:
    """Two lines that are replaced: the bar, and why nothing moves."""

    def __init__(self, stream: TextIO) -> None:
        """Raises ImportError where Rich is missing."""
        from rich.console import Console
        from rich.live import Live

        self._live = Live(console=Console(file=stream), auto_refresh=False, redirect_stderr=False)

    def show(self, view: View) -> None:
        """Replace the lines."""
        if not self._live.is_started:
            self._live.start()
        self._live.update(_renderable(view), refresh=True)

    def close(self, view: View) -> None:
        """Leave the last lines, and give the terminal back."""
        self.show(view)
        self._live.stop()


def _renderable(view: View) -> Any:
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    counts = view.counts
    row = Table.grid(padding=(0, 2))
    row.add_row(
        Text(view.label, no_wrap=True),
        ProgressBar(total=max(counts.total, 1), completed=counts.ended, width=BAR_WIDTH),
        Text(view.position, no_wrap=True),
        Text(" · ".join(view.details), no_wrap=True, overflow="ellipsis"),
    )
    if not view.why:
        return row
    indent = " " * (len(view.label) + 2)
    return Group(row, Text(f"{indent}waits: {view.why}", no_wrap=True, overflow="ellipsis", style="yellow"))


class Lines:
    """A line every few seconds, for logs and files."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._next = time.monotonic() + LINE_SECONDS

    def show(self, view: View) -> None:
        """A line, unless there was one a moment ago."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + LINE_SECONDS
            self._write(view)

    def close(self, view: View) -> None:
        """The last line."""
        self._write(view)

    def _write(self, view: View) -> None:
        if self._stream is not None and not self._stream.closed:
            self._stream.write(f"{line(view)}\n")
            self._stream.flush()


def line(view: View) -> str:
    """A view in one line."""
    said = ", ".join([view.position, *view.details])
    return f"{view.label}: {said}" + (f"; waits: {view.why}" if view.why else "")


class Notebook:
    """One output of a cell that is replaced, by IPython's own means."""

    def __init__(self) -> None:
        self._id: str | None = None
        self._shown: dict[str, str] = {}

    def show(self, view: View) -> None:
        """Replace the output, if it has changed."""
        display = importlib.import_module("IPython.display").display  # a notebook has it
        bundle = {"text/html": in_html(view), "text/plain": line(view)}
        if bundle == self._shown:
            return
        self._shown = bundle
        if self._id is None:
            handle = display(bundle, raw=True, display_id=True)
            self._id = handle.display_id
        else:
            display(bundle, raw=True, display_id=self._id, update=True)

    def close(self, view: View) -> None:
        """Leave the last one."""
        self.show(view)


def in_html(view: View) -> str:
    """A view for a notebook."""
    counts = view.counts
    said = " · ".join(view.details)
    waits = f"<div>waits: {html.text(view.why)}</div>" if view.why else ""
    bar = html.bar(counts.ended, counts.total)
    return f"<div>{html.text(view.label)} {bar} {html.text(said)}{waits}</div>"
