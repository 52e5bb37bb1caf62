"""Decisions about Tasks, Sessions and Partitions, and the objects that are built."""

from datetime import UTC, datetime
from typing import Any

import pytest

from armonik_operator.journal.fold import TaskFold
from armonik_operator.planning.task import (
    Cancel,
    DependencyState,
    DependencyStatus,
    Readiness,
    TaskView,
    plan,
)
from armonik_operator.status.task import StatusInputs, task_status
from armonik_sdk.api.bounds import MAX_OPTIONS, MAX_OPTIONS_BYTES
from armonik_sdk.api.kinds import Partition, Session, Task, TaskOptions
from armonik_sdk.api.records import Outcome, OutcomeKind, Piece, Record, RecordKind

NOW = datetime(2026, 1, 1, tzinfo=UTC)
READY = Readiness()
MISSING = Readiness(DependencyStatus(DependencyState.MISSING, "x"))


def make_task(**spec: Any) -> Task:
    return Task.from_object(
        {
            "metadata": {"name": "t", "namespace": "n", "uid": "tu", "generation": 1},
            "spec": {"session": "s", **spec},
        }
    )


def make_session(**spec: Any) -> Session:
    return Session.from_object(
        {"metadata": {"name": "s", "uid": "su", "generation": 1}, "spec": {"partitions": ["p"], **spec}}
    )


def make_partition(**spec: Any) -> Partition:
    template = {"spec": {"worker": {"image": "w:1", "securityContext": {"runAsUser": 7}}}}
    return Partition.from_object(
        {
            "metadata": {"name": "p", "uid": "pu", "generation": 1},
            "spec": {"podMax": 2, "template": template, **spec},
        }
    )


SESSION, PARTITION, DEFAULTS = make_session(), make_partition(), TaskOptions()


def view(
    task: Task,
    session: Session | None = SESSION,
    partition: Partition | None = PARTITION,
    fold: TaskFold | None = None,
    defaults: TaskOptions = DEFAULTS,
) -> TaskView:
    return TaskView.of(task, session, fold or TaskFold(), defaults, lambda _: partition)


def test_everything_there_is_submitted_in_runs() -> None:
    made = plan(view(make_task(count=100)), READY, TaskOptions())
    assert made.submit[0] == (0, 7)
    assert made.submit[-1][1] == 100
    assert made.options.partition == "p"
    assert made.session_uid == "su"


def _runs(fold: TaskFold) -> list[tuple[int, int]]:
    """What is submitted of 1,000 elements when other Tasks' elements took 0.1 s each."""
    task, options = make_task(count=1_000), TaskOptions()
    return list(plan(view(task, fold=fold, defaults=options), READY, options, hint=0.1).submit)


def test_other_tasks_size_the_first_runs_and_no_further_ones() -> None:
    fold = TaskFold()
    first = _runs(fold)
    assert first == [(0, 10), (10, 20), (20, 30), (30, 40)]
    for number, (start, end) in enumerate(first):
        fold.add(Record(record_id="s", kind=RecordKind.SUBMITTED, start=start, end=end, n=1), number, NOW)
    assert _runs(fold) == []
    done = tuple(Outcome(index=i, kind=OutcomeKind.COMPLETED, seconds=0.001) for i in range(10))
    fold.add(Record(record_id="d", kind=RecordKind.DONE, start=0, end=10, n=1, outcomes=done), 9, NOW)
    assert _runs(fold)[0] == (40, 540)


def test_runs_that_wait_for_a_retry_leave_no_slot_without_work() -> None:
    fold = TaskFold()
    for number, (start, end) in enumerate(_runs(fold)):
        record = Record(record_id="r", kind=RecordKind.RELEASED, start=start, end=end, n=1, not_before=9e9)
        fold.add(record, number, NOW)
    assert len(_runs(fold)) > 4


@pytest.mark.parametrize(
    ("session", "partition", "needs", "reason"),
    [
        (None, make_partition(), READY, "SessionNotFound"),
        (make_session(), None, READY, "PartitionNotFound"),
        (make_session(submission={"client": "Closed"}), make_partition(), READY, "SubmissionClosed"),
        (make_session(), make_partition(), MISSING, "DependencyNotFound"),
    ],
)
def test_what_is_missing_parks_the_task(
    session: Session | None, partition: Partition | None, needs: Readiness, reason: str
) -> None:
    made = plan(view(make_task(), session, partition), needs, TaskOptions())
    assert made.refusal is not None
    assert made.refusal.reason == reason
    assert not made.submit


@pytest.mark.parametrize(
    ("task", "session"), [({"desiredState": "Cancelled"}, {}), ({}, {"desiredState": "Cancelled"})]
)
def test_a_request_to_cancel_comes_first(task: dict[str, Any], session: dict[str, Any]) -> None:
    made = plan(view(make_task(**task), make_session(**session), None), READY, TaskOptions())
    assert made.cancel is Cancel.ALL
    assert not made.submit


def test_a_single_task_shows_its_result() -> None:
    fold = TaskFold()
    piece = Piece(object=0, length=2, sha256="a" * 64, inline="aGk=")
    done = (Outcome(index=0, kind=OutcomeKind.COMPLETED, outputs={"result": piece}),)
    fold.add(Record(record_id="r", kind=RecordKind.DONE, start=0, end=1, n=1, outcomes=done), 9, NOW)
    status = task_status(
        view(make_task(), fold=fold), StatusInputs(), session_uid="su", journal_epoch=1, now=NOW
    )
    assert status.phase == "Completed"
    assert status.results[0].inline == "hi"
    assert status.succeeded_indexes == "0"
    assert status.conditions[0].type == "Finished"
    assert status.conditions[0].reason == "Succeeded"


def test_free_settings_that_are_too_many_together_are_refused_with_the_fields_names() -> None:
    settings = {f"a{number}": "x" for number in range(MAX_OPTIONS)}
    task = make_task(options={"options": settings})
    for defaults, refusal in (
        ({"options": {"a0": "y"}}, None),
        ({"options": {"b": "y"}}, f"65 settings, more than {MAX_OPTIONS}"),
    ):
        session = make_session(taskDefaults=defaults)
        made = plan(view(task, session), READY, TaskOptions())
        assert (made.refusal is None) == (refusal is None)
        if made.refusal is not None:
            assert made.refusal.reason == "ManifestInvalid"
            assert refusal in made.refusal.message
            assert "spec.options.options" in made.refusal.message
            assert not made.submit


@pytest.mark.parametrize(("extra", "fits"), [(-1, True), (0, True), (1, False)])
def test_free_settings_have_a_bound_in_bytes(extra: int, fits: bool) -> None:
    each = 4_096
    settings = {f"{number:03}": "é" * ((each - 3) // 2) + "x" for number in range(MAX_OPTIONS_BYTES // each)}
    settings["000"] = settings["000"] + "y" * extra if extra >= 0 else settings["000"][:extra]
    assert sum(len(k.encode()) + len(v.encode()) for k, v in settings.items()) == MAX_OPTIONS_BYTES + extra
    task = make_task(options={"options": settings})
    made = plan(view(task), READY, TaskOptions())
    assert (made.refusal is None) is fits
    if made.refusal is not None:
        assert f"{MAX_OPTIONS_BYTES + 1} bytes, more than {MAX_OPTIONS_BYTES}" in made.refusal.message


def test_a_task_whose_free_settings_are_too_many_can_be_cancelled() -> None:
    settings = {f"a{number}": "x" for number in range(MAX_OPTIONS)}
    task = make_task(options={"options": settings}, desiredState="Cancelled")
    session = make_session(taskDefaults={"options": {"b": "y"}})
    made = plan(view(task, session), READY, TaskOptions())
    assert made.cancel is Cancel.ALL
