"""Carries out what is planned for a Task, and works on the records of its journal."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from armonik_operator.adapters.kube import TASKS as TASK_KIND
from armonik_operator.bands import Bands
from armonik_operator.children import Children
from armonik_operator.dependents import OfName, OfResult, OfUse
from armonik_operator.effects import Effects
from armonik_operator.ending import Ending
from armonik_operator.errors import ChildrenBlocked, Parked
from armonik_operator.fold import TaskFold, pinned_to
from armonik_operator.inputs import Items, Preparer
from armonik_operator.life import created
from armonik_operator.load import Place
from armonik_operator.needs import Looks
from armonik_operator.outage import full_message
from armonik_operator.queueing import Queueing
from armonik_operator.quota import Quota
from armonik_operator.reconcile.task import Cancel, Plan, Readiness, Refusal, plan, task_options
from armonik_operator.results import ResultBook, ResultName
from armonik_operator.state import Gone, Key, Named, Received, Servers, State
from armonik_operator.status import Shown
from armonik_operator.waiting import Order, Waiting, why
from armonik_operator.writing import StatusWriter
from armonik_sdk.api.const import PARENT_LABEL, ConditionType, Reason
from armonik_sdk.api.kinds import Session, SessionState, Task, find_condition
from armonik_sdk.api.names import band_of, inventory_key
from armonik_sdk.api.ranges import Ranges
from armonik_sdk.api.records import Inventory, RecordKind
from armonik_sdk.dataplane.errors import QueueFull, QueueUnavailable, StoreUnavailable

log = logging.getLogger(__name__)

SOON = 0.01
"""Seconds until a Task is looked at again whose runs another operator had cut differently."""
POLL = 5.0
"""Seconds until something that is missing is looked for again, when nothing tells that it came."""
RESULTS_POLL = 10.0
"""Seconds until results that others may complete are looked at again."""


class TaskWorker:
    """Handles the keys of Tasks."""

    def __init__(self, servers: Servers, state: State, enqueue: Callable[[Key], None], bands: Bands) -> None:
        self._servers = servers
        self._state = state
        self._enqueue = enqueue
        self._book = self.book = ResultBook(servers, self._result_changed)
        self._items = Items(servers)
        self._looks = Looks(servers, state, self._book, self._items, self._wake)
        self._dependents = self._looks.dependents
        self._preparer = Preparer(servers, state, self._book, self._items, self._looks.pins)
        self.children = Children(servers, state, self._book, self._items, self._wake)
        self._effects = Effects(servers, state, self._book, self._items, self.children)
        self._ending = Ending(servers, self._book, self.children, self._take)
        self._queueing = Queueing(servers, state, bands, self._book, self._preparer, self._ending)
        self._writer = StatusWriter(servers, state)
        self._order = Order(time.monotonic)
        self._quota = Quota(servers, state)
        self._announced: set[str] = set()
        self._recovered: set[str] = set()

    async def handle(self, key: Key) -> float | None:
        """Bring one Task forward; returns the seconds after which to look again."""
        uid = key.name
        task = self._state.tasks.get(uid)
        if task is None:
            gone = self._state.deleted.get(uid)
            return await self._remove(uid, gone) if gone is not None else None
        if uid not in self._announced:
            self._announced.add(uid)
            self._dependents.happened(OfName(key.namespace, task.metadata.name))
        fold = self._state.fold(uid)
        session = self._state.sessions.get(Named(key.namespace, task.spec.session))
        options = task_options(task, session, self._state.settings.task_defaults)
        self._state.run_by(task, options.partition or "")
        made = Plan(options, pinned_to(task, fold))
        shown, again = Shown(), None
        try:
            await self._work_on_records(uid)
            admitted = await self.children.admit(task)
            if admitted is True:
                made, again, waiting = await self._bring_forward(task, session, fold)
                shown = Shown(
                    refusal=made.refusal,
                    cancelling=made.cancel is Cancel.ALL,
                    paused=session is not None and session.spec.desired_state is SessionState.PAUSED,
                    waiting=waiting,
                )
            else:
                shown = Shown(refusal=Refusal(Reason.DEPENDENCY_INVALID, str(admitted)))
                again = POLL
        except* ChildrenBlocked as blocked:
            shown, again = Shown(blocked=str(_first(blocked))), POLL
        except* Parked as parked:
            error = _first(parked)
            assert isinstance(error, Parked)
            shown, again = Shown(refusal=Refusal(error.reason, error.message)), POLL
        except* StoreUnavailable as down:
            log.warning("task %s/%s waits: %s", key.namespace, task.metadata.name, _first(down))
            message = f"the object store cannot be reached; work goes on when it is back: {_first(down)}"
            shown, again = Shown(refusal=Refusal(Reason.STORE_UNAVAILABLE, message)), POLL
        except* QueueFull as full:
            log.warning("task %s/%s waits: %s", key.namespace, task.metadata.name, _first(full))
            shown, again = Shown(full=full_message(_first(full))), POLL
        except* QueueUnavailable as down:
            log.warning("task %s/%s waits: %s", key.namespace, task.metadata.name, _first(down))
            message = f"NATS cannot be reached; work goes on when it is back: {_first(down)}"
            shown, again = Shown(refusal=Refusal(Reason.QUEUE_UNAVAILABLE, message)), POLL
        later = await self._writer.write(task, made, fold, shown)
        waits = [wait for wait in (again, later, self._ttl(task)) if wait is not None]
        return min(waits) if waits else None

    async def _bring_forward(
        self, task: Task, session: Session | None, fold: TaskFold
    ) -> tuple[Plan, float | None, Waiting | None]:
        uid, defaults = task.metadata.uid, self._state.settings.task_defaults
        options = task_options(task, session, defaults)
        partition = self._state.partitions.get(Named(task.metadata.namespace or "", options.partition or ""))
        fold.band = band_of(options.priority)
        await self._recover(task, fold)
        readiness, covered = Readiness(), fold.covers(task.spec.total)
        if session is not None and not covered:
            readiness = await self._looks.at(task, fold)
        elif covered:
            self._looks.over(uid)
        hint = self._state.paces.of(session.metadata.uid if session else "", options.partition or "")
        made = plan(task, session, partition, readiness, fold, defaults, hint)
        if made.submit and not fold.admitted and (full := await self._quota.refusal(task)) is not None:
            made = replace(made, refusal=full, submit=())
        again = await self._carry_out(task, session, made, fold)
        if not covered and (due := self._looks.due()) is not None:
            again = min(again or POLL, due)
        if made.refusal is not None:
            again = min(again or POLL, POLL)
        if any(isinstance(blocker, OfResult) for blocker in self._dependents.blocked(uid)):
            again = min(again or RESULTS_POLL, RESULTS_POLL)
        waiting = None
        if session is not None and made.cancel is Cancel.NOTHING:
            place = Place(task.metadata.namespace or "", options.partition or "")
            ahead = partial(self._ahead, place, fold)
            waiting = why(task, fold, readiness, session, partition, ahead, time.time())
        return made, again, waiting

    def _ahead(self, place: Place, fold: TaskFold) -> int:
        folds = self._state.folds
        uids = self._state.by_partition.get(Named(*place), ())
        return self._order.ahead(place, fold, (folds[uid] for uid in uids if uid in folds))

    async def _carry_out(
        self, task: Task, session: Session | None, made: Plan, fold: TaskFold
    ) -> float | None:
        if session is None or (made.refusal is not None and not made.session_uid):
            return None
        later = None
        await self._queueing.look_for_given(task, made, fold)
        if made.end:
            await self._inventory(task, made.session_uid, fold)
            later = await self._ending.end_elements(task, fold, made.session_uid, made.end)
        if made.cancel is not Cancel.NOTHING:
            await self._inventory(task, made.session_uid, fold)
            again = await self._ending.end_task(task, fold, made.session_uid, made.cancel, made.why)
            if made.cancel is Cancel.QUEUED:  # what runs goes on, and needs its message like any other
                await self._queueing.missing(task, made, set(), resume=False)
            return later if again is None else again
        if made.abort:
            await self._inventory(task, made.session_uid, fold)
            for span, message in made.abort:
                await self._queueing.abort(task, made, span, message)
        starts = {run.start for run in fold.open_runs if run.epoch < self._state.life.fence}
        if made.resume:
            starts |= {run.start for run in fold.open_runs if run.kind is RecordKind.PAUSED}
        await self._queueing.missing(task, made, starts, resume=made.resume)
        if made.submit:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._inventory(task, made.session_uid, fold))
                prepared = group.create_task(self._preparer.prepare(task, made.session_uid, made.submit))
            inputs = prepared.result()
            if not await self._queueing.submit(task, made, inputs):
                return SOON
        return later

    async def _recover(self, task: Task, fold: TaskFold) -> None:
        """A Task older than the journal may have ended in part in another life: RESULTS remembers."""
        uid, life = task.metadata.uid, self._state.life
        if uid in self._recovered or not life.first(created(task)):
            return
        pinned = pinned_to(task, fold)
        if pinned and not fold.covers(task.spec.total):
            for kept in await self._book.of_task(task.metadata.namespace or "", pinned, uid):
                for outcome in kept.outcomes:
                    fold.seed(outcome.kind, Ranges.single(outcome.index))
        self._recovered.add(uid)

    async def _inventory(self, task: Task, session_uid: str, fold: TaskFold) -> None:
        """Step S2: before anything else is written about a Task."""
        if not fold.runs:
            entry = Inventory(
                uid=task.metadata.uid,
                name=task.metadata.name,
                session=session_uid,
                parent=task.metadata.labels.get(PARENT_LABEL, ""),
            )
            key = inventory_key(task.metadata.namespace or "", task.metadata.uid)
            await self._servers.inventory.create(key, entry)
        fold.session = session_uid

    async def _work_on_records(self, uid: str) -> None:
        records = self._state.received.get(uid)
        while records:
            await self._take(records[0])
            records.popleft()
            self._state.backlog -= 1

    async def _take(self, received: Received) -> None:
        """Effects first, then the fold: so `Finished` is written only when all of them are done."""
        uid = received.run.task
        fold = self._state.fold(uid)
        known = fold.runs.get(received.run.start)
        if known is not None and received.sequence <= known.sequence:
            fold.retime(received.run.start, received.sequence, received.time)
            return
        fold.session = received.run.session
        record = received.record
        if received.run.session not in self._state.leaving:
            record = await self._effects.apply(received, fold)
        timed, given = fold.timed, known is None and received.run.start in fold.given
        fold.add(record, received.sequence, received.time)
        self._state.paces.note(received.run.session, record.partition, timed, fold.timed)
        self._state.loads.note(received.run.namespace, uid, fold.runs[received.run.start])
        if given and record.kind is RecordKind.SUBMITTED:  # an agent cannot queue what it gives away
            self._state.republish.setdefault(uid, set()).add(received.run.start)
        if record.outcomes or record.kind.terminal:
            task = self._state.tasks.get(uid)
            self._dependents.ended(uid, fold, task.spec.total if task is not None else 0)

    def _wake(self, uid: str) -> None:
        task = self._state.tasks.get(uid)
        if task is not None:
            self._enqueue(Key("task", task.metadata.namespace or "", uid))

    def _result_changed(self, name: ResultName) -> None:
        self._dependents.happened(OfResult(*name))

    def _ttl(self, task: Task) -> float | None:
        if self._state.orphaned(task):
            self._enqueue(Key("expired", task.metadata.namespace or "", task.metadata.uid))
            return None
        ttl = task.spec.ttl_seconds_after_finished
        done = find_condition(task.status.conditions, ConditionType.FINISHED) if task.status else None
        if ttl is None or done is None:
            return None
        left = ttl - (datetime.now(UTC) - done.last_transition_time).total_seconds()
        if left > 0:
            return left
        if self._dependents.waited_for(OfUse(task.metadata.uid)):
            return POLL
        self._enqueue(Key("expired", task.metadata.namespace or "", task.metadata.uid))
        return None

    async def expire(self, key: Key) -> float | None:
        """Delete a Task whose time after its end is over, whose results stay; or whose Session is gone."""
        task = self._state.tasks.get(key.name)
        if task is not None:
            name, namespace = task.metadata.name, task.metadata.namespace
            await self._servers.kube.delete(TASK_KIND, name, namespace, uid=task.metadata.uid)
        return None

    async def _remove(self, uid: str, gone: Gone) -> float | None:
        await self._work_on_records(uid)
        again = await self._ending.remove_task(uid, gone, self._state.fold(uid))
        if again is None:
            self._state.forget(uid)
            self._announced.discard(uid)
            self._recovered.discard(uid)
            self._looks.over(uid)
            self._dependents.gone(uid)
        return again


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error of a group, however deep."""
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
