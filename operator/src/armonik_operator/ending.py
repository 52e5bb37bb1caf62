"""Ending runs and removing traces: the operator can end any run itself (protocol rule 10)."""

import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

from armonik_operator.children import Children
from armonik_operator.fold import LISTED, TaskFold
from armonik_operator.reconcile.cancel import BY_REQUEST, cancelled, without
from armonik_operator.reconcile.task import Cancel
from armonik_operator.results import ResultBook
from armonik_operator.state import Gone, Received, Servers
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
from armonik_sdk.dataplane.errors import Conflict, QueueUnavailable
from armonik_sdk.dataplane.journal import Head
from armonik_sdk.dataplane.kv import put_control
from armonik_sdk.dataplane.objects import expand, slim
from armonik_sdk.dataplane.queue import purge

log = logging.getLogger(__name__)

GRACE = 10.0
"""Seconds that an owner has to end a run that shall be cancelled."""
AGAIN = 1.0


class Ending:
    """Cancels and removes; every step may be repeated."""

    def __init__(
        self,
        servers: Servers,
        book: ResultBook,
        children: Children,
        take: Callable[[Received], Awaitable[None]],
    ) -> None:
        self._servers = servers
        self._book = book
        self._children = children
        self._take = take
        self._noted: dict[tuple[RunId, int], float] = {}

    async def end_task(
        self, task: Task, fold: TaskFold, session_uid: str, much: Cancel, why: str
    ) -> float | None:
        """Cancel what has not ended; returns when to look again, None when everything has.

        Args:
            task: the Task.
            fold: its fold.
            session_uid: UID of its Session.
            much: all of it, or only what no agent works on.
            why: what its outcomes say.
        """
        namespace, uid = task.metadata.namespace or "", task.metadata.uid
        if much is Cancel.ALL:
            wanted = Control(
                state=DesiredState.CANCELLED, generation=task.metadata.generation, at=time.time()
            )
            await put_control(self._servers.control, control_key(namespace, uid), wanted)
        await self._end_unqueued(task, session_uid, fold.submitted.complement(task.spec.total), why)
        return await self._end_runs(namespace, session_uid, uid, fold, much, why)

    async def end_elements(
        self, task: Task, fold: TaskFold, session_uid: str, indexes: Ranges
    ) -> float | None:
        """Cancel some elements while the others go on; when to look again, None when all of them have ended.

        A run keeps its owner, and its message, unless nothing of it is left.
        """
        namespace, uid = task.metadata.namespace or "", task.metadata.uid
        await self._end_unqueued(task, session_uid, indexes - fold.submitted, BY_REQUEST)
        left = noted = False
        for known in list(fold.open_runs):
            if not indexes & Ranges.of([(known.start, known.end)]):
                continue
            run = RunId(namespace, session_uid, uid, known.start)
            head = await self._open_head(run, fold)
            if head is None:
                continue
            record = await self._without(run, head, indexes, BY_REQUEST)
            if record is None:
                left = left or bool(Ranges.indexes(head.record.remaining) & indexes)
                continue
            ended = await self.append(run, record, head)
            noted = noted or (ended and record.kind is RecordKind.CANCEL_REQUESTED)
            left = left or not ended or record.kind is RecordKind.CANCEL_REQUESTED
            if ended and record.kind.terminal:
                await purge(self._servers.client, run.queued)
        if noted:  # after the notes: it makes their owners read them now, not at their next look
            told = Control(state=DesiredState.RUNNING, generation=task.metadata.generation, at=time.time())
            await put_control(self._servers.control, control_key(namespace, uid), told)
        return AGAIN if left else None

    async def _end_unqueued(self, task: Task, session_uid: str, indexes: Ranges, why: str) -> None:
        """End elements that belong to no run: as runs that were never queued."""
        for start, end in indexes.spans:
            record = Record(
                record_id=secrets.token_hex(8),
                kind=RecordKind.CANCELLED,
                start=start,
                end=end,
                n=1,
                task_name=task.metadata.name,
                outcomes=cancelled(range(start, end), why) if end - start <= LISTED else (),
            )
            run = RunId(task.metadata.namespace or "", session_uid, task.metadata.uid, start)
            await self.append_first(run, record)

    async def _without(self, run: RunId, head: Head, indexes: Ranges, why: str) -> Record | None:
        """The successor of an open run's head that brings these elements nearer to their end, if any."""
        record = await expand(self._servers.objects, head.record)
        asked = Ranges.indexes(record.remaining) & indexes
        noted = bool(asked) and asked.issubset(Ranges.parse(record.cancel))
        overdue = record.kind.owned and noted and self._overdue(run, head)
        return without(record, indexes, why, overdue=overdue)

    def _overdue(self, run: RunId, head: Head) -> bool:
        """Whether the owner has had its time, by this process's clock: no two are compared (rule 22)."""
        since = self._noted.setdefault((run, head.sequence), time.monotonic())
        if time.monotonic() - since < GRACE:
            return False
        del self._noted[run, head.sequence]
        return True

    async def remove_task(self, uid: str, gone: Gone, fold: TaskFold) -> float | None:
        """Remove the traces of a deleted Task; its committed results stay. None when it is done."""
        namespace, session_uid = gone.namespace, fold.session or gone.session
        wanted = Control(state=DesiredState.DELETED, at=time.time())
        await put_control(self._servers.control, control_key(namespace, uid), wanted)
        if session_uid:
            again = await self._end_runs(
                namespace, session_uid, uid, fold, Cancel.ALL, "the task was deleted"
            )
            if again is not None:
                return again
            if gone.parent:
                reason = f"task {gone.name or uid} was deleted before it had made it"
                await self._book.abort_all(namespace, session_uid, {uid}, reason)
            await self.purge_journal(journal_of_task(namespace, session_uid, uid))
        await self._servers.inventory.delete(inventory_key(namespace, uid))
        await self._children.forget(namespace, {*fold.children, *([gone.name] if gone.parent else [])})
        return None

    async def purge_journal(self, pattern: str) -> None:
        """Remove records; commits in flight are refused from then on."""
        await self._servers.client.jetstream(timeout=10).purge_stream(JOURNAL, subject=pattern)

    async def append_firsts(self, records: Sequence[tuple[RunId, Record]]) -> int:
        """The first records of runs, in order, up to one that has another already; how many stand.

        In one batch, or else one after the other: two operators that cut differently must not come to
        begin runs within each other's, as they would if some were refused and the ones behind were not.
        """
        if len(records) > 1:
            try:
                last = await self._servers.journal.submit_all(records)
            except (Conflict, QueueUnavailable) as error:
                log.info("%d runs are begun one by one: %s", len(records), error)
            else:
                for sequence, (run, record) in enumerate(records, start=last - len(records) + 1):
                    await self._stored(run, record, sequence)
                return len(records)
        for number, (run, record) in enumerate(records):
            if not await self.append_first(run, record):
                return number
        return len(records)

    async def append_first(self, run: RunId, record: Record) -> bool:
        """The first record of a run; if there is one already, that one is folded, and the answer is False."""
        try:
            sequence = await self._servers.journal.submit(run, await self._slim(run, record))
        except Conflict as standing:
            if standing.head is not None:
                await self.take(run, standing.head)
            return False
        await self._stored(run, record, sequence)
        return True

    async def take(self, run: RunId, head: Head) -> None:
        """Fold a head that was read."""
        await self._take(Received(run, head.record, head.sequence, head.time))

    async def append(self, run: RunId, record: Record, head: Head) -> bool:
        """The successor of a head; False when the run has moved on meanwhile."""
        try:
            slimmed = await self._slim(run, record)
            sequence = await self._servers.journal.append(
                run, slimmed, head.sequence, after=head.record.record_id
            )
        except Conflict as moved:
            log.info("run %s moved on: %s", run.journal, moved)
            return False
        await self._stored(run, record, sequence)
        return True

    async def _stored(self, run: RunId, record: Record, sequence: int) -> None:
        """Fold what was appended. Its time is the stream's (protocol rule 22), not told by an append."""
        moment = datetime.now(UTC)
        if record.kind.terminal:
            head = await self._servers.journal.head(run)
            moment = head.time if head is not None and head.sequence == sequence else moment
        await self._take(Received(run, record, sequence, moment))

    async def _slim(self, run: RunId, record: Record) -> Record:
        prefix = run.objects(record.epoch, secrets.token_hex(4))
        return await slim(self._servers.objects, record, prefix)

    async def _end_runs(
        self, namespace: str, session_uid: str, uid: str, fold: TaskFold, much: Cancel, why: str
    ) -> float | None:
        left = False
        for known in list(fold.open_runs):
            if much is Cancel.QUEUED and known.kind.owned:
                continue
            run = RunId(namespace, session_uid, uid, known.start)
            head = await self._open_head(run, fold)
            if head is not None and (much is Cancel.ALL or not head.record.kind.owned):
                left = not await self._end_run(run, head, why) or left
        if left:
            return AGAIN
        if not fold.open_runs:
            await purge(self._servers.client, queue_of_task(namespace, uid))
        return None

    async def _open_head(self, run: RunId, fold: TaskFold) -> Head | None:
        """The head of a run that has not ended; what has is folded, what was purged is forgotten."""
        head = await self._servers.journal.head(run)
        if head is None:  # purged with its session
            fold.forget_run(run.start)
            return None
        if head.record.kind.terminal:
            await self.take(run, head)
            return None
        return head

    async def _end_run(self, run: RunId, head: Head, why: str) -> bool:
        """One step towards the end of a run; True when its head is terminal now."""
        record = await self._without(run, head, Ranges.of([(head.record.start, head.record.end)]), why)
        if record is None:
            return False
        return await self.append(run, record, head) and record.kind.terminal
