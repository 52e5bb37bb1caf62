"""A screen that is refreshed until the user leaves it, by Textual."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar, Final

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Footer, Static

from armonik_sdk.cli.output.table import Table
from armonik_sdk.cli.overview.sections import Section

Read = Callable[[], Awaitable[tuple[str, Sequence[Section]]]]
"""A line above the tables, and the tables."""

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Screen(App[None]):
    """Tables below each other; each can be scrolled by itself. The terminal is restored however it ends."""

    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #line { height: 1; }
    .section { height: 1fr; border-top: solid gray; }
    .head { height: 1; text-style: bold; text-wrap: nowrap; }
    .rows { height: 1fr; overflow-x: hidden; scrollbar-size-vertical: 1; }
    .rows Static { text-wrap: nowrap; }
    .rows:focus { background: $surface; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "leave", "Quit"),
        Binding("ctrl+c", "quit", "Quit", show=False, priority=True),
        Binding("tab", "app.focus_next", "Next table", show=True),
    ]

    def __init__(self, read: Read, names: Sequence[str], interval: float, *, coloured: bool) -> None:
        super().__init__()
        self._read, self._names, self._interval, self._coloured = read, names, interval, coloured
        self._left = False
        self._error: Exception | None = None

    def compose(self) -> ComposeResult:
        """The line, the tables, the keys."""
        yield Static(id="line")
        for name in self._names:
            with Vertical(classes="section", id=f"section-{name}"):
                yield Static(classes="head", id=f"head-{name}")
                with VerticalScroll(classes="rows"):
                    yield Static(id=f"rows-{name}")
        yield Footer()

    def on_mount(self) -> None:
        """Begin to read."""
        self.run_worker(self._refresh())

    def action_leave(self) -> None:
        """End it, as is meant."""
        self._left = True
        self.exit()

    async def show(self) -> None:
        """Fill the terminal until the user leaves it.

        Raises:
            KeyboardInterrupt: it was ended by Ctrl-C or a signal.
            Exception: what `read` raised.
        """
        loop = asyncio.get_running_loop()
        for ends in _SIGNALS:  # Textual may swallow the cancellation that they are elsewhere
            loop.add_signal_handler(ends, self.exit)
        try:
            await self.run_async(mouse=False)
        finally:
            for ends in _SIGNALS:
                loop.remove_signal_handler(ends)
        if self._error is not None:
            raise self._error
        if not self._left:
            raise KeyboardInterrupt

    async def _refresh(self) -> None:
        while True:
            try:
                line, sections = await self._read()
            except Exception as error:  # noqa: BLE001 - raised by `show`, once the terminal is as it was
                self._error = error
                self.exit()
                return
            self.query_one("#line", Static).update(Text(line, no_wrap=True, overflow="ellipsis"))
            for section in sections:
                self._show(section)
            await asyncio.sleep(self._interval)

    def _show(self, section: Section) -> None:
        table = Table(section.titles, section.right, coloured=self._coloured)
        head, *rows = (Text.from_ansi(line, no_wrap=True, end="") for line in table.lines(section.rows))
        self.query_one(f"#section-{section.name}").border_title = f"{section.name} {len(rows)}"
        self.query_one(f"#head-{section.name}", Static).update(head)
        self.query_one(f"#rows-{section.name}", Static).update(Text("\n", no_wrap=True).join(rows))
