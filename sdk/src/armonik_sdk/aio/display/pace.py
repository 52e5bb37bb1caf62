"""From looks at how far work is to what is shown of it. No I/O."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

WINDOW_SECONDS: Final = 10.0
"""Over which the rate is measured."""
STILL_SECONDS: Final = 2.0
"""After which the reason for waiting is shown, when nothing has moved."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Calls of a kind of work, or of several together; None where it is not known."""

    total: int
    ended: int = 0
    failed: int = 0
    """Of those that have ended: without a value."""
    running: int | None = None
    queued: int | None = None
    waiting: int | None = None
    """For results of other calls."""


@dataclass(frozen=True, slots=True)
class View:
    """What is shown."""

    label: str
    counts: Counts
    rate: float = 0.0
    """Calls a second."""
    why: str = ""
    """Why nothing moves."""

    @property
    def seconds_left(self) -> float | None:
        """As the rate has it; None where there is none."""
        left = self.counts.total - self.counts.ended
        return left / self.rate if self.rate > 0 and left > 0 else None

    @property
    def position(self) -> str:
        """How many of how many."""
        return f"{self.counts.ended:,}/{self.counts.total:,}"

    @property
    def details(self) -> list[str]:
        """The other numbers, in words."""
        counts, left = self.counts, self.seconds_left
        named = [
            (counts.failed, "failed"),
            (counts.running, "running"),
            (counts.queued, "queued"),
            (counts.waiting, "waiting"),
        ]
        said = [f"{number:,} {name}" for number, name in named if number]
        if self.rate > 0:
            said.append(f"{self.rate:,.0f}/s" if self.rate >= 10 else f"{self.rate:.2g}/s")
        if left is not None:
            said.append(f"{duration(left)} left")
        return said


class Pace:
    """What was seen in the last seconds, and since when nothing has moved."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()
        self._last: Counts | None = None
        self._moved = 0.0

    def add(self, at: float, counts: Counts) -> None:
        """A look at this time, in seconds."""
        if counts != self._last:
            self._last, self._moved = counts, at
        self._seen.append((at, counts.ended))
        while len(self._seen) > 2 and self._seen[1][0] <= at - WINDOW_SECONDS:
            self._seen.popleft()

    @property
    def rate(self) -> float:
        """Calls a second, lately."""
        if len(self._seen) < 2:
            return 0.0
        (first, before), (last, now) = self._seen[0], self._seen[-1]
        return max(0, now - before) / (last - first) if last > first else 0.0

    def still(self, at: float) -> bool:
        """Whether nothing has moved for so long that the reason is of interest."""
        counts = self._last
        if counts is None or counts.ended >= counts.total > 0:
            return False
        return at - self._moved >= STILL_SECONDS


def summed(parts: Iterable[Counts]) -> Counts:
    """All of them together."""
    known = list(parts)

    def total(values: Iterable[int | None]) -> int | None:
        numbers = [value for value in values if value is not None]
        return sum(numbers) if numbers else None

    return Counts(
        total=sum(part.total for part in known),
        ended=sum(part.ended for part in known),
        failed=sum(part.failed for part in known),
        running=total(part.running for part in known),
        queued=total(part.queued for part in known),
        waiting=total(part.waiting for part in known),
    )


def duration(seconds: float) -> str:
    """A time for people."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
