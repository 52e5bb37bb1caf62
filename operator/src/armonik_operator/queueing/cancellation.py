"""Ends runs: the operator can end any run itself (protocol rule 10)."""

import logging
import secrets
import time

from armonik_operator.cache.state import ClusterState
from armonik_operator.clients.servers import Clients
from armonik_operator.journal.fold import LISTED, TaskFold
from armonik_operator.journal.transitions import BY_REQUEST, cancel_record, without
from armonik_operator.journal.unreadable_heads import last_word
from armonik_operator.planning.task import Cancel
from armonik_operator.queueing.journal_writer import JournalWriter
from armonik_operator.results.store import ResultStore
from armonik_sdk.api.kinds import Task
from armonik_sdk.api.names import CONTROL, RunId, TaskRef, control_key
from armonik_sdk.api.ranges import Ranges
from armonik_sdk.api.records import Control, DesiredState, Record, RecordKind
from armonik_sdk.dataplane.errors import QueueFull, Unreadable
from armonik_sdk.dataplane.head import Head
from armonik_sdk.dataplane.nats.buckets import put_control
from armonik_sdk.dataplane.nats.queue import purge
from armonik_sdk.dataplane.nats.requests import MAX_BATCH

log = logging.getLogger(__name__)

GRACE = 10.0
"""Seconds that an owner has to end a run that shall be cancelled."""
AGAIN = 1.0
HINT_SECONDS = 120.0
"""For which CONTROL says what shall become of a Task; written again while it is not done.

More than twice `ack_wait`: what is delivered once more after the purge finds it, or no head.
"""


class RunCanceller:
    """Cancels Tasks, elements and runs; every step may be repeated."""

    def __init__(
        self, servers: Clients, state: ClusterState, book: ResultStore, writer: JournalWriter
    ) -> None:
        self._servers = servers
        self._state = state
        self._book = book
        self._writer = writer
        self._noted: dict[str, dict[tuple[int, int], float]] = {}
        """When a note was first seen, by UID of the Task, first element and sequence; until the Task ends."""

    async def end_task(
        self, task: Task, fold: TaskFold, ref: TaskRef, much: Cancel, why: str
    ) -> float | None:
        """Cancel what has not ended; returns when to look again, None when everything has.

        Args:
            task: the Task.
            fold: its fold.
            ref: its identity.
            much: all of it, or only what no agent works on.
            why: what its outcomes say.
        """
        if much is Cancel.ALL:
            await self.hint(ref.namespace, ref.task, DesiredState.CANCELLED, task.metadata.generation)
        await self._end_unqueued(task, ref, fold.submitted.complement(task.spec.total), why)
        again = await self.end_runs(ref, fold, much, why)
        if again is None:
            self._noted.pop(ref.task, None)
        return again

    async def end_elements(self, task: Task, fold: TaskFold, ref: TaskRef, indexes: Ranges) -> float | None:
        """Cancel some elements, not the others; when to look again, None when all of them have ended.

        A run keeps its owner, and its message, unless nothing of it is left.
        """
        await self._end_unqueued(task, ref, indexes - fold.submitted, BY_REQUEST)
        left = noted = False
        for known in list(fold.open_runs):
            if not indexes & Ranges.of([(known.start, known.end)]):
                continue
            run = ref.run(known.start)
            head = await self._open_head(run, fold)
            if head is None:
                continue
            record = await self._without(run, head, indexes, BY_REQUEST)
            if record is None:
                left = left or bool(Ranges.indexes(head.record.remaining) & indexes)
                continue
            ended = await self._writer.append(run, record, head)
            noted = noted or (ended and record.kind is RecordKind.CANCEL_REQUESTED)
            left = left or not ended or record.kind is RecordKind.CANCEL_REQUESTED
            if ended and record.kind.terminal:
                await purge(self._servers.client, run.queued)
        if noted:  # after the notes: it makes their owners read them now, not at their next look
            await self.hint(ref.namespace, ref.task, DesiredState.RUNNING, task.metadata.generation)
        if not left:
            self._noted.pop(ref.task, None)
        return AGAIN if left else None

    async def hint(self, namespace: str, uid: str, state: DesiredState, generation: int = 0) -> None:
        """Say in CONTROL what shall become of a Task: agents learn of it at once, but the heads decide.

        So it expires, and is left out where the bucket is nearly full: the rest of it is for Sessions and
        pods, whose states are recorded nowhere else.
        """
        if self._servers.rooms.scarce(CONTROL):
            return
        wanted = Control(state=state, generation=generation, at=time.time())
        try:
            await put_control(self._servers.control, control_key(namespace, uid), wanted, ttl=HINT_SECONDS)
        except QueueFull as full:
            log.warning(
                "agents learn only from the journal that task %s/%s is %s: %s", namespace, uid, state, full
            )

    async def _end_unqueued(self, task: Task, ref: TaskRef, indexes: Ranges, why: str) -> None:
        """End elements that belong to no run: as runs that were never queued, many at a time."""
        for at in range(0, len(indexes.spans), MAX_BATCH):
            records = [
                Record(
                    record_id=secrets.token_hex(8),
                    kind=RecordKind.CANCELLED,
                    start=start,
                    end=end,
                    n=1,
                    task_name=task.metadata.name,
                    outcomes=cancel_record(range(start, end), why) if end - start <= LISTED else (),
                )
                for start, end in indexes.spans[at : at + MAX_BATCH]
            ]
            await self._writer.append_unqueued([(ref.run(record.start), record) for record in records])

    async def _without(self, run: RunId, head: Head, indexes: Ranges, why: str) -> Record | None:
        """The successor of an open run's head that brings these elements nearer to their end, if any."""
        record, _ = await self._book.whole(run, head.record)
        asked = Ranges.indexes(record.remaining) & indexes
        noted = bool(asked) and asked.issubset(Ranges.parse(record.cancel))
        overdue = record.kind.owned and noted and self._overdue(run, head)
        return without(record, indexes, why, overdue=overdue)

    def _overdue(self, run: RunId, head: Head) -> bool:
        """Whether the owner has had its time, by this process's clock: no two are compared (rule 22)."""
        notes = self._noted.setdefault(run.task, {})
        since = notes.setdefault((run.start, head.sequence), time.monotonic())
        return time.monotonic() - since >= GRACE

    def forget(self, uid: str) -> None:
        """The Task is gone."""
        self._noted.pop(uid, None)

    async def end_runs(self, ref: TaskRef, fold: TaskFold, much: Cancel, why: str) -> float | None:
        """End the open runs of a Task; returns when to look again, None when nothing is left to end."""
        left = False
        for known in list(fold.open_runs):
            if much is Cancel.QUEUED and known.kind.owned:
                continue
            run = ref.run(known.start)
            head = await self._open_head(run, fold)
            if head is not None and (much is Cancel.ALL or not head.record.kind.owned):
                left = not await self._end_run(run, head, why) or left
        if left:
            return AGAIN
        if not fold.open_runs:
            await purge(self._servers.client, ref.queued)
        return None

    async def _open_head(self, run: RunId, fold: TaskFold) -> Head | None:
        """The head of a run that has not ended; what has is folded, what was purged is forgotten."""
        try:
            head = await self._servers.journal.head(run)
        except Unreadable as error:
            await self._end_unreadable(run, fold, error)
            return None
        if head is None:  # purged with its session
            fold.forget_run(run.start)
            return None
        if head.record.kind.terminal:
            await self._writer.apply_head(run, head)
            return None
        return head

    async def end_unreadable_runs(self, namespace: str, uid: str) -> None:
        """End runs of which a record was not understood, where it is the head."""
        for start in sorted(self._state.inbox.unreadable.get(uid, ())):
            fold = self._state.fold(uid)
            run = RunId(namespace, fold.session, uid, start)
            try:
                await self._servers.journal.head(run)
            except Unreadable as error:
                await self._end_unreadable(run, fold, error)
            self._state.inbox.unreadable[uid].discard(start)

    async def _end_unreadable(self, run: RunId, fold: TaskFold, error: Unreadable) -> None:
        """By compare-and-set on its sequence, so what its owner does later is refused."""
        known, kept = fold.runs.get(run.start), await self._book.run(run)
        behind = [start for start in fold.runs if start > run.start]
        end = known.end if known is not None else min(behind, default=run.start + 1)
        record = last_word((run.start, end), known, kept, str(error), "")
        log.warning("run %s is ended: %s", run.journal, error)
        await self._writer.supersede(run, record, error.sequence)

    async def _end_run(self, run: RunId, head: Head, why: str) -> bool:
        """One step towards the end of a run; True when its head is terminal now."""
        record = await self._without(run, head, Ranges.of([(head.record.start, head.record.end)]), why)
        if record is None:
            return False
        return await self._writer.append(run, record, head) and record.kind.terminal
