"""Agents with unchanged workers of PyPI `armonik`, on real servers; the test plays the operator."""

import asyncio
import base64
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from proxy import Proxy
from servers import as_role

from armonik_agent import pipeline
from armonik_agent.context import Drain
from armonik_agent.http_endpoints import Metrics
from armonik_agent.main import serve
from armonik_agent.settings import Settings
from armonik_sdk.api.kinds import ObjectRef
from armonik_sdk.api.messages import RunMessage
from armonik_sdk.api.names import CONTROL, JOURNAL, QUEUE, RunId, consumer, control_key
from armonik_sdk.api.records import Control, DesiredState, Record, RecordKind
from armonik_sdk.dataplane.credentials import Credentials
from armonik_sdk.dataplane.head import Head
from armonik_sdk.dataplane.nats.buckets import Bucket
from armonik_sdk.dataplane.nats.journal import Journal
from armonik_sdk.dataplane.nats.queue import Puller, publish_run
from armonik_sdk.dataplane.nats.streams import ensure_consumer
from armonik_sdk.dataplane.s3.store import S3Store

DEADLINE = 90.0
"""Of everything that is awaited; a machine that does other things too needs it."""
PULL_SECONDS = 0.3
"""How long a pull is open, which the end of an agent waits for: each test has one at least."""


async def eventually(true: Callable[[], Awaitable[bool]]) -> None:
    """Look again and again until it is so."""
    async with asyncio.timeout(DEADLINE):
        while not await true():  # noqa: ASYNC110 - files and servers set no event
            await asyncio.sleep(0.05)


class WorkerProcess:
    """`agent_worker.py`, or another script or command, beside an agent."""

    def __init__(self, folder: Path, script: str | Sequence[str] = "agent_worker.py") -> None:
        self._folder, self._script = folder, script
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        env = os.environ | {
            "ComputePlane__WorkerChannel__Address": str(self._folder / "armonik_worker.sock"),
            "ComputePlane__AgentChannel__Address": str(self._folder / "armonik_agent.sock"),
            "HOLD": str(self._folder),
        }
        with (self._folder / "worker.log").open("ab") as log:
            words = self._script
            if isinstance(words, str):
                words = [sys.executable, str(Path(__file__).parent / words)]
            self._process = subprocess.Popen(words, env=env, stdout=log, stderr=log)

    def restart(self) -> None:
        """Kill it, unless it has ended, and start another, as a kubelet would."""
        self.end(kill=True)
        self.start()

    def has_ended(self) -> bool:
        """Whether it has ended by itself."""
        return self._process is not None and self._process.poll() is not None

    @property
    def log(self) -> str:
        """What it has printed."""
        return (self._folder / "worker.log").read_text()

    def end(self, *, kill: bool = False) -> None:
        """End it as Kubernetes would, or as a crash would."""
        if self._process is not None:
            self._process.kill() if kill else self._process.terminate()
            self._process.wait(timeout=20)
            self._process = None

    async def holds(self, name: str) -> None:
        """Wait until it executes `hold <name>`."""

        async def begun() -> bool:
            return (self._folder / f"{name}.begun").exists()

        await eventually(begun)

    def let(self, name: str, output: str = "") -> None:
        """Let `hold <name>` end with this output, now or when it comes to it."""
        (self._folder / f"{name}.part").write_text(output)
        (self._folder / f"{name}.part").rename(self._folder / f"{name}.go")


class Pod:
    """A worker and an agent in this process, which share a folder."""

    def __init__(
        self, credentials: Credentials, folder: Path, slots: int, script: str | Sequence[str]
    ) -> None:
        self.uid = str(uuid.uuid4())
        self.folder, self.worker = folder, WorkerProcess(folder, script)
        self.drain, self.metrics = Drain(), Metrics()
        settings = Settings(
            pod_uid=self.uid,
            pod_name=f"pod-{self.uid[:4]}",
            namespace="ns",
            partition="p",
            slots=slots,
            cache=folder,
            http_port=0,
            drain_seconds=0.2,
        )
        self.worker.start()
        agent = as_role(credentials, "agent")
        self.agent = asyncio.create_task(serve(settings, agent, self.drain, self.metrics))

    def count(self, metric: str, **labels: str) -> float:
        """A sample of the agent's metrics; 0 while there is none."""
        return self.metrics.registry.get_sample_value(f"armonik_agent_{metric}", labels) or 0.0

    async def end(self) -> None:
        """As SIGTERM would, with next to no grace."""
        self.drain.end(0.2)
        try:
            async with asyncio.timeout(30):
                await self.agent
        finally:
            self.worker.end()


class Pods:
    """Makes pods, and ways to the servers that can be cut; ends them with the test."""

    def __init__(self, credentials: Credentials, stack: ExitStack) -> None:
        self._credentials, self._stack = credentials, stack
        self._pods: list[Pod] = []
        self._proxies: list[Proxy] = []

    async def way(self, target: str) -> Proxy:
        """A proxy to host:port."""
        proxy = Proxy(target)
        await proxy.mend()
        self._proxies.append(proxy)
        return proxy

    def start(
        self,
        *,
        nats: Proxy | None = None,
        store: Proxy | None = None,
        slots: int = 1,
        script: str | Sequence[str] = "agent_worker.py",
    ) -> Pod:
        """A pod of the Partition `p`, on its own ways to the servers."""
        credentials = self._credentials
        if nats is not None:
            credentials = replace(credentials, nats_url=f"nats://{nats.address}")
        if store is not None:
            credentials = replace(credentials, s3_endpoint=store.address)
        self._pods.append(Pod(credentials, self._stack.enter_context(short_folder()), slots, script))
        return self._pods[-1]

    async def end(self) -> None:
        for proxy in self._proxies:  # what a failed test has left cut keeps agents waiting
            await proxy.cut()
            await proxy.mend()
        await asyncio.gather(*(pod.end() for pod in self._pods))
        for proxy in self._proxies:
            await proxy.cut()


class short_folder:  # noqa: N801 - used as a function
    """A folder with a short path: unix sockets allow 107 bytes."""

    def __enter__(self) -> Path:
        self._path = Path(tempfile.mkdtemp(prefix="ak"))
        return self._path

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._path)


@dataclass
class Bench:
    """The operator's part: submit runs, change desired states, read heads; and a rival's pulls."""

    client: Client
    journal: Journal
    store: S3Store
    control: Bucket[Control]
    rival: Puller
    session: str = field(default_factory=lambda: str(uuid.uuid4()))
    """That of the next run."""

    async def put(self, content: bytes) -> ObjectRef:
        """An object that the next run may read."""
        return await self.store.put(f"ns/{self.session}/client/{uuid.uuid4()}", content)

    async def submit(
        self, payload: str, end: int = 1, head: dict[str, Any] | None = None, band: int = 0, **fields: Any
    ) -> RunId:
        """Journal and queue a run of a session and a task of its own."""
        run = RunId("ns", self.session, str(uuid.uuid4()), 0)
        self.session = str(uuid.uuid4())
        await self.want(run, fields.pop("state", DesiredState.RUNNING))
        ref = await self.store.put(f"ns/{run.session}/{run.task}/payloads", payload.encode())
        message = RunMessage(
            namespace="ns",
            session=run.session,
            task=run.task,
            task_name="job",
            partition="p",
            start=0,
            end=end,
            n=1,
            single=end == 1,
            payload=ref,
            **fields,
        )
        record = Record(record_id=uuid.uuid4().hex, kind=RecordKind.SUBMITTED, start=0, end=end, n=1)
        sequence = await self.journal.submit(run, record)
        if head:
            taken = record.model_copy(update={"record_id": uuid.uuid4().hex, **head})
            await self.journal.append(run, taken, sequence)
        await publish_run(self.client, run, "p", message, band)
        return run

    async def want(self, run: RunId, state: DesiredState) -> None:
        """The desired state of the run's session."""
        await self.control.put(control_key("ns", run.session), Control(state=state))

    async def head(self, run: RunId) -> Head:
        """The run's last record."""
        head = await self.journal.head(run)
        assert head is not None
        return head

    async def ended(self, run: RunId) -> Record:
        """The run's last record, once it ends the run."""

        async def true() -> bool:
            return (await self.head(run)).record.kind.terminal

        await eventually(true)
        return (await self.head(run)).record

    async def reached(self, run: RunId, kind: RecordKind) -> Head:
        """The run's head, once it is of this kind."""
        found: list[Head] = []

        async def true() -> bool:
            found[:] = [await self.head(run)]
            kind_now = found[0].record.kind
            assert kind_now is kind or not kind_now.terminal, found[0].record
            return kind_now is kind

        await eventually(true)
        return found[0]

    async def output(self, record: Record) -> bytes:
        """What the only element has written."""
        piece = record.outcomes[0].outputs["result"]
        if piece.inline is not None:
            return base64.b64decode(piece.inline)
        return await self.store.get(record.ref(piece))

    async def records(self, run: RunId) -> int:
        """How many records the run has."""
        info = await self.client.jetstream().stream_info(JOURNAL, subjects_filter=run.journal)
        return int((info.state.subjects or {}).get(run.journal, 0))

    async def delivered(self, count: int) -> None:
        """Wait until as many messages are with agents and not answered."""

        async def true() -> bool:
            info = await self.client.jetstream().consumer_info(QUEUE, consumer("ns", "p"))
            return bool(info.num_ack_pending == count)

        await eventually(true)

    async def taken_by_rival(self) -> RunId:
        """The next run in the queue, pulled as another agent would."""
        async with asyncio.timeout(DEADLINE):
            while (message := await self.rival.next(1.0)) is None:
                pass
        await message.ack_sync()
        return RunId.from_queue(message.subject)[0]


@pytest.fixture
async def bench(credentials: Credentials, nats_client: Client) -> Bench:
    """Servers with the streams, the bucket and the Partition `p`; no agent."""
    await ensure_consumer(nats_client, "ns", "p")
    store = S3Store(credentials)
    await store.ensure_bucket()
    control = Bucket(nats_client, CONTROL, Control)
    return Bench(nats_client, Journal(nats_client), store, control, Puller(nats_client, "ns", "p"))


@pytest.fixture
async def pods(
    credentials: Credentials, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Pods]:
    """Pods as the test wants them."""
    monkeypatch.setattr(pipeline, "PULL_SECONDS", PULL_SECONDS)
    with ExitStack() as stack:
        made = Pods(credentials, stack)
        yield made
        await made.end()


@pytest.fixture
async def pod(pods: Pods) -> Pod:
    """A pod with one slot."""
    return pods.start()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for an agent and its worker."""
    with short_folder() as path:
        yield path
