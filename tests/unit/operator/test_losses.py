"""Records that a status knows and the journal does not hold any more."""

from datetime import UTC, datetime
from typing import Any

import pytest

from armonik_operator.journal.backlog import Backlog, Glance
from armonik_operator.journal.epoch import JournalEpoch
from armonik_operator.journal.loss import JournaledStatus, ended_by
from armonik_operator.journal.replay import Replay
from armonik_sdk.api.kinds import ObjectRef
from armonik_sdk.api.names import RunId
from armonik_sdk.api.records import ChildGroup, Outcome, OutcomeKind, Record, RecordKind

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MADE = int(NOW.timestamp())
LIFE = JournalEpoch(MADE, MADE)
UID = "u"


def status(
    sequence: int, succeeded: str = "", *, epoch: int = MADE, finished: bool = False
) -> JournaledStatus:
    done = {"type": "Finished", "status": "True"}
    said: dict[str, Any] = {"journalEpoch": epoch, "journalSequence": sequence}
    said |= {"succeededIndexes": succeeded, "conditions": [done] if finished else []}
    return JournaledStatus.of({"status": said})


Read = tuple[int, Record]


def record(sequence: int, start: int = 0, ended: tuple[int, ...] = (), **fields: Any) -> Read:
    outcomes = tuple(Outcome(index=index, kind=OutcomeKind.COMPLETED) for index in ended)
    made = Record(record_id="r", kind=RecordKind.PROGRESS, start=start, end=start + 2, n=1, outcomes=outcomes)
    return sequence, made.model_copy(update=fields)


def replayed(known: JournaledStatus, records: list[Read], most: int = 1_000_000) -> tuple[Replay, Backlog]:
    """The journal as the fold reads it."""
    replay, backlog = Replay({UID: known}), Backlog(most)
    for sequence, one in records:
        run, data = RunId("n", "s", UID, one.start), one.encode()
        if not replay.skips(run, data, sequence):
            glance = Glance.model_validate_json(data)
            replay.noted(UID, sequence, backlog.add(run, glance, data, sequence, NOW))
    return replay, backlog


def belied(known: JournaledStatus, records: list[Read], life: JournalEpoch, read: int) -> bool:
    replay, backlog = replayed(known, records)
    stand = ended_by(replay.asked(UID, backlog.of(UID)))
    return replay.status_contradicts_journal(UID, stand, life, MADE, read)


APART = ObjectRef(key="manifest")


@pytest.mark.parametrize(
    ("known", "records", "lost"),
    [
        (status(0), [], False),
        (status(7), [record(7)], False),
        (status(7, "0"), [record(5), record(7, 0, (0,)), record(9, 0, (0, 1))], False),
        (status(7, "0,2"), [record(5, 2, (2,)), record(7, 0, (0,))], False),
        (status(7, "0,2"), [record(5, 2, (2,)), record(7, 0, (0,)), record(8, 2, (2, 3))], False),
        (status(7, "0-1"), [record(7, manifest=APART)], False),
        (status(7, "0-1"), [record(7, manifest=APART), record(8, 0, (0, 1))], False),
        # Its newest record is gone: nothing, another Task's, or one of its own that says less in its place.
        (status(7), [], True),
        (status(7), [record(6), record(9)], True),
        (status(7, "0-1"), [record(7, 0, (0,))], True),
        (status(7, "0"), [record(7), record(9, 0, (0,))], True),
        (status(7, "0"), [record(7), record(8), record(9, 0, (0,))], True),
        # Not known: purged after the end, about another journal, or newer than what was read.
        (status(10), [record(7)], False),
        (status(7, "0-3", finished=True), [], False),
        (status(7, "0-3", epoch=MADE - 9), [record(7)], False),
    ],
)
def test_a_status_that_knows_more_than_the_journal_shows_a_loss(
    known: JournaledStatus, records: list[Read], lost: bool
) -> None:
    assert belied(known, records, LIFE, 9) is lost


def test_after_a_loss_only_the_record_itself_is_looked_for() -> None:
    """What ended before it is in the status and in no record."""
    later = LIFE.after_loss()
    assert later.fence == MADE + 1
    assert not belied(status(7, "0-1", epoch=MADE + 1), [record(7)], later, 9)
    assert belied(status(7, "0-1", epoch=MADE + 1), [record(6)], later, 9)


def test_records_that_were_not_kept_show_no_loss() -> None:
    known = status(7, "0-1")
    replay, backlog = replayed(known, [record(7, 0, (0,))], most=10)
    assert [waiting.data for waiting in backlog.of(UID)] == [None]
    stand = ended_by(replay.asked(UID, backlog.of(UID)))
    assert not replay.status_contradicts_journal(UID, stand, LIFE, MADE, 9)


def test_of_a_task_that_has_finished_only_names_are_kept() -> None:
    child = ChildGroup(name="child", element=0, group=0, count=1, items="key")
    handed = Outcome(index=0, kind=OutcomeKind.COMPLETED, delegated=("u.0.output",))
    records = [record(5), record(7, outcomes=(handed,), children=(child,)), record(8, 2)]
    replay, backlog = replayed(status(7, finished=True), records)
    assert [waiting.sequence for waiting in backlog.of(UID)] == [8], "its effects may not be done"
    assert replay.names[UID].children == {"child"}
    assert replay.names[UID].delegated == {"u.0.output"}
