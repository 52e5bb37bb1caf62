"""Where results lie that a worker asks for beside its inputs: any complete result of its own session."""

from nats.aio.client import Client

from armonik_sdk.api.kinds import ObjectRef
from armonik_sdk.api.names import (
    RESULTS,
    RunId,
    result_key,
    results_of_task,
    run_before,
    split_result_id,
)
from armonik_sdk.api.records import OutcomeKind, ResultEntry, ResultState, RunResults
from armonik_sdk.dataplane.kv import Bucket


class Results:
    """Reads of the bucket RESULTS."""

    def __init__(self, client: Client) -> None:
        self._entries = Bucket(client, RESULTS, ResultEntry)
        self._runs = Bucket(client, RESULTS, RunResults)

    async def find(self, run: RunId, result: str) -> tuple[ResultState | None, ObjectRef | None]:
        """State of a result of the run's session, and its bytes' place if it is complete; None: unknown.

        Raises:
            QueueUnavailable: no answer.
        """
        own = await self._entries.get(result_key(run.namespace, run.session, result))
        if own is not None:
            return own[0].state, own[0].ref if own[0].state is ResultState.COMPLETED else None
        implied = split_result_id(result)
        if implied is None:
            return None, None
        task, index, output = implied
        keys = await self._runs.keys(results_of_task(run.namespace, run.session, task))
        start = run_before(keys, index)
        if start is None:
            return None, None
        entry = await self._runs.get(RunId(run.namespace, run.session, task, start).results)
        outcome = next((o for o in entry[0].outcomes if o.index == index), None) if entry else None
        if entry is None or outcome is None:
            return ResultState.CREATED, None
        if outcome.kind is OutcomeKind.COMPLETED and output in outcome.outputs:
            return ResultState.COMPLETED, entry[0].ref(outcome.outputs[output])
        return ResultState.ABORTED, None
