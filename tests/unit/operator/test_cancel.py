"""Elements that are cancelled while others continue: what the operator appends and plans, by property."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from armonik_agent.journal.transitions import Change, progressed
from armonik_operator.journal.fold import TaskFold
from armonik_operator.journal.transitions import without
from armonik_operator.planning.task import (
    Cancel,
    DependencyState,
    DependencyStatus,
    Readiness,
    TaskView,
    plan,
)
from armonik_sdk.api.kinds import Partition, Session, Task, TaskOptions
from armonik_sdk.api.ranges import Ranges
from armonik_sdk.api.records import Attempt, Outcome, OutcomeKind, Owner, Record, RecordKind

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
SIZE = 8
OWNER = Owner(pod="u", process="x")
OPEN = [kind for kind in RecordKind if not kind.terminal]
some = st.sets(st.integers(0, SIZE - 1))
asked_for = st.sets(st.integers(0, SIZE + 3))


def _view(task: Task, session: Session, partition: Partition | None, fold: TaskFold) -> TaskView:
    return TaskView.of(task, session, fold, TaskOptions(), lambda _: partition)


@st.composite
def heads(draw: st.DrawFn) -> Record:
    kind = draw(st.sampled_from(OPEN))
    ended = draw(some.filter(lambda indexes: len(indexes) < SIZE))
    tried = draw(some) - ended
    noted = draw(some) if kind is RecordKind.CANCEL_REQUESTED else ()
    return Record(
        record_id="r",
        kind=kind,
        start=0,
        end=SIZE,
        n=2,
        epoch=3,
        owner=OWNER if kind.owned else None,
        outcomes=tuple(Outcome(index=i, kind=OutcomeKind.COMPLETED) for i in sorted(ended)),
        attempts=tuple(Attempt(index=i, executions=1) for i in sorted(tried)),
        cancel=str(Ranges.indexes(noted)),
    )


@given(heads(), asked_for, st.booleans())
def test_only_what_is_asked_for_ends_and_the_run_stays_what_it_was(
    head: Record, indexes: set[int], overdue: bool
) -> None:
    after = without(head, Ranges.indexes(indexes), "why", overdue=overdue)
    asked = indexes & set(head.remaining)
    if after is None:
        waits = head.kind is RecordKind.CANCEL_REQUESTED and asked <= set(Ranges.parse(head.cancel))
        assert not asked or (waits and not overdue)
        return
    assert asked
    assert (after.start, after.end, after.n, after.epoch) == (0, SIZE, head.n, head.epoch)
    assert after.owner == head.owner
    assert after.record_id != head.record_id
    assert tuple(o for o in after.outcomes if o.index not in asked) == head.outcomes
    new = {o.index: o for o in after.outcomes if o.index not in head.ended}
    if head.kind.owned and not overdue:
        assert (after.kind, new) == (RecordKind.CANCEL_REQUESTED, {})
        assert set(Ranges.parse(after.cancel)) == set(Ranges.parse(head.cancel)) | asked
    else:
        assert new.keys() == asked
        assert {(o.kind, o.message, o.attempts) for o in new.values()} == {(OutcomeKind.CANCELLED, "why", 0)}
        assert after.kind is (head.kind if after.remaining else RecordKind.CANCELLED)
        assert not {a.index for a in after.attempts} & after.ended
    assert after.kind.terminal == (not after.remaining)


@given(heads(), asked_for, some)
def test_an_owner_that_follows_the_note_ends_what_it_names_whatever_it_has_done(
    head: Record, indexes: set[int], done: set[int]
) -> None:
    noted = without(head, Ranges.indexes(indexes), "why", overdue=False)
    if noted is None or not noted.kind.owned:
        return
    change = Change(outcomes=tuple(Outcome(index=i, kind=OutcomeKind.COMPLETED) for i in sorted(done)))
    after = progressed(noted, change)
    kinds = {o.index: o.kind for o in after.outcomes}
    for index in head.remaining:
        if index in Ranges.parse(noted.cancel):
            assert kinds[index] is OutcomeKind.CANCELLED
        else:
            assert kinds.get(index) is (OutcomeKind.COMPLETED if index in done else None)
    assert without(after, Ranges.indexes(indexes), "why", overdue=False) is None


def _task(count: int, cancelled: set[int], **spec: Any) -> Task:
    named = [str(index) for index in sorted(cancelled)]
    return Task.from_object(
        {
            "metadata": {"name": "t", "namespace": "n", "uid": "tu", "generation": 1},
            "spec": {"session": "s", "count": count, "cancelledIndexes": named, **spec},
        }
    )


def _session(**spec: Any) -> Session:
    meta = {"name": "s", "uid": "su", "generation": 1}
    return Session.from_object({"metadata": meta, "spec": {"partitions": ["p"], **spec}})


def _partition() -> Partition:
    template = {"spec": {"worker": {"image": "w:1"}}}
    meta = {"name": "p", "uid": "pu", "generation": 1}
    return Partition.from_object({"metadata": meta, "spec": {"podMax": 2, "template": template}})


STATES = [*DependencyState]


@given(
    cancelled=st.sets(st.integers(0, 29)),
    own=st.sampled_from(STATES),
    elements=st.dictionaries(st.integers(0, 29), st.sampled_from(STATES[1:])),
    state=st.sampled_from(["Running", "Paused", "Closed", "Cancelled"]),
    partition=st.booleans(),
)
def test_what_shall_be_cancelled_is_ended_and_nothing_else_becomes_of_it(
    cancelled: set[int],
    own: DependencyState,
    elements: dict[int, DependencyState],
    state: str,
    partition: bool,
) -> None:
    aborted = sorted(i for i, s in elements.items() if s is DependencyState.ABORTED)
    readiness = Readiness(
        DependencyStatus(own, "x"),
        held=Ranges.indexes(elements),
        aborted=tuple(((i, i + 1), "x") for i in aborted),
    )
    session, here = _session(desiredState=state), _partition() if partition else None
    made = plan(_view(_task(30, cancelled), session, here, TaskFold()), readiness, TaskOptions())
    assert set(made.end) == cancelled
    touched = {i for span in (*made.submit, *(span for span, _ in made.abort)) for i in range(*span)}
    assert not touched & cancelled
    if own is DependencyState.READY and state == "Running" and partition:
        held = {i for i, s in elements.items() if s is not DependencyState.ABORTED}
        assert touched == set(range(30)) - cancelled - held


def test_what_was_cancelled_before_the_task_was_let_in_does_not_let_it_in() -> None:
    fold = TaskFold()
    ended = Record(record_id="c", kind=RecordKind.CANCELLED, start=3, end=4, n=1, task_name="t")
    fold.add(ended, 1, _NOW)
    closed = _session(submission={"client": "Closed"})
    made = plan(_view(_task(30, {3, 4}), closed, _partition(), fold), Readiness(), TaskOptions())
    assert (made.refusal is not None, made.submit, set(made.end)) == (True, (), {4})
    assert made.cancel is Cancel.NOTHING
