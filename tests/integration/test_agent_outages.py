"""NATS and the object store go away under work: who keeps it, who loses it, and nothing is done twice."""

import asyncio

import pytest
from agent_bench import Bench, Pod, Pods, eventually
from nats.aio.client import Client
from servers import NatsServer

from armonik_agent.journal.transitions import Cause, Loss
from armonik_agent.queue.message_lease import HeldRuns, account, probe_owner
from armonik_sdk.api.names import CONTROL, RunId, pod_key
from armonik_sdk.api.records import Control, DesiredState, Lost, OutcomeKind, Owner, Record, RecordKind
from armonik_sdk.dataplane.nats.buckets import Bucket
from armonik_sdk.dataplane.nats.queue import queued

pytestmark = pytest.mark.integration

THE_RIVALS, THE_OWNERS, KEPT = ("the rival's" * 9_000, "the owner's" * 9_000, "kept" * 25_000)
"""Too large to ride in a record, so they go through the object store."""


async def said(caplog: pytest.LogCaptureFixture, text: str, times: int = 1) -> None:
    """Wait until an agent has logged it so often."""

    async def true() -> bool:
        return sum(text in record.getMessage() for record in caplog.records) >= times

    await eventually(true)


async def test_who_was_cut_off_past_its_lease_commits_nothing_and_the_rivals_data_stays(
    bench: Bench, pods: Pods, nats_server: NatsServer
) -> None:
    way = await pods.way(f"127.0.0.1:{nats_server.port}")
    owner = pods.start(nats=way)
    run = await bench.submit("hold it")
    await owner.worker.holds("it")
    await way.cut()
    # A node that does not answer any more: the operator says that its pods are gone, though this one lives.
    await bench.control.put(pod_key("ns", owner.uid), Control(state=DesiredState.GONE))
    rival = pods.start()
    rival.worker.let("it", THE_RIVALS)
    done = await bench.ended(run)
    owner.worker.let("it", THE_OWNERS)
    await way.mend()

    async def fenced() -> bool:
        return owner.count("fenced_total") == 1

    await eventually(fenced)
    after = (await bench.head(run)).record
    assert after == done
    assert (done.epoch, done.outcomes[0].attempts) == (2, 2)
    assert await bench.output(after) == THE_RIVALS.encode()
    # It is as good as new for other work.
    await rival.end()
    await bench.ended(await bench.submit("hello"))
    assert owner.count("elements_total", outcome="Completed") >= 1


async def test_a_commit_whose_answer_is_lost_counts_once(
    bench: Bench, pods: Pods, nats_server: NatsServer
) -> None:
    way = await pods.way(f"127.0.0.1:{nats_server.port}")
    pod = pods.start(nats=way)
    run = await bench.submit("hold it")
    await pod.worker.holds("it")
    way.mute()
    pod.worker.let("it", "once")
    done = await bench.ended(run)
    await way.cut()
    await way.mend()

    async def acknowledged() -> bool:
        return not await queued(bench.client)

    await eventually(acknowledged)
    assert await bench.records(run) == 3  # submitted, dispatched, done
    assert (await bench.head(run)).record == done
    assert (done.epoch, await bench.output(done)) == (1, b"once")
    assert pod.count("fenced_total") == 0


async def test_an_owner_keeps_its_run_over_an_outage_longer_than_its_lease(
    bench: Bench, pods: Pods, nats_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "armonik_agent")
    pod = pods.start()
    run = await bench.submit("hold it")
    await pod.worker.holds("it")
    rival = pods.start()
    await asyncio.to_thread(nats_server.stop)
    await said(caplog, f"{run.task}.0.1 not sent", times=4)  # a third of the lease between two
    await asyncio.to_thread(nats_server.start)
    await said(caplog, "ASK")
    pod.worker.let("it", "the owner's")
    rival.worker.let("it", "the rival's")
    done = await bench.ended(run)
    assert (done.epoch, done.attempts, done.takeovers) == (1, (), 0)
    assert await bench.output(done) == b"the owner's"
    assert rival.count("elements_total", outcome="Completed") == 0


async def test_a_silent_connection_is_lost_for_its_owner_before_its_lease_is_over(
    bench: Bench, pods: Pods, nats_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    way = await pods.way(f"127.0.0.1:{nats_server.port}")
    owner = pods.start(nats=way)
    run = await bench.submit("hold it")
    await owner.worker.holds("it")
    way.swallow()  # new connections work, so the owner is back when it has noticed
    await said(caplog, f"renewal of {run.queue('p', 1)} not answered")
    owner.worker.let("it", "the owner's")
    done = await bench.ended(run)
    assert (done.epoch, done.attempts, done.takeovers) == (1, (), 0)
    assert await bench.output(done) == b"the owner's"


async def test_what_was_fetched_ahead_runs_once_after_a_restart_of_nats(
    bench: Bench, pod: Pod, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pipeline.START_SECONDS", "queue.slots.AHEAD_SECONDS"):
        monkeypatch.setattr(f"armonik_agent.{name}", 600.0)
    first = await bench.submit("hold first")
    await pod.worker.holds("first")
    second = await bench.submit("hello")
    await bench.delivered(2)
    await asyncio.to_thread(nats_server.stop)
    await asyncio.to_thread(nats_server.start)
    pod.worker.let("first")
    done = [await bench.ended(run) for run in (first, second)]
    assert [(record.epoch, record.attempts) for record in done] == [(1, ()), (1, ())]
    assert pod.count("elements_total", outcome="Completed") == 2


async def test_finished_work_waits_for_the_object_store(
    bench: Bench, pods: Pods, s3_endpoint: str, caplog: pytest.LogCaptureFixture
) -> None:
    way = await pods.way(s3_endpoint)
    pod = pods.start(store=way)
    run = await bench.submit("hold it")
    await pod.worker.holds("it")
    await way.cut()
    pod.worker.let("it", KEPT)
    await said(caplog, "finished work waits for the object store")
    assert (await bench.head(run)).record.kind is RecordKind.DISPATCHED
    await way.mend()
    done = await bench.ended(run)
    assert (done.epoch, done.attempts, done.outcomes[0].kind) == (1, (), OutcomeKind.COMPLETED)
    assert await bench.output(done) == KEPT.encode()


async def test_a_run_whose_inputs_cannot_be_read_is_given_back_and_charged_nothing(
    bench: Bench, pods: Pods, s3_endpoint: str
) -> None:
    way = await pods.way(s3_endpoint)
    pod = pods.start(store=way)
    await bench.ended(await bench.submit("hello"))
    await way.cut()
    run = await bench.submit("hello")

    async def given_back() -> bool:
        return pod.count("given_back_total") > 0

    await eventually(given_back)
    assert (await bench.head(run)).record.kind is RecordKind.SUBMITTED
    await way.mend()
    done = await bench.ended(run)
    assert (done.epoch, done.outcomes[0].kind, done.outcomes[0].attempts) == (1, OutcomeKind.COMPLETED, 1)


async def test_a_run_is_released_uncharged_when_the_object_store_stays_down(
    bench: Bench, pods: Pods, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("armonik_agent.context.STORE_PATIENCE", 0.0)
    way = await pods.way(s3_endpoint)
    pod = pods.start(store=way)
    run = await bench.submit("hold it")
    await pod.worker.holds("it")
    await way.cut()
    pod.worker.let("it", KEPT)
    released = (await bench.reached(run, RecordKind.RELEASED)).record
    assert (released.owner, released.attempts, released.outcomes) == (None, (), ())
    await way.mend()
    done = await bench.ended(run)
    assert (done.epoch, done.outcomes[0].attempts) == (2, 1)
    assert await bench.output(done) == KEPT.encode()


async def test_an_owner_is_asked_before_its_run_is_taken(nats_client: Client) -> None:
    control = Bucket(nats_client, CONTROL, Control)
    run = RunId("ns", "s", "t", 0)
    me = Owner(pod="me", process="1")
    holds = HeldRuns(me)
    await holds.serve(nats_client)
    await nats_client.flush()

    async def ask(owner: Owner, epoch: int) -> Cause | None:
        loss = await probe_owner(nats_client, control, run, owner, epoch, interval=0.01)
        return loss.cause if loss is not None else None

    with holds.hold(run, 3):
        assert await ask(me, 3) is None
        assert await ask(me, 2) is Cause.UNEXPLAINED
        assert await ask(Owner(pod="me", process="0"), 3) is Cause.OWNER_GONE
    assert await ask(me, 3) is Cause.UNEXPLAINED
    assert await ask(Owner(pod="silent", process="0"), 1) is Cause.UNEXPLAINED
    await control.put(pod_key("ns", "silent"), Control(state=DesiredState.GONE, reason="the pod was evicted"))
    assert await ask(Owner(pod="silent", process="0"), 1) is Cause.OWNER_GONE
    lost = Lost(why="the pod had to end", pod="silent")
    head = Record(record_id="r", kind=RecordKind.RELEASED, start=0, end=1, n=1, lost=lost)
    assert await account(control, run, head) == Loss(Cause.EVICTED, "the pod was evicted")
    head = head.model_copy(update={"lost": lost.model_copy(update={"pod": "another"})})
    assert await account(control, run, head) == Loss(Cause.BROKEN_OFF, "the pod had to end")
