"""Lives of the journal: what statuses show, and the numbers that fence what was before."""

from hypothesis import given
from hypothesis import strategies as st

from armonik_operator.journal.epoch import JournalEpoch
from armonik_sdk.api.kinds import TaskStatus


def said(epoch: int, sequence: int) -> TaskStatus:
    return TaskStatus(journal_epoch=epoch, journal_sequence=sequence)


def test_a_first_start_and_a_restart_fence_nothing() -> None:
    assert JournalEpoch.of(100, 0, []) == JournalEpoch(100, 100)
    assert JournalEpoch.of(100, 7, [said(100, 7), said(0, 0)]) == JournalEpoch(100, 100)
    assert JournalEpoch(100, 100).fence == 0
    assert JournalEpoch(100, 100).first(100.0) == 0


def test_a_journal_made_again_fences_older_tasks_only() -> None:
    life = JournalEpoch.of(200, 0, [said(100, 7)])
    assert life == JournalEpoch(200, 200)
    assert life.fence == 0
    assert (life.first(150.0), life.first(200.0)) == (200, 0)


def test_lost_records_fence_everything_before_permanently() -> None:
    life = JournalEpoch.of(100, 6, [said(100, 7)])
    assert life == JournalEpoch(100, 101)
    assert life.fence == 101
    assert life.first(150.0) == 101
    assert JournalEpoch.of(100, 9, [said(101, 8), said(100, 7)]) == life
    assert JournalEpoch.of(100, 7, [said(101, 8), said(100, 7)]) == JournalEpoch(100, 102)


def test_a_loss_that_was_seen_fences_though_no_status_shows_it() -> None:
    assert JournalEpoch.of(100, 3, [said(100, 2)], JournalEpoch(100, 100)) == JournalEpoch(100, 101)
    assert JournalEpoch.of(100, 9, [said(101, 2)], JournalEpoch(100, 101)) == JournalEpoch(100, 102)
    assert JournalEpoch.of(200, 9, [said(101, 2)], JournalEpoch(100, 101)) == JournalEpoch(200, 200)
    assert JournalEpoch.of(100, 0, [], JournalEpoch()) == JournalEpoch(100, 100)


@given(
    created=st.integers(1, 50),
    last=st.integers(0, 50),
    known=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60))),
)
def test_no_status_written_from_now_on_goes_back(
    created: int, last: int, known: list[tuple[int, int]]
) -> None:
    life = JournalEpoch.of(created, last, [said(*each) for each in known])
    assert all((life.epoch, last) >= each for each in known)
    assert life.epoch >= created
