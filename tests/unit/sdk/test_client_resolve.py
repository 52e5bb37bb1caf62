import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from armonik_sdk.api.kinds import ObjectRef
from armonik_sdk.api.records import Outcome, OutcomeKind, Piece
from armonik_sdk.api.results import ResultEntry, ResultState, RunResults
from armonik_sdk.client.errors import ResultAborted, ResultDamaged, ResultDeleted
from armonik_sdk.client.results.location import Found, Read, Undecided, plan_reads, resolve


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def piece(data: bytes, *, offset: int = 0, inline: bytes | None = None) -> Piece:
    riding = None if inline is None else base64.b64encode(inline).decode()
    return Piece(object=0, offset=offset, length=len(data), sha256=digest(data), inline=riding)


def run(*outcomes: Outcome) -> RunResults:
    return RunResults(sequence=9, end=10, outcomes=outcomes, objects=("ns/s/t/0/1-aa/pack",))


DONE = Outcome(index=3, kind=OutcomeKind.COMPLETED, outputs={"result": piece(b"nine", offset=40)})


def test_an_implied_result_is_where_the_run_says() -> None:
    found = resolve("t.3.result", None, [run(DONE)])
    assert isinstance(found, Found)
    assert isinstance(found.place, ObjectRef)
    assert (found.place.key, found.place.offset, found.place.length) == ("ns/s/t/0/1-aa/pack", 40, 4)


def test_small_results_ride_with_the_commit() -> None:
    outcome = Outcome(index=0, kind=OutcomeKind.COMPLETED, outputs={"result": piece(b"49", inline=b"49")})
    found = resolve("t.0.result", None, [run(outcome)])
    assert found == Found(b"49")


def test_riding_bytes_that_differ_from_their_checksum_are_refused() -> None:
    outcome = Outcome(index=0, kind=OutcomeKind.COMPLETED, outputs={"result": piece(b"49", inline=b"50")})
    with pytest.raises(ResultDamaged):
        resolve("t.0.result", None, [run(outcome)])


def test_what_no_run_names_is_undecided() -> None:
    assert resolve("t.4.result", None, [run(DONE)]) is Undecided.AWAITED
    assert resolve("t.3.result", None, []) is Undecided.AWAITED
    assert resolve("own-id", None, [run(DONE)]) is Undecided.AWAITED


def test_a_result_handed_to_a_sub_task_is_undecided_until_that_ends() -> None:
    outcome = Outcome(index=0, kind=OutcomeKind.COMPLETED, delegated=("t.0.result",))
    assert resolve("t.0.result", None, [run(outcome)]) is Undecided.DELEGATED
    child = ResultEntry(state=ResultState.COMPLETED, ref=ObjectRef(key="child", offset=0, length=1))
    found = resolve("t.0.result", child, [run(outcome)])
    assert isinstance(found, Found)
    assert isinstance(found.place, ObjectRef)
    assert found.place.key == "child"


def test_an_element_that_failed_raises_its_own_error() -> None:
    outcome = Outcome(index=0, kind=OutcomeKind.ERROR, reason="WorkerError", message="no such number")
    with pytest.raises(ResultAborted, match="no such number") as raised:
        resolve("t.0.result", None, [run(outcome)])
    assert raised.value.reason == "WorkerError"


def test_a_misspelt_output_is_not_waited_for() -> None:
    with pytest.raises(ResultAborted, match="no output 'reslut'"):
        resolve("t.3.reslut", None, [run(DONE)])


@pytest.mark.parametrize(
    ("state", "error"), [(ResultState.ABORTED, ResultAborted), (ResultState.DELETED, ResultDeleted)]
)
def test_an_entry_of_its_own_beats_the_run(state: ResultState, error: type[Exception]) -> None:
    with pytest.raises(error):
        resolve("t.3.result", ResultEntry(state=state, reason="because"), [run(DONE)])


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.binary(max_size=30)), max_size=40),
    st.integers(1, 200),
    st.integers(0, 20),
)
def test_planned_reads_give_every_result_its_bytes(
    results: list[tuple[str, bytes]], most: int, gap: int
) -> None:
    objects = {"a": b"", "b": b""}
    wanted: list[tuple[int, ObjectRef]] = []
    for index, (key, data) in enumerate(results):
        wanted.append(
            (index, ObjectRef(key=key, offset=len(objects[key]), length=len(data), sha256=digest(data)))
        )
        objects[key] += data + b"gap"
    found: dict[int, bytes] = {}
    for read in plan_reads(wanted, most, gap):
        start, length = read.span.offset or 0, read.span.length or 0
        assert len(read.parts) == 1 or length <= most
        found |= read.split(objects[read.span.key][start : start + length])
    assert found == {index: data for index, (_, data) in enumerate(results)}


def test_neighbours_are_read_together() -> None:
    refs = [(i, ObjectRef(key="pack", offset=100 * i, length=100)) for i in range(50)]
    assert len(plan_reads(refs)) == 1


def test_altered_bytes_are_refused() -> None:
    ref = ObjectRef(key="pack", offset=0, length=4, sha256=digest(b"nine"))
    with pytest.raises(ResultDamaged):
        Read(ref, ((0, ref),)).split(b"evil")
