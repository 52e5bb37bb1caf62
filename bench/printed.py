"""`python -m bench.printed`: what it costs that the output of elements is kept with their outcomes.

Real servers on loopback, and two agents, each with a worker of its own beside it: one keeps what elements
print, the other does not. They are given the same work in turns; this process plays the operator.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import os
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from nats.aio.client import Client

from armonik_sdk.api.messages import RunMessage
from armonik_sdk.api.names import CONTROL, RunId, control_key
from armonik_sdk.api.records import Control, DataRef, DesiredState, OutcomeKind, Record, RecordKind
from armonik_sdk.dataplane.credentials import Credentials
from armonik_sdk.dataplane.nats.buckets import Bucket
from armonik_sdk.dataplane.nats.connection import connect_nats
from armonik_sdk.dataplane.nats.journal import Journal
from armonik_sdk.dataplane.nats.queue import publish_run
from armonik_sdk.dataplane.nats.streams import ensure, ensure_consumer
from armonik_sdk.dataplane.s3.store import S3Store
from armonik_sdk.worker import Element
from bench.cpu import tree
from bench.report import OUT, Sample, environment, summarise, table, write
from bench.systems.ports import free_port
from bench.systems.servers import KEY, nats, running, s3

NAMESPACE: Final = "bench"
KEPT, NOT_KEPT = "output is kept", "output is not kept"
AGENTS: Final = {NOT_KEPT: ("off", "0"), KEPT: ("on", "65536")}
"""The Partition of each, and the setting of its agent."""
RUN: Final = 500
"""Elements of a run, as many as the operator puts into one."""
WORK: Final = {
    "no-op": b"",
    "no-op that prints a line": b"a line",
    "no-op that prints 10 KiB": b"x" * 10_239,
}
"""What each element prints."""
SECONDS: Final = 300.0
"""That a repetition may take."""


def function(element: Element) -> bytes:
    """What the workers serve: print the payload, return 8 bytes."""
    if text := element.payload:
        print(text.decode())
    return b"12345678"


class Grid:
    """The servers, and what the operator would do."""

    def __init__(self, client: Client, store: S3Store) -> None:
        self._client, self._journal = client, Journal(client)
        self._control = Bucket(client, CONTROL, Control)
        self.store = store

    async def rate(self, partition: str, count: int, payload: bytes) -> float:
        """Elements a second, from the first run that is queued to the end of the last one."""
        session, task = str(uuid.uuid4()), str(uuid.uuid4())
        await self._control.put(control_key(NAMESPACE, session), Control(state=DesiredState.RUNNING))
        given = DataRef.of_bytes(payload) if payload else None
        begun = time.perf_counter()
        runs = [
            await self._submit(RunId(NAMESPACE, session, task, start), partition, given)
            for start in range(0, count, RUN)
        ]
        async with asyncio.timeout(SECONDS):
            for run in runs:
                await self._ended(run)
        return len(runs) * RUN / (time.perf_counter() - begun)

    async def _submit(self, run: RunId, partition: str, payload: DataRef | None) -> RunId:
        end = run.start + RUN
        record = Record(record_id=uuid.uuid4().hex, kind=RecordKind.SUBMITTED, start=run.start, end=end, n=1)
        message = RunMessage(
            namespace=NAMESPACE,
            session=run.session,
            task=run.task,
            partition=partition,
            start=run.start,
            end=end,
            n=1,
            payload=payload,
        )
        await self._journal.submit(run, record)
        await publish_run(self._client, run, partition, message)
        return run

    async def _ended(self, run: RunId) -> None:
        while True:
            head = await self._journal.head(run)
            if head is not None and head.record.kind.terminal:
                break
            await asyncio.sleep(0.02)
        outcomes = head.record.outcomes
        if head.record.manifest is None and any(o.kind is not OutcomeKind.COMPLETED for o in outcomes):
            raise AssertionError(f"elements of {run} failed: {outcomes[0]}")


@contextlib.asynccontextmanager
async def pod(
    folder: Path, credentials: Credentials, partition: str, printed: str
) -> AsyncIterator[tuple[int, ...]]:
    """The processes of an agent and its worker, from when they are ready to the end of the block."""
    secret = folder / "credentials"
    secret.mkdir(parents=True)
    for field in dataclasses.fields(credentials):
        value = getattr(credentials, field.name)
        text = str(value).lower() if isinstance(value, bool) else value
        (secret / field.name.replace("_", "-")).write_text(text)
    port = free_port()
    environ = {
        "ComputePlane__WorkerChannel__Address": str(folder / "armonik_worker.sock"),
        "ComputePlane__AgentChannel__Address": str(folder / "armonik_agent.sock"),
        "POD_UID": str(uuid.uuid4()),
        "POD_NAME": f"pod-{partition}",
        "POD_NAMESPACE": NAMESPACE,
        "ARMONIK_PARTITION": partition,
        "ARMONIK_PRINTED_BYTES": printed,
        "ARMONIK_CREDENTIALS": str(secret),
        "ARMONIK_CACHE_DIR": str(folder),
        "ARMONIK_HTTP_PORT": str(port),
        "ARMONIK_LOG_LEVEL": "WARNING",
    }
    with_these = ["env", *(f"{name}={value}" for name, value in environ.items()), sys.executable, "-m"]
    worker = [*with_these, "armonik_sdk.worker", "bench.printed:function"]
    sources = Path(__file__).parents[1]
    worker[1:1] = [
        f"PYTHONPATH={os.pathsep.join(filter(None, [str(sources), os.environ.get('PYTHONPATH')]))}"
    ]
    async with (
        running(worker, folder / "worker.log", (folder / "armonik_worker.sock").exists) as first,
        running([*with_these, "armonik_agent"], folder / "agent.log", lambda: _ready(port)) as second,
    ):
        yield first.pid, second.pid


def _ready(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2).close()
    except OSError:
        return False
    return True


async def measure(count: int, repetitions: int) -> list[Sample]:
    """Each work through each agent, in turns; which one begins changes."""
    samples: list[Sample] = []
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ak")))
        url = await stack.enter_async_context(nats(folder / "nats"))
        endpoint = await stack.enter_async_context(s3(folder / "s3"))
        operator = Credentials(url, "operator", endpoint, False, "us-east-1", "bench", KEY, KEY)
        agent_role = dataclasses.replace(operator, nats_user="agent")
        client = await connect_nats(operator, "bench")
        stack.push_async_callback(client.close)
        await ensure(client)
        grid = Grid(client, S3Store(operator))
        await grid.store.ensure_bucket()
        pids: dict[str, tuple[int, ...]] = {}
        for agent, (partition, printed) in AGENTS.items():
            await ensure_consumer(client, NAMESPACE, partition)
            made = pod(folder / partition, agent_role, partition, printed)
            pids[agent] = await stack.enter_async_context(made)
        for repetition in range(-1, repetitions):
            for name, payload in WORK.items():
                rates: dict[str, float] = {}
                costs: dict[str, float] = {}
                for agent in list(AGENTS)[:: 1 if repetition % 2 else -1]:
                    before = sum(map(tree, pids[agent]))
                    rates[agent] = await grid.rate(AGENTS[agent][0], count, payload)
                    costs[agent] = 1000 * (sum(map(tree, pids[agent])) - before) / count
                if repetition >= 0:  # the first one warms them
                    samples += _samples(f"{name}, {count:,} elements", rates, costs)
                    print(f"{repetition + 1}/{repetitions}  {name}: {rates}, CPU {costs}", flush=True)
    return samples


def _samples(name: str, rates: dict[str, float], costs: dict[str, float]) -> list[Sample]:
    """Rates, CPU time of agent and worker, and how both compare in this repetition."""
    return [
        *(Sample(name, agent, "elements/s", rates[agent]) for agent in AGENTS),
        *(Sample(f"{name}, CPU", agent, "CPU-ms/element", costs[agent]) for agent in AGENTS),
        Sample(f"{name}, kept / not kept", KEPT, "ratio", rates[KEPT] / rates[NOT_KEPT]),
        Sample(f"{name}, CPU, not kept / kept", KEPT, "ratio", costs[NOT_KEPT] / costs[KEPT]),
    ]


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.printed", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="elements of a repetition")
    parser.add_argument("--repetitions", type=int, default=9)
    given = parser.parse_args()
    results = summarise(asyncio.run(measure(given.count, given.repetitions)))
    print(f"\n{table(results)}")
    write(results, environment({}), OUT / "printed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
