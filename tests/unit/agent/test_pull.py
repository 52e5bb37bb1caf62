"""The decision table, row by row and exhaustively over its inputs."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from armonik_agent.queue.admission import Action, Me, RunView, decide, until_free
from armonik_sdk.api.records import Control, DesiredState, Owner, Record, RecordKind

ME = Owner(pod="me", process="1")
STATES = [None, *(Control(state=s) for s in DesiredState if s not in (DesiredState.GONE, DesiredState.DRAIN))]


def _head(kind: RecordKind, owner: Owner | None = None, n: int = 2, not_before: float = 0.0) -> Record:
    owner = owner if kind.owned else None
    return Record(record_id="r", kind=kind, start=0, end=3, n=n, owner=owner, not_before=not_before)


CASES = list(
    itertools.product(
        RecordKind,
        [ME, Owner(pod="me", process="0"), Owner(pod="other", process="1")],
        STATES,
        STATES,
        [False, True],
        [False, True],
        [0.0, 50.0, 150.0],
    )
)


def test_no_combination_starts_what_must_not_start() -> None:
    for kind, owner, session, task, held, lost, not_before in CASES:
        head = _head(kind, owner, not_before=not_before)
        decision = decide(RunView(head, 2, session, task), Me(ME, held, 100.0), owner_lost=lost)
        foreign = kind.owned and owner != ME
        if decision.action is Action.DISPATCH:
            assert session is not None
            assert session.state is DesiredState.RUNNING
            assert task is None or task.state is DesiredState.RUNNING
            assert not kind.terminal
            assert kind is not RecordKind.PAUSED
            assert kind.owned or not_before <= 100.0
            assert lost or not foreign
            assert not (kind.owned and held and owner == ME)
        if decision.action in (Action.PAUSE, Action.CANCEL):
            assert lost or not foreign
        assert (decision.action is Action.DROP) == (kind.terminal or kind is RecordKind.PAUSED)
        assert (decision.action is Action.ASK) == (foreign and not lost)


@pytest.mark.parametrize("kind", list(RecordKind))
def test_a_void_message_is_dropped_and_a_newer_one_waits(kind: RecordKind) -> None:
    running = Control(state=DesiredState.RUNNING)
    head = _head(kind, ME)
    me = Me(ME, held=False, now=0)
    assert decide(RunView(head, 1, running, None), me).action is Action.DROP
    assert decide(RunView(None, 2, running, None), me).action is Action.DROP
    ended = kind.terminal or kind is RecordKind.PAUSED
    newer = decide(RunView(head, 3, running, None), me)
    assert newer.action is (Action.DROP if ended else Action.LATER)


def test_a_back_off_is_waited_for() -> None:
    head = _head(RecordKind.RELEASED, not_before=107.0)
    decision = decide(
        RunView(head, 2, Control(state=DesiredState.RUNNING), None), Me(ME, held=False, now=100.0)
    )
    assert (decision.action, decision.delay) == (Action.LATER, 7.0)


def test_an_unknown_session_is_never_dropped() -> None:
    decision = decide(RunView(_head(RecordKind.SUBMITTED), 2, None, None), Me(ME, held=False, now=0))
    assert decision.action is Action.LATER


@pytest.mark.parametrize("n", [2, 3])
def test_what_is_just_being_written_is_soon_looked_for_again(n: int) -> None:
    # A Session's entry may come after the run of its first Task; n = 3: so may the run's record.
    views = [RunView(_head(RecordKind.SUBMITTED), n, None, None, deliveries) for deliveries in range(1, 9)]
    delays = [decide(view, Me(ME, held=False, now=0)).delay for view in views]
    assert delays == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


@given(st.integers(1, 1000), st.floats(0.001, 100), st.floats(0, 100))
def test_a_slot_becomes_free_later_the_more_is_left(left: int, mean: float, elapsed: float) -> None:
    for known in (mean, None):
        assert until_free(left + 1, known, elapsed) >= until_free(left, known, elapsed) >= 0
    assert until_free(0, mean, elapsed) == 0


@given(st.floats(0.01, 100), st.floats(0, 1))
def test_an_element_is_about_to_end_when_its_like_has_taken_as_long(mean: float, part: float) -> None:
    assert until_free(1, mean, mean * part) <= mean
    assert until_free(1, mean, mean) == 0


@given(st.floats(0, 1000))
def test_what_is_not_known_or_late_is_expected_to_last_as_long_again(elapsed: float) -> None:
    assert until_free(1, None, elapsed) == elapsed
    assert until_free(1, 1.0, 1.0 + elapsed) == pytest.approx(elapsed)
