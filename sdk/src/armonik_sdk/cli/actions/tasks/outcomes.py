"""How the elements of a task ended, as far as they have, run by run in the order of their indexes."""

from collections.abc import AsyncIterator
from typing import Final

from armonik_sdk.api.results import RunResults
from armonik_sdk.client.handles.task import TaskHandle
from armonik_sdk.client.results.stream import Located, SeenElements, locate_outcomes

RUNS_AT_ONCE: Final = 32
"""Runs whose entries are read together."""


async def ended(task: TaskHandle, output: str) -> AsyncIterator[list[Located]]:
    """Where this output is of the elements that have ended, or why it is not there; each element once.

    Elements that ended without being executed come as one for each run.

    Raises:
        Unavailable: NATS or the object store do not answer.
    """
    source = task.source()
    seen = SeenElements(source.total)
    async for start, run in run_entries(task):
        fresh = sorted(seen.take(start, run), key=lambda outcome: outcome.index)
        if located := locate_outcomes(source, output, run, fresh):
            yield located


async def run_entries(task: TaskHandle) -> AsyncIterator[tuple[int, RunResults]]:
    """What is kept of each run of which elements have ended, with its first element, in their order.

    Raises:
        Unavailable: NATS or the object store do not answer.
    """
    source = task.source()
    link, prefix = await source.connection.link(), await source.runs_prefix()
    keys = sorted(await link.run_keys(f"{prefix}*"), key=lambda key: int(key.removeprefix(prefix)))
    for at in range(0, len(keys), RUNS_AT_ONCE):
        part = keys[at : at + RUNS_AT_ONCE]
        runs = await link.runs(dict.fromkeys(part))
        for key in part:
            if (run := runs.get(key)) is not None:
                yield int(key.removeprefix(prefix)), run
