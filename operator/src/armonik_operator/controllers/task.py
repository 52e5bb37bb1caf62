"""Reconciles Tasks: applies records, plans, carries the plan out, writes the status."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

from armonik_operator.cache.finished_tasks import FinishedTask
from armonik_operator.cache.keys import DeletedTask, WorkKey
from armonik_operator.cache.state import ClusterState
from armonik_operator.clients.kube import TASKS as TASK_KIND
from armonik_operator.clients.servers import Clients
from armonik_operator.commits.child_tasks import ChildTasks
from armonik_operator.commits.effects import Effects
from armonik_operator.commits.record_applier import RecordApplier
from armonik_operator.controllers.transition_log import TransitionLog
from armonik_operator.dependencies.checker import RESULTS_POLL, DependencyChecker
from armonik_operator.dependencies.waiters import ResultSettled, Retained, TaskCreated, TaskFinished
from armonik_operator.errors import ItemsUnread, Parked
from armonik_operator.gc import unnamed_objects
from armonik_operator.gc.task_data import TaskDataRemover
from armonik_operator.items.item_cache import ItemCache
from armonik_operator.journal.fold import TaskFold, pinned_to
from armonik_operator.planning.retries import Retries
from armonik_operator.planning.task import Cancel, Plan, Readiness, TaskView, seconds_until_deletion
from armonik_operator.planning.task import plan as task_plan
from armonik_operator.queueing.cancellation import RunCanceller
from armonik_operator.queueing.journal_writer import JournalWriter
from armonik_operator.queueing.messages import MessageBuilder
from armonik_operator.queueing.priority_bands import PriorityBands
from armonik_operator.queueing.quota import Quota
from armonik_operator.queueing.submission import RunSubmitter
from armonik_operator.results.store import ResultName, ResultStore
from armonik_operator.status.held_back import ERRORS, SOON, held_back
from armonik_operator.status.pending_reason import QueuePosition, pending_reason
from armonik_operator.status.task import StatusInputs, final_phase
from armonik_operator.status.writer import StatusWriter
from armonik_operator.util.concurrency import in_portions
from armonik_sdk.api.const import PARENT_LABEL, ConditionType, Reason
from armonik_sdk.api.kinds import SessionState, Task, find_condition, is_true
from armonik_sdk.api.names import NamespacedName, TaskRef, band_of, inventory_key
from armonik_sdk.api.records import Inventory, RecordKind

log = logging.getLogger(__name__)


class Checked(NamedTuple):
    """What the elements of a Task wait for, and why it cannot be admitted."""

    readiness: Readiness = Readiness()
    parked: Parked | None = None
    """It can be cancelled nevertheless."""


@dataclass(frozen=True)
class Pass:
    """What came of one pass over a Task."""

    plan: Plan
    inputs: StatusInputs
    again: float | None = None
    """Seconds until the next one."""


class TaskReconciler:
    """Handles the keys of Tasks."""

    def __init__(
        self, servers: Clients, state: ClusterState, enqueue: Callable[[WorkKey], None], bands: PriorityBands
    ) -> None:
        self._servers = servers
        self._state = state
        self._enqueue = enqueue
        self._book = self.book = ResultStore(servers, self._result_changed, state.commons)
        self._items = ItemCache(servers, state.session_of, state.commons)
        self._looks = DependencyChecker(servers, state, self._book, self._items, self._wake)
        self._dependents = self._looks.dependents
        self._preparer = MessageBuilder(servers, state, self._book, self._items, self._looks)
        self.children = ChildTasks(servers, state, self._book, self._items, self._wake)
        effects = Effects(servers, state, self._book, self._items, self.children)
        self._retries = Retries(time.monotonic, self._wake)
        self._applier = RecordApplier(servers, state, self._book, effects, self._dependents, self._retries)
        writer = JournalWriter(servers, self._applier)
        self._canceller = RunCanceller(servers, state, self._book, writer)
        self._queueing = RunSubmitter(servers, state, bands, self._book, self._preparer, writer)
        self._remover = TaskDataRemover(servers, self.children, self._canceller)
        self._writer = StatusWriter(servers, state)
        self._order = QueuePosition(time.monotonic)
        self._quota = Quota(servers, state, enqueue)
        self.let_in = self._quota.let_in
        self._announced: set[str] = set()
        self._transitions = TransitionLog()

    async def handle(self, key: WorkKey) -> float | None:
        """Bring one Task forward; returns the seconds after which to look again."""
        uid = key.name
        if (ended := self._state.ended.get(uid)) is not None and uid not in self._state.tasks:
            return await self._finished(ended)
        task = self._state.tasks.get(uid)
        if task is None:
            gone = self._state.deleted.get(uid)
            return await (self._remove(uid, gone) if gone is not None else self._stranger(key))
        if uid not in self._announced:
            self._announced.add(uid)
            self._dependents.happened(TaskCreated(key.namespace, task.metadata.name))
            self._dependents.happened(TaskFinished(uid))
        return await self.reconcile(self._view(task))

    def mended(self, cause: str) -> None:
        """What held Tasks back does so no more."""
        in_portions(self._retries.mended(cause))

    def _view(self, task: Task) -> TaskView:
        """What is known now; the fold changes while its records are applied."""
        namespace = task.namespace
        return TaskView.of(
            task,
            self._state.sessions.get(NamespacedName(namespace, task.spec.session)),
            self._state.fold(task.metadata.uid),
            self._state.settings.task_defaults,
            lambda name: self._state.partitions.get(NamespacedName(namespace, name)),
        )

    async def reconcile(self, view: TaskView) -> float | None:
        """Apply records, admit, check, plan, execute, write the status; returns when to look again."""
        self._state.run_by(view.task, view.options.partition or "")
        done = Pass(Plan(view.options, view.pinned), StatusInputs())
        try:
            await self._apply_records(view.namespace, view.uid)
            await self._admit(view)
            checked = await self._check(view)
            plan = await self._plan(view, checked)
            again = await self._execute(view, plan, checked.readiness)
            done = Pass(plan, self._inputs(view, plan, checked.readiness), again)
        except* ERRORS as errors:
            found = held_back(errors, self._state.settings.s3_endpoint)
            done = replace(done, inputs=found.inputs, again=found.delay)
            if found.warning:
                log.warning("task %s/%s waits: %s", view.namespace, view.task.metadata.name, found.warning)
        return await self._write_status(view, done)

    async def _admit(self, view: TaskView) -> None:
        admitted = await self.children.admit(view.task)
        if admitted is not True:
            raise Parked(Reason.DEPENDENCY_INVALID, str(admitted))

    async def _check(self, view: TaskView) -> Checked:
        """What the elements wait for."""
        view.fold.band = band_of(view.options.priority)
        await self._applier.recover(view.task, view.fold)
        if view.fold.covers(view.total):
            self._looks.over(view.uid)
        elif view.session is not None:
            return Checked(*await self._looks.tried(view.task, view.fold))
        return Checked()

    async def _plan(self, view: TaskView, checked: Checked) -> Plan:
        """What is done now, as far as the quota of the namespace lets it.

        Raises:
            Parked: the Task cannot be admitted, and nothing else is to be done for it.
        """
        session = view.session.metadata.uid if view.session else ""
        hint = self._state.paces.of(session, view.options.partition or "")
        plan = task_plan(view, checked.readiness, self._state.settings.task_defaults, hint)
        unread = checked.parked
        if unread is not None and plan.cancel is Cancel.NOTHING and plan.refusal is None:
            self._quota.leave(view.namespace, view.uid)
            raise unread
        if not plan.submit or view.fold.admitted:
            self._quota.leave(view.namespace, view.uid)
        elif (full := await self._quota.refusal(view.task)) is not None:
            plan = replace(plan, refusal=full, submit=())
        return plan

    async def _execute(self, view: TaskView, plan: Plan, readiness: Readiness) -> float | None:
        admitted, covered = view.fold.admitted, view.fold.covers(view.total)
        if plan.cancel is not Cancel.NOTHING:
            self._transitions.log(view, "is cancelled", plan.why)
        try:
            again = await self._carry_out(view, plan)
        finally:
            if view.fold.admitted and not admitted:
                self._transitions.log(view, "is admitted", f"partition {view.options.partition}")
            if view.fold.admitted and view.fold.covers(view.total) and not covered:
                self._transitions.log(view, "is submitted", f"{view.total} elements")
        if not covered and (due := self._looks.due()) is not None:
            again = due if again is None else min(again, due)
        if not covered and self._looks.polls(view.uid):
            again = min(again or RESULTS_POLL, RESULTS_POLL)
        return SOON if readiness.more else again

    def _inputs(self, view: TaskView, plan: Plan, readiness: Readiness) -> StatusInputs:
        """What the status says beside the fold."""
        place, waiting, session = (
            NamespacedName(view.namespace, view.options.partition or ""),
            None,
            view.session,
        )
        if plan.cancel is Cancel.NOTHING:
            waiting = pending_reason(view, readiness, partial(self._ahead, place, view.fold), time.time())
        return StatusInputs(
            refusal=plan.refusal,
            cancelling=plan.cancel is Cancel.ALL,
            paused=session is not None and session.spec.desired_state is SessionState.PAUSED,
            waiting=waiting,
        )

    async def _write_status(self, view: TaskView, done: Pass) -> float | None:
        status = view.task.status
        before = status is not None and is_true(status.conditions, ConditionType.FINISHED)
        later = await self._writer.write(view, done.plan, done.inputs)
        if done.inputs.finished(view) and not before:
            self._transitions.log(view, "has finished", final_phase(view.fold)[0])
        if (over := self._state.settle(view.uid)) is not None:
            if unnamed_objects.leaves_garbage(view.fold):
                self._enqueue(WorkKey(unnamed_objects.KIND, view.namespace, view.uid))
            return await self._finished(over)
        # As it was just written: no event follows a write of this process.
        current = self._state.tasks.get(view.uid, view.task)
        each = (done.again, later, self._ttl(current, view.fold), self._retry(view.uid, done.inputs))
        waits = [wait for wait in each if wait is not None]
        return min(waits) if waits else None

    def _retry(self, uid: str, shown: StatusInputs) -> float | None:
        """Seconds until a Task that is held back is looked at again; None if nothing holds it back."""
        cause = ConditionType.CHILDREN_BLOCKED if shown.blocked else ""
        cause = ConditionType.QUEUE_FULL if shown.full else cause
        cause = shown.refusal.reason if shown.refusal is not None else cause
        if cause:
            return self._retries.wait(uid, cause)
        self._retries.over(uid)
        return None

    async def _finished(self, ended: FinishedTask) -> float | None:
        """What is left to do for a Task that has finished; returns the seconds after which to look again."""
        uid, key = ended.uid, WorkKey("expired", ended.namespace, ended.uid)
        self._forget(ended.namespace, uid)  # also when the watch brought its end first
        self._dependents.happened(TaskCreated(ended.namespace, ended.name))
        if uid in self._state.inbox.runs:  # read after its status was written
            fold = self._state.folds.setdefault(uid, ended.fold())
            await self._apply_records(ended.namespace, uid)
            ended.keep_names(fold.children, fold.delegated)
            self._state.folds.pop(uid, None)
            self._state.loads.drop(uid)
        if ended.unobserved:
            await self._writer.observe(ended)
        return self._due(key, ended.session_uid, ended.ttl, ended.at)

    def _ttl(self, task: Task, fold: TaskFold) -> float | None:
        """The same of a Task that is kept whole: it runs, or its status does not name each element."""
        meta, done = task.metadata, None
        if task.status is not None:
            done = find_condition(task.status.conditions, ConditionType.FINISHED)
        ttl = task.spec.ttl_seconds_after_finished if done is not None else None
        at = done.last_transition_time.timestamp() if done is not None else 0.0
        return self._due(WorkKey("expired", meta.namespace or "", meta.uid), pinned_to(task, fold), ttl, at)

    def _due(self, key: WorkKey, session_uid: str, ttl: int | None, ended: float) -> float | None:
        """Have a Task deleted whose time is over, or whose Session is gone; else the seconds until then."""
        orphaned = self._state.orphaned(session_uid)
        needed = self._dependents.waited_for(Retained(key.name))
        wait = seconds_until_deletion(ttl, ended, time.time(), orphaned=orphaned, needed=needed)
        if wait == 0:
            self._enqueue(key)
            return None
        return wait

    async def _stranger(self, key: WorkKey) -> None:
        """Records of a Task that is not known: if it has traces, it was deleted while nobody watched."""
        uid, state = key.name, self._state
        if uid not in state.inbox.runs and uid not in state.inbox.unreadable:
            return
        entry = await self._servers.inventory.get(inventory_key(key.namespace, uid))
        if entry is None and state.namespace_of(uid) is None:
            log.warning("records of task %s in %s are dropped: there is no such task", uid, key.namespace)
            state.drop_records(uid)

    def _forget(self, namespace: str, uid: str) -> None:
        """It asks for nothing any more."""
        self._writer.forget(uid)
        self._quota.leave(namespace, uid)
        self._retries.over(uid)
        self._announced.discard(uid)
        self._transitions.forget(uid)
        self._applier.forget(uid)
        self._looks.over(uid)
        self._items.release(uid)

    def _ahead(self, place: NamespacedName, fold: TaskFold) -> int:
        folds = self._state.folds
        uids = self._state.by_partition.get(place, ())
        return self._order.ahead(place, fold, (folds[uid] for uid in uids if uid in folds))

    async def _carry_out(self, view: TaskView, plan: Plan) -> float | None:
        task, fold = view.task, view.fold
        if view.session is None or (plan.refusal is not None and not plan.session_uid):
            return None
        ref, later = plan.ref(task), None
        await self._queueing.look_for_given(task, plan, fold)
        if plan.end:
            await self._inventory(task, ref, fold)
            later = await self._canceller.end_elements(task, fold, ref, plan.end)
        if plan.cancel is not Cancel.NOTHING:
            await self._inventory(task, ref, fold)
            again = await self._canceller.end_task(task, fold, ref, plan.cancel, plan.why)
            if plan.cancel is Cancel.QUEUED:  # what runs needs its message like any other
                await self._queueing.missing(task, plan, set(), resume=False)
            return later if again is None else again
        if plan.abort:
            await self._inventory(task, ref, fold)
            await self._queueing.abort(task, plan, plan.abort)
        starts = {run.start for run in fold.open_runs if run.epoch < self._state.life.fence}
        if plan.resume:
            starts |= {run.start for run in fold.open_runs if run.kind is RecordKind.PAUSED}
        await self._queueing.missing(task, plan, starts, resume=plan.resume)
        if plan.submit:
            self._servers.rooms.admit()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._inventory(task, ref, fold))
                prepared = group.create_task(self._preparer.prepare_some(task, ref, plan.submit))
            inputs, spans, whole = prepared.result()
            if not await self._queueing.submit(task, replace(plan, submit=spans), inputs) or not whole:
                return SOON
        return later

    async def _inventory(self, task: Task, ref: TaskRef, fold: TaskFold) -> None:
        """Before anything else is written about a Task (protocol rule 9)."""
        if not fold.runs:
            entry = Inventory(
                uid=task.metadata.uid,
                name=task.metadata.name,
                session=ref.session,
                parent=task.metadata.labels.get(PARENT_LABEL, ""),
            )
            key = inventory_key(task.namespace, task.metadata.uid)
            await self._servers.inventory.create(key, entry)
        fold.session = ref.session

    async def _apply_records(self, namespace: str, uid: str) -> None:
        await self._applier.apply_backlog(uid)
        await self._canceller.end_unreadable_runs(namespace, uid)

    def _wake(self, uid: str) -> None:
        """Look at a Task soon; also at one that has finished, whose time may be over."""
        if self._state.lives(uid) and (namespace := self._state.namespace_of(uid)) is not None:
            self._enqueue(WorkKey("task", namespace, uid))

    def _result_changed(self, name: ResultName) -> None:
        self._dependents.happened(ResultSettled(*name))

    async def expire(self, key: WorkKey) -> float | None:
        """Delete a Task whose time after its end is over, whose results stay; or whose Session is gone."""
        task = self._state.living(key.name)
        if task is not None:
            name, namespace = task.metadata.name, task.metadata.namespace
            await self._servers.kube.delete(TASK_KIND, name, namespace, uid=key.name)
        return None

    async def _remove(self, uid: str, gone: DeletedTask) -> float | None:
        try:
            await self._apply_records(gone.namespace, uid)
            again = await self._remover.remove_task(uid, gone, self._state.fold(uid))
        except ItemsUnread:
            return SOON
        if again is None:
            session = gone.task.spec.session if gone.task is not None else gone.session
            log.info("task %s/%s of session %s is deleted: %s", gone.namespace, gone.name, session, uid)
            self._state.forget(uid)
            self._items.forget(uid)
            self._forget(gone.namespace, uid)
            self._dependents.gone(uid)
        return again
