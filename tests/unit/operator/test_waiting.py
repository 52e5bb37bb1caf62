"""Why elements wait: the reason and the sentence for each state of things."""

from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from armonik_operator.fold import TaskFold
from armonik_operator.load import Place
from armonik_operator.reconcile.task import DependencyState, Needs, Readiness, plan
from armonik_operator.waiting import Order, why
from armonik_sdk.api.kinds import Partition, Session, Task, TaskOptions
from armonik_sdk.api.records import Attempt, Owner, Record, RecordKind

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW.timestamp() + 60
DATA = Needs(DependencyState.WAITING, "task a has not ended")
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
            Readiness(elements={1: DATA, 2: DATA}),
            "Running",
            pods(1),
            "WaitingForData",
            "2 elements wait for data, the first of them, element 1: task a",
        ),
        (TaskFold(), Readiness(), "Paused", pods(1), "Paused", "until session s goes on"),
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
    found = why(task(), fold, readiness, session(desiredState=state), partition, lambda: 7, now)
    assert found is not None
    assert found.reason == reason
    assert words in found.message


def test_what_runs_does_not_wait() -> None:
    fold = queued(0, 1, kind=RecordKind.DISPATCHED, owner=Owner(pod="u", process="1"))
    assert why(task(1), fold, Readiness(), session(), pods(1), lambda: 0, 0.0) is None


def test_what_an_agent_holds_until_it_is_tried_again_says_so() -> None:
    owner = Owner(pod="u", process="1")
    tried = (Attempt(index=0, executions=1, not_before=LATER),)
    fold = queued(0, 1, kind=RecordKind.PROGRESS, owner=owner, attempts=tried)
    found = why(task(1), fold, Readiness(), session(), pods(1), lambda: 0, NOW.timestamp())
    assert found is not None
    assert (found.reason, "until 2026-01-01T00:01:00Z" in found.message) == ("BackOff", True)
    assert why(task(1), fold, Readiness(), session(), pods(1), lambda: 0, LATER + 1) is None


def test_a_circle_is_told_by_the_plan_and_nothing_else_that_is_amiss() -> None:
    made = partial(plan, task(), session(), pods(1), fold=TaskFold(), defaults=TaskOptions(partition="p"))
    circle = made(readiness=Readiness(DATA, circle="task a waits for task a")).refusal
    assert circle is not None
    assert (circle.reason, circle.message) == ("DependencyCycle", "task a waits for task a")
    missing = Needs(DependencyState.MISSING, "no such task")
    other = made(readiness=Readiness(missing, circle="task a waits for task a")).refusal
    assert other is not None
    assert other.reason == "DependencyNotFound"


def test_the_place_in_the_queue_counts_what_was_queued_before() -> None:
    clock = [0.0]
    folds = [queued(0, n, sequence) for sequence, n in ((5, 10), (2, 3), (9, 1))]
    order = Order(lambda: clock[0])
    place = Place("n", "p")
    assert [order.ahead(place, fold, folds) for fold in folds] == [3, 0, 13]
    assert order.ahead(place, folds[0], []) == 3
    clock[0] = 2.0
    assert order.ahead(place, folds[0], []) == 0


def test_a_higher_band_of_priority_stands_before_what_is_older() -> None:
    folds = [queued(0, 10, sequence=1), queued(0, 3, sequence=2), queued(0, 5, sequence=3)]
    folds[2].band = 9
    order = Order(lambda: 0.0)
    assert [order.ahead(Place("n", "p"), fold, folds) for fold in folds] == [5, 15, 0]
