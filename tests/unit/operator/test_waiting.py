"""Why elements wait: the reason and the sentence for each state of things."""

from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from armonik_operator.journal.fold import TaskFold
from armonik_operator.planning.task import DependencyState, DependencyStatus, Readiness, TaskView, plan
from armonik_operator.status.pending_reason import QueuePosition, pending_reason
from armonik_sdk.api.kinds import Partition, Session, Task, TaskOptions
from armonik_sdk.api.names import NamespacedName
from armonik_sdk.api.ranges import Ranges
from armonik_sdk.api.records import Attempt, Lost, Owner, Record, RecordKind

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW.timestamp() + 60
DATA = DependencyStatus(DependencyState.WAITING, "task a has not ended")
META = {"name": "s", "namespace": "n", "uid": "u", "generation": 1}


def task(count: int = 3) -> Task:
    return Task.from_object({"metadata": META, "spec": {"session": "s", "count": count}})


def session(**spec: Any) -> Session:
    return Session.from_object({"metadata": META, "spec": {"partitions": ["p"], **spec}})


def pods(ready: int, busy: int = 0) -> Partition:
    said = {"type": "Ready", "status": "False", "reason": "ImagePullFailed", "message": "no such image"}
    said |= {"lastTransitionTime": NOW.isoformat()}
    template = {"spec": {"worker": {"image": "w:1"}}}
    return Partition.from_object(
        {
            "metadata": META | {"name": "p"},
            "spec": {"podMax": 2, "template": template},
            "status": {"readyReplicas": ready, "busyReplicas": busy, "conditions": [said]},
        }
    )


def queued(start: int, end: int, sequence: int = 1, **fields: Any) -> TaskFold:
    fold = TaskFold()
    record = Record(record_id="r", kind=RecordKind.SUBMITTED, start=start, end=end, n=1, partition="p")
    fold.add(record.model_copy(update=fields), sequence, NOW)
    return fold


def view(count: int, fold: TaskFold, partition: Partition, **of: Any) -> TaskView:
    options = TaskOptions(partition="p")
    return TaskView.of(task(count), session(**of), fold, options, lambda _: partition)


@pytest.mark.parametrize(
    ("fold", "readiness", "state", "partition", "reason", "words"),
    [
        (
            TaskFold(),
            Readiness(DATA),
            "Running",
            pods(1),
            "WaitingForData",
            "3 elements wait for data: task a",
        ),
        (
            TaskFold(),
            Readiness(held=Ranges.of([(1, 3)]), waiting=2, first=(1, DATA)),
            "Running",
            pods(1),
            "WaitingForData",
            "2 elements wait for data, the first of them, element 1: task a",
        ),
        (TaskFold(), Readiness(), "Paused", pods(1), "Paused", "until session s is resumed"),
        (
            queued(0, 3),
            Readiness(),
            "Running",
            pods(0),
            "NoPods",
            "none ready: ImagePullFailed, no such image",
        ),
        (
            queued(0, 3, not_before=LATER),
            Readiness(),
            "Running",
            pods(1),
            "BackOff",
            "until 2026-01-01T00:01:00Z",
        ),
        (
            queued(0, 3),
            Readiness(),
            "Running",
            pods(2, 1),
            "Queued",
            "7 of other tasks before them; 1 of 2 pods",
        ),
        (TaskFold(), Readiness(), "Running", pods(1), "WaitingForRoom", "3 elements wait for earlier ones"),
    ],
)
def test_each_state_has_its_reason(
    fold: TaskFold, readiness: Readiness, state: str, partition: Partition, reason: str, words: str
) -> None:
    now = NOW.timestamp()
    found = pending_reason(view(3, fold, partition, desiredState=state), readiness, lambda: 7, now)
    assert found is not None
    assert found.reason == reason
    assert words in found.message


def test_what_runs_does_not_wait() -> None:
    fold = queued(0, 1, kind=RecordKind.DISPATCHED, owner=Owner(pod="u", process="1"))
    assert pending_reason(view(1, fold, pods(1)), Readiness(), lambda: 0, 0.0) is None


def test_what_an_agent_holds_until_it_is_tried_again_says_so() -> None:
    owner = Owner(pod="u", process="1")
    tried = (Attempt(index=0, executions=1, not_before=LATER),)
    fold = queued(0, 1, kind=RecordKind.PROGRESS, owner=owner, attempts=tried)
    found = pending_reason(view(1, fold, pods(1)), Readiness(), lambda: 0, NOW.timestamp())
    assert found is not None
    assert (found.reason, "until 2026-01-01T00:01:00Z" in found.message) == ("BackOff", True)
    assert pending_reason(view(1, fold, pods(1)), Readiness(), lambda: 0, LATER + 1) is None


def test_failed_executions_are_reported_with_the_reason() -> None:
    tried = (Attempt(index=0, executions=1, broken_off=2, message="the pod was evicted", not_before=LATER),)
    fold = queued(0, 1, kind=RecordKind.RELEASED, attempts=tried, not_before=LATER)
    found = pending_reason(view(1, fold, pods(1)), Readiness(), lambda: 0, NOW.timestamp())
    assert found is not None
    words = "(of element 0 1 failed and 2 were broken off, the last: the pod was evicted)"
    assert (found.reason, words in found.message) == ("BackOff", True)
    assert fold.single.attempts == 3
    fold = queued(0, 1, kind=RecordKind.RELEASED, lost=Lost(why="the pod had to end (p-1)"), not_before=LATER)
    found = pending_reason(view(1, fold, pods(1)), Readiness(), lambda: 0, NOW.timestamp())
    assert found is not None
    assert "the pod had to end (p-1)" in found.message


def test_the_plan_reports_a_circle_and_nothing_else_that_is_wrong() -> None:
    made = partial(plan, view(3, TaskFold(), pods(1)), defaults=TaskOptions(partition="p"))
    circle = made(readiness=Readiness(DATA, circle="task a waits for task a")).refusal
    assert circle is not None
    assert (circle.reason, circle.message) == ("DependencyCycle", "task a waits for task a")
    missing = DependencyStatus(DependencyState.MISSING, "no such task")
    other = made(readiness=Readiness(missing, circle="task a waits for task a")).refusal
    assert other is not None
    assert other.reason == "DependencyNotFound"


def test_the_place_in_the_queue_counts_what_was_queued_before() -> None:
    clock = [0.0]
    folds = [queued(0, n, sequence) for sequence, n in ((5, 10), (2, 3), (9, 1))]
    order = QueuePosition(lambda: clock[0])
    place = NamespacedName("n", "p")
    assert [order.ahead(place, fold, folds) for fold in folds] == [3, 0, 13]
    assert order.ahead(place, folds[0], []) == 3
    clock[0] = 2.0
    assert order.ahead(place, folds[0], []) == 0


def test_a_higher_band_of_priority_comes_before_what_is_older() -> None:
    folds = [queued(0, 10, sequence=1), queued(0, 3, sequence=2), queued(0, 5, sequence=3)]
    folds[2].band = 9
    order = QueuePosition(lambda: 0.0)
    assert [order.ahead(NamespacedName("n", "p"), fold, folds) for fold in folds] == [5, 15, 0]
