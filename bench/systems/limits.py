"""The bare limits: what each part that we build on does alone."""

import asyncio
import contextlib
import multiprocessing
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from concurrent import futures
from dataclasses import dataclass, replace
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, Final

import grpc
import nats
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, StorageType, StreamConfig

from armonik_sdk.client.transport.kube import CONFIG_MAPS, Kube
from armonik_sdk.dataplane.credentials import Credentials
from armonik_sdk.dataplane.s3.store import S3Store
from bench.systems import servers
from bench.systems.armonik import NAMESPACE
from bench.systems.job import kubectl
from bench.workloads import System, Workload, data

IN_FLIGHT: Final = 16
SMALL: Final = data(200)
NAME: Final = "bare"


@dataclass(frozen=True)
class Limit(Workload):
    """One operation, so often."""

    unit: str = "operations/s"

    @property
    def units(self) -> Mapping[str, str]:
        """One rate."""
        return {"": self.unit}

    @property
    def of_systems(self) -> bool:
        """It is not."""
        return False

    def short(self) -> "Limit":
        """A tenth of it."""
        return replace(self, count=max(1, self.count // 10))

    async def measure(self, system: System) -> dict[str, float]:
        """Is measured by `Bare` alone."""
        raise TypeError

    async def warm(self, system: System) -> None:
        """Is warmed by `Bare` alone."""
        raise TypeError


PUBLISH = Limit("JetStream publish, 200 B", 4_000, unit="messages/s")
FETCH = Limit("JetStream fetch and acknowledge, 200 B", 4_000, unit="messages/s")
PUT = Limit("S3 put, 200 B", 400)
GET = Limit("S3 get, 200 B", 800)
CALL = Limit("gRPC round trip over a unix socket", 1_500, unit="calls/s")
CREATE = Limit("apiserver create", 300)
PATCH = Limit("apiserver patch", 300)
STEPS = Limit("bare steps of a single task", 200, unit="tasks/s")
LIMITS: Final = (PUBLISH, FETCH, PUT, GET, CALL, CREATE, PATCH, STEPS)
WRITES: Final = 6
"""Messages that one Task has on disk before the next one: inventory, queue, outcome, three records."""
CALLS: Final = 2
"""Of a worker and its agent: `Process`, `NotifyResultData`."""


class Bare:
    """Servers of its own for NATS and S3, a gRPC server in a child process, the cluster's apiserver."""

    name = NAME

    def __init__(self) -> None:
        self._stack = contextlib.AsyncExitStack()
        self._url = self._socket = ""
        self._store: S3Store
        self._kube: Kube
        self._ways: dict[str, Callable[[int], Awaitable[float]]] = {
            PUBLISH.name: self._publish,
            FETCH.name: self._fetch,
            PUT.name: self._put,
            GET.name: self._get,
            CALL.name: self._call,
            CREATE.name: self._create,
            PATCH.name: self._patch,
            STEPS.name: self._steps,
        }

    async def start(self) -> None:
        """Start the servers."""
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        self._url = await self._stack.enter_async_context(servers.nats(folder / "nats"))
        endpoint = await self._stack.enter_async_context(servers.s3(folder / "s3"))
        self._store = S3Store(_credentials(endpoint))
        await self._store.ensure_bucket()
        self._socket = f"unix:{folder}/grpc.sock"
        self._stack.enter_context(_grpc_server(self._socket))
        self._kube = await Kube.connect()
        self._stack.push_async_callback(self._kube.close)

    async def stop(self) -> None:
        """Stop them."""
        await self._stack.aclose()

    async def rest(self) -> None:
        """Its servers do nothing unasked."""

    async def wake(self) -> None:
        """They answer at once."""

    def takes(self, workload: Workload) -> bool:
        """Only limits."""
        return isinstance(workload, Limit)

    def cpu(self) -> dict[str, float]:
        """Not measured."""
        return {}

    def memory(self) -> dict[str, float]:
        """Neither."""
        return {}

    async def warm(self, workload: Workload) -> None:
        """A tenth of it."""
        await self._rate(workload, max(IN_FLIGHT, workload.count // 10))

    async def measure(self, workload: Workload) -> dict[str, float]:
        """Operations per second."""
        return {"": await self._rate(workload, workload.count)}

    async def _rate(self, workload: Workload, count: int) -> float:
        return count / await self._ways[workload.name](count)

    async def _publish(self, count: int) -> float:
        """All in flight at once, as far as the client lets them."""
        async with _stream(self._url) as (js, name):
            return await _filled(js, name, count)

    async def _fetch(self, count: int) -> float:
        """200 at a time, each acknowledged and the acknowledgement confirmed."""
        async with _stream(self._url) as (js, name):
            await _filled(js, name, count)
            config = ConsumerConfig(ack_policy=AckPolicy.EXPLICIT, max_ack_pending=-1)
            pull = await js.pull_subscribe(name, durable=name, config=config)
            start, left = time.perf_counter(), count
            while left:
                messages = await pull.fetch(min(200, left), timeout=10)
                await asyncio.gather(*(message.ack_sync() for message in messages))
                left -= len(messages)
            return time.perf_counter() - start

    async def _put(self, count: int) -> float:
        return await _at_once(count, lambda _: self._store.put(f"limit/{secrets.token_hex(8)}", SMALL))

    async def _get(self, count: int) -> float:
        ref = await self._store.put(f"limit/{secrets.token_hex(8)}", SMALL)
        return await _at_once(count, lambda _: self._store.get(ref))

    async def _call(self, count: int) -> float:
        """One after the other, as an agent calls its worker."""
        async with grpc.aio.insecure_channel(self._socket) as channel:
            call: Any = channel.unary_unary("/bench/Echo")
            start = time.perf_counter()
            for _ in range(count):
                await call(SMALL)
            return time.perf_counter() - start

    async def _create(self, count: int) -> float:
        names = [f"bench-{secrets.token_hex(8)}" for _ in range(count)]
        try:
            return await _at_once(count, lambda n: self._make(names[n]))
        finally:
            await self._forget()

    async def _patch(self, count: int) -> float:
        names = [f"bench-{secrets.token_hex(8)}" for _ in range(IN_FLIGHT)]
        for name in names:
            await self._make(name)
        try:
            return await _at_once(count, lambda n: self._change(names[n % IN_FLIGHT], n))
        finally:
            await self._forget()

    async def _steps(self, count: int) -> float:
        """What each single Task cannot do without, done by one process that does nothing else."""
        names = [f"bench-{secrets.token_hex(8)}" for _ in range(count)]
        async with _stream(self._url) as (js, stream), grpc.aio.insecure_channel(self._socket) as channel:
            call: Any = channel.unary_unary("/bench/Echo")

            async def steps(number: int) -> None:
                await self._make(names[number])
                for _ in range(WRITES):
                    await js.publish(stream, SMALL)
                for _ in range(CALLS):
                    await call(SMALL)
                await self._change(names[number], number)

            try:
                return await _at_once(count, steps)
            finally:
                await self._forget()

    async def _make(self, name: str) -> None:
        await self._kube.create(CONFIG_MAPS, NAMESPACE, _small(name))

    async def _change(self, name: str, number: int) -> None:
        await self._kube.patch(CONFIG_MAPS, NAMESPACE, name, {"data": {"number": str(number)}})

    async def _forget(self) -> None:
        await kubectl("delete", "configmaps", "--selector", "bench=limit")


async def _at_once(count: int, operation: Callable[[int], Awaitable[object]]) -> float:
    """Seconds for `count` operations, 16 in flight."""
    numbers = iter(range(count))

    async def caller() -> None:
        for number in numbers:
            await operation(number)

    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(IN_FLIGHT):
            group.create_task(caller())
    return time.perf_counter() - start


@contextlib.asynccontextmanager
async def _stream(url: str) -> AsyncIterator[tuple[JetStreamContext, str]]:
    client = await nats.connect(url)
    js = client.jetstream(publish_async_max_pending=256)
    name = f"bench-{secrets.token_hex(4)}"
    try:
        await js.add_stream(StreamConfig(name=name, subjects=[name], storage=StorageType.FILE))
        yield js, name
        await js.delete_stream(name)
    finally:
        await client.close()


async def _filled(js: JetStreamContext, name: str, count: int) -> float:
    start = time.perf_counter()
    await asyncio.gather(*[await js.publish_async(name, SMALL) for _ in range(count)])
    return time.perf_counter() - start


def _small(name: str) -> dict[str, Any]:
    """An object as small as a Task of one element."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {"bench": "limit"}},
        "data": {"payload": "x" * 200},
    }


def _credentials(endpoint: str) -> Credentials:
    return Credentials(
        nats_url="",
        nats_user="",
        nats_password="",
        s3_endpoint=endpoint,
        s3_secure=False,
        s3_region="us-east-1",
        s3_bucket="bench",
        s3_access_key=servers.KEY,
        s3_secret_key=servers.KEY,
    )


@contextlib.contextmanager
def _grpc_server(address: str) -> Iterator[None]:
    """A server in a process of its own, as workers are."""
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_serve, args=(address, ready), daemon=True)
    process.start()
    try:
        if not ready.wait(servers.START_SECONDS):
            raise AssertionError("the gRPC server does not start")
        yield
    finally:
        process.kill()
        process.join()


def _serve(address: str, ready: Event) -> None:
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=1))
    echo: Any = grpc.unary_unary_rpc_method_handler(lambda request, _: request)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench", {"Echo": echo}),))
    server.add_insecure_port(address)
    server.start()
    ready.set()
    server.wait_for_termination()
