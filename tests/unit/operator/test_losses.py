"""Records that a status knows and the journal does not hold any more."""

from datetime import UTC, datetime
from typing import Any

import pytest

from armonik_operator.life import Life
from armonik_operator.losses import belied
from armonik_operator.state import Received
from armonik_sdk.api.kinds import ObjectRef, Task
from armonik_sdk.api.names import RunId
from armonik_sdk.api.records import Outcome, OutcomeKind, Record, RecordKind

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MADE = int(NOW.timestamp())
LIFE = Life(MADE, MADE)


def task(sequence: int, succeeded: str = "", *, epoch: int = MADE, finished: bool = False) -> Task:
    done = {"type": "Finished", "status": "True", "reason": "Succeeded", "message": ""}
    done |= {"lastTransitionTime": NOW.isoformat()}
    status: dict[str, Any] = {"journalEpoch": epoch, "journalSequence": sequence}
    status |= {"succeededIndexes": succeeded, "conditions": [done] if finished else []}
    meta = {"name": "t", "namespace": "n", "uid": "u", "creationTimestamp": NOW.isoformat()}
    return Task.from_object({"metadata": meta, "spec": {"session": "s", "count": 4}, "status": status})


def record(sequence: int, start: int = 0, ended: tuple[int, ...] = (), **fields: Any) -> Received:
    outcomes = tuple(Outcome(index=index, kind=OutcomeKind.COMPLETED) for index in ended)
    made = Record(record_id="r", kind=RecordKind.PROGRESS, start=start, end=start + 2, n=1, outcomes=outcomes)
    return Received(RunId("n", "s", "u", start), made.model_copy(update=fields), sequence, NOW)


APART = ObjectRef(key="manifest")


@pytest.mark.parametrize(
    ("known", "records", "lost"),
    [
        (task(0), [], False),
        (task(7), [record(7)], False),
        (task(7, "0"), [record(5), record(7, 0, (0,)), record(9, 0, (0, 1))], False),
        (task(7, "0,2"), [record(5, 2, (2,)), record(7, 0, (0,))], False),
        (task(7, "0-1"), [record(7, manifest=APART)], False),
        # Its newest record is gone: nothing, another Task's, or one of its own that says less in its place.
        (task(7), [], True),
        (task(7), [record(6), record(9)], True),
        (task(7, "0-1"), [record(7, 0, (0,))], True),
        (task(7, "0"), [record(7), record(9, 0, (0,))], True),
        # Nobody can tell: purged after the end, about another journal, or newer than what was read.
        (task(10), [record(7)], False),
        (task(7, "0-3", finished=True), [], False),
        (task(7, "0-3", epoch=MADE - 9), [record(7)], False),
    ],
)
def test_a_status_that_knows_more_than_the_journal_tells_of_a_loss(
    known: Task, records: list[Received], lost: bool
) -> None:
    assert belied(known, records, LIFE, 9) is lost


def test_after_a_loss_only_the_record_itself_is_looked_for() -> None:
    """What ended before it stands in the status and in no record."""
    later = LIFE.after_loss()
    assert later.fence == MADE + 1
    assert not belied(task(7, "0-1", epoch=MADE + 1), [record(7)], later, 9)
    assert belied(task(7, "0-1", epoch=MADE + 1), [record(6)], later, 9)
