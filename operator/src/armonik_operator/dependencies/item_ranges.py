"""Which items of one Task wait for which elements of another: indexed by element, held as ranges. Pure.

"Item i waits for element i + shift" is one range for each shift. What does not follow such a rule is held by
element, and bounded by who adds it.
"""

from collections.abc import Iterator

from armonik_operator.util.index_set import IndexSet
from armonik_sdk.api.ranges import Span

SHIFTS = 16
"""Most rules of this kind; further waits are held by element."""


class AwaitedRanges:
    """Waits of the items of one Task for the elements of another."""

    def __init__(self) -> None:
        self._shifted: dict[int, IndexSet] = {}
        """Items by how much the index of the element is above theirs."""
        self._loose: dict[int, int | IndexSet] = {}
        """Items by element."""
        self.loose = 0
        """Waits that follow no rule, about: what memory they take."""

    def add(self, item: int, element: int) -> bool:
        """Add a wait of an item for this element; returns whether it is new."""
        spans = self._shifted.get(element - item)
        if spans is None and len(self._shifted) < SHIFTS:
            spans = self._shifted[element - item] = IndexSet()
        if spans is not None:
            return _add(spans, item)
        known = self._loose.get(element)
        if known is None:
            self._loose[element] = item
        elif isinstance(known, IndexSet):
            return _add(known, item)
        elif known == item:
            return False
        else:
            self._loose[element] = IndexSet([(known, known + 1), (item, item + 1)])
        self.loose += 1
        return True

    def ended(self, start: int, end: int) -> list[Span]:
        """Remove and return the items that waited for these elements."""
        found: list[Span] = []
        for shift, spans in list(self._shifted.items()):
            mine = spans.common(start - shift, end - shift)
            for span in mine:
                spans.discard(*span)
            found += mine
            if not spans:
                del self._shifted[shift]
        few = end - start <= len(self._loose)
        for element in range(start, end) if few else [e for e in self._loose if start <= e < end]:
            items = self._loose.pop(element, None)
            if isinstance(items, IndexSet):
                found += items.ranges.spans
                self.loose -= len(items.ranges.spans) + 1
            elif items is not None:
                found.append((items, items + 1))
                self.loose -= 1
        if not self._loose:
            self.loose = 0
        return found

    def edges(self) -> Iterator[tuple[int, int]]:
        """Each item with each element that it waits for, as it was when this was called."""
        return _each(
            [(shift, spans.ranges.spans) for shift, spans in self._shifted.items()],
            [(element, _spans(items)) for element, items in self._loose.items()],
        )

    def waits(self, item: int, element: int) -> bool:
        """Whether the item waits for this element."""
        if item in self._shifted.get(element - item, ()):
            return True
        items = self._loose.get(element)
        return item in items if isinstance(items, IndexSet) else item == items

    def __len__(self) -> int:
        """Number of waits."""
        loose = (len(items) if isinstance(items, IndexSet) else 1 for items in self._loose.values())
        return sum(map(len, self._shifted.values())) + sum(loose)

    def __bool__(self) -> bool:
        return bool(self._shifted or self._loose)


def _spans(items: int | IndexSet) -> tuple[Span, ...]:
    return items.ranges.spans if isinstance(items, IndexSet) else ((items, items + 1),)


def _add(spans: IndexSet, item: int) -> bool:
    if item in spans:
        return False
    spans.add(item, item + 1)
    return True


def _each(
    shifted: list[tuple[int, tuple[Span, ...]]], loose: list[tuple[int, tuple[Span, ...]]]
) -> Iterator[tuple[int, int]]:
    for shift, spans in shifted:
        yield from ((item, item + shift) for span in spans for item in range(*span))
    for element, items in loose:
        yield from ((item, element) for span in items for item in range(*span))
