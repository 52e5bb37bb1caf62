"""Where a result is: its state and its bytes' place, from its own entry of RESULTS and from its run's entry.

Operator, agent and client read results with these functions, so that all three say the same of one result.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from nats.aio.client import Client

from armonik_sdk.api.const import ERROR_OUTPUT
from armonik_sdk.api.keys import confined_entry
from armonik_sdk.api.kinds import ObjectRef
from armonik_sdk.api.names import (
    RESULTS,
    RunId,
    result_key,
    results_of_task,
    run_before,
    split_result_id,
)
from armonik_sdk.api.records import Outcome, OutcomeKind
from armonik_sdk.api.results import ResultEntry, ResultState, RunResults
from armonik_sdk.dataplane.nats.buckets import Bucket
from armonik_sdk.dataplane.run_entries import RunEntries
from armonik_sdk.dataplane.s3.store import ObjectStore

ListKeys = Callable[[str], Awaitable[Iterable[str]]]
"""Lists the keys of RESULTS that match a pattern."""


@dataclass(frozen=True)
class Location:
    """What RESULTS says of a result."""

    state: ResultState | None
    """None: RESULTS has neither an entry of the result nor one of its run."""
    ref: ObjectRef | None = None
    """Where its bytes are, or the bytes themselves; set exactly when it is complete."""
    reason: str = ""
    """Why it is aborted, in one word or as the chain that its entry has."""
    message: str = ""
    """The details of the reason; empty when there are none."""
    owner: tuple[str, int] | None = None
    """Of an aborted one with an entry of its own: UID of the Task that owed it, and the element."""
    delegated: bool = False
    """Its element has ended and left it to a sub-task, which has not ended yet."""


def locate(result: str, entry: ResultEntry | None, runs: Iterable[RunResults]) -> Location:
    """The state and place of a result, from its own entry and the entries of runs that may hold it. Pure.

    An own entry that is complete, aborted or deleted decides: it says what a sub-task made, or what became of
    the result after its element had ended.
    """
    if entry is not None:
        match entry.state:
            case ResultState.COMPLETED if entry.ref is not None:
                return Location(ResultState.COMPLETED, entry.ref)
            case ResultState.ABORTED:
                owner = (entry.task, entry.index) if entry.task else None
                return Location(ResultState.ABORTED, reason=entry.reason, owner=owner)
            case ResultState.DELETED:
                return Location(ResultState.DELETED)
    state = ResultState.CREATED if entry is not None else None
    implied = split_result_id(result)
    if implied is None:
        return Location(state)
    _, index, output = implied
    for run in runs:
        state = ResultState.CREATED
        if (outcome := outcome_of(run, index)) is not None:
            return locate_output(result, output, outcome, run)
    return Location(state)


def locate_output(result: str, output: str, outcome: Outcome, run: RunResults) -> Location:
    """The same of an output of an element that ended with this outcome. Pure."""
    if outcome.kind is not OutcomeKind.COMPLETED:
        if output == ERROR_OUTPUT and outcome.error is not None:
            return Location(ResultState.COMPLETED, run.ref(outcome.error))
        reason = outcome.reason or str(outcome.kind)
        return Location(ResultState.ABORTED, reason=reason, message=outcome.message)
    if (piece := outcome.outputs.get(output)) is not None:
        return Location(ResultState.COMPLETED, run.ref(piece))
    if result in outcome.delegated:
        return Location(ResultState.CREATED, delegated=True)
    message = f"the task has no output {output!r}"
    return Location(ResultState.ABORTED, reason="NoSuchOutput", message=message)


def outcome_of(run: RunResults | None, index: int) -> Outcome | None:
    """How an element ended, by the entry of its run; None if the entry does not say. Pure."""
    if run is None:
        return None
    return next((o for o in run.outcomes if o.index == index), None) or run.unexecuted(index)


async def find_run(list_keys: ListKeys, namespace: str, session: str, task: str, index: int) -> RunId | None:
    """The run with an entry in RESULTS that holds this element; None if the Task has no such run.

    Raises:
        what `list_keys` raises.
    """
    start = run_before(await list_keys(results_of_task(namespace, session, task)), index)
    return None if start is None else RunId(namespace, session, task, start)


class ResultReader:
    """Reads of single results, without a cache."""

    def __init__(self, client: Client, store: ObjectStore) -> None:
        self._entries = Bucket(client, RESULTS, ResultEntry)
        self._runs = RunEntries(client, store)

    async def find(self, namespace: str, session: str, result: str) -> Location:
        """Where a result of this Session, given by its UID, is.

        Raises:
            QueueUnavailable, StoreUnavailable: no answer.
            ObjectMissing, ChecksumMismatch, Unreadable: an entry cannot be read.
        """
        own = await self._entries.get(result_key(namespace, session, result))
        if own is not None:
            return locate(result, confined_entry(own[0], namespace, session), ())
        implied = split_result_id(result)
        run = await find_run(self._runs.keys, namespace, session, *implied[:2]) if implied else None
        entry = await self._runs.get(run.results) if run is not None else None
        return locate(result, None, [entry[0]] if entry is not None else [])
