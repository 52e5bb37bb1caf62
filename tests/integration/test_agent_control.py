"""Cancelling, pausing and deleting reach a run wherever it is: queued, fetched ahead, or being executed."""

import pytest
from agent_bench import Bench, Pod, eventually

from armonik_sdk.api.names import WORKER_DOWN, event_subject
from armonik_sdk.api.records import DesiredState, OutcomeKind, RecordKind
from armonik_sdk.dataplane.nats.queue import queued

pytestmark = pytest.mark.integration

ENDS_AS = [
    (DesiredState.CANCELLED, RecordKind.CANCELLED),
    (DesiredState.DELETED, RecordKind.CANCELLED),
    (DesiredState.PAUSED, RecordKind.PAUSED),
]


async def is_unqueued(bench: Bench) -> bool:
    return not await queued(bench.client)


@pytest.mark.usefixtures("pod")
async def test_a_queued_run_of_a_paused_session_is_not_begun(bench: Bench) -> None:
    for state, kind in ENDS_AS:
        run = await bench.submit("hello", state=state)
        record = (await bench.reached(run, kind)).record
        assert (record.epoch, record.owner) == (0, None), state

    async def unqueued() -> bool:
        return await is_unqueued(bench)

    await eventually(unqueued)


@pytest.mark.parametrize(("state", "kind"), ENDS_AS)
async def test_a_run_that_was_fetched_ahead_is_not_begun_after_its_session_was_paused(
    bench: Bench, pod: Pod, state: DesiredState, kind: RecordKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pipeline.START_SECONDS", "queue.slots.AHEAD_SECONDS"):
        monkeypatch.setattr(f"armonik_agent.{name}", 600.0)
    first = await bench.submit("hold first")
    await pod.worker.holds("first")
    second = await bench.submit("hello")
    await bench.delivered(2)
    await bench.want(second, state)
    pod.worker.let("first")
    record = (await bench.reached(second, kind)).record
    assert (record.epoch, record.owner) == (0, None)
    assert (await bench.ended(first)).outcomes[0].kind is OutcomeKind.COMPLETED


@pytest.mark.parametrize("state", [DesiredState.CANCELLED, DesiredState.DELETED])
async def test_a_run_that_is_executed_ends_at_once_and_another_worker_is_asked_for(
    bench: Bench, pod: Pod, state: DesiredState
) -> None:
    told = await bench.client.subscribe(event_subject("ns", WORKER_DOWN))
    run = await bench.submit("hold it")
    await pod.worker.holds("it")
    await bench.want(run, state)
    record = (await bench.reached(run, RecordKind.CANCELLED)).record
    assert (record.epoch, record.outcomes[0].kind) == (1, OutcomeKind.CANCELLED)
    assert pod.uid.encode() in (await told.next_msg(30)).data
    pod.worker.let("it", "too late")
    await bench.ended(await bench.submit("hello"))
    assert (await bench.head(run)).record == record


async def test_a_run_that_was_fetched_ahead_for_a_worker_that_is_to_be_replaced_is_given_back(
    bench: Bench, pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pipeline.START_SECONDS", "queue.slots.AHEAD_SECONDS"):
        monkeypatch.setattr(f"armonik_agent.{name}", 600.0)
    first = await bench.submit("hold it")
    await pod.worker.holds("it")
    others = [await bench.submit("hello") for _ in range(3)]
    await bench.delivered(2)
    await bench.want(first, DesiredState.CANCELLED)
    await bench.reached(first, RecordKind.CANCELLED)
    pod.worker.let("it", "too late")
    # Nobody replaces it here, so it is used again after a while: each is begun then, once.
    assert [(await bench.ended(run)).epoch for run in others] == [1, 1, 1]


async def test_a_run_that_is_executed_continues_while_its_session_is_paused(bench: Bench, pod: Pod) -> None:
    run = await bench.submit("hold it")
    await pod.worker.holds("it")
    await bench.want(run, DesiredState.PAUSED)
    # The same pause, met in the queue: by then the agent knows it.
    other = await bench.submit("hello", state=DesiredState.PAUSED)
    pod.worker.let("it", "to its end")
    assert await bench.output(await bench.ended(run)) == b"to its end"
    await bench.reached(other, RecordKind.PAUSED)
