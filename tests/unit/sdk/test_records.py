"""Records: the wire form loses nothing, and a head alone says what remains."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from armonik_sdk.api.bounds import MAX_RUN_ELEMENTS
from armonik_sdk.api.messages import RunMessage
from armonik_sdk.api.records import (
    Attempt,
    Committed,
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
    owner=st.none() | st.builds(Owner, pod=st.uuids().map(str), process=text, name=text),
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


@pytest.mark.parametrize(
    "junk",
    [
        {"end": 10**12},
        {"end": MAX_RUN_ELEMENTS + 1},
        {"end": 0},
        {"start": -5},
        {"start": 1},
        {"n": 2**70},
        {"epoch": 2**70},
        {"epoch": -1},
        {"takeovers": 2**40},
        {"running": -1},
        {"notBefore": 1e300},
        {"notBefore": -1.0},
        {"partition": "no such/.. place"},
        {"partition": "p" * 100},
        {"taskName": "x" * 300},
        {"recordId": "x" * 300},
        {"cancel": "9-3,zz"},
        {"owner": {"pod": "p" * 100_000, "process": "1"}},
        {"owner": {"pod": "a b", "process": "1"}},
        {"owner": {"pod": "p", "process": "1", "name": "n" * 300}},
        {"attempts": [{"index": 0, "executions": 2**70}]},
        {"attempts": [{"index": 10**9, "executions": 1}]},
        {"outcomes": [{"index": -3, "kind": "Completed"}]},
        {"outcomes": [{"index": 10**9, "kind": "Completed"}]},
        {"outcomes": [{"index": 0, "kind": "Error", "reason": "R" * 100}]},
        {"outcomes": [{"index": 0, "kind": "Completed", "attempts": 2**70}]},
        {"outcomes": [{"index": 0, "kind": "Completed", "delegated": ["a b"]}]},
        {"outcomes": [{"index": 0, "kind": "Completed", "made": {"a.>": {"length": 1, "sha256": ""}}}]},
        {"outcomes": [{"index": 0, "kind": "Completed", "outputs": {"a": {"length": -1, "sha256": ""}}}]},
        {"children": [{"name": "A name/..", "element": 0, "group": 0, "count": 1, "items": "k"}]},
        {"children": [{"name": "c", "element": 0, "group": 0, "count": 10**12, "items": "k"}]},
    ],
    ids=str,
)
def test_what_an_agent_cannot_mean_is_no_record(junk: dict[str, object]) -> None:
    """The operator goes through elements, adds up numbers and builds subjects of what it reads."""
    good = {"recordId": "a", "kind": "Progress", "start": 0, "end": 1, "n": 1}
    Record.model_validate_json(json.dumps(good))
    with pytest.raises(ValidationError):
        Record.model_validate_json(json.dumps(good | junk))


def test_data_in_an_object_that_the_record_does_not_name_is_in_none() -> None:
    piece = Piece(object=3, length=1, sha256="")
    assert Committed(objects=("k",)).ref(piece).key == "nothing/named"


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
