"""What several holders share: bounds in bytes, of which the largest holder gives up first. Pure."""

import sys
from collections.abc import Callable
from typing import TypeVar, cast
from weakref import WeakSet

T = TypeVar("T")


class Commons:
    """What all tenants of a process share; made by whoever needs it first."""

    def __init__(self) -> None:
        self._made: dict[str, object] = {}

    def once(self, name: str, make: Callable[[], T]) -> T:
        """What has this name; always of the same type."""
        if name not in self._made:
            self._made[name] = make()
        return cast("T", self._made[name])

    def pool(self, name: str, bound: int = sys.maxsize) -> "Pool":
        """A bound that has this name."""
        return self.once(name, lambda: Pool(bound))


class Part:
    """What one holder has of a pool."""

    def __init__(self, pool: "Pool", shed: Callable[[], bool]) -> None:
        self._pool = pool
        self.shed = shed
        """Gives something up by `add`; false: it has nothing to give up."""
        self.size = 0

    def add(self, size: int) -> None:
        """It has so much more, or less; above the bound the largest holders give up what they can."""
        self.size += size
        self._pool.added(size)


class Pool:
    """A bound of what all holders have together; one that nobody refers to any more has nothing."""

    def __init__(self, bound: int = sys.maxsize) -> None:
        self.bound = bound
        self._total = 0
        """At least what the holders have."""
        self._parts: WeakSet[Part] = WeakSet()
        self._shedding = False

    def join(self, shed: Callable[[], bool] = lambda: False) -> Part:
        """A further holder."""
        part = Part(self, shed)
        self._parts.add(part)
        return part

    def reaches(self, size: int) -> bool:
        """Whether all holders together have at least so much."""
        return self._total >= size and self._count() >= size

    def added(self, size: int) -> None:
        """A holder has so much more."""
        self._total += size
        if self._shedding or self._total <= self.bound:
            return
        self._shedding = True
        try:
            while self._count() > self.bound and any(part.shed() for part in self._by_size()):
                pass
        finally:
            self._shedding = False

    def _count(self) -> int:
        self._total = sum(part.size for part in self._parts)
        return self._total

    def _by_size(self) -> list[Part]:
        return sorted(self._parts, key=lambda part: part.size, reverse=True)
