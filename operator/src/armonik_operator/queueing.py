"""Runs on their way into the journal and the queue: the first time, and again when a message is missing."""

import asyncio
import logging
import secrets
from collections.abc import Iterable
from typing import NamedTuple

from armonik_operator.bands import Bands, band_of_run
from armonik_operator.ending import Ending
from armonik_operator.fold import TaskFold
from armonik_operator.inputs import Inputs, Preparer
from armonik_operator.life import created
from armonik_operator.load import Place
from armonik_operator.reconcile.cancel import unrun
from armonik_operator.reconcile.task import Plan
from armonik_operator.results import ResultBook, merge
from armonik_operator.state import Servers, State
from armonik_sdk.api.const import FailureReason
from armonik_sdk.api.kinds import Task, TaskOptions
from armonik_sdk.api.messages import RunMessage
from armonik_sdk.api.names import RunId
from armonik_sdk.api.ranges import Span
from armonik_sdk.api.records import Outcome, OutcomeKind, Record, RecordKind, RunResults
from armonik_sdk.dataplane.errors import QueueFull
from armonik_sdk.dataplane.objects import expand
from armonik_sdk.dataplane.queue import publish_run
from armonik_sdk.dataplane.requests import MAX_BATCH

log = logging.getLogger(__name__)

AT_ONCE = 32
"""Runs that are submitted at a time, of all Tasks together."""


class New(NamedTuple):
    """A run that is to begin."""

    run: RunId
    span: Span
    record: Record


class Queueing:
    """Every step may be repeated: a run's first record, and its message, stand once."""

    def __init__(
        self,
        servers: Servers,
        state: State,
        bands: Bands,
        book: ResultBook,
        preparer: Preparer,
        ending: Ending,
    ) -> None:
        self._servers = servers
        self._state = state
        self._bands = bands
        self._book = book
        self._preparer = preparer
        self._ending = ending
        self._submitting = asyncio.Semaphore(AT_ONCE)

    async def submit(self, task: Task, made: Plan, inputs: Inputs) -> bool:
        """Runs of elements that belong to none: their first records, then their messages.

        Returns:
            Whether all stand as they were planned. An operator before us may have cut differently: then its
            run stands, and the next one begins at its end (protocol step S6).
        """
        new = [
            New(
                self._run(task, made.session_uid, span[0]),
                span,
                self._record(task, made, span, RecordKind.SUBMITTED),
            )
            for span in made.submit
        ]
        messages = await asyncio.gather(*(self._message(task, made, one, inputs) for one in new))
        stand = 0
        for at in range(0, len(new), MAX_BATCH):
            part = new[at : at + MAX_BATCH]
            appended = await self._ending.append_firsts([(one.run, one.record) for one in part])
            stand += appended
            if appended < len(part):
                break
        ready = list(zip(new[:stand], messages, strict=False))
        async with asyncio.TaskGroup() as group:
            for one, message in ready:
                group.create_task(self._queue(task, made, one, message, inputs))
        return stand == len(new)

    async def _message(self, task: Task, made: Plan, new: New, inputs: Inputs) -> RunMessage:
        async with self._submitting:
            return await self._preparer.message(task, new.run, new.span, new.record.n, made.options, inputs)

    async def _queue(self, task: Task, made: Plan, new: New, message: RunMessage, inputs: Inputs) -> None:
        async with self._submitting:
            try:
                await self._publish(new.run, new.span, message, made.options, inputs)
            except QueueFull:
                self._state.republish.setdefault(task.metadata.uid, set()).add(new.span[0])
                raise

    async def _publish(
        self, run: RunId, span: Span, message: RunMessage, options: TaskOptions, inputs: Inputs
    ) -> bool:
        band = band_of_run(options, inputs.items, span)
        await self._bands.open(Place(run.namespace, message.partition), band)
        return await publish_run(self._servers.client, run, message.partition, message, band)

    async def look_for_given(self, task: Task, made: Plan, fold: TaskFold) -> None:
        """Runs that agents gave away, of which no record was read: there is one, or it was lost."""
        for start, end in fold.given.spans:
            run = self._run(task, made.session_uid, start)
            head = await self._servers.journal.head(run)
            if head is None:
                fold.take_back((start, end))
            else:
                await self._ending.take(run, head)

    async def missing(self, task: Task, made: Plan, also: set[int], *, resume: bool) -> None:
        """Queue again what has lost its message, and these; should it fail, all of them next time."""
        uid = task.metadata.uid
        starts = self._state.republish.pop(uid, set()) | also
        try:
            await self._again(task, made, starts, resume=resume)
        except BaseException:
            self._state.republish.setdefault(uid, set()).update(starts)
            raise

    async def _again(self, task: Task, made: Plan, starts: Iterable[int], *, resume: bool) -> None:
        """Publish what should be queued and is not; runs that were parked get another number (rule 13)."""
        for start in starts:
            run = self._run(task, made.session_uid, start)
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
                if not await self._ending.append(run, record, head) or record.kind.terminal:
                    continue
            inputs = await self._preparer.prepare(task, made.session_uid, [span], again=True)
            message = await self._preparer.message(task, run, span, record.n, made.options, inputs)
            if await self._publish(run, span, message, made.options, inputs) and record is head.record:
                log.info("queued %s again: its message was missing", run.journal)

    async def _renewed(self, run: RunId, record: Record) -> Record:
        """A run submitted again: whoever held it before is fenced, and what had ended stays ended."""
        record = await expand(self._servers.objects, record)
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

    async def abort(self, task: Task, made: Plan, span: Span, message: str) -> None:
        """End elements whose dependencies were aborted: as runs that were never queued."""
        for at in range(*span, 100):
            part = (at, min(at + 100, span[1]))
            reason = FailureReason.DEPENDENCY_ABORTED
            outcomes = unrun(range(*part), OutcomeKind.ERROR, reason, message)
            record = self._record(task, made, part, RecordKind.DONE, outcomes)
            record = record.model_copy(update={"partition": ""})  # it was never queued there
            await self._ending.append_first(self._run(task, made.session_uid, at), record)

    def _run(self, task: Task, session_uid: str, start: int) -> RunId:
        return RunId(task.metadata.namespace or "", session_uid, task.metadata.uid, start)

    def _record(
        self, task: Task, made: Plan, span: Span, kind: RecordKind, outcomes: tuple[Outcome, ...] = ()
    ) -> Record:
        first = self._state.life.first(created(task))
        return Record(
            record_id=secrets.token_hex(8),
            kind=kind,
            start=span[0],
            end=span[1],
            n=first + 1,
            epoch=first,
            partition=made.options.partition or "",
            task_name=task.metadata.name,
            outcomes=outcomes,
        )
