"""A growing set of element indexes: what `Ranges` is to a message, this is to a fold that takes in many."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable

from armonik_sdk.api.ranges import Ranges, Span


class IndexSet:
    """Disjoint spans in order. Adding one costs a search and a shift, whatever was added before."""

    __slots__ = ("_cached", "_ends", "_size", "_starts")

    def __init__(self, spans: Iterable[Span] = ()) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._size = 0
        self._cached: Ranges | None = Ranges()
        for start, end in spans:
            self.add(start, end)

    def add(self, start: int, end: int) -> None:
        """Take in `[start, end)`; what is in it already does not matter."""
        if start >= end:
            return
        first = bisect_left(self._ends, start)
        last = bisect_right(self._starts, end)
        if first < last:
            start = min(start, self._starts[first])
            end = max(end, self._ends[last - 1])
            self._size -= sum(self._ends[first:last]) - sum(self._starts[first:last])
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]
        self._size += end - start
        self._cached = None

    def discard(self, start: int, end: int) -> None:
        """Take out `[start, end)`; what is not in it does not matter."""
        first = bisect_right(self._ends, start)
        last = bisect_left(self._starts, end)
        if first >= last or start >= end:
            return
        left = [(self._starts[first], start), (end, self._ends[last - 1])]
        kept = [span for span in left if span[0] < span[1]]
        self._size -= sum(self._ends[first:last]) - sum(self._starts[first:last])
        self._size += sum(stop - begin for begin, stop in kept)
        self._starts[first:last] = [begin for begin, _ in kept]
        self._ends[first:last] = [stop for _, stop in kept]
        self._cached = None

    def common(self, start: int, end: int) -> list[Span]:
        """The spans of `[start, end)` that are in the set."""
        first, last = bisect_right(self._ends, start), bisect_left(self._starts, end)
        return [(max(start, self._starts[i]), min(end, self._ends[i])) for i in range(first, last)]

    def first(self) -> int | None:
        """The lowest index; None of an empty set."""
        return self._starts[0] if self._starts else None

    def count(self, start: int, end: int) -> int:
        """How many indexes of `[start, end)` are in the set."""
        first = bisect_right(self._ends, start)
        last = bisect_left(self._starts, end)
        return sum(min(end, self._ends[i]) - max(start, self._starts[i]) for i in range(first, last))

    def gaps(self, start: int, end: int) -> list[Span]:
        """The spans of `[start, end)` that are not in the set."""
        found: list[Span] = []
        for at in range(bisect_right(self._ends, start), bisect_left(self._starts, end)):
            if start < self._starts[at]:
                found.append((start, self._starts[at]))
            start = self._ends[at]
        if start < end:
            found.append((start, end))
        return found

    @property
    def ranges(self) -> Ranges:
        """The same set, immutable."""
        if self._cached is None:
            self._cached = Ranges(tuple(zip(self._starts, self._ends, strict=True)))
        return self._cached

    def __len__(self) -> int:
        return self._size

    def __contains__(self, index: int) -> bool:
        at = bisect_right(self._starts, index) - 1
        return at >= 0 and index < self._ends[at]


def first(indexes: Ranges, many: int) -> list[Span]:
    """The first of these indexes."""
    found: list[Span] = []
    for start, end in indexes.spans:
        if many <= 0:
            break
        found.append((start, min(end, start + many)))
        many -= end - start
    return found
