"""What elements printed, as it was kept with how they ended (ADR 29)."""

from collections.abc import AsyncIterator

from armonik_sdk.api.kinds import ObjectRef
from armonik_sdk.api.records import Outcome, carried
from armonik_sdk.api.results import RunResults
from armonik_sdk.client.results.location import Found
from armonik_sdk.client.results.stream import RUNS_AT_ONCE, Located, chunks, read_located
from armonik_sdk.client.results.task_source import TaskSource
from armonik_sdk.dataplane.result_lookup import find_run, outcome_of


async def printed_by(source: TaskSource, index: int) -> str | None:
    """What the last execution of an element printed; None if it has not ended.

    Raises:
        ResultDamaged: the text is missing or altered.
        Unavailable: NATS or the object store do not answer.
    """
    link, session = await source.connection.link(), await source.session_uid()
    run = await find_run(link.run_keys, source.namespace, session, source.task, index)
    if run is None:
        return None
    entry = (await link.runs({run.results: None})).get(run.results)
    outcome = outcome_of(entry, index)
    if entry is None or outcome is None:
        return None
    place = printed_place(entry, outcome)
    if place is None:
        return ""
    return as_text(place if isinstance(place, bytes) else await link.get(place))


async def printed_by_all(source: TaskSource) -> AsyncIterator[tuple[int, str]]:
    """The same of all elements that have ended and printed something, ascending by index.

    A few megabytes are in memory at a time.

    Raises:
        as `printed_by`.
    """
    link, prefix = await source.connection.link(), await source.runs_prefix()
    keys = sorted(await link.run_keys(f"{prefix}*"), key=lambda key: int(key.removeprefix(prefix)))
    for at in range(0, len(keys), RUNS_AT_ONCE):
        part = keys[at : at + RUNS_AT_ONCE]
        runs = await link.runs(dict.fromkeys(part))
        for run in (runs[key] for key in part if key in runs):
            for chunk in chunks(_located(run)):
                texts = await read_located(link, chunk)
                for index, _ in chunk:
                    yield index, as_text(texts[index])


def printed_place(run: RunResults, outcome: Outcome) -> bytes | ObjectRef | None:
    """Where the text of an element is, or its bytes; None where nothing was kept. Pure."""
    if outcome.printed is None:
        return None
    ref = run.ref(outcome.printed)
    data = carried(ref)
    return ref if data is None else data


def as_text(data: bytes) -> str:
    """What is kept is plain UTF-8; whatever else is there is shown as what it is not."""
    return data.decode(errors="replace")


def _located(run: RunResults) -> list[Located]:
    found: list[Located] = []
    for outcome in sorted(run.outcomes, key=lambda outcome: outcome.index):
        place = printed_place(run, outcome)
        if place is not None:
            found.append((outcome.index, Found(place)))
    return found
