"""How many elements end in a minute, from counts of several looks."""

from collections import deque
from collections.abc import Mapping
from typing import Final

SECONDS: Final = 60.0
"""Longest time back to the count that is compared."""


class Rates:
    """Counts of the last minute by UID."""

    def __init__(self) -> None:
        self._counts: dict[str, deque[tuple[float, int]]] = {}

    def seen(self, now: float, ended: Mapping[str, int]) -> dict[str, int]:
        """Take new counts of ended elements; elements in a minute by UID, of those seen before.

        Args:
            now: seconds of a clock that only goes forward.
            ended: by UID; others are forgotten.
        """
        self._counts = {uid: self._counts.get(uid, deque()) for uid in ended}
        found = {}
        for uid, count in ended.items():
            counts = self._counts[uid]
            counts.append((now, count))
            while now - counts[0][0] > SECONDS and len(counts) > 2:
                counts.popleft()
            then, before = counts[0]
            if now > then:
                found[uid] = round(60 * max(0, count - before) / (now - then))
        return found
