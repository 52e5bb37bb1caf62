"""Tasks that wait for room in a namespace, by their size. Pure."""

import heapq
import itertools
from bisect import bisect_right, insort
from collections import OrderedDict


class Waiters:
    """The oldest that fits comes first. Costs follow what is let in, not the number of those that wait."""

    def __init__(self) -> None:
        self._sizes: dict[str, int] = {}
        self._by_size: dict[int, OrderedDict[str, int]] = {}
        """UIDs with the order in which they came."""
        self._ascending: list[int] = []
        self._order = itertools.count()

    def __len__(self) -> int:
        return len(self._sizes)

    def add(self, uid: str, size: int) -> None:
        """A Task of `size` elements waits; it keeps its place if it did so before."""
        if self._sizes.get(uid) == size:
            return
        self.drop(uid)
        self._sizes[uid] = size
        if size not in self._by_size:
            self._by_size[size] = OrderedDict()
            insort(self._ascending, size)
        self._by_size[size][uid] = next(self._order)

    def drop(self, uid: str) -> None:
        """A Task waits no more."""
        if (size := self._sizes.pop(uid, None)) is None:
            return
        same = self._by_size[size]
        del same[uid]
        if not same:
            del self._by_size[size]
            del self._ascending[bisect_right(self._ascending, size) - 1]

    def take(self, room: int, most: int) -> list[str]:
        """At most `most` Tasks that fit into the room together; they wait no more."""
        fitting = self._ascending[: bisect_right(self._ascending, room)]
        heads = [(*self._first(size), size) for size in fitting]
        heapq.heapify(heads)
        taken: list[str] = []
        while heads and len(taken) < most:
            _, uid, size = heapq.heappop(heads)
            if size > room:
                continue
            room -= size
            taken.append(uid)
            self.drop(uid)
            if size in self._by_size:
                heapq.heappush(heads, (*self._first(size), size))
        return taken

    def _first(self, size: int) -> tuple[int, str]:
        uid, order = next(iter(self._by_size[size].items()))
        return order, uid
