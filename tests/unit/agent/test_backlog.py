"""The order in which the elements of a run begin, and what no longer has to."""

from armonik_agent.execution.backlog import Backlog
from armonik_sdk.api.records import Attempt, Owner, Record, RecordKind

ME = Owner(pod="u", process="p")


def head(end: int = 5, cancel: str = "", **waits: float) -> Record:
    """An owned run; `waits` are ends of back-offs of elements that have failed, as `i3=10.0`."""
    attempts = tuple(
        Attempt(index=int(name[1:]), executions=1, not_before=until) for name, until in waits.items()
    )
    return Record(
        record_id=f"{end}{cancel}{waits}",
        kind=RecordKind.DISPATCHED,
        start=0,
        end=end,
        n=1,
        epoch=1,
        owner=ME,
        attempts=attempts,
        cancel=cancel,
    )


def test_what_has_failed_and_waits_longest_comes_last() -> None:
    assert list(Backlog(head(i0=30.0, i3=10.0)).left) == [1, 2, 4, 3, 0]


def test_elements_that_a_note_cancels_do_not_begin() -> None:
    backlog = Backlog(head())
    backlog.left.remove(3)
    backlog.retries.append(3)
    backlog.compare(head(cancel="1-3"))
    assert list(backlog.left) == [0, 4]
    assert backlog.retries == []


def test_elements_that_a_split_gave_away_do_not_begin() -> None:
    backlog = Backlog(head())
    assert backlog.split_off(3) == [3, 4]
    assert list(backlog.left) == [0, 1, 2]
    backlog.compare(head(end=2))
    assert list(backlog.left) == [0, 1]


def test_the_retry_whose_back_off_ends_first_is_next_and_comes_last_of_all_left() -> None:
    backlog = Backlog(head())
    for index in (1, 4):
        backlog.left.remove(index)
        backlog.retries.append(index)
    assert not backlog.waits
    assert backlog.next_retry(head(i1=20.0, i4=10.0)) == (10.0, 4)
    backlog.retry(4)
    assert list(backlog.left) == [0, 2, 3, 4]
    backlog.left.clear()
    assert backlog.waits
    assert not backlog.empty


def test_what_is_put_back_comes_first_in_its_order() -> None:
    backlog = Backlog(head(end=3))
    given = [backlog.left.popleft(), backlog.left.popleft()]
    backlog.put_back(given)
    assert list(backlog.left) == [0, 1, 2]
