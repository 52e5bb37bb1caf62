"""Cutting the elements of a Task into runs."""

from armonik_sdk.api.ranges import Ranges, Span

MAX_RUN = 500
"""Most elements of one run. Each run costs about six writes that are synced to disk, however long it is."""
ROUNDS = 8
"""Runs that each slot shall get, so that slots end together."""


def run_size(total: int, pod_max: int, slots_per_pod: int) -> int:
    """Elements of one run: small enough that every slot gets some, large enough to be worth a message."""
    slots = max(1, pod_max * slots_per_pod)
    return max(1, min(MAX_RUN, -(-total // (ROUNDS * slots))))


def cut(total: int, submitted: Ranges, size: int, limit: int) -> list[Span]:
    """The next runs, at most `limit`, over the elements that belong to none; never across one that does."""
    runs: list[Span] = []
    for start, end in submitted.complement(total).spans:
        for at in range(start, end, size):
            if len(runs) >= limit:
                return runs
            runs.append((at, min(at + size, end)))
    return runs
