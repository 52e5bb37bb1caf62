"""Index of the items of a Task: where blocks of them begin, and what they have in common. Pure.

The items themselves are not kept. An object of 10,000,000 of them costs less than a megabyte here.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence

from armonik_operator.util.index_set import IndexSet
from armonik_sdk.api.const import DEFAULT_OUTPUT
from armonik_sdk.api.kinds import Item, Task
from armonik_sdk.api.messages import ManifestItem
from armonik_sdk.api.ranges import Ranges, Span

BLOCK_LINES = 256
"""Most items of a block: what is read, and parsed, to find one of them."""
BLOCK_BYTES = 256 * 1024
"""A block ends with the line with which it has this many bytes."""
FIT_BYTES = 4 * 1024 * 1024
"""Bytes of lines whose items are prepared, and queued, at a time."""
FIT_ITEMS = 5_000
"""Most items that are prepared at a time."""


def output_names(task: Task, item: Item) -> list[str]:
    """Names of the implied outputs of an element."""
    if item.outputs is not None:
        return item.outputs
    if isinstance(item, ManifestItem) and item.output_ids:
        return []
    return task.spec.outputs or [DEFAULT_OUTPUT]


def depends(item: Item) -> bool:
    """Whether the item has dependencies of its own."""
    return bool(item.depends_on) or (item.payload is not None and item.payload.result is not None)


def parsed_size(raw: bytes, items: Sequence[Item]) -> int:
    """Bytes of memory of the items of a block, approximately."""
    models = sum(1 + len(item.depends_on or ()) + (item.options is not None) for item in items)
    return 4 * len(raw) + 1_000 * models


class Summary:
    """Summary of all items after each was read once, in order."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._dependent = IndexSet()
        self._owing = IndexSet()
        self._names: list[str] | None = None
        self._lacking: dict[str, tuple[int, list[str]]] = {}

    def add(self, first: int, items: Sequence[Item]) -> None:
        """Add consecutive items. The index sets may cover more items than apply."""
        dependent, owing = list[int](), list[int]()
        for index, item in enumerate(items, start=first):
            if depends(item):
                dependent.append(index)
            if isinstance(item, ManifestItem) and item.output_ids:
                owing.append(index)
            names = output_names(self._task, item)
            if self._names is None:
                self._names = names
            for name in self._names:
                if name not in self._lacking and name not in names:
                    self._lacking[name] = (index, names)
        for found, known in ((dependent, self._dependent), (owing, self._owing)):
            if found:  # one span a block, so that the sets are small whatever the items are
                known.add(found[0], found[-1] + 1)

    @property
    def dependent(self) -> Ranges:
        """Elements that include all with dependencies of their own."""
        return self._dependent.ranges

    @property
    def owing(self) -> Ranges:
        """Elements that include all that owe results with an id of their own."""
        return self._owing.ranges

    def lacking(self, output: str) -> tuple[int, list[str]] | None:
        """The first element that has no output of this name, and those that it has; None when all have it."""
        if output in (self._names or ()):
            return self._lacking.get(output)
        return 0, self._names or []


class Offsets:
    """Where the blocks of an object begin: 12 bytes for each block."""

    def __init__(self) -> None:
        self._lines = array("I")
        self._bytes = array("Q")
        self.count = 0
        """Items in all blocks."""
        self.size = 0
        """Bytes of all blocks."""

    def add(self, lines: int, length: int) -> None:
        """Append a block."""
        self._lines.append(self.count)
        self._bytes.append(self.size)
        self.count += lines
        self.size += length

    def __len__(self) -> int:
        return len(self._lines)

    def number(self, index: int) -> int:
        """The block that holds an item.

        Raises:
            IndexError: there is no such item.
        """
        if not 0 <= index < self.count:
            raise IndexError(f"item {index} of {self.count}")
        return bisect_right(self._lines, index) - 1

    def items(self, number: int) -> Span:
        """The items of a block."""
        return self._lines[number], self._lines[number + 1] if number + 1 < len(self) else self.count

    def bytes(self, number: int) -> Span:
        """The bytes of a block."""
        return self._bytes[number], self._bytes[number + 1] if number + 1 < len(self) else self.size

    @property
    def held(self) -> int:
        """Bytes of memory."""
        return len(self) * (self._lines.itemsize + self._bytes.itemsize)


def fit(spans: Iterable[Span], offsets: Offsets | None = None) -> tuple[tuple[Span, ...], bool]:
    """As many of these runs as may be prepared together, and whether they are all.

    The last of them may be shorter than it was. At least one element stays.
    """
    fitting: list[Span] = []
    items, size = 0, 0.0
    for start, end in spans:
        at = start
        while at < end:
            stop, each = end, 0.0
            if offsets is not None:
                number = offsets.number(at)
                (first, last), (low, high) = offsets.items(number), offsets.bytes(number)
                stop, each = min(end, last), (high - low) / (last - first)
            size += each * (stop - at)
            items += stop - at
            if fitting and (items > FIT_ITEMS or size > FIT_BYTES):
                return tuple(fitting), False
            if at == start:
                fitting.append((at, stop))
            else:
                fitting[-1] = (start, stop)
            at = stop
    return tuple(fitting), True
