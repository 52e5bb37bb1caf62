"""Heads that nobody can read end their runs, but not those that a later operator reads."""

import pytest

from armonik_operator.journal.unreadable_heads import ended, last_word, newer
from armonik_sdk.api.records import Outcome, OutcomeKind, Piece, Record, RecordKind
from armonik_sdk.api.results import RunResults


@pytest.mark.parametrize(
    ("data", "later"),
    [(b'{"version": 2}', True), (b'{"version": 1}', False), (b"{}", False), (b"[]", False), (b"x", False)],
)
def test_only_a_later_version_is_left_alone(data: bytes, *, later: bool) -> None:
    assert newer(data) is later


def test_outcomes_that_are_known_stay() -> None:
    known = Outcome(index=4, kind=OutcomeKind.COMPLETED)
    record = last_word((3, 6), None, RunResults(sequence=1, end=6, outcomes=(known,)), "why", "task")
    assert record.kind is RecordKind.DONE
    assert record.outcomes[1] == known
    assert [(o.index, o.kind, o.reason) for o in (record.outcomes[0], record.outcomes[2])] == [
        (3, OutcomeKind.ERROR, "DataLost"),
        (5, OutcomeKind.ERROR, "DataLost"),
    ]
    assert Record.model_validate_json(record.encode()) == record


def test_a_record_without_gaps_is_what_it_was() -> None:
    outcomes = (Outcome(index=0, kind=OutcomeKind.COMPLETED),)
    record = Record(record_id="a", kind=RecordKind.DONE, start=0, end=1, n=1, outcomes=outcomes)
    assert ended(record, "why") == record


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -1.0])
def test_an_outcome_that_would_not_be_read_is_not_made(seconds: float) -> None:
    with pytest.raises(ValueError, match="seconds"):
        Outcome(index=0, kind=OutcomeKind.COMPLETED, seconds=seconds)


def test_a_piece_that_would_not_be_read_is_not_made() -> None:
    with pytest.raises(ValueError, match="inline"):
        Piece(length=1, sha256="0" * 64, inline="no base64!")
