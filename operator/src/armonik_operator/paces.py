"""How long elements took lately, by Session and Partition: a hint for the first runs of further Tasks. Pure.

In memory alone: after a restart the first runs are short again. A wrong hint costs little, since runs that
turn out long are split.
"""

from collections import OrderedDict
from typing import NamedTuple

KEPT = 1_000
"""Pairs of Session and Partition that are remembered."""
LATELY = 1_000.0
"""Elements that the pace is made of, at most: what ended before counts less and less."""


class Timed(NamedTuple):
    """Elements, and the seconds that they took together."""

    number: float = 0
    seconds: float = 0.0


class Paces:
    """The pace of what ended lately; the pairs used last are kept."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], Timed] = OrderedDict()

    def note(self, session: str, partition: str, before: Timed, after: Timed) -> None:
        """More elements of a Task have ended: what it said before and says now."""
        count, seconds = after.number - before.number, after.seconds - before.seconds
        if count <= 0:
            return
        known = self._known.pop((session, partition), Timed())
        if count + known.number > LATELY:
            share = max(0.0, LATELY - count) / known.number if known.number else 0.0
            known = Timed(known.number * share, known.seconds * share)
        self._known[session, partition] = Timed(known.number + count, known.seconds + max(0.0, seconds))
        if len(self._known) > KEPT:
            self._known.popitem(last=False)

    def of(self, session: str, partition: str) -> float | None:
        """Seconds that an element took on average; None where nobody knows."""
        known = self._known.get((session, partition))
        if known is None:
            return None
        self._known.move_to_end((session, partition))
        return known.seconds / known.number
