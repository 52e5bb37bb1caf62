"""A run is fetched while another one is executed: what that saves, how far it goes, and who gets it back."""

from collections.abc import Awaitable, Callable

import pytest
from agent_bench import Bench, Pod, Pods, eventually

from armonik_sdk.api.names import RunId
from armonik_sdk.api.records import OutcomeKind, RecordKind
from armonik_sdk.dataplane.nats.queue import queued

pytestmark = pytest.mark.integration


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is fetched waits for its slot as long as the test wants."""
    for name in ("pipeline.START_SECONDS", "queue.slots.AHEAD_SECONDS"):
        monkeypatch.setattr(f"armonik_agent.{name}", 600.0)


def lies_in(pod: Pod, content: bytes) -> Callable[[], Awaitable[bool]]:
    """Whether an input with this content was laid into a folder for the worker."""

    async def true() -> bool:
        return any(f.read_bytes() == content for f in (pod.folder / "data").glob("*/*") if f.is_file())

    return true


async def untouched(bench: Bench, run: RunId) -> bool:
    record = (await bench.head(run)).record
    return (record.kind, record.epoch, record.owner) == (RecordKind.SUBMITTED, 0, None)


@pytest.mark.usefixtures("patient")
async def test_the_next_run_lies_ready_while_one_is_executed_and_is_not_owned_yet(
    bench: Bench, pod: Pod
) -> None:
    first = await bench.submit("hold first")
    await pod.worker.holds("first")
    second = await bench.submit("hold second")
    await eventually(lies_in(pod, b"hold second"))
    assert await untouched(bench, second)
    assert pod.count("runs") == 1
    pod.worker.let("first", "1")
    await pod.worker.holds("second")
    assert (await bench.ended(first)).outcomes[0].kind is OutcomeKind.COMPLETED
    pod.worker.let("second", "2")
    done = await bench.ended(second)
    assert (done.epoch, done.attempts, await bench.output(done)) == (1, (), b"2")
    assert pod.count("given_back_total") == 0


@pytest.mark.usefixtures("patient")
async def test_no_more_than_one_run_is_fetched_ahead_and_the_rest_is_for_others(
    bench: Bench, pod: Pod
) -> None:
    await bench.submit("hold first")
    await pod.worker.holds("first")
    second = await bench.submit("hold second")
    await bench.delivered(2)
    for _ in range(3):
        more = await bench.submit("hold more")
        assert await bench.taken_by_rival() == more
    assert await untouched(bench, second)
    pod.worker.let("first")
    pod.worker.let("second")
    await bench.ended(second)


@pytest.mark.usefixtures("patient")
async def test_what_was_fetched_is_given_back_at_drain_while_what_runs_may_end(
    bench: Bench, pod: Pod
) -> None:
    first = await bench.submit("hold first")
    await pod.worker.holds("first")
    second = await bench.submit("hold second")
    await bench.delivered(2)
    pod.drain.begin()
    assert await bench.taken_by_rival() == second
    assert await untouched(bench, second)
    assert pod.count("given_back_total") == 1
    assert (await bench.head(first)).record.kind is RecordKind.DISPATCHED
    pod.worker.let("first", "ended")
    assert await bench.output(await bench.ended(first)) == b"ended"


async def test_what_cannot_start_soon_is_given_back_for_others(bench: Bench, pod: Pod) -> None:
    first = await bench.submit("hold first")
    second = await bench.submit("hold second")
    await pod.worker.holds("first")

    async def given_back() -> bool:
        return pod.count("given_back_total") > 0

    await eventually(given_back)
    assert await bench.taken_by_rival() == second
    assert await untouched(bench, second)
    pod.worker.let("first")
    assert (await bench.ended(first)).epoch == 1


@pytest.mark.usefixtures("patient")
async def test_as_many_runs_as_slots_are_owned_at_once(bench: Bench, pods: Pods) -> None:
    pod = pods.start(slots=2)
    names = ("a", "b", "c", "d")
    runs = [await bench.submit(f"hold {name}") for name in names]
    for run in runs[:2]:
        await bench.reached(run, RecordKind.DISPATCHED)
    await bench.delivered(3)
    assert pod.count("runs") == 2
    assert [await untouched(bench, run) for run in runs[2:]] == [True, True]
    for name in names:
        pod.worker.let(name, name)
    done = [await bench.ended(run) for run in runs]
    assert [await bench.output(record) for record in done] == [name.encode() for name in names]
    assert {record.epoch for record in done} == {1}
    await pod.end()
    assert await queued(bench.client) == set()
