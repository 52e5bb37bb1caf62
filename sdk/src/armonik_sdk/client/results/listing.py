"""All results of a Session."""

from collections.abc import AsyncIterator
from typing import Final

from armonik_sdk.api.names import (
    result_id,
    result_key,
    results_of_session,
    split_result_id,
)
from armonik_sdk.api.records import OutcomeKind
from armonik_sdk.api.results import ResultState
from armonik_sdk.client.results.base import (
    ResultInfo,
    describe,
    moment,
)
from armonik_sdk.client.transport.data_plane import DataPlane

AT_ONCE: Final = 32
"""Requests in flight when many results are listed."""


async def listing(link: DataPlane, namespace: str, session: str) -> AsyncIterator[ResultInfo]:
    """Every result of a session: those with an entry of their own, then committed outputs."""
    own = result_key(namespace, session, "")
    handed: set[str] = set()
    """Outputs of tasks that have an entry of their own, as those handed to sub-tasks."""
    async for keys in _parts(link, f"{own}>"):
        handed.update(key.removeprefix(own) for key in keys if split_result_id(key.removeprefix(own)))
        entries = await link.entries(keys)
        for key in sorted(entries):
            yield describe(key.removeprefix(own), entries[key])
    async for keys in _parts(link, results_of_session(namespace, session)):
        found = await link.runs(dict.fromkeys(key for key in keys if not key.startswith(own)))
        for key in sorted(found):
            task, run = key.split(".")[2], found[key]
            for outcome in run.outcomes:
                for output, piece in outcome.outputs.items():
                    result = result_id(task, outcome.index, output)
                    if outcome.kind is OutcomeKind.COMPLETED and result not in handed:
                        yield ResultInfo(
                            id=result,
                            state=ResultState.COMPLETED,
                            size=piece.length,
                            task=task,
                            index=outcome.index,
                            ended=moment(run.time),
                        )


async def _parts(link: DataPlane, pattern: str) -> AsyncIterator[list[str]]:
    """Keys that match, in parts whose entries fit into memory."""
    async for page in link.key_pages(pattern):
        for at in range(0, len(page), AT_ONCE):
            yield page[at : at + AT_ONCE]
