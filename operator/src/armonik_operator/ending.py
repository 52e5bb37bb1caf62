"""Ending runs and removing traces: the operator can end any run itself (protocol rule 10)."""

import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from armonik_operator.fold import TaskFold, all_outcomes
from armonik_operator.state import Named, Received, Servers
from armonik_sdk.api.kinds import Task
from armonik_sdk.api.names import (
    JOURNAL,
    RunId,
    control_key,
    inventory_key,
    journal_of_task,
    queue_of_task,
)
from armonik_sdk.api.ranges import Ranges
from armonik_sdk.api.records import Control, DesiredState, Record, RecordKind
from armonik_sdk.dataplane.errors import Conflict
from armonik_sdk.dataplane.journal import Head
from armonik_sdk.dataplane.kv import put_control
from armonik_sdk.dataplane.queue import purge

log = logging.getLogger(__name__)

GRACE = 10.0
"""Seconds that an owner has to end a run that shall be cancelled."""
AGAIN = 1.0


class Ending:
    """Cancels and removes; every step may be repeated."""

    def __init__(self, servers: Servers, take: Callable[[Received], Awaitable[None]]) -> None:
        self._servers = servers
        self._take = take

    async def end_task(self, task: Task, fold: TaskFold, session_uid: str) -> float | None:
        """Cancel all that has not ended; returns when to look again, None when everything has."""
        namespace, uid = task.metadata.namespace or "", task.metadata.uid
        wanted = Control(state=DesiredState.CANCELLED, generation=task.metadata.generation, at=time.time())
        await put_control(self._servers.control, control_key(namespace, uid), wanted)
        for start, end in fold.submitted.complement(task.spec.total).spans:
            record = Record(
                record_id=secrets.token_hex(8),
                kind=RecordKind.CANCELLED,
                start=start,
                end=end,
                n=1,
                task_name=task.metadata.name,
            )
            await self.append_first(RunId(namespace, session_uid, uid, start), record)
        return await self._end_runs(namespace, session_uid, uid, fold)

    async def remove_task(self, uid: str, gone: Named, fold: TaskFold) -> float | None:
        """Remove the traces of a deleted Task; its committed results stay. None when it is done."""
        namespace, session_uid = gone.namespace, fold.session or gone.name
        wanted = Control(state=DesiredState.DELETED, at=time.time())
        await put_control(self._servers.control, control_key(namespace, uid), wanted)
        if session_uid:
            again = await self._end_runs(namespace, session_uid, uid, fold)
            if again is not None:
                return again
            await self.purge_journal(journal_of_task(namespace, session_uid, uid))
        await self._servers.inventory.delete(inventory_key(namespace, uid))
        return None

    async def purge_journal(self, pattern: str) -> None:
        """Remove records; commits in flight are refused from then on."""
        await self._servers.client.jetstream(timeout=10).purge_stream(JOURNAL, subject=pattern)

    async def append_first(self, run: RunId, record: Record) -> bool:
        """The first record of a run; if there is one already, that one is folded, and the answer is False."""
        try:
            sequence = await self._servers.journal.submit(run, record)
        except Conflict as standing:
            if standing.head is not None:
                head = standing.head
                await self._take(Received(run, head.record, head.sequence, head.time))
            return False
        await self._take(Received(run, record, sequence, datetime.now(UTC)))
        return True

    async def _end_runs(self, namespace: str, session_uid: str, uid: str, fold: TaskFold) -> float | None:
        left = False
        for known in list(fold.open_runs):
            run = RunId(namespace, session_uid, uid, known.start)
            head = await self._servers.journal.head(run)
            if head is None:  # purged with its session
                fold.forget_run(known.start)
            elif head.record.kind.terminal:
                await self._take(Received(run, head.record, head.sequence, head.time))
            else:
                left = not await self._end_run(run, head) or left
        if left:
            return AGAIN
        await purge(self._servers.client, queue_of_task(namespace, uid))
        return None

    async def _end_run(self, run: RunId, head: Head) -> bool:
        """One step towards the end of a run; True when its head is terminal now."""
        owned = head.record.kind.owned
        noted = head.record.kind is RecordKind.CANCEL_REQUESTED
        if noted and (datetime.now(UTC) - head.time).total_seconds() < GRACE:
            return False
        kind = RecordKind.CANCEL_REQUESTED if owned and not noted else RecordKind.CANCELLED
        changes: dict[str, object] = {"record_id": secrets.token_hex(8), "kind": kind}
        if kind is RecordKind.CANCEL_REQUESTED:
            changes["cancel"] = str(Ranges.indexes(head.record.remaining))
        record = head.record.model_copy(update=changes)
        if kind is RecordKind.CANCELLED and record.manifest is None:
            record = record.model_copy(update={"outcomes": all_outcomes(record)})
        try:
            sequence = await self._servers.journal.append(run, record, head.sequence)
        except Conflict as moved:
            log.info("run %s moved on while it was being cancelled: %s", run.journal, moved)
            return False
        await self._take(Received(run, record, sequence, datetime.now(UTC)))
        return record.kind.terminal
