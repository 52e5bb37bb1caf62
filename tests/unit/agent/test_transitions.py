"""What a successor keeps of its head, by property; how a loss is charged, by example."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from armonik_agent.journal.transitions import (
    MAX_BROKEN_OFF,
    MAX_TAKEOVERS,
    Cause,
    Change,
    Loss,
    cancelled,
    charge,
    dispatched,
    merged,
    progressed,
    released,
    split,
)
from armonik_agent.util.text import shorten
from armonik_sdk.api.ranges import Ranges
from armonik_sdk.api.records import (
    MAX_ERROR_BYTES,
    Attempt,
    Lost,
    Outcome,
    OutcomeKind,
    Owner,
    Piece,
    Record,
    RecordKind,
)

ME = Owner(pod="me", process="1")
SIZE = 6
indexes = st.integers(0, SIZE - 1)


def _piece(place: int) -> Piece:
    return Piece(object=place, length=1, sha256="0" * 64)


@st.composite
def changes(draw: st.DrawFn) -> Change:
    objects = tuple(draw(st.lists(st.sampled_from("abcd"), min_size=1, max_size=3, unique=True)))
    ended = draw(st.sets(indexes))
    places = st.integers(0, len(objects) - 1)
    outcomes = tuple(
        Outcome(index=i, kind=OutcomeKind.COMPLETED, outputs={"o": _piece(draw(places))})
        for i in sorted(ended)
    )
    attempts = tuple(Attempt(index=i, executions=draw(st.integers(1, 3))) for i in draw(st.sets(indexes)))
    return Change(outcomes=outcomes, objects=objects, attempts=attempts)


@st.composite
def heads(draw: st.DrawFn) -> Record:
    start = Record(record_id="r", kind=RecordKind.DISPATCHED, start=0, end=SIZE, n=1, epoch=3, owner=ME)
    head = progressed(start, draw(changes()))
    noted = draw(st.sets(indexes))
    return head.model_copy(update={"cancel": str(Ranges.indexes(noted))})


def _where(record: Record) -> dict[int, tuple[OutcomeKind, str]]:
    return {
        o.index: (o.kind, record.objects[o.outputs["o"].object] if o.outputs else "") for o in record.outcomes
    }


@given(heads(), changes())
def test_an_outcome_is_set_once_and_points_at_its_object(head: Record, change: Change) -> None:
    after = progressed(head, change)
    before, now = _where(head), _where(after)
    assert now.items() >= before.items()
    for outcome in change.outcomes:
        if outcome.index not in before and outcome.index not in Ranges.parse(head.cancel):
            assert now[outcome.index][1] == change.objects[outcome.outputs["o"].object]
    assert (after.kind is RecordKind.DONE) == (not after.remaining)


@given(heads(), changes())
def test_an_operators_note_comes_before_the_commit(head: Record, change: Change) -> None:
    after = progressed(head, change)
    for index in Ranges.parse(head.cancel):
        if index not in head.ended:
            assert _where(after)[index][0] is OutcomeKind.CANCELLED


@given(heads(), changes())
def test_offering_a_commit_twice_changes_nothing_more(head: Record, change: Change) -> None:
    once = progressed(head, change)
    assert _where(progressed(once, change)) == _where(once)
    assert progressed(once, change).attempts == once.attempts


@given(heads(), changes(), changes())
def test_merged_changes_say_the_same_as_one_after_the_other(head: Record, one: Change, two: Change) -> None:
    both, apart = progressed(head, merged(one, two)), progressed(progressed(head, one), two)
    assert _where(both) == _where(apart)
    assert both.kind is apart.kind


def test_an_element_that_is_named_stays_named_when_what_ended_before_it_is_packed() -> None:
    ended = Change(outcomes=(Outcome(index=0, kind=OutcomeKind.COMPLETED),))
    assert merged(Change(running=1), ended).running == 1
    assert merged(Change(running=1), Change(running=2)).running == 2


@given(heads(), changes(), st.integers(-1, SIZE + 1))
def test_what_is_given_away_was_untouched_and_nothing_is_lost(head: Record, change: Change, at: int) -> None:
    pair = split(head, at)
    if pair is None:
        return
    kept, given_away = pair
    assert (kept.start, kept.end, given_away.start, given_away.end) == (head.start, at, at, head.end)
    assert (kept.kind, kept.epoch, kept.owner, kept.n) == (RecordKind.SPLIT, head.epoch, head.owner, head.n)
    assert (given_away.kind, given_away.owner) == (RecordKind.SUBMITTED, None)
    assert (given_away.n, given_away.epoch) == (head.n, head.epoch)
    noted = set(Ranges.parse(head.cancel)) - head.ended
    assert set(kept.remaining) | set(given_away.remaining) == set(head.remaining) - noted
    assert given_away.remaining == tuple(range(at, head.end))
    # Whoever does not know yet that it has split says nothing of what it gave away.
    after = progressed(kept, change)
    assert all(outcome.index < at for outcome in after.outcomes)
    assert all(attempt.index < at for attempt in after.attempts)


def test_a_tail_of_which_something_was_tried_or_noted_is_kept() -> None:
    head = Record(record_id="r", kind=RecordKind.DISPATCHED, start=2, end=6, n=1, epoch=3, owner=ME)
    assert split(head, 4) is not None
    assert split(head, 2) is None
    assert split(head, 6) is None
    assert split(head.model_copy(update={"attempts": (Attempt(index=5, executions=1),)}), 4) is None
    assert split(head.model_copy(update={"cancel": "4"}), 4) is None
    assert split(head.model_copy(update={"cancel": "2"}), 4) is not None
    assert split(head.model_copy(update={"cancel": "2-3"}), 4) is None


@given(heads(), changes())
def test_every_successor_keeps_the_run_and_gets_an_id_of_its_own(head: Record, change: Change) -> None:
    successors = [
        progressed(head, change),
        released(head, change),
        cancelled(head, change),
        *(dispatched(head, ME, Loss(cause), lambda _: 3, 0.0) for cause in Cause),
    ]
    assert len({s.record_id for s in (head, *successors)}) == len(successors) + 1
    for after in successors:
        assert (after.start, after.end, after.n) == (head.start, head.end, head.n)
        assert after.epoch in (head.epoch, head.epoch + 1)
        assert not {a.index for a in after.attempts} & after.ended
        assert not after.kind.terminal or not after.remaining


def _single(**fields: object) -> Record:
    head = Record(record_id="r", kind=RecordKind.DISPATCHED, start=0, end=1, n=1, epoch=1, owner=ME)
    return head.model_copy(update=fields)


def test_a_lost_process_is_charged_to_the_only_element_until_none_is_allowed() -> None:
    first = dispatched(_single(), ME, Loss(Cause.OWNER_GONE), lambda _: 1, 0.0)
    assert (first.kind, first.attempts[0].executions) == (RecordKind.DISPATCHED, 1)
    second = dispatched(first, ME, Loss(Cause.OWNER_GONE), lambda _: 1, 0.0)
    assert (second.kind, second.outcomes[0].reason) == (RecordKind.DONE, "AttemptsExhausted")


def test_of_several_elements_only_the_named_one_is_charged() -> None:
    head = _single(end=3)
    assert dispatched(head, ME, Loss(Cause.OWNER_GONE), lambda _: 3, 0.0).attempts == ()
    named = head.model_copy(update={"running": 2})
    after = dispatched(named, ME, Loss(Cause.OWNER_GONE), lambda _: 3, 0.0)
    assert [(a.index, a.executions) for a in after.attempts] == [(2, 1)]


def test_unexplained_takeovers_have_a_bound_of_their_own() -> None:
    head = _single()
    for _ in range(MAX_TAKEOVERS):
        head = dispatched(head, ME, Loss(Cause.UNEXPLAINED), lambda _: 0, 0.0)
        assert head.kind is RecordKind.DISPATCHED
    last = dispatched(head, ME, Loss(Cause.UNEXPLAINED), lambda _: 0, 0.0)
    assert (last.kind, last.outcomes[0].reason) == (RecordKind.DONE, "LeaseLost")


def test_executions_are_bounded_by_the_retries() -> None:
    head, executions = _single(), 0
    while not head.kind.terminal:
        head = progressed(head, charge(head, 0, "crash", 2, 0.0))
        executions += 1
    assert (executions, head.outcomes[0].attempts) == (3, 3)


@pytest.mark.parametrize("cause", [cause for cause in Cause if cause is not Cause.FRESH])
@pytest.mark.parametrize("named", [True, False])
def test_whatever_a_run_is_lost_to_it_ends(cause: Cause, named: bool) -> None:
    head, times = _single(end=3), 0
    while not head.kind.terminal and times < 100:
        running = head.remaining[0] if named else None
        loss = Loss(cause, "what the kubelet said")
        head = dispatched(head.model_copy(update={"running": running}), ME, loss, lambda _: 2, 0.0)
        times += 1
    # Each element by its own bound, or all by the run's; the last one alone is known without a name.
    assert times <= (3 * (MAX_BROKEN_OFF + 1) if named else MAX_TAKEOVERS + MAX_BROKEN_OFF + 2)
    assert all("what the kubelet said" in outcome.message for outcome in head.outcomes)


def test_an_eviction_is_charged_in_the_kubelets_words() -> None:
    loss = Loss(Cause.EVICTED, "the pod was evicted: local ephemeral storage exceeds 40Mi")
    first = dispatched(_released(), ME, loss, lambda _: 1, 0.0)
    assert (first.attempts[0].executions, first.attempts[0].broken_off, first.lost) == (1, 0, None)
    last = dispatched(first, ME, loss, lambda _: 1, 0.0)
    assert last.outcomes[0].reason == "AttemptsExhausted"
    assert "2 of 2" in last.outcomes[0].message
    assert "exceeds 40Mi" in last.outcomes[0].message


def test_an_execution_that_is_broken_off_is_no_failure_and_has_a_bound_of_its_own() -> None:
    head = _released()
    for _ in range(MAX_BROKEN_OFF):
        head = dispatched(head, ME, Loss(Cause.BROKEN_OFF, "the pod had to end"), lambda _: 0, 0.0)
        assert head.kind is RecordKind.DISPATCHED
    assert (head.attempts[0].executions, head.attempts[0].broken_off) == (0, MAX_BROKEN_OFF)
    last = dispatched(head, ME, Loss(Cause.BROKEN_OFF, "the pod had to end"), lambda _: 0, 0.0)
    assert last.outcomes[0].reason == "AttemptsExhausted"
    assert "broken off" in last.outcomes[0].message


def _released() -> Record:
    return released(_single(), Change(), lost=Lost(why="the pod had to end", pod="me"), running=0)


@given(heads(), changes(), indexes)
def test_what_is_released_names_what_was_broken_off_only_while_it_is_left(
    head: Record, change: Change, index: int
) -> None:
    after = released(head, change, lost=Lost(why="the pod had to end"), running=index)
    assert after.running == (index if index in after.remaining else None)
    assert released(head, change, running=index).running is None


losses = st.tuples(st.sampled_from(Cause), st.booleans(), st.booleans())


@given(st.lists(losses, max_size=200), st.integers(1, 4), st.integers(0, 3))
def test_executions_of_an_element_are_bounded_whatever_happens_to_it(
    history: list[tuple[Cause, bool, bool]], size: int, retries: int
) -> None:
    """Each dispatch executes one element, which fails or is lost, with its name in the head or not."""
    head = _single(end=size)
    executions = dict.fromkeys(range(size), 0)
    for cause, fails, named in history:
        if head.kind.terminal:
            break
        index = head.remaining[0]
        executions[index] += 1
        if fails:
            head = progressed(head, charge(head, index, "crash", retries, 0.0))
        elif cause is not Cause.FRESH:
            lost = head.model_copy(update={"running": index if named else None})
            head = dispatched(lost, ME, Loss(cause), lambda _: retries, 0.0)
    fresh = sum(cause is Cause.FRESH and not fails for cause, fails, _ in history)
    most = 1 + retries + MAX_BROKEN_OFF + MAX_TAKEOVERS + 1
    assert max(executions.values()) - fresh <= most


def test_error_texts_are_cut_between_characters() -> None:
    assert shorten("é" * MAX_ERROR_BYTES) == "é" * (MAX_ERROR_BYTES // 2)
