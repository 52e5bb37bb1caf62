"""Decides whether a run is long, and which tail of it is given away (protocol rule 6); pure."""

from collections.abc import Sequence

from armonik_sdk.api.records import Record

RUN_SECONDS = 1.0
"""Work that is kept at least, as far as it can be foreseen; also the time between two looks."""
LONG_SECONDS = 2 * RUN_SECONDS
"""A run that is expected to take longer is long: a split costs two writes, and another run's."""
WRONG_SECONDS = 10 * RUN_SECONDS
"""A run of which more is left was cut on a wrong guess: its tail goes back also where nobody is idle."""

FIRST_AHEAD = 4
"""Elements that a worker of whole runs is given while nobody knows how long one takes."""
LEAST_AHEAD = 2
"""The same at least, lest it waits for the next one."""
MOST_AHEAD = 256
"""The same at most."""


def elements_to_keep(left: int, each: float, rest: float, idle: int) -> int:
    """How many of the elements that have not begun stay here: an equal share, at least a second's work.

    Args:
        left: elements that have not begun.
        each: seconds that one is expected to take.
        rest: seconds until all of the run has ended, as far as can be foreseen.
        idle: agents that wait for work.
    """
    if rest <= (LONG_SECONDS if idle >= 1 else WRONG_SECONDS):
        return left
    second = left if each <= 0 else int(min(left, RUN_SECONDS / each))
    return max(second, left // (idle + 1)) if idle >= 1 else second


def prefetch_limit(mean: float | None, most: int) -> int:
    """How many elements a worker may have: those that it has cannot be given away.

    Args:
        mean: seconds that one took so far; None while none has ended.
        most: of them whatever they take.
    """
    if mean is None:
        return min(FIRST_AHEAD, most)
    return most if mean <= 0 else max(LEAST_AHEAD, int(min(most, RUN_SECONDS / mean)))


def tail_start(head: Record, left: Sequence[int], keep: int) -> int | None:
    """Where the tail begins that may be given away, when `keep` of those that have not begun are kept.

    None when there is none: it has to be whole, up to the run's end, and untouched.
    """
    fresh = set(left[keep:]).difference(attempt.index for attempt in head.attempts)
    at = head.end
    while at - 1 in fresh:
        at -= 1
    return at if head.start < at < head.end else None
