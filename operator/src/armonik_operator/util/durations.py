"""How long elements took lately, by Session and Partition: a hint for the first runs of further Tasks. Pure.

In memory alone: after a restart the first runs are short again. A wrong hint costs little, since runs that
turn out long are split.
"""

from typing import NamedTuple

from armonik_operator.util.bounded_cache import BoundedCache

KEPT = 1_000
"""Pairs of Session and Partition that are remembered."""
LATELY = 1_000.0
"""Elements that the pace is made of, at most: what ended before counts less and less."""


class Timing(NamedTuple):
    """Elements, and the seconds that they took together."""

    number: float = 0
    seconds: float = 0.0


class DurationStats:
    """The pace of what ended lately; the pairs used last are kept."""

    def __init__(self) -> None:
        self._known: BoundedCache[tuple[str, str], Timing] = BoundedCache(KEPT)

    def note(self, session: str, partition: str, before: Timing, after: Timing) -> None:
        """More elements of a Task have ended: what it said before and says now."""
        count, seconds = after.number - before.number, after.seconds - before.seconds
        if count <= 0:
            return
        known = self._known.get((session, partition)) or Timing()
        if count + known.number > LATELY:
            share = max(0.0, LATELY - count) / known.number if known.number else 0.0
            known = Timing(known.number * share, known.seconds * share)
        lately = Timing(known.number + count, known.seconds + max(0.0, seconds))
        self._known.put((session, partition), lately)

    def of(self, session: str, partition: str) -> float | None:
        """Seconds that an element took on average; None if unknown."""
        known = self._known.get((session, partition))
        return known.seconds / known.number if known is not None else None
