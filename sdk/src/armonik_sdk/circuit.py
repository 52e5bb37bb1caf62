"""Whether a dependency answers: one state that all its callers share.

A call to a server that accepts and stays silent ends with its time-out. Without this state each caller finds
out for itself, again and again, and whoever works for others is held meanwhile.
"""

import logging
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

FAILURES = 3
"""Attempts in a row that must fail before the dependency counts as down."""
SECONDS = 1.5
"""Seconds for which they must also fail, so that a quick restart of a server is no outage."""


class Circuit:
    """State of one dependency. While it is down callers fail at once; `answered` makes it up again.

    Somebody has to try a dependency that is down, for no caller does: see
    `armonik_operator.clients.availability`.
    """

    def __init__(
        self,
        name: str,
        on_change: Callable[[], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.error = ""
        """Why it is down; empty while it is up."""
        self._on_change = on_change
        self._clock = clock
        self._failures = 0
        self._since = 0.0

    @property
    def up(self) -> bool:
        """Whether callers may try."""
        return not self.error

    def now(self) -> float:
        """The time to hand to `failed` later, when an attempt begins."""
        return self._clock()

    def answered(self) -> None:
        """It gave an answer, whatever that said."""
        self._failures = 0
        if self.error:
            log.info("%s answers again", self.name)
            self._set("")

    def failed(self, begun: float, error: object) -> None:
        """An attempt that began at `begun` got no usable answer."""
        if not self._failures:
            self._since = begun
        self._failures += 1
        if self._failures >= FAILURES and self._clock() - self._since >= SECONDS:
            self.down(error)

    def down(self, error: object) -> None:
        """It is known to be down."""
        if not self.error:
            log.warning("%s does not answer: %s", self.name, error)
            self._set(f"{type(error).__name__}: {error}" if isinstance(error, Exception) else str(error))

    def _set(self, error: str) -> None:
        self.error = error
        if self._on_change is not None:
            self._on_change()
