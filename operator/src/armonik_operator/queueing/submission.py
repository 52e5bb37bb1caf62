"""Submits runs to the journal and the queue, and queues a run again when its message is missing."""

import asyncio
import logging
import secrets
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from armonik_operator.cache.state import ClusterState
from armonik_operator.clients.servers import Clients
from armonik_operator.journal.epoch import created
from armonik_operator.journal.fold import TaskFold
from armonik_operator.journal.transitions import unqueued_runs
from armonik_operator.planning.task import Plan
from armonik_operator.queueing.journal_writer import JournalWriter
from armonik_operator.queueing.messages import Inputs, MessageBuilder
from armonik_operator.queueing.priority_bands import PriorityBands, band_of_run
from armonik_operator.results.store import ResultStore, merge
from armonik_sdk.api.kinds import Task, TaskOptions
from armonik_sdk.api.messages import RunMessage
from armonik_sdk.api.names import NamespacedName, RunId
from armonik_sdk.api.ranges import Span
from armonik_sdk.api.records import Outcome, Record, RecordKind, Unexecuted
from armonik_sdk.api.results import RunResults
from armonik_sdk.dataplane.errors import QueueFull
from armonik_sdk.dataplane.nats.queue import publish_run
from armonik_sdk.dataplane.nats.requests import MAX_BATCH
from armonik_sdk.dataplane.record_overflow import salvaged

log = logging.getLogger(__name__)

AT_ONCE = 32
"""Runs that are submitted at a time, of all Tasks together."""


class NewRun(NamedTuple):
    """A run that is not yet in the journal."""

    run: RunId
    span: Span
    record: Record


class RunSubmitter:
    """Submits runs; every step may be repeated: a run has one first record and one message."""

    def __init__(
        self,
        servers: Clients,
        state: ClusterState,
        bands: PriorityBands,
        book: ResultStore,
        preparer: MessageBuilder,
        writer: JournalWriter,
    ) -> None:
        self._servers = servers
        self._state = state
        self._bands = bands
        self._book = book
        self._preparer = preparer
        self._writer = writer
        self._submitting = asyncio.Semaphore(AT_ONCE)

    async def submit(self, task: Task, plan: Plan, inputs: Inputs) -> bool:
        """Runs of elements that belong to none: their first records, then their messages.

        Returns:
            Whether all were appended as planned. An earlier operator may have split differently: its run is
            kept, and the next one begins at its end (protocol rule 3).
        """
        new = [
            NewRun(
                plan.ref(task).run(span[0]),
                span,
                self._record(task, plan, span, RecordKind.SUBMITTED),
            )
            for span in plan.submit
        ]
        messages = await asyncio.gather(*(self._message(task, plan, one, inputs) for one in new))
        count = 0
        for at in range(0, len(new), MAX_BATCH):
            part = new[at : at + MAX_BATCH]
            appended = await self._writer.append_first_records([(one.run, one.record) for one in part])
            count += appended
            if appended < len(part):
                break
        ready = list(zip(new[:count], messages, strict=False))
        async with asyncio.TaskGroup() as group:
            for one, message in ready:
                group.create_task(self._queue(task, plan, one, message, inputs))
        return count == len(new)

    async def _message(self, task: Task, plan: Plan, new: NewRun, inputs: Inputs) -> RunMessage:
        async with self._submitting:
            return await self._preparer.message(task, new.run, new.span, new.record.n, plan.options, inputs)

    async def _queue(self, task: Task, plan: Plan, new: NewRun, message: RunMessage, inputs: Inputs) -> None:
        async with self._submitting:
            try:
                await self._publish(new.run, new.span, message, plan.options, inputs)
            except QueueFull:
                self._state.republish.setdefault(task.metadata.uid, set()).add(new.span[0])
                raise

    async def _publish(
        self, run: RunId, span: Span, message: RunMessage, options: TaskOptions, inputs: Inputs
    ) -> bool:
        band = band_of_run(options, inputs.items, span)
        await self._bands.open(NamespacedName(run.namespace, message.partition), band)
        return await publish_run(self._servers.client, run, message.partition, message, band)

    async def look_for_given(self, task: Task, plan: Plan, fold: TaskFold) -> None:
        """Runs that agents gave away, of which no record was read: there is one, or it was lost."""
        for start, end in fold.given.spans:
            run = plan.ref(task).run(start)
            head = await self._servers.journal.head(run)
            if head is None:
                fold.take_back((start, end))
            else:
                await self._writer.apply_head(run, head)

    async def missing(self, task: Task, plan: Plan, also: set[int], *, resume: bool) -> None:
        """Queue again what has lost its message, and these; should it fail, all of them next time."""
        uid = task.metadata.uid
        starts = self._state.republish.pop(uid, set()) | also
        try:
            await self._again(task, plan, starts, resume=resume)
        except BaseException:
            self._state.republish.setdefault(uid, set()).update(starts)
            raise

    async def _again(self, task: Task, plan: Plan, starts: Iterable[int], *, resume: bool) -> None:
        """Publish what should be queued and is not; runs that were parked get another number (rule 13)."""
        for start in starts:
            run = plan.ref(task).run(start)
            head = await self._servers.journal.head(run)
            if head is None or head.record.kind.terminal:
                continue
            record, span = head.record, (head.record.start, head.record.end)
            stale = record.epoch < self._state.life.fence
            parked = record.kind is RecordKind.PAUSED
            if parked and not resume and not stale:
                continue
            if parked or stale:
                record = await self._renewed(run, record)
                if not await self._writer.append(run, record, head) or record.kind.terminal:
                    continue
            inputs = await self._preparer.prepare(task, plan.ref(task), [span], again=True)
            message = await self._preparer.message(task, run, span, record.n, plan.options, inputs)
            if await self._publish(run, span, message, plan.options, inputs) and record is head.record:
                log.info("queued %s again: its message was missing", run.journal)

    async def _renewed(self, run: RunId, record: Record) -> Record:
        """A run submitted again: whoever held it before is fenced, and what had ended stays ended."""
        record, _ = await salvaged(self._servers.objects, record, run)
        new = RunResults(sequence=0, end=record.end, outcomes=record.outcomes, objects=record.objects)
        lost = record.epoch < self._state.life.fence  # then it may have been shorter before
        for kept in await self._book.within(run, record.end if lost else run.start + 1):
            new = merge(kept, new) or kept
        outcomes = tuple(outcome for outcome in new.outcomes if record.start <= outcome.index < record.end)
        record = record.model_copy(update={"outcomes": outcomes, "objects": new.objects})
        return record.model_copy(
            update={
                "kind": RecordKind.SUBMITTED if record.remaining else RecordKind.DONE,
                "n": record.n + 1,
                "epoch": max(record.epoch, self._state.life.fence),
                "owner": None,
                "running": None,
                "record_id": secrets.token_hex(8),
            }
        )

    async def abort(self, task: Task, plan: Plan, aborted: Sequence[tuple[Span, str]]) -> None:
        """End elements whose dependencies were aborted: as runs that were never queued."""
        await self._writer.append_unqueued(
            [
                (
                    plan.ref(task).run(span[0]),
                    self._record(task, plan, span, RecordKind.DONE, (outcomes, rest)),
                )
                for span, outcomes, rest in unqueued_runs(aborted)
            ]
        )

    def _record(
        self,
        task: Task,
        plan: Plan,
        span: Span,
        kind: RecordKind,
        ended: tuple[tuple[Outcome, ...], Unexecuted | None] | None = None,
    ) -> Record:
        """The first record of a run; `ended`: how its elements ended, if it is never queued."""
        first = self._state.life.first(created(task))
        outcomes, rest = ended or ((), None)
        return Record(
            record_id=secrets.token_hex(8),
            kind=kind,
            start=span[0],
            end=span[1],
            n=first + 1,
            epoch=first,
            partition=(plan.options.partition or "") if ended is None else "",
            task_name=task.metadata.name,
            outcomes=outcomes,
            rest=rest,
        )
