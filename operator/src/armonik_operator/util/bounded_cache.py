"""A cache that keeps what was used last, bounded by the size of its values. Pure."""

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

from armonik_operator.util.commons import Pool

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class BoundedCache(Generic[K, V]):
    """Values by key; when their sizes exceed the bound together, those that were used longest ago go.

    The one that was put last always stays: its caller works with it. Sizes are bytes, or 1 for a bound on the
    number of values.
    """

    def __init__(self, bound: int | Pool) -> None:
        """`bound`: its own, or one that it shares."""
        pool = bound if isinstance(bound, Pool) else Pool(bound)
        self._kept: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._part = pool.join(self._shed)

    @property
    def size(self) -> int:
        """Of all values together."""
        return self._part.size

    def get(self, key: K) -> V | None:
        """The value of a key; this use counts."""
        found = self._kept.get(key)
        if found is None:
            return None
        self._kept.move_to_end(key)
        return found[0]

    def put(self, key: K, value: V, size: int = 1) -> None:
        """Keep a value of this size in place of what the key has."""
        self.pop(key)
        self._kept[key] = (value, size)
        self._part.add(size)

    def pop(self, key: K) -> V | None:
        """Forget a key; the value that it had."""
        value, size = self._kept.pop(key, (None, 0))
        self._part.add(-size)
        return value

    def _shed(self) -> bool:
        if len(self._kept) == 1:
            return False
        self._part.add(-self._kept.popitem(last=False)[1][1])
        return True

    def values(self) -> list[V]:
        """All values, those that were used longest ago first; no use."""
        return [value for value, _ in self._kept.values()]

    def __iter__(self) -> Iterator[K]:
        return iter(tuple(self._kept))

    def __len__(self) -> int:
        return len(self._kept)
