"""The ends of an agent's process and of its worker: signals, exit codes, what the probes say meanwhile."""

import asyncio
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import pytest
from agent_bench import DEADLINE, Bench, Pod, Pods, WorkerProcess, eventually
from ports import free_port
from proxy import Proxy
from servers import NatsServer

from armonik_sdk.api.names import WORKER_DOWN, event_subject
from armonik_sdk.api.records import OutcomeKind, RecordKind
from armonik_sdk.dataplane.connect import Credentials
from armonik_sdk.dataplane.queue import queued

pytestmark = pytest.mark.integration


class AgentProcess:
    """`python -m armonik_agent`, as the pod starts it, with a worker beside it."""

    def __init__(self, folder: Path, credentials: Credentials, script: str = "agent_worker.py") -> None:
        self.worker, self._port = WorkerProcess(folder, script), free_port()
        self.uid = str(uuid.uuid4())
        secret = folder / "credentials"
        secret.mkdir()
        for field in fields(credentials):
            value = getattr(credentials, field.name)
            text = str(value).lower() if isinstance(value, bool) else value
            (secret / field.name.replace("_", "-")).write_text(text)
        self._environ = {
            "POD_UID": self.uid,
            "POD_NAME": "pod-0",
            "POD_NAMESPACE": "ns",
            "ARMONIK_PARTITION": "p",
            "ARMONIK_CREDENTIALS": str(secret),
            "ARMONIK_CACHE_DIR": str(folder),
            "ARMONIK_HTTP_PORT": str(self._port),
        }
        self.log = folder / "agent.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, **environ: str) -> None:
        with self.log.open("ab") as log:
            command = [sys.executable, "-W", "always::ResourceWarning", "-m", "armonik_agent"]
            env = os.environ | self._environ | environ
            self._process = subprocess.Popen(command, env=env, stdout=log, stderr=log)

    def terminate(self) -> None:
        """SIGTERM, as the kubelet sends it."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)

    async def code(self) -> int:
        """Its exit code, once it has ended."""
        assert self._process is not None
        code = await asyncio.to_thread(self._process.wait, DEADLINE)
        assert "ResourceWarning" not in self.log.read_text()
        return code

    async def get(self, path: str) -> tuple[int, str]:
        """Status and body; status 0 while nobody listens."""

        def ask() -> tuple[int, str]:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=10) as reply:
                    return reply.status, reply.read().decode()
            except urllib.error.HTTPError as error:
                with error:
                    return error.code, error.read().decode()
            except OSError:
                return 0, ""

        return await asyncio.to_thread(ask)

    async def says(self, path: str, status: int) -> None:
        """Wait until this path answers so."""

        async def true() -> bool:
            return (await self.get(path))[0] == status

        await eventually(true)

    def end(self) -> None:
        self.worker.end()
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=20)


@pytest.fixture
async def way(pods: Pods, nats_server: NatsServer) -> Proxy:
    """The process's way to NATS."""
    return await pods.way(f"127.0.0.1:{nats_server.port}")


@pytest.fixture
def agent_process(folder: Path, credentials: Credentials, way: Proxy) -> Iterator[AgentProcess]:
    agent = replace(credentials, nats_user="agent", nats_url=f"nats://{way.address}")
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


async def test_without_nats_a_process_is_alive_but_not_ready_and_ends_when_told(
    agent_process: AgentProcess, way: Proxy
) -> None:
    await way.cut()
    agent_process.start()
    await agent_process.says("/livez", 200)
    assert (await agent_process.get("/readyz"))[0] == 503
    agent_process.terminate()
    assert await agent_process.code() == 0, agent_process.log.read_text()[-4000:]


async def test_an_idle_process_that_has_lost_nats_is_not_ready_and_ends_when_told(
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


async def test_a_worker_that_dies_costs_one_attempt_and_the_operator_is_told_if_it_stays_away(
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
