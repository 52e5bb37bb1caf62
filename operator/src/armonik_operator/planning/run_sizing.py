"""Computes how the elements of a Task are split into runs. Pure."""

from armonik_sdk.api.ranges import Ranges, Span

MAX_RUN = 500
"""Most elements of one run. Each run costs about six writes that are synced to disk, however long it is."""
FIRST_RUN = 20
"""The same while nobody knows how long an element takes."""
RUN_SECONDS = 1.0
"""Work of one run, as far as it can be foreseen: so late may slots end after each other."""
ROUNDS = 8
"""Runs that each slot shall get, so that slots end together."""
WORTH_SECONDS = 0.3
"""Work of a run below which fewer of them are better, where it can be foreseen (docs/performance.md)."""
WINDOW_SECONDS = 30.0
"""Work that is queued ahead for each slot, as far as it can be foreseen."""
WINDOW_RUNS = 8
"""Runs that may be open for each slot at least: some of them may be waiting for a retry."""
HINTED_RUNS = 2
"""The same while the time of an element is known from other Tasks only: what is queued keeps its size, so a
wrong hint must not size all runs of a Task."""
MAX_WINDOW = 1_000
"""Most open runs of one Task."""


def run_size(total: int, slots: int, pace: float | None) -> int:
    """Elements of one run: every slot gets some, and none gets more than about `RUN_SECONDS` of work.

    `pace` is how many seconds an element took so far, on average; None where nobody knows.
    """
    rounds = ROUNDS
    if pace is not None:
        rounds = min(ROUNDS, max(1, int(total * pace / (slots * WORTH_SECONDS))))
    fair = -(-total // (rounds * slots))
    most = FIRST_RUN if pace is None else MAX_RUN if pace <= 0 else int(min(MAX_RUN, RUN_SECONDS / pace))
    return max(1, min(fair, most))


def max_open_runs(size: int, slots: int, pace: float | None, *, hinted: bool = False) -> int:
    """How many runs of this size may be open: the less that can be foreseen, the fewer.

    What is queued keeps its size, so what is learned later helps only what is not. `hinted`: the pace is not
    the Task's own.
    """
    if hinted:
        return min(MAX_WINDOW, HINTED_RUNS * slots)
    least = WINDOW_RUNS * slots
    if pace is None:
        return min(MAX_WINDOW, least)
    if pace <= 0:
        return MAX_WINDOW
    return int(min(MAX_WINDOW, max(least, slots * WINDOW_SECONDS / (size * pace))))


def split_into_runs(total: int, submitted: Ranges, size: int, limit: int) -> list[Span]:
    """The next runs, at most `limit`, over the elements that belong to none; never across one that does."""
    runs: list[Span] = []
    for start, end in submitted.complement(total).spans:
        for at in range(start, end, size):
            if len(runs) >= limit:
                return runs
            runs.append((at, min(at + size, end)))
    return runs
