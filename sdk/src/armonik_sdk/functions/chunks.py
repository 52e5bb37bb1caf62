"""Several calls in one element: what a map with a chunk size above 1 sends."""

from collections.abc import Callable, Sequence
from typing import Any


def run_chunk(function: Callable[..., Any], calls: Sequence[tuple[Any, ...]], /, **shared: Any) -> list[Any]:
    """Call it for each tuple of arguments; the values in order. The first exception ends it."""
    return [function(*args, **shared) for args in calls]
