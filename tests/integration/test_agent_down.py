"""The ends of an agent's process and of its worker: signals, exit codes, what the probes say meanwhile."""

import asyncio
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from agent_bench import Bench, Pod, Pods, eventually
from agent_process import AgentProcess
from proxy import Proxy
from servers import NatsServer, as_role

from armonik_sdk.api.messages import PodEvent
from armonik_sdk.api.names import WORKER_DOWN, WORKER_SILENT, event_subject
from armonik_sdk.api.records import OutcomeKind, RecordKind
from armonik_sdk.dataplane.credentials import Credentials
from armonik_sdk.dataplane.nats.queue import queued

pytestmark = pytest.mark.integration


@pytest.fixture
async def way(pods: Pods, nats_server: NatsServer) -> Proxy:
    """The process's way to NATS."""
    return await pods.way(f"127.0.0.1:{nats_server.port}")


@pytest.fixture
def agent_process(folder: Path, credentials: Credentials, way: Proxy) -> Iterator[AgentProcess]:
    agent = replace(as_role(credentials, "agent"), nats_url=f"nats://{way.address}")
    process = AgentProcess(folder, agent)
    process.worker.start()
    yield process
    process.end()


def samples(text: str) -> dict[str, float]:
    """What `/metrics` says, by sample."""
    lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}


async def test_sigterm_gives_back_what_has_not_begun_and_lets_end_what_runs(
    bench: Bench, agent_process: AgentProcess
) -> None:
    agent_process.start()
    await agent_process.says("/readyz", 200)
    hello = await bench.submit("hello")
    await bench.ended(hello)
    running = await bench.submit("hold it")
    await agent_process.worker.holds("it")
    waiting = await bench.submit("hello")
    agent_process.terminate()
    await agent_process.says("/readyz", 503)
    assert (await agent_process.get("/readyz"))[1] == "the pod drains\n"
    assert (await agent_process.get("/livez"))[0] == 200
    assert await bench.taken_by_rival() == waiting
    record = (await bench.head(waiting)).record
    assert (record.kind, record.epoch, record.attempts) == (RecordKind.SUBMITTED, 0, ())
    status, body = await agent_process.get("/metrics")
    assert status == 200
    told = samples(body)
    assert told['armonik_agent_elements_total{outcome="Completed"}'] == 1
    assert told["armonik_agent_execution_seconds_count"] == 1
    assert told["armonik_agent_runs"] == 1

    async def lag_is_measured() -> bool:
        _, body = await agent_process.get("/metrics")
        return samples(body)["armonik_event_loop_lag_seconds_count"] > 0

    await eventually(lag_is_measured)
    assert told["armonik_agent_fenced_total"] == told["armonik_agent_failed_executions_total"] == 0
    agent_process.worker.let("it", "in time")
    done = await bench.ended(running)
    assert (done.epoch, await bench.output(done)) == (1, b"in time")
    assert await agent_process.code() == 0, agent_process.log.read_text()[-4000:]
    assert await queued(bench.client) == set()


async def test_what_runs_longer_than_the_grace_is_released_uncharged(
    bench: Bench, agent_process: AgentProcess
) -> None:
    agent_process.start(ARMONIK_DRAIN_SECONDS="0.5")
    run = await bench.submit("hold it")
    await agent_process.worker.holds("it")
    agent_process.terminate()
    assert await agent_process.code() == 0, agent_process.log.read_text()[-4000:]
    record = (await bench.head(run)).record
    assert (record.kind, record.owner, record.attempts) == (RecordKind.RELEASED, None, ())
    assert await bench.taken_by_rival() == run


async def test_without_nats_a_process_is_alive_but_not_ready_and_ends_on_a_signal(
    agent_process: AgentProcess, way: Proxy
) -> None:
    await way.cut()
    agent_process.start()
    await agent_process.says("/livez", 200)
    assert await agent_process.get("/readyz") == (503, "nats is down: not connected yet\n")
    agent_process.terminate()
    assert await agent_process.code() == 0, agent_process.log.read_text()[-4000:]


@pytest.mark.parametrize("changed", [{"nats-url": "nats://elsewhere:4222"}, {"nats-api": "$JS.clients.API"}])
async def test_a_process_whose_credentials_are_of_another_kind_ends_for_its_successor(
    agent_process: AgentProcess, way: Proxy, changed: dict[str, str]
) -> None:
    agent_process.start()
    await agent_process.says("/readyz", 200)
    await way.cut()
    agent_process.mount(changed)
    assert await agent_process.code() == 0, agent_process.log.read_text()[-4000:]
    assert "the credentials are of another server or another kind" in agent_process.log.read_text()


@pytest.mark.parametrize("away", ["silent", "cut"])
async def test_a_process_without_nats_is_not_ready_until_it_is_back(
    bench: Bench, agent_process: AgentProcess, way: Proxy, away: str
) -> None:
    agent_process.start()
    await agent_process.says("/readyz", 200)
    if away == "cut":
        await way.cut()
    else:
        way.mute()
    await agent_process.says("/readyz", 503)
    assert (await agent_process.get("/readyz"))[1] == "nats is down: the connection is lost\n"
    assert (await agent_process.get("/livez"))[0] == 200
    await way.cut()
    await way.mend()
    await agent_process.says("/readyz", 200)
    await bench.ended(await bench.submit("hello"))


async def test_an_idle_process_that_has_lost_nats_is_not_ready_and_ends_on_a_signal(
    agent_process: AgentProcess, way: Proxy
) -> None:
    agent_process.start()
    await agent_process.says("/readyz", 200)
    await way.cut()
    await agent_process.says("/readyz", 503)
    assert (await agent_process.get("/livez"))[0] == 200
    agent_process.terminate()
    assert await agent_process.code() == 0, agent_process.log.read_text()[-4000:]


async def test_a_process_with_an_unusable_environment_names_what_is_wrong(
    agent_process: AgentProcess,
) -> None:
    agent_process.start(ARMONIK_PARTITION="", ARMONIK_SLOTS="65")
    assert await agent_process.code() == 1
    said = agent_process.log.read_text()
    assert "ARMONIK_PARTITION" in said
    assert "ARMONIK_SLOTS" in said


@pytest.mark.parametrize(
    ("does", "why"),
    [
        ("time.sleep(1000)", "UNAVAILABLE: nobody answers on armonik_worker.sock"),
        (
            "s = socket.socket(socket.AF_UNIX); s.bind(os.environ['ComputePlane__WorkerChannel__Address'])\n"
            "s.listen()\nwhile True: s.accept()[0].close()",
            "UNAVAILABLE: connection lost",
        ),
    ],
)
async def test_the_operator_is_notified_why_a_worker_does_not_answer(
    bench: Bench, pods: Pods, does: str, why: str
) -> None:
    told = await bench.client.subscribe(event_subject("ns", WORKER_SILENT))
    pod = pods.start(script=[sys.executable, "-c", f"import os, socket, time\n{does}"])
    async with asyncio.timeout(60):
        while why not in (event := PodEvent.model_validate_json((await told.next_msg(30)).data)).reason:
            pass
    assert event.pod == pod.uid
    assert event.reason.startswith("HealthCheck of the worker: ")


async def test_a_worker_that_dies_costs_one_attempt_and_the_operator_is_notified_if_it_stays_away(
    bench: Bench, pod: Pod
) -> None:
    told = await bench.client.subscribe(event_subject("ns", WORKER_DOWN))
    run = await bench.submit("hold it")
    await pod.worker.holds("it")
    pod.worker.end(kill=True)
    released = (await bench.reached(run, RecordKind.RELEASED)).record
    assert [(a.index, a.executions) for a in released.attempts] == [(0, 1)]
    assert pod.uid.encode() in (await told.next_msg(30)).data
    pod.worker.let("it", "the second time")
    pod.worker.start()
    done = await bench.ended(run)
    assert (done.outcomes[0].kind, done.outcomes[0].attempts) == (OutcomeKind.COMPLETED, 2)
    assert await bench.output(done) == b"the second time"
    assert pod.count("failed_executions_total") == 1
