"""What every peer's worker runs for an element, and for a task of the tree."""

from collections.abc import Iterable

from bench.workloads import burn, data


def element(payload: bytes, milliseconds: float, size: int) -> bytes:
    """The same as bench/worker/worker.py does."""
    del payload  # has come, which is what is measured
    burn(milliseconds)
    return data(size)


def leaf(above: int = 0) -> int:
    """A task of the tree that submits none: it counts itself, once `above` has ended."""
    del above
    return 1


def joint(above: int, leaves: Iterable[int]) -> int:
    """The last task of a level: what was counted above, the other tasks of the level, and itself."""
    return above + sum(leaves) + 1
