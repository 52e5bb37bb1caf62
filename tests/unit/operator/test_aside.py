"""Records of results that wait: taken in once, done in order, bounded while their Session is not known."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from armonik_operator.cache.inbox import (
    KEPT_SECONDS,
    EarlyRecord,
    EarlyRecords,
    Inbox,
    ResultJournalEntry,
)
from armonik_sdk.api.names import result_id
from armonik_sdk.api.results import ResultRecord, ResultRecordKind


@given(puts=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 3), st.integers(0, 20)), max_size=100))
def test_what_is_kept_aside_is_bounded_by_namespace_and_the_oldest_goes(
    puts: list[tuple[str, int, int]],
) -> None:
    aside, kept = EarlyRecords(kept=5), dict[str, list[EarlyRecord]](a=[], b=[])
    for now, (namespace, session, number) in enumerate(puts):
        said = EarlyRecord(str(session), str(number))
        left, gone = aside.put(namespace, said, float(now))
        if said not in kept[namespace]:
            assert left == KEPT_SECONDS
            kept[namespace].append(said)
        assert gone == kept[namespace][:-5]
        kept[namespace] = kept[namespace][-5:]
        assert aside.of(namespace, str(session)) == [s for s in kept[namespace] if s.session == said.session]
    assert len(aside) == len(kept["a"]) + len(kept["b"])
    for namespace, all_said in kept.items():
        for said in all_said:
            aside.forget(namespace, said)
    assert len(aside) == 0


def entry(kind: ResultRecordKind) -> ResultJournalEntry:
    record = ResultRecord(record_id="r", kind=kind)
    return ResultJournalEntry("team", "s", "r", record, datetime(2026, 1, 1, tzinfo=UTC))


def test_records_of_a_result_are_done_in_the_order_in_which_they_were_read() -> None:
    inbox = Inbox()
    created, aborted = entry(ResultRecordKind.CREATED), entry(ResultRecordKind.ABORTED)
    assert [inbox.put_result(one) for one in (created, aborted, entry(ResultRecordKind.CREATED))] == [
        True,
        True,
        False,
    ]
    for expected in (created, aborted):
        assert inbox.peek_result(created.key) is expected
        inbox.done_result(expected)
    assert inbox.peek_result(created.key) is None
    assert inbox.results_waiting == 0


def test_an_entry_that_is_worked_on_while_the_journal_is_lost_counts_once() -> None:
    inbox = Inbox()
    before, after = entry(ResultRecordKind.CREATED), entry(ResultRecordKind.CREATED)
    inbox.put_result(before)
    inbox.clear()
    inbox.done_result(before)
    assert inbox.results_waiting == 0
    inbox.put_result(after)
    inbox.done_result(before)
    assert inbox.peek_result(after.key) is after
    assert inbox.results_waiting == 1


def deletion(task: str) -> ResultJournalEntry:
    record = ResultRecord(record_id="r", kind=ResultRecordKind.DELETED)
    return ResultJournalEntry(
        "team", "s", result_id(task, 0, "out"), record, datetime(2026, 1, 1, tzinfo=UTC)
    )


def test_a_deletion_of_an_output_is_known_until_its_record_is_gone() -> None:
    inbox, one, two, three = Inbox(), *map(deletion, ("a", "b", "c"))
    for each in (one, two, three, entry(ResultRecordKind.DELETED)):
        inbox.put_result(each)
    assert [inbox.deletions(task) for task in "abc"] == [{one.result}, {two.result}, {three.result}]
    inbox.done_result(one)
    inbox.drop_results(two.key)
    assert [inbox.deletions(task) for task in "abc"] == [set(), set(), {three.result}]
    inbox.clear()
    assert inbox.deletions("c") == set()
    assert inbox.results_waiting == 0
