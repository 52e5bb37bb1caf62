"""Memory that entries of RESULTS take, about. Pure."""

from typing import Final

from armonik_sdk.api.results import ResultEntry, RunResults

BASE: Final = 1024
"""Bytes that an object of several fields takes in memory, about; measured, without its texts."""


def entry_bytes(entry: ResultEntry | None) -> int:
    """What an entry of a result takes in memory, about; also that there is none takes its key."""
    if entry is None:
        return BASE // 2
    of_ref = BASE + len(entry.ref.data or "") if entry.ref is not None else 0
    return BASE + of_ref + len(entry.reason) + len(entry.name)


def run_bytes(run: RunResults) -> int:
    """What an entry of a run takes in memory, about: one element may have made 50,000 results."""
    size = BASE + sum(map(len, run.objects)) + BASE * len(run.outcomes)
    for (
        outcome
    ) in run.outcomes:  # all of a run, at each of its records: a plain loop takes a third of the time
        size += len(outcome.message)
        for pieces in (outcome.outputs, outcome.made):
            for name, piece in pieces.items():
                size += BASE + len(name) + (len(piece.inline) if piece.inline is not None else 0)
        if outcome.error is not None:
            size += BASE + len(outcome.error.inline or "")
        if outcome.printed is not None:
            size += BASE + len(outcome.printed.inline or "")
        for name in outcome.delegated:
            size += 64 + len(name)
    return size
