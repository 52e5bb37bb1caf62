"""Carries out what is planned for a Task, and works on the records of its journal."""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime

from armonik_operator.adapters.kube import TASKS as TASK_KIND
from armonik_operator.effects import Effects
from armonik_operator.ending import Ending
from armonik_operator.errors import NotFound, Refused
from armonik_operator.fold import TaskFold
from armonik_operator.inputs import Inputs, Preparer
from armonik_operator.reconcile.task import PATIENCE, DependencyState, Needs, Plan, plan, task_options
from armonik_operator.state import Key, Named, Received, Servers, State
from armonik_operator.status import intervals, spills, task_status
from armonik_sdk.api.const import PARENT_LABEL, ConditionType, FailureReason
from armonik_sdk.api.kinds import Session, Task, condition, find_condition, is_true
from armonik_sdk.api.names import RunId, child_key, inventory_key
from armonik_sdk.api.ranges import Span
from armonik_sdk.api.records import Inventory, Outcome, OutcomeKind, Record, RecordKind
from armonik_sdk.dataplane.queue import publish_run

log = logging.getLogger(__name__)

FIRST_WRITE = 0.25
"""Seconds that the first status write waits, so that a short Task costs one."""
WRITE_INTERVAL = 1.0
"""Seconds between progress writes of a Task with many elements."""
AT_ONCE = 32
"""Runs of one Task that are submitted at a time."""


class TaskWorker:
    """Handles the keys of Tasks."""

    def __init__(self, servers: Servers, state: State, enqueue: Callable[[Key], None]) -> None:
        self._servers = servers
        self._state = state
        self._enqueue = enqueue
        self._preparer = Preparer(servers, state)
        self._effects = Effects(servers, state)
        self._ending = Ending(servers, self._take)
        self._submitting = asyncio.Semaphore(AT_ONCE)

    async def handle(self, key: Key) -> float | None:
        """Bring one Task forward; returns the seconds after which to look again."""
        uid = key.name
        await self._work_on_records(uid)
        task = self._state.tasks.get(uid)
        if task is None:
            gone = self._state.deleted.get(uid)
            return await self._remove(uid, gone) if gone is not None else None
        fold = self._state.fold(uid)
        session = self._state.sessions.get(Named(key.namespace, task.spec.session))
        if not await self._admitted_child(task):
            return 2.0
        options = task_options(task, session, self._state.settings.task_defaults)
        partition = self._state.partitions.get(Named(key.namespace, options.partition or ""))
        covered = len(fold.submitted) >= task.spec.total and not self._state.republish.get(uid)
        inputs = Inputs() if covered else await self._preparer.resolve(task)
        made = plan(task, session, partition, inputs.needs, fold, self._state.settings.task_defaults)
        again = await self._carry_out(task, session, made, fold, inputs)
        later = await self._write_status(task, made, fold, inputs.needs)
        waits = [wait for wait in (again, later, self._ttl(task)) if wait is not None]
        return min(waits) if waits else None

    async def _carry_out(
        self, task: Task, session: Session | None, made: Plan, fold: TaskFold, inputs: Inputs
    ) -> float | None:
        if made.cancel:
            await self._inventory(task, made.session_uid)
            fold.session = made.session_uid
            return await self._ending.end_task(task, fold, made.session_uid)
        if session is None or made.refusal is not None:
            return None
        if made.abort or made.submit or self._state.republish.get(task.metadata.uid):
            await self._inventory(task, made.session_uid)
            fold.session = made.session_uid
            await self._preparer.pack(task, made.session_uid, inputs)
        if made.abort:
            await self._abort(task, made, fold)
            return None
        if made.submit:
            async with asyncio.TaskGroup() as group:
                for span in made.submit:
                    group.create_task(self._submit(task, made, span, inputs))
        await self._publish_again(task, made, fold, inputs)
        return None

    async def _submit(self, task: Task, made: Plan, span: Span, inputs: Inputs) -> None:
        run = self._run(task, made.session_uid, span[0])
        record = self._record(task, made, span, RecordKind.SUBMITTED)
        async with self._submitting:
            message = await self._preparer.message(task, run, span, record.n, made.options, inputs)
            # Where an operator before us cut differently, its run stands.
            if await self._ending.append_first(run, record):
                await publish_run(self._servers.client, run, message.partition, message)

    async def _publish_again(self, task: Task, made: Plan, fold: TaskFold, inputs: Inputs) -> None:
        for start in self._state.republish.pop(task.metadata.uid, set()):
            known = fold.runs.get(start)
            run = self._run(task, made.session_uid, start)
            head = await self._servers.journal.head(run)
            if known is None or head is None or head.record.kind.terminal:
                continue
            if head.record.kind is RecordKind.PAUSED:
                continue
            span = (head.record.start, head.record.end)
            message = await self._preparer.message(task, run, span, head.record.n, made.options, inputs)
            if await publish_run(self._servers.client, run, message.partition, message):
                log.info("queued %s again: its message was missing", run.journal)

    async def _abort(self, task: Task, made: Plan, fold: TaskFold) -> None:
        for start, end in fold.submitted.complement(task.spec.total).spans:
            for at in range(start, end, 100):
                span = (at, min(at + 100, end))
                outcomes = tuple(
                    Outcome(
                        index=index,
                        kind=OutcomeKind.ERROR,
                        attempts=0,
                        reason=FailureReason.DEPENDENCY_ABORTED,
                        message=made.abort,
                    )
                    for index in range(*span)
                )
                record = self._record(task, made, span, RecordKind.DONE, outcomes)
                await self._ending.append_first(self._run(task, made.session_uid, at), record)

    async def _inventory(self, task: Task, session_uid: str) -> None:
        entry = Inventory(
            uid=task.metadata.uid,
            name=task.metadata.name,
            session=session_uid,
            parent=task.metadata.labels.get(PARENT_LABEL, ""),
        )
        key = inventory_key(task.metadata.namespace or "", task.metadata.uid)
        await self._servers.inventory.create(key, entry)

    async def _admitted_child(self, task: Task) -> bool:
        """A child runs only if the inventory names its very UID; any other of its name is deleted."""
        if PARENT_LABEL not in task.metadata.labels or self._state.fold(task.metadata.uid).runs:
            return True
        namespace, name = task.metadata.namespace or "", task.metadata.name
        entry = await self._servers.inventory.get(child_key(namespace, name))
        if entry is not None and entry[0].uid != task.metadata.uid:
            log.warning("deleting task %s/%s: another child of this name was made before", namespace, name)
            await self._servers.kube.delete(TASK_KIND, name, namespace, uid=task.metadata.uid)
        return entry is not None and entry[0].uid == task.metadata.uid

    async def _work_on_records(self, uid: str) -> None:
        records = self._state.received.get(uid)
        while records:
            await self._take(records[0])
            records.popleft()
            self._state.backlog -= 1

    async def _take(self, received: Received) -> None:
        """Effects first, then the fold: so `Finished` is written only when all of them are done."""
        fold = self._state.fold(received.run.task)
        known = fold.runs.get(received.run.start)
        if known is not None and received.sequence <= known.sequence:
            return
        fold.session = received.run.session
        record = await self._effects.apply(received)
        fold.add(record, received.sequence, received.time)
        if record.outcomes or record.kind.terminal:
            self._release_dependents(received.run)

    def _release_dependents(self, run: RunId) -> None:
        for uid, task in self._state.tasks.items():
            waits = task.spec.depends_on or task.spec.items or task.spec.items_ref or task.spec.payload
            if uid != run.task and task.metadata.namespace == run.namespace and waits:
                fold = self._state.folds.get(uid)
                if fold is None or not fold.runs:
                    self._enqueue(Key("task", run.namespace, uid))

    async def _write_status(self, task: Task, made: Plan, fold: TaskFold, needs: Needs) -> float | None:
        uid, now = task.metadata.uid, time.monotonic()
        age = now - self._state.seen.get(uid, now)
        generation = task.metadata.generation
        waiting = None
        refusal = made.refusal
        if refusal is not None and not fold.finished(task.spec.total):
            if age < PATIENCE:
                return PATIENCE - age
            waiting = condition(
                ConditionType.READY,
                False,
                refusal.reason,
                refusal.message,
                generation=generation,
                now=datetime.now(UTC),
            )
        old = task.status
        total, finished = task.spec.total, fold.finished(task.spec.total)
        if old is not None and is_true(old.conditions, ConditionType.FINISHED):
            if old.observed_generation < generation:
                await self._patch(task, {"observedGeneration": generation})
            return None
        if not finished and age < FIRST_WRITE:
            return FIRST_WRITE - age
        ready = find_condition(old.conditions, ConditionType.READY) if old else None
        told = old is not None and (ready.reason if ready else "") == (waiting.reason if waiting else "")
        current = told and old is not None and old.observed_generation == generation
        if current and total == 1 and not finished and not made.cancel:
            return None
        last = self._state.written.get(uid)
        if current and not finished and last is not None and now - last < WRITE_INTERVAL:
            return WRITE_INTERVAL - (now - last)
        detail = await self._spill(task, made, fold) if spills(fold) else ""
        status = task_status(
            task,
            fold,
            options=made.options,
            session_uid=made.session_uid if fold.session or not made.refusal else "",
            journal_epoch=self._state.epoch,
            cancelling=made.cancel,
            waiting=waiting,
            now=datetime.now(UTC),
            detail_ref=detail,
        )
        body = status.model_dump(mode="json", by_alias=True, exclude_none=True)
        if old is not None and body == old.model_dump(mode="json", by_alias=True, exclude_none=True):
            return None
        if not body["sessionUid"]:
            del body["sessionUid"]
        if needs.state is DependencyState.WAITING:
            log.debug("task %s/%s waits: %s", task.metadata.namespace, task.metadata.name, needs.message)
        self._state.written[uid] = now
        await self._patch(task, body)
        return None

    async def _spill(self, task: Task, made: Plan, fold: TaskFold) -> str:
        key = f"{task.metadata.namespace}/{made.session_uid}/{task.metadata.uid}/detail-{fold.sequence}"
        lines = "".join(f"{name}: {text}\n" for name, text in intervals(fold).items())
        return (await self._servers.objects.put(key, lines.encode())).key

    async def _patch(self, task: Task, status: dict[str, object]) -> None:
        name, namespace = task.metadata.name, task.metadata.namespace
        body = {"metadata": {"uid": task.metadata.uid}, "status": status}
        try:
            written = await self._servers.kube.patch(TASK_KIND, name, body, namespace, status=True)
        except NotFound:
            log.debug("task %s/%s was deleted meanwhile", namespace, name)
        except Refused as refused:
            log.warning("status of task %s/%s refused: %s", namespace, name, refused.message)
        else:
            if task.metadata.uid in self._state.tasks:
                self._state.put_task(Task.from_object(written))

    def _ttl(self, task: Task) -> float | None:
        ttl = task.spec.ttl_seconds_after_finished
        done = find_condition(task.status.conditions, ConditionType.FINISHED) if task.status else None
        if ttl is None or done is None:
            return None
        left = ttl - (datetime.now(UTC) - done.last_transition_time).total_seconds()
        if left > 0:
            return left
        self._enqueue(Key("expired", task.metadata.namespace or "", task.metadata.uid))
        return None

    async def expire(self, key: Key) -> float | None:
        """Delete a Task whose time after its end is over; its results stay."""
        task = self._state.tasks.get(key.name)
        if task is not None:
            name, namespace = task.metadata.name, task.metadata.namespace
            await self._servers.kube.delete(TASK_KIND, name, namespace, uid=task.metadata.uid)
        return None

    async def _remove(self, uid: str, gone: Named) -> float | None:
        again = await self._ending.remove_task(uid, gone, self._state.fold(uid))
        if again is None:
            self._state.forget(uid)
        return again

    def _run(self, task: Task, session_uid: str, start: int) -> RunId:
        return RunId(task.metadata.namespace or "", session_uid, task.metadata.uid, start)

    def _record(
        self, task: Task, made: Plan, span: Span, kind: RecordKind, outcomes: tuple[Outcome, ...] = ()
    ) -> Record:
        return Record(
            record_id=secrets.token_hex(8),
            kind=kind,
            start=span[0],
            end=span[1],
            n=1,
            partition=made.options.partition or "",
            task_name=task.metadata.name,
            outcomes=outcomes,
        )
