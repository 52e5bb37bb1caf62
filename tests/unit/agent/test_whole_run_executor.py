"""An executor of whole runs says how elements ended, whatever the worker sends, and knows no journal."""

import asyncio
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from tests.unit.agent.executor_pair import RUN, RunCall, Worker, element, failure

from armonik_agent.data.elements import Elements
from armonik_agent.executors.run_frames import SILENCE_SECONDS
from armonik_agent.executors.verdict import Disposition
from armonik_agent.executors.whole_run import WholeRunExecutor
from armonik_sdk.api.bounds import MAX_DETAIL_BYTES
from armonik_sdk.api.const import FailureReason
from armonik_sdk.api.kinds import TaskOptions
from armonik_sdk.api.messages import ElementSpec, RunMessage
from armonik_sdk.api.records import OutcomeKind


@pytest.fixture
def worker() -> Any:
    return Worker()


@pytest.fixture
def executor(worker: Any) -> WholeRunExecutor:
    folder: Any = SimpleNamespace(path="/folder")
    return WholeRunExecutor(worker, RUN, folder)


async def given(executor: WholeRunExecutor, worker: Any, *indexes: int) -> RunCall:
    """The call that has these elements."""
    await executor.give([element(index) for index in indexes], {})
    call: RunCall = worker.calls[-1]
    return call


def done(index: int, blob: int = 0) -> dict[str, Any]:
    return {"index": index, "seconds": 0.5, "outputs": {"result": blob}}


async def test_elements_go_in_one_frame_with_what_is_held(executor: WholeRunExecutor, worker: Any) -> None:
    held = {"payload-0": b"zero", "payload-1": b"one"}
    await executor.give([element(0), element(1), element(2)], held)
    ((head, blobs),) = worker.calls[0].given
    assert [entry["index"] for entry in head["elements"]] == [0, 1, 2]
    assert [entry["payload"] for entry in head["elements"]] == [0, 1, "payload-2"]
    assert blobs == [b"zero", b"one"]
    assert (head["folder"], head["session"], head["limit"]) == ("/folder", "session", 10)


async def test_elements_of_other_options_travel_in_a_frame_of_their_own(
    executor: WholeRunExecutor, worker: Any
) -> None:
    other = TaskOptions(max_duration_seconds=20)
    await executor.give([element(0), element(1, other), element(2, other)], {})
    frames = [[entry["index"] for entry in head["elements"]] for head, _ in worker.calls[0].given]
    assert frames == [[0], [1, 2]]


async def test_each_end_is_judged_by_itself(executor: WholeRunExecutor, worker: Any) -> None:
    call = await given(executor, worker, 0, 1, 2, 3, 4, 5)
    call.ended(
        done(0),
        {"index": 1, "error": "no"},
        {"index": 2, "timeout": True},
        {"index": 3, "failed": "died"},
        {"index": 4, "outputs": {}},
        blobs=[b"bytes"],
    )
    batch = await executor.wait()
    ends = {end.element.index: end for end in batch.ended}
    assert ends[0].result.ending is Disposition.COMPLETED
    assert ends[0].seconds == 0.5
    assert dict(ends[0].produced.blobs) == {element(0).expected[0]: b"bytes"}
    assert (ends[1].result.ending, ends[1].result.text) == (Disposition.FINAL, "no")
    assert (ends[2].result.kind, ends[2].result.text) == (OutcomeKind.TIMEOUT, "longer than 10 s")
    assert (ends[3].result.ending, ends[3].result.text) == (Disposition.FAILED, "died")
    assert ends[4].result.reason is FailureReason.OUTPUT_MISSING
    assert batch.broken is None
    assert executor.in_flight == [5]


async def test_no_element_is_believed_to_have_taken_longer_than_its_limit(
    executor: WholeRunExecutor, worker: Any
) -> None:
    call = await given(executor, worker, 0)
    call.ended(done(0) | {"seconds": 1e300}, blobs=[b""])
    (end,) = (await executor.wait()).ended
    assert end.seconds == 10 + SILENCE_SECONDS


async def test_an_output_in_the_folder_is_a_file(executor: WholeRunExecutor, worker: Any) -> None:
    call = await given(executor, worker, 0)
    call.ended({"index": 0, "outputs": {"result": None}})
    (end,) = (await executor.wait()).ended
    name = element(0).expected[0]
    assert dict(end.produced.files) == {name: name}
    assert list(end.leftovers) == [name]


async def test_elements_that_come_back_are_not_ended(executor: WholeRunExecutor, worker: Any) -> None:
    call = await given(executor, worker, 0, 1, 2)
    await executor.recall([1, 2])
    assert call.given[-1] == ({"skip": [1, 2]}, [])
    call.ended(done(0), {"index": 1, "skipped": True}, {"index": 2, "skipped": True}, blobs=[b""])
    batch = await executor.wait()
    assert [end.element.index for end in batch.ended] == [0]
    assert batch.returned == [1, 2]


async def test_the_call_is_closed_once_the_worker_has_nothing_more(
    executor: WholeRunExecutor, worker: Any
) -> None:
    call = await given(executor, worker, 0)
    call.ended(done(0), blobs=[b""])
    await executor.wait()
    assert executor.busy, "more may be given in the same call"
    batch = await executor.wait()
    assert not batch.ended
    assert call.closed
    assert worker.answers == 1
    assert not executor.busy


async def test_room_is_made_for_many_at_a_time(executor: WholeRunExecutor, worker: Any) -> None:
    assert executor.room(4) == 4
    assert executor.room(1) == 1
    call = await given(executor, worker, 0, 1, 2, 3)
    call.ended(done(0), blobs=[b""])
    await executor.wait()
    assert executor.room(4) == 0, "it has more than half"
    call.ended(done(1), blobs=[b""])
    await executor.wait()
    assert executor.room(4) == 2
    assert executor.room(1) == 0


async def test_a_call_that_breaks_names_all_the_worker_had(executor: WholeRunExecutor, worker: Any) -> None:
    call = await given(executor, worker, 0, 1)
    call.frames.put_nowait(failure(grpc.StatusCode.UNAVAILABLE, "gone"))
    broken = (await executor.wait()).broken
    assert broken is not None
    assert broken.text == "UNAVAILABLE: gone"
    assert [one.index for one in broken.elements] == [0, 1]
    assert not broken.breach
    assert not broken.unserved
    assert worker.doubts == 1
    assert not executor.busy


async def test_a_call_that_breaks_while_elements_are_given_is_reported(
    executor: WholeRunExecutor, worker: Any
) -> None:
    call = await given(executor, worker, 0)
    call.broken = failure(grpc.StatusCode.UNIMPLEMENTED)
    await executor.give([element(1)], {})
    broken = (await executor.wait()).broken
    assert broken is not None
    assert broken.unserved
    assert [one.index for one in broken.elements] == [0, 1]


async def test_a_worker_that_says_nothing_is_given_up(executor: WholeRunExecutor, worker: Any) -> None:
    call = await given(executor, worker, 0)
    call.frames.put_nowait(TimeoutError())
    broken = (await executor.wait()).broken
    assert broken is not None
    assert broken.text == "the worker sent nothing within its time limit"
    assert broken.breach


WRONG: list[Any] = [
    {"index": 9, "outputs": {"result": 0}},
    {"index": 1, "seconds": float("nan"), "outputs": {"result": 0}},
    {"index": 1, "seconds": -1, "outputs": {"result": 0}},
    {"index": 1, "outputs": {"result": 5}},
    {"index": 0, "outputs": {"result": 0}},
    "no object",
]


@pytest.mark.parametrize("entry", WRONG, ids=str)
async def test_what_ended_before_a_wrong_entry_counts_and_the_rest_is_broken(
    entry: Any, executor: WholeRunExecutor, worker: Any
) -> None:
    call = await given(executor, worker, 0, 1, 2)
    call.ended(done(0), entry, done(2), blobs=[b""])
    batch = await executor.wait()
    assert [end.element.index for end in batch.ended] == [0]
    assert batch.broken is not None
    assert batch.broken.breach
    assert [one.index for one in batch.broken.elements] == [1, 2]
    assert call.cancelled
    assert not executor.busy


async def test_an_interrupted_call_reports_the_element_that_was_executed(
    executor: WholeRunExecutor, worker: Any
) -> None:
    await given(executor, worker, 0, 1, 2)
    waiting = asyncio.create_task(executor.wait())
    await asyncio.sleep(0)
    executor.interrupt()
    (end,) = (await waiting).ended
    assert end.element.index == 0
    assert end.result.ending is Disposition.INTERRUPTED
    assert not end.result.worker_busy, "the worker notices that its call is over"
    assert not executor.busy


async def test_what_is_abandoned_is_not_waited_for(executor: WholeRunExecutor, worker: Any) -> None:
    call = await given(executor, worker, 0, 1)
    executor.abandon()
    assert call.cancelled
    assert not executor.busy
    assert executor.in_flight == []
    again = await given(executor, worker, 2)
    assert again is not call


async def test_elements_that_the_worker_has_are_stopped_and_their_ends_follow(
    executor: WholeRunExecutor, worker: Any
) -> None:
    call = await given(executor, worker, 0, 1)
    assert not await executor.stop([1, 5])
    assert call.given[-1] == ({"stop": [1]}, [])
    sent = len(call.given)
    assert not await executor.stop([5])
    assert len(call.given) == sent


async def test_a_failure_may_bring_a_detail(executor: WholeRunExecutor, worker: Any) -> None:
    call = await given(executor, worker, 0, 1, 2, 3)
    call.ended(
        {"index": 0, "error": "no", "detail": 0},
        {"index": 1, "failed": "died", "detail": 1},
        {"index": 2, "error": "long", "detail": 2},
        blobs=[b"why", b"how", bytes(MAX_DETAIL_BYTES + 1)],
    )
    batch = await executor.wait()
    assert [end.result.detail for end in batch.ended] == [b"why", b"how", b""]
    assert [end.result.text for end in batch.ended] == ["no", "died", "long"]


@pytest.mark.parametrize("number", [1, -1, "0", True])
async def test_a_detail_that_is_no_blob_breaks_the_call(
    number: Any, executor: WholeRunExecutor, worker: Any
) -> None:
    call = await given(executor, worker, 0, 1)
    call.ended({"index": 0, "error": "no", "detail": number}, blobs=[b"why"])
    batch = await executor.wait()
    assert batch.broken is not None
    assert "detail" in batch.broken.text


async def test_an_element_is_given_its_needs_names_and_attempt(worker: Any) -> None:
    folder: Any = SimpleNamespace(path="/folder")
    message = RunMessage(
        namespace="ns", session="s", session_name="night", task="t", task_name="job", partition="p",
        start=0, end=1, n=1, dependencies=("zz", "aa"),
        elements={0: ElementSpec(dependencies=("mm", "zz"))},
    )  # fmt: skip
    made = Elements(message).of(0)
    executor = WholeRunExecutor(worker, RUN, folder, message, lambda index: index + 3)
    await executor.give([made], {})
    ((head, _),) = worker.calls[0].given
    (entry,) = head["elements"]
    assert list(entry["needs"]) == ["zz", "aa", "mm", "zz"]
    assert list(entry["dependencies"]) == ["zz", "aa", "mm"]
    assert entry["attempt"] == 3
    assert (head["sessionName"], head["task"], head["partition"]) == ("night", "job", "p")
    assert head["executions"] == 4


async def test_what_an_element_printed_comes_with_its_end(worker: Any) -> None:
    folder: Any = SimpleNamespace(path="/folder")
    executor = WholeRunExecutor(worker, RUN, folder, printed=1024)
    call = await given(executor, worker, 0, 1, 2, 3)
    assert call.given[0][0]["printed"] == 1024
    call.ended(
        {**done(0), "printed": 1},
        {"index": 1, "failed": "died", "printed": 2},
        {"index": 2, "timeout": True, "printed": 3},
        done(3),
        blobs=[b"bytes", b"said", b"last words", bytes(1025)],
    )
    ends = (await executor.wait()).ended
    assert [end.printed for end in ends] == [b"said", b"last words", b"", b""]


async def test_nothing_of_it_is_kept_where_it_is_switched_off(
    executor: WholeRunExecutor, worker: Any
) -> None:
    call = await given(executor, worker, 0)
    assert "printed" not in call.given[0][0]
    call.ended({**done(0), "printed": 1}, blobs=[b"bytes", b"said"])
    (end,) = (await executor.wait()).ended
    assert end.printed == b""
