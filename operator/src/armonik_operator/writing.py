"""Writes the statuses of Tasks, within a budget: the apiserver rewrites the whole object each time."""

import logging
import time
from datetime import UTC, datetime

from armonik_operator.adapters.kube import TASKS as TASK_KIND
from armonik_operator.adapters.kube import Kind
from armonik_operator.errors import Conflicted, NotFound, Refused
from armonik_operator.fold import TaskFold
from armonik_operator.reconcile.task import PATIENCE, Plan
from armonik_operator.resources.event import About
from armonik_operator.state import Servers, State
from armonik_operator.status import Shown, intervals, same, spills, task_status
from armonik_sdk.api.const import ConditionType, Reason
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
WORTH = 2.0
"""Seconds that a back-off must have left for a Task of one element to tell of it."""
MENDED = 5.0
"""Seconds after which such a Task shows that what parked it is mended, if it has not ended by then."""
PROGRESS_RATE = 20.0
"""Progress writes of all Tasks together in a second."""
FIRST_RATE = 100.0
"""First writes and conditions of all Tasks together in a second."""


class Budget:
    """So many writes a second; who comes too early gets a place in the row."""

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
        """This writer needs no turn any more."""
        self._places.pop(who, None)


class StatusWriter:
    """Writes what is worth a write, and says when to look again."""

    def __init__(self, servers: Servers, state: State) -> None:
        self._servers = servers
        self._state = state
        self._mended: dict[str, float] = {}
        self._progress = Budget(PROGRESS_RATE)
        self._first = Budget(FIRST_RATE)

    async def write(self, task: Task, made: Plan, fold: TaskFold, shown: Shown) -> float | None:
        """Write the status if it is time; returns the seconds after which to look again."""
        uid, now, old = task.metadata.uid, time.monotonic(), task.status
        finished = fold.finished(task.spec.total) and not shown.blocked
        if old is not None and is_true(old.conditions, ConditionType.FINISHED):
            if old.observed_generation < task.metadata.generation:
                await self._patch(task, {"observedGeneration": task.metadata.generation})
            return None
        if not finished and (delay := self._delay(task, fold, shown, now)) is not None:
            return delay if delay > 0 else None
        self._mended.pop(uid, None)
        for budget in (self._progress, self._first):
            budget.forget(uid)
        detail = await self._spill(task, made, fold) if spills(fold) else ""
        status = task_status(
            task,
            fold,
            options=made.options,
            session_uid=made.session_uid if fold.session or not made.refusal else "",
            journal_epoch=self._state.life.epoch,
            shown=shown,
            finished=finished,
            now=datetime.now(UTC),
            detail_ref=detail,
        )
        body = status.model_dump(mode="json", by_alias=True, exclude_none=True)
        if same(status, old):
            return None
        if not body["sessionUid"]:
            del body["sessionUid"]
        self._state.written[uid] = now
        await self._patch(task, body)
        self._servers.events.tell(About.of(task), old.conditions if old else (), status.conditions)
        return None

    def _delay(self, task: Task, fold: TaskFold, shown: Shown, now: float) -> float | None:
        """Seconds until a write that is not the last may be made; None: now; 0: when something happens."""
        uid, old = task.metadata.uid, task.status
        age = now - self._state.seen.get(uid, now)
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
        last = self._state.written.setdefault(uid, now - SLOW if old is None else now)
        if task.spec.total == 1:
            if was and not now_is:
                return max(0.0, MENDED - (now - self._mended.setdefault(uid, now))) or None
            told, tells = _back_off(old), shown.back_off
            if tells is not None and tells.message != told and tells.until - time.time() > WORTH:
                return self._first.wait(uid, now) or None
            if shown.phase(fold, 1) == old.phase and was == now_is and not told:
                return 0.0
            if told and tells is not None:
                return SLOW
            return max(0.0, SLOW - (now - last)) or None
        wait = INTERVAL * max(1.0, self._size(task) / UNIT) - (now - last)
        if wait > 0:
            return wait
        return self._progress.wait(uid, now) or None

    def _size(self, task: Task) -> int:
        uid = task.metadata.uid
        if uid not in self._state.sizes:
            self._state.sizes[uid] = len(task.spec.model_dump_json(exclude_none=True))
        status = task.status
        return self._state.sizes[uid] + (
            len(status.succeeded_indexes) + len(status.failed_indexes) if status else 0
        )

    async def _spill(self, task: Task, made: Plan, fold: TaskFold) -> str:
        key = f"{task.metadata.namespace}/{made.session_uid}/{task.metadata.uid}/detail-{fold.sequence}"
        lines = "".join(f"{name}: {text}\n" for name, text in intervals(fold).items())
        return (await self._servers.objects.put(key, lines.encode())).key

    async def _patch(self, task: Task, status: dict[str, object]) -> None:
        name, namespace = task.metadata.name, task.metadata.namespace
        body = {"metadata": {"uid": task.metadata.uid}, "status": status}
        try:
            written = await self._servers.kube.patch(TASK_KIND, name, body, namespace, status=True)
        except (NotFound, Conflicted):
            log.debug("task %s/%s was deleted meanwhile", namespace, name)
        except Refused as refused:
            log.warning("status of task %s/%s refused: %s", namespace, name, refused.message)
        else:
            if task.metadata.uid in self._state.tasks:
                self._state.put_task(Task.from_object(written))


def _back_off(status: TaskStatus) -> str:
    """What a status says of a back-off; empty when it says nothing."""
    said = find_condition(status.conditions, ConditionType.WAITING)
    return said.message if said is not None and said.reason == Reason.BACK_OFF else ""


async def write_status(
    servers: Servers, kind: Kind, obj: Session | Partition, status: SessionStatus | PartitionStatus
) -> bool:
    """Write the status of a Session or Partition; whether there was anything to write."""
    body = status.model_dump(mode="json", by_alias=True, exclude_none=True)
    old, meta = obj.status, obj.metadata
    if old is not None and old.model_dump(mode="json", by_alias=True, exclude_none=True) == body:
        return False
    body = {"metadata": {"uid": meta.uid}, "status": body}
    try:
        await servers.kube.patch(kind, meta.name, body, meta.namespace, status=True)
    except (NotFound, Conflicted):
        log.debug("%s %s/%s was deleted meanwhile", kind.plural, meta.namespace, meta.name)
    servers.events.tell(About.of(obj), old.conditions if old else (), status.conditions)
    return True
