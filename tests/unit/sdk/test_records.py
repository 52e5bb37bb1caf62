"""Records: the wire form loses nothing, and a head alone says what remains."""

from hypothesis import given
from hypothesis import strategies as st

from armonik_sdk.api.messages import RunMessage
from armonik_sdk.api.records import (
    Attempt,
    Control,
    DesiredState,
    Outcome,
    OutcomeKind,
    Owner,
    Piece,
    Record,
    RecordKind,
)

text = st.text(max_size=30)
piece = st.builds(
    Piece, object=st.integers(0, 3), offset=st.integers(0, 10**9), length=st.integers(0, 10**9), sha256=text
)
outcome = st.builds(
    Outcome,
    index=st.integers(0, 9),
    kind=st.sampled_from(OutcomeKind),
    attempts=st.integers(1, 5),
    message=text,
    outputs=st.dictionaries(text, piece, max_size=2),
)
record = st.builds(
    Record,
    record_id=text,
    kind=st.sampled_from(RecordKind),
    start=st.just(0),
    end=st.just(10),
    n=st.integers(1, 9),
    epoch=st.integers(0, 9),
    owner=st.none() | st.builds(Owner, pod=text, process=text, name=text),
    running=st.none() | st.integers(0, 9),
    outcomes=st.lists(outcome, unique_by=lambda o: o.index, max_size=10).map(tuple),
    attempts=st.lists(st.builds(Attempt, index=st.integers(0, 9), executions=st.integers(1, 3))).map(tuple),
)


@given(record)
def test_the_wire_form_loses_nothing(sent: Record) -> None:
    assert Record.model_validate_json(sent.encode()) == sent


@given(record)
def test_remaining_and_ended_share_out_the_run(head: Record) -> None:
    assert sorted([*head.remaining, *head.ended]) == list(range(head.start, head.end))


def test_fields_of_newer_versions_are_ignored() -> None:
    head = Record.model_validate_json(
        b'{"recordId":"a","kind":"Submitted","start":0,"end":1,"n":1,"later":{"x":1}}'
    )
    assert head.kind is RecordKind.SUBMITTED


def test_a_message_keeps_only_what_was_said() -> None:
    message = RunMessage(namespace="ns", session="s", task="t", partition="p", start=0, end=2, n=1)
    assert b"locators" not in message.encode()
    assert RunMessage.model_validate_json(message.encode()) == message


def test_only_running_and_paused_leave_queued_work_its_future() -> None:
    going_on = {state for state in DesiredState if not Control(state=state).state.stops_work}
    assert going_on == {DesiredState.RUNNING, DesiredState.PAUSED, DesiredState.GONE, DesiredState.DRAIN}
