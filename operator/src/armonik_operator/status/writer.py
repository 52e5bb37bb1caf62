"""Writes the statuses of Tasks, rate-limited: the apiserver rewrites the whole object each time."""

import logging
import time
from dataclasses import replace
from datetime import UTC, datetime

from armonik_operator.cache.finished_tasks import FinishedTask
from armonik_operator.cache.state import ClusterState
from armonik_operator.clients.kube import TASKS as TASK_KIND
from armonik_operator.clients.kube import Kind
from armonik_operator.clients.servers import Clients
from armonik_operator.errors import Conflicted, NotFound, Refused
from armonik_operator.journal.fold import TaskFold
from armonik_operator.manifests.event import About
from armonik_operator.planning.task import PATIENCE, Plan, TaskView
from armonik_operator.status.pending_reason import Waiting
from armonik_operator.status.task import StatusInputs, intervals, intervals_too_long, same, task_status
from armonik_sdk.api.const import MAX_MESSAGE, ConditionType, Reason
from armonik_sdk.api.kinds import (
    Partition,
    PartitionStatus,
    Session,
    SessionStatus,
    Task,
    TaskStatus,
    find_condition,
    is_true,
)
from armonik_sdk.api.names import detail_key

log = logging.getLogger(__name__)

FIRST_WRITE = 0.25
"""Seconds that the first write waits, so that a short Task costs one."""
FIRST_WRITE_SINGLE = 1.0
"""The same of a Task of one element that is queued or runs."""
INTERVAL = 1.0
"""Seconds between progress writes of a Task with many elements, for each 16 KiB of the object."""
UNIT = 16 * 1024
SLOW = 60.0
"""Seconds after which a Task of one element that shows something outdated is written once more."""
NEWS = 15.0
"""The same where the reason that it shows is outdated: there are pods now, or none, or none for another."""
WORTH = 2.0
"""Seconds that a back-off must have left for a Task of one element to show it."""
MENDED = 5.0
"""Seconds after which such a Task shows that its refusal is over, if it has not ended by then."""
PROGRESS_RATE = 20.0
"""Progress writes of all Tasks together in a second."""
FIRST_RATE = 100.0
"""First writes and conditions of all Tasks together in a second."""


class RateLimiter:
    """Limits writes per second; a writer that comes too early gets a place in the queue."""

    def __init__(self, rate: float) -> None:
        self._step = 1.0 / rate
        self._next = 0.0
        self._places: dict[str, float] = {}

    def wait(self, who: str, now: float) -> float:
        """Seconds until this writer's turn; 0 when it may write now."""
        place = self._places.get(who)
        if place is None:
            place = max(now, self._next)
            self._next = place + self._step
            self._places[who] = place
        if place <= now:
            del self._places[who]
        return max(0.0, place - now)

    def forget(self, who: str) -> None:
        """Drop this writer's place."""
        self._places.pop(who, None)


class StatusWriter:
    """Writes statuses that differ enough, and returns when to check again."""

    def __init__(self, servers: Clients, state: ClusterState) -> None:
        self._servers = servers
        self._state = state
        self._written: dict[str, float] = {}
        """When a status was last written, by UID and the monotonic clock."""
        self._spec_sizes: dict[str, int] = {}
        """Bytes of the specs of Tasks that are written again and again."""
        self._mended: dict[str, float] = {}
        """When a Task of one element was first seen without what parked it."""
        self._progress = state.commons.once("rate of progress", lambda: RateLimiter(PROGRESS_RATE))
        self._first = state.commons.once("rate of first statuses", lambda: RateLimiter(FIRST_RATE))

    async def write(self, view: TaskView, plan: Plan, inputs: StatusInputs) -> float | None:
        """Write the status if it is due; returns the seconds after which to check again."""
        task, fold, uid = view.task, view.fold, view.uid
        now, old, finished = time.monotonic(), task.status, inputs.finished(view)
        if old is not None and is_true(old.conditions, ConditionType.FINISHED):
            if old.observed_generation < task.metadata.generation:
                await self._patch(About.of(task), {"observedGeneration": task.metadata.generation})
            return None
        if not finished and (delay := self._delay(task, fold, inputs, now)) is not None:
            return delay if delay > 0 else None
        self._leave_queue(uid)
        detail = await self._spill(task, plan, fold) if intervals_too_long(fold) else ""
        status = task_status(
            view,
            replace(inputs, refused=self._state.refused.get(uid, "")),
            session_uid=plan.session_uid if fold.session or not plan.refusal else "",
            journal_epoch=self._state.life.epoch,
            now=datetime.now(UTC),
            detail_ref=detail,
        )
        body = status.model_dump(mode="json", by_alias=True, exclude_none=True)
        if same(status, old):
            return None
        if not body["sessionUid"]:
            del body["sessionUid"]
        self._written[uid] = now
        await self._patch(About.of(task), body)
        self._servers.events.record(About.of(task), old.conditions if old else (), status.conditions)
        return None

    def forget(self, uid: str) -> None:
        """A Task has finished or was deleted: its status needs no more budget."""
        self._leave_queue(uid)
        self._written.pop(uid, None)
        self._spec_sizes.pop(uid, None)

    def _leave_queue(self, uid: str) -> None:
        self._mended.pop(uid, None)
        for budget in (self._progress, self._first):
            budget.forget(uid)

    def _delay(self, task: Task, fold: TaskFold, shown: StatusInputs, now: float) -> float | None:
        """Seconds until a write that is not the last may be made; None: now; 0: when something happens."""
        uid, old = task.metadata.uid, task.status
        age = now - self._state.first_seen.get(uid, now)
        quiet = shown.refusal is None and not shown.cancelling and fold.runs
        first = PATIENCE if shown.refusal is not None else FIRST_WRITE
        if task.spec.total == 1 and quiet and old is None:
            first = FIRST_WRITE_SINGLE  # most have ended by then, and cost one write
        if age < first:
            return first - age
        ready = find_condition(old.conditions, ConditionType.READY) if old else None
        was, now_is = ready.reason if ready else "", shown.refusal.reason if shown.refusal else ""
        news = bool(now_is and was != now_is)
        if old is not None and shown.blocked:
            news = not is_true(old.conditions, ConditionType.CHILDREN_BLOCKED)
        if old is not None and shown.full:
            news = news or not is_true(old.conditions, ConditionType.QUEUE_FULL)
        if old is None or old.observed_generation < task.metadata.generation or news:
            return self._first.wait(uid, now) or None
        last = self._written.setdefault(uid, now - SLOW if old is None else now)
        if task.spec.total == 1:
            if was and not now_is:
                return max(0.0, MENDED - (now - self._mended.setdefault(uid, now))) or None
            shown_before, back_off = _back_off(old), shown.back_off
            if back_off and back_off.message != shown_before and back_off.until - time.time() > WORTH:
                return self._first.wait(uid, now) or None
            if shown.phase(fold, 1) == old.phase and was == now_is and not shown_before:
                wait = outdated(old, shown.waiting)
                if wait is None:
                    return 0.0
                return max(0.0, wait - (now - last)) or self._progress.wait(uid, now) or None
            if shown_before and back_off:
                return SLOW
            return max(0.0, SLOW - (now - last)) or None
        wait = INTERVAL * max(1.0, self._size(task) / UNIT) - (now - last)
        if wait > 0:
            return wait
        return self._progress.wait(uid, now) or None

    def _size(self, task: Task) -> int:
        uid = task.metadata.uid
        if uid not in self._spec_sizes:
            self._spec_sizes[uid] = len(task.spec.model_dump_json(exclude_none=True))
        status = task.status
        return self._spec_sizes[uid] + (
            len(status.succeeded_indexes) + len(status.failed_indexes) if status else 0
        )

    async def _spill(self, task: Task, plan: Plan, fold: TaskFold) -> str:
        """Write the intervals to the Task's one object, which is no result: earlier content is not needed."""
        namespace, life = task.namespace, self._state.life.epoch
        key = detail_key(namespace, plan.session_uid, task.metadata.uid, life)
        lines = "".join(f"{name}: {text}\n" for name, text in intervals(fold).items())
        return (await self._servers.objects.put(key, lines.encode())).key

    async def observe(self, ended: FinishedTask) -> None:
        """Write `observedGeneration` of a finished Task: its newest generation changes only its TTL."""
        about = About("Task", ended.namespace, ended.name, ended.uid)
        await self._patch(about, {"observedGeneration": ended.unobserved})

    async def _patch(self, task: About, status: dict[str, object]) -> None:
        name, namespace = task.name, task.namespace
        body = {"metadata": {"uid": task.uid}, "status": status}
        try:
            written = await self._servers.kube.patch(TASK_KIND, name, body, namespace, status=True)
        except (NotFound, Conflicted):
            log.debug("task %s/%s was deleted meanwhile", namespace, name)
        except Refused as refused:
            log.warning("status of task %s/%s refused: %s", namespace, name, refused.message)
        else:
            self._state.put_written(Task.from_object(written))


def outdated(status: TaskStatus, waiting: Waiting | None) -> float | None:
    """Seconds after its write from which a status with an outdated message about pods is written again."""
    condition = find_condition(status.conditions, ConditionType.WAITING)
    if condition is None or waiting is None or Reason.NO_PODS not in (condition.reason, waiting.reason):
        return None
    if condition.reason == waiting.reason and condition.message.startswith(waiting.gist):
        return None if condition.message == waiting.message[:MAX_MESSAGE] else SLOW
    return NEWS


def _back_off(status: TaskStatus) -> str:
    """The back-off message of a status; empty when it has none."""
    condition = find_condition(status.conditions, ConditionType.WAITING)
    return condition.message if condition is not None and condition.reason == Reason.BACK_OFF else ""


async def write_status(
    servers: Clients, kind: Kind, obj: Session | Partition, status: SessionStatus | PartitionStatus
) -> bool:
    """Write the status of a Session or Partition; returns whether it had changed."""
    body = status.model_dump(mode="json", by_alias=True, exclude_none=True)
    old, meta = obj.status, obj.metadata
    if old is not None and old.model_dump(mode="json", by_alias=True, exclude_none=True) == body:
        return False
    body = {"metadata": {"uid": meta.uid}, "status": body}
    try:
        await servers.kube.patch(kind, meta.name, body, meta.namespace, status=True)
    except (NotFound, Conflicted):
        log.debug("%s %s/%s was deleted meanwhile", kind.plural, meta.namespace, meta.name)
    before, after = _ready(old), _ready(status)
    if before != after:
        log.info("%s %s/%s: %s -> %s", kind.plural, meta.namespace, meta.name, before, after)
    servers.events.record(About.of(obj), old.conditions if old else (), status.conditions)
    return True


def _ready(status: SessionStatus | PartitionStatus | None) -> str:
    """Reason of the condition `Ready`: what state the object is in."""
    ready = find_condition(status.conditions, ConditionType.READY) if status is not None else None
    return ready.reason if ready is not None else "new"
