"""Schedules retries of blocked Tasks: with growing delay, or once the cause is removed. Pure."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final, NamedTuple

from armonik_sdk.api.const import Reason

FIRST: Final = 5.0
"""Seconds until the first look."""
MOST: Final = 60.0
"""Seconds between two looks; each wait is twice the one before, up to this."""
FIRST_OF: Final[dict[str, float]] = {Reason.QUOTA_EXCEEDED: MOST, Reason.DATA_INVALID: 30.0}
"""The first look where an event reports every change, and where most likely nothing changes."""
MOST_OF: Final[dict[str, float]] = {Reason.QUEUE_UNAVAILABLE: 15.0, Reason.STORE_UNAVAILABLE: 15.0}
"""The longest wait for servers: that a connection is up says nothing of a single call."""


class _Held(NamedTuple):
    cause: str
    step: float
    due: float


class Retries:
    """The delays of each Task by cause; `wake` is called with the UID of a Task to be reconciled."""

    def __init__(self, clock: Callable[[], float], wake: Callable[[str], None]) -> None:
        self._clock = clock
        self._wake = wake
        self._held: dict[str, _Held] = {}
        self._by_cause: dict[str, OrderedDict[str, None]] = {}

    def wait(self, uid: str, cause: str) -> float:
        """Seconds until a Task blocked by this cause is reconciled again; calls in between change nothing."""
        now, known = self._clock(), self._held.get(uid)
        if known is not None and known.cause == cause:
            if now < known.due:
                return known.due - now
            step = min(2 * known.step, max(known.step, MOST_OF.get(cause, MOST)))
        else:
            self.over(uid)
            self._by_cause.setdefault(cause, OrderedDict())[uid] = None
            step = FIRST_OF.get(cause, FIRST)
        self._held[uid] = _Held(cause, step, now + step)
        return step

    def over(self, uid: str) -> None:
        """Drop the delay of a Task that is no longer blocked."""
        if (known := self._held.pop(uid, None)) is None:
            return
        same = self._by_cause[known.cause]
        del same[uid]
        if not same:
            del self._by_cause[known.cause]

    def mended(self, cause: str, most: int | None = None) -> Iterator[None]:
        """The cause is gone, for `most` of its Tasks: those that came first are reconciled, one a step."""
        return self._mend(cause, list(islice(self._by_cause.get(cause, ()), most)))

    def _mend(self, cause: str, uids: list[str]) -> Iterator[None]:
        for uid in uids:
            if (known := self._held.get(uid)) is not None and known.cause == cause:
                self.over(uid)
                self._wake(uid)
            yield
