"""Where a result is: one reading for operator, agent and client."""

import base64
import hashlib

import pytest

from armonik_sdk.api.kinds import ObjectRef
from armonik_sdk.api.names import RunId
from armonik_sdk.api.records import DataRef, Outcome, OutcomeKind, Piece
from armonik_sdk.api.results import ResultEntry, ResultState, RunResults
from armonik_sdk.dataplane.result_lookup import Location, find_run, locate, outcome_of

PACK = "ns/s/t/0/1-aa/pack"
SHA = hashlib.sha256(b"nine").hexdigest()


def run(*outcomes: Outcome) -> RunResults:
    return RunResults(sequence=9, end=10, outcomes=outcomes, objects=(PACK,))


def completed(index: int, *delegated: str, **outputs: Piece) -> Outcome:
    return Outcome(index=index, kind=OutcomeKind.COMPLETED, outputs=outputs, delegated=delegated)


STORED = completed(3, result=Piece(object=0, offset=40, length=4, sha256=SHA))


def test_of_a_result_without_any_entry_nothing_is_known() -> None:
    assert locate("an-id-of-its-own", None, []) == locate("t.3.result", None, []) == Location(None)


def test_a_result_is_awaited_until_its_element_ends() -> None:
    assert locate("t.4.result", None, [run(STORED)]) == Location(ResultState.CREATED)
    made_by_a_client = ResultEntry(state=ResultState.CREATED)
    assert locate("an-id-of-its-own", made_by_a_client, []) == Location(ResultState.CREATED)


def test_an_output_is_where_its_run_says() -> None:
    place = DataRef(key=PACK, offset=40, length=4, sha256=SHA)
    assert locate("t.3.result", None, [run(), run(STORED)]) == Location(ResultState.COMPLETED, place)


@pytest.mark.parametrize("number", [None, 0])
def test_an_output_may_come_with_its_run(number: int | None) -> None:
    text = base64.b64encode(b"nine").decode()
    piece = Piece(object=number, length=4, sha256=SHA, inline=text)
    found = locate("t.3.result", None, [run(completed(3, result=piece))])
    assert found == Location(ResultState.COMPLETED, DataRef(length=4, sha256=SHA, data=text))


def test_the_detail_of_a_failure_is_read_as_its_output_error() -> None:
    piece = Piece(object=0, offset=40, length=4, sha256=SHA)
    failed = Outcome(index=3, kind=OutcomeKind.ERROR, reason="WorkerError", message="no", error=piece)
    place = DataRef(key=PACK, offset=40, length=4, sha256=SHA)
    assert locate("t.3.error", None, [run(failed)]) == Location(ResultState.COMPLETED, place)
    assert locate("t.3.result", None, [run(failed)]).state is ResultState.ABORTED
    without = failed.model_copy(update={"error": None})
    assert locate("t.3.error", None, [run(without)]).state is ResultState.ABORTED


def test_a_result_left_to_a_sub_task_is_not_aborted() -> None:
    left = run(completed(3, "t.3.result"))
    assert locate("t.3.result", None, [left]) == Location(ResultState.CREATED, delegated=True)
    owned = ResultEntry(state=ResultState.CREATED, task="child")
    assert locate("t.3.result", owned, [left]) == Location(ResultState.CREATED, delegated=True)


def test_what_a_sub_task_made_decides() -> None:
    left, ref = run(completed(3, "t.3.result")), ObjectRef(key="ns/s/child/0/pack", offset=0, length=1)
    done = ResultEntry(state=ResultState.COMPLETED, task="child", ref=ref)
    found = locate("t.3.result", done, [left])
    assert (found.state, found.ref and found.ref.key) == (ResultState.COMPLETED, ref.key)
    failed = ResultEntry(state=ResultState.ABORTED, task="child", reason="element 0 failed")
    assert locate("t.3.result", failed, [left]) == Location(
        ResultState.ABORTED, reason="element 0 failed", owner=("child", 0)
    )


def test_a_deleted_result_has_no_place_though_its_run_names_one() -> None:
    deleted = ResultEntry(state=ResultState.DELETED)
    assert locate("t.3.result", deleted, [run(STORED)]) == Location(ResultState.DELETED)


def test_an_element_that_failed_aborts_its_outputs() -> None:
    outcome = Outcome(index=3, kind=OutcomeKind.ERROR, reason="WorkerError", message="no such number")
    expected = Location(ResultState.ABORTED, reason="WorkerError", message="no such number")
    assert locate("t.3.result", None, [run(outcome)]) == expected


def test_an_output_that_its_element_does_not_have_is_aborted() -> None:
    found = locate("t.3.reslut", None, [run(STORED)])
    assert (found.state, found.reason) == (ResultState.ABORTED, "NoSuchOutput")


def test_an_outcome_is_found_by_its_index() -> None:
    assert outcome_of(run(STORED), 3) is STORED
    assert outcome_of(run(STORED), 4) is None
    assert outcome_of(None, 3) is None


async def test_the_run_of_an_element_is_the_last_that_begins_before_it() -> None:
    asked = []

    async def keys(pattern: str) -> set[str]:
        asked.append(pattern)
        return {"ns.s.t.0", "ns.s.t.10", "ns.s.t.9"}

    assert await find_run(keys, "ns", "s", "t", 9) == RunId("ns", "s", "t", 9)
    assert await find_run(keys, "ns", "s", "t", 12) == RunId("ns", "s", "t", 10)
    assert asked == ["ns.s.t.*"] * 2


async def test_a_task_without_stored_runs_has_no_run_of_the_element() -> None:
    async def keys(_: str) -> set[str]:
        return set()

    assert await find_run(keys, "ns", "s", "t", 0) is None
