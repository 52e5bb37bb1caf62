"""The decision over a queue message, row by row, and its properties over everything."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from armonik_agent.decide import UNKNOWN_SESSION_DELAY, Action, Decision, decide
from armonik_sdk.api.records import Control, DesiredState, Owner, Record, RecordKind

ME = Owner(pod="pod-me", process="p1")
OTHER = Owner(pod="pod-other", process="p9")
RUNNING = Control(state=DesiredState.RUNNING)


def _head(kind: RecordKind, n: int = 2, owner: Owner | None = None, not_before: float = 0.0) -> Record:
    return Record(record_id="r", kind=kind, start=0, end=1, n=n, epoch=1, owner=owner, not_before=not_before)


def _decide(
    head: Record | None,
    *,
    n: int = 2,
    session: Control | None = RUNNING,
    task: Control | None = None,
    holding: bool = False,
    owner_lost: bool = False,
) -> Decision:
    return decide(
        head=head, n=n, session=session, task=task, me=ME, holding=holding, owner_lost=owner_lost, now=100.0
    )


@pytest.mark.parametrize(
    ("head", "n", "action"),
    [
        (None, 1, Action.DROP),
        (_head(RecordKind.SUBMITTED), 1, Action.DROP),
        (_head(RecordKind.SUBMITTED), 3, Action.LATER),
        (_head(RecordKind.DONE), 2, Action.DROP),
        (_head(RecordKind.CANCELLED), 2, Action.DROP),
        (_head(RecordKind.PAUSED), 2, Action.DROP),
        (_head(RecordKind.SUBMITTED), 2, Action.DISPATCH),
        (_head(RecordKind.RELEASED), 2, Action.DISPATCH),
        (_head(RecordKind.DISPATCHED, owner=OTHER), 2, Action.ASK),
        (_head(RecordKind.PROGRESS, owner=OTHER), 2, Action.ASK),
        (_head(RecordKind.CANCEL_REQUESTED, owner=OTHER), 2, Action.ASK),
        (_head(RecordKind.DISPATCHED, owner=ME), 2, Action.DISPATCH),
    ],
)
def test_the_head_decides(head: Record | None, n: int, action: Action) -> None:
    assert _decide(head, n=n).action is action


def test_what_this_process_runs_is_kept_whatever_is_wanted() -> None:
    cancelled = Control(state=DesiredState.CANCELLED)
    head = _head(RecordKind.PROGRESS, owner=ME)
    assert _decide(head, holding=True, session=cancelled, task=cancelled).action is Action.KEEP


def test_another_process_of_the_same_pod_is_another_owner() -> None:
    earlier = Owner(pod=ME.pod, process="p0")
    assert _decide(_head(RecordKind.DISPATCHED, owner=earlier), holding=True).action is Action.ASK


def test_a_run_whose_owner_is_lost_is_taken_over() -> None:
    assert _decide(_head(RecordKind.PROGRESS, owner=OTHER), owner_lost=True).action is Action.DISPATCH


def test_an_unknown_session_is_never_run_and_never_dropped() -> None:
    decision = _decide(_head(RecordKind.SUBMITTED), session=None)
    assert (decision.action, decision.delay) == (Action.LATER, UNKNOWN_SESSION_DELAY)


@pytest.mark.parametrize("state", [s for s in DesiredState if s.stops_work])
def test_stopped_sessions_and_tasks_cancel_what_is_queued(state: DesiredState) -> None:
    assert _decide(_head(RecordKind.SUBMITTED), session=Control(state=state)).action is Action.CANCEL
    assert _decide(_head(RecordKind.SUBMITTED), task=Control(state=state)).action is Action.CANCEL


def test_a_paused_session_parks_and_a_cancelled_task_in_it_ends() -> None:
    pausing = Control(state=DesiredState.PAUSED)
    assert _decide(_head(RecordKind.SUBMITTED), session=pausing).action is Action.PAUSE
    ended = _decide(_head(RecordKind.SUBMITTED), session=pausing, task=Control(state=DesiredState.CANCELLED))
    assert ended.action is Action.CANCEL


def test_back_off_is_waited_for() -> None:
    decision = _decide(_head(RecordKind.RELEASED, not_before=107.5))
    assert (decision.action, decision.delay) == (Action.LATER, 7.5)


owner = st.sampled_from([None, ME, OTHER])
control = st.none() | st.builds(Control, state=st.sampled_from(DesiredState))
head = st.none() | st.builds(
    _head, st.sampled_from(RecordKind), st.integers(1, 3), owner, st.sampled_from([0.0, 99.0, 101.0])
)


@given(head, st.integers(1, 3), control, control, st.booleans(), st.booleans())
def test_nothing_starts_that_must_not(
    head: Record | None,
    n: int,
    session: Control | None,
    task: Control | None,
    holding: bool,
    owner_lost: bool,
) -> None:
    made = _decide(head, n=n, session=session, task=task, holding=holding, owner_lost=owner_lost)
    if made.action is Action.DISPATCH:
        assert head is not None
        assert n == head.n
        assert not head.kind.terminal
        assert session is not None
        assert not session.state.stops_work
        assert task is None or not task.state.stops_work
        assert head.not_before <= 100.0
        assert owner_lost or not head.kind.owned or head.owner == ME
    if made.action is Action.LATER:
        assert made.delay > 0
