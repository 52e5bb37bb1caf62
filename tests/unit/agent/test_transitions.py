"""Successors of a head: outcomes stand, epochs rise, Done means all; driven by a random history."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from armonik_agent import transitions
from armonik_sdk.api.const import FailureReason
from armonik_sdk.api.records import Attempt, Outcome, OutcomeKind, Owner, Piece, Record, RecordKind

ME = Owner(pod="a", process="1")
OTHER = Owner(pod="b", process="2")
SIZE = 4
MAX_RETRIES = 1


def _submitted(end: int = SIZE) -> Record:
    return Record(record_id="0", kind=RecordKind.SUBMITTED, start=0, end=end, n=1)


def _completed(index: int, key_index: int = 0) -> Outcome:
    piece = Piece(object=key_index, length=1, sha256="0" * 64)
    return Outcome(index=index, kind=OutcomeKind.COMPLETED, outputs={"result": piece})


class History(RuleBasedStateMachine):
    """Any history of one run, as agents may write it."""

    def __init__(self) -> None:
        super().__init__()
        self.head = _submitted()
        self.seen: dict[int, tuple[Outcome, str | None]] = {}
        self.epoch = 0
        self.objects = 0

    def _append(self, record: Record) -> None:
        assert record.record_id != self.head.record_id
        self.head = record

    @precondition(lambda self: not self.head.kind.terminal)
    @rule(owner=st.sampled_from([ME, OTHER]), gone=st.booleans())
    def dispatch(self, owner: Owner, gone: bool) -> None:
        self._append(transitions.dispatched(self.head, owner, owner_gone=gone, max_retries=MAX_RETRIES))

    @precondition(lambda self: self.head.kind in (RecordKind.DISPATCHED, RecordKind.PROGRESS))
    @rule(
        indexes=st.sets(st.integers(0, SIZE - 1), max_size=2),
        failed=st.none() | st.integers(0, SIZE - 1),
        release=st.booleans(),
    )
    def commit(self, indexes: set[int], failed: int | None, release: bool) -> None:
        key = f"object-{self.objects}"
        self.objects += 1
        attempts = [] if failed is None else [Attempt(index=failed, executions=1)]
        write = transitions.released if release else transitions.progress
        self._append(
            write(self.head, outcomes=[_completed(i) for i in indexes], objects=[key], attempts=attempts)
        )

    @precondition(lambda self: not self.head.kind.terminal)
    @rule()
    def cancel(self) -> None:
        self._append(transitions.cancelled(self.head, "asked"))

    @precondition(lambda self: self.head.kind.terminal)
    @rule()
    def begin_again(self) -> None:
        self.head, self.seen, self.epoch = _submitted(), {}, 0

    @invariant()
    def outcomes_stand(self) -> None:
        for outcome in self.head.outcomes:
            piece = outcome.outputs.get("result")
            now = (outcome, self.head.ref(piece).key if piece else None)
            assert self.seen.setdefault(outcome.index, now) == now
        assert set(self.seen) == self.head.ended

    @invariant()
    def epochs_rise(self) -> None:
        assert self.head.epoch >= self.epoch
        self.epoch = self.head.epoch

    @invariant()
    def the_record_is_terminal_when_all_have_ended(self) -> None:
        assert self.head.kind.terminal == (len(self.head.ended) == SIZE)

    @invariant()
    def attempts_are_of_what_has_not_ended_and_bounded(self) -> None:
        assert not {attempt.index for attempt in self.head.attempts} & self.head.ended
        assert all(attempt.executions <= MAX_RETRIES for attempt in self.head.attempts)

    @invariant()
    def owned_records_have_an_owner(self) -> None:
        assert not self.head.kind.owned or self.head.owner is not None


TestHistory = History.TestCase


def test_a_dead_owner_is_charged_for_the_element_it_ran() -> None:
    held = transitions.progress(
        transitions.dispatched(_submitted(), OTHER, owner_gone=False, max_retries=1), running=2
    )
    taken = transitions.dispatched(held, ME, owner_gone=True, max_retries=1)
    assert [(a.index, a.executions) for a in taken.attempts] == [(2, 1)]
    again = transitions.dispatched(
        transitions.progress(taken, running=2), OTHER, owner_gone=True, max_retries=1
    )
    assert [(o.index, o.reason) for o in again.outcomes] == [(2, FailureReason.ATTEMPTS_EXHAUSTED)]


def test_with_several_left_and_none_named_nobody_is_charged() -> None:
    held = transitions.dispatched(_submitted(), OTHER, owner_gone=False, max_retries=0)
    assert transitions.dispatched(held, ME, owner_gone=True, max_retries=0).attempts == ()


def test_the_only_element_left_is_charged_and_zero_retries_means_one_execution() -> None:
    held = transitions.dispatched(_submitted(1), OTHER, owner_gone=False, max_retries=0)
    ended = transitions.dispatched(held, ME, owner_gone=True, max_retries=0)
    assert ended.kind is RecordKind.DONE
    assert ended.outcomes[0].attempts == 1


def test_unexplained_takeovers_charge_nobody_and_are_bounded() -> None:
    head = _submitted()
    owners = [ME, OTHER] * transitions.MAX_TAKEOVERS
    for count, owner in enumerate(owners):
        head = transitions.dispatched(head, owner, owner_gone=False, max_retries=0)
        assert head.takeovers == count
        if head.kind.terminal:
            break
    assert {outcome.reason for outcome in head.outcomes} == {FailureReason.LEASE_LOST}
    assert head.takeovers == transitions.MAX_TAKEOVERS + 1


def test_the_operators_note_names_what_has_not_ended() -> None:
    held = transitions.dispatched(_submitted(), ME, owner_gone=False, max_retries=0)
    noted = transitions.progress(held, outcomes=[_completed(1)], objects=["o"]).model_copy(
        update={"kind": RecordKind.CANCEL_REQUESTED, "cancel": "1-2"}
    )
    assert transitions.asked_to_cancel(noted) == (2,)


@given(st.text(max_size=6000))
def test_error_texts_are_clipped_to_whole_characters(text: str) -> None:
    clipped = transitions.clip(text)
    assert len(clipped.encode()) <= 4096
    assert clipped == text or text.startswith(clipped[:-1])
