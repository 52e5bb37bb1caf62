"""What a record brings about before it is folded: results, then child Tasks (protocol steps F2 and F3)."""

import logging

from armonik_operator.adapters.kube import TASKS as TASK_KIND
from armonik_operator.errors import AlreadyExists
from armonik_operator.fold import all_outcomes
from armonik_operator.resources.child import build_child
from armonik_operator.state import Received, Servers, State
from armonik_sdk.api.const import PARENT_LABEL
from armonik_sdk.api.names import RunId, child_key, result_key
from armonik_sdk.api.records import (
    ChildGroup,
    Inventory,
    OutcomeKind,
    Record,
    ResultEntry,
    ResultState,
    RunResults,
)
from armonik_sdk.dataplane.objects import expand

log = logging.getLogger(__name__)


class Effects:
    """Idempotent: the same record may come again after a restart."""

    def __init__(self, servers: Servers, state: State) -> None:
        self._servers = servers
        self._state = state

    async def apply(self, received: Received) -> Record:
        """Bring everything about; returns the record, read from its manifest if it has one."""
        record = await expand(self._servers.objects, received.record)
        if record.outcomes or record.kind.terminal:
            await self._put_run_results(received, record)
            await self._move_results(received.run, record)
        for group in record.children:
            await self._create_child(received.run, group)
        return record

    async def _put_run_results(self, received: Received, record: Record) -> None:
        entry = RunResults(
            sequence=received.sequence,
            end=record.end,
            outcomes=all_outcomes(record),
            objects=record.objects,
            done=record.kind.terminal,
        )
        await self._servers.run_results.settle(
            received.run.results, entry, replaces=lambda standing: standing.sequence < entry.sequence
        )

    async def _move_results(self, run: RunId, record: Record) -> None:
        for outcome in record.outcomes:
            for result in outcome.delegated:
                entry = ResultEntry(state=ResultState.CREATED, task=run.task, index=outcome.index)
                await self._servers.results.create(result_key(run.namespace, run.session, result), entry)
            if outcome.kind is not OutcomeKind.COMPLETED:
                continue
            for result, piece in outcome.made.items():
                done = ResultEntry(
                    state=ResultState.COMPLETED, task=run.task, index=outcome.index, ref=record.ref(piece)
                )
                # A second completion is ignored (protocol rule 8).
                await self._servers.results.settle(
                    result_key(run.namespace, run.session, result),
                    done,
                    replaces=lambda standing: standing.state is ResultState.CREATED,
                )

    async def _create_child(self, run: RunId, group: ChildGroup) -> None:
        key = child_key(run.namespace, group.name)
        if await self._servers.inventory.get(key) is not None:
            return
        session = next((s for s in self._state.sessions.values() if s.metadata.uid == run.session), None)
        if session is None:
            log.warning("child %s/%s not made: its session is gone", run.namespace, group.name)
            return
        child = build_child(group, session_name=session.metadata.name, parent_uid=run.task, run=run.start)
        try:
            made = await self._servers.kube.create(TASK_KIND, child, run.namespace)
        except AlreadyExists:
            made = await self._servers.kube.get(TASK_KIND, group.name, run.namespace)
            if made["metadata"].get("labels", {}).get(PARENT_LABEL) != run.task:
                log.warning("task %s/%s stands where a child should", run.namespace, group.name)
                raise
        entry = Inventory(uid=made["metadata"]["uid"], name=group.name, session=run.session, parent=run.task)
        await self._servers.inventory.create(key, entry)
