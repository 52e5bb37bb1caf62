"""The functions that workers run; so this module imports nothing that their image lacks."""

import pickle
from typing import Any

import armonik_sdk as ak
from bench.peers.element import element, joint, leaf


def buffer(payload: Any, milliseconds: float, size: int) -> pickle.PickleBuffer:
    """An element whose input and result are buffers, as arrays are: they are mapped, not copied."""
    return pickle.PickleBuffer(element(payload, milliseconds, size))


def grow(left: int, width: int, above: int, leaves: Any) -> Any:
    """The last task of a level; the next one, which waits for the others of its level."""
    counted = joint(above, leaves)
    if not left:
        return counted
    task = ak.current_task()
    assert task is not None
    below = [task.submit(leaf) for _ in range(width - 1)]
    return task.submit(grow, left - 1, width, counted, below)
