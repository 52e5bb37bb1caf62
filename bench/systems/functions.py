"""Plain functions on ArmoniK for Kubernetes, as a user meets them: `import armonik_sdk as ak`, blocking."""

import asyncio
import os
import pickle
from typing import Any, Final

import armonik_sdk as ak
from armonik_sdk.api.kinds import PartitionSpec, PodTemplate, WorkerContainer, WorkerPodSpec
from armonik_sdk.api.kinds.pod import ResourceRequirements
from armonik_sdk.client import Client, PartitionHandle
from bench.peers.element import element, leaf
from bench.systems.armonik import NAMESPACE, REGISTRY, TIMEOUT, URGENT, WORKER_CPU
from bench.systems.called import buffer, grow
from bench.workloads import KIB, Work, data, inputs

NAME: Final = "ArmoniK functions"
PARTITION: Final = "bench-functions"
IMAGE: Final = os.environ.get("ARMONIK_BENCH_PYTHON_IMAGE", f"{REGISTRY}/armonik-worker-python:dev")
KEPT: Final = 64 * KIB
"""Bytes of an input or result above which it is in the object store, and is deleted after the repetition."""


class Functions:
    """Durable as installed by default; workers of `armonik-worker-python`, one a pod."""

    name = NAME
    slow = False
    partition = PARTITION

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._keeper: Client
        """Makes and deletes what functions run in."""
        self._partition: PartitionHandle
        self._client: ak.Client
        self._session: ak.Session
        self._apart: ak.Session | None = None
        """Of what is collected again and again; `settle` leaves it alone."""
        self._filled: ak.MapResult[Any]
        self._stored = False

    async def start(self) -> None:
        """Make the partition, wait for its pods, open a session."""
        self._keeper = await Client.connect(NAMESPACE)
        worker = WorkerContainer(image=IMAGE, resources=ResourceRequirements(requests={"cpu": WORKER_CPU}))
        template = PodTemplate(spec=WorkerPodSpec(worker=worker))
        spec = PartitionSpec(pod_reserved=self.workers, pod_max=self.workers, template=template)
        self._partition = await self._keeper.apply_partition(PARTITION, spec)
        await self._partition.wait(TIMEOUT)
        self._client = await asyncio.to_thread(ak.connect, NAMESPACE)
        self._session = await self._open()

    async def stop(self) -> None:
        """Delete sessions and partition; the data goes with the sessions."""
        await self._delete(self._session)
        await self._delete(self._apart)
        await asyncio.to_thread(self._client.close)
        await self._partition.delete()
        await self._keeper.close()

    async def one(self, work: Work) -> None:
        """`submit` and `result`."""
        await asyncio.to_thread(self._one, self._session, work)

    async def urgent(self, work: Work) -> None:
        """The same with a high priority."""
        await asyncio.to_thread(self._one, self._session.options(priority=URGENT), work)

    async def many(self, count: int, work: Work) -> None:
        """`map`, and its values in order."""
        self._stored |= max(work.payload, work.size) > KEPT
        await asyncio.to_thread(lambda: _drained(self._map(self._session, count, work)))

    async def loop(self, count: int, work: Work) -> None:
        """`submit` in a loop, then the value of each."""

        def run() -> None:
            payload = data(work.payload)
            futures = [
                self._session.submit(element, payload, work.milliseconds, work.size) for _ in range(count)
            ]
            ak.gather(*futures)

        await asyncio.to_thread(run)

    async def graph(self, chains: int, length: int) -> int:
        """Futures as arguments."""

        def run() -> int:
            ends = []
            for _ in range(chains):
                last = self._session.submit(leaf)
                for _ in range(length - 1):
                    last = self._session.submit(leaf, last)
                ends.append(last)
            return sum(ak.gather(*ends))

        return await asyncio.to_thread(run)

    async def tree(self, levels: int, width: int) -> int:
        """A function that submits functions, and returns the future of the next level."""
        root = self._session.submit(grow, levels, width, 0, ())
        return int(await asyncio.to_thread(root.result, TIMEOUT))

    async def fill(self, count: int, work: Work) -> None:
        """One map in a session of its own, until all of it has ended."""
        await self._delete(self._apart)
        self._apart = await self._open()
        self._filled = self._map(self._apart, count, work)
        await asyncio.to_thread(self._filled.wait, TIMEOUT)

    async def collect(self) -> None:
        """Its values, which lie in NATS and in the object store."""
        await asyncio.to_thread(_drained, self._filled)

    async def settle(self) -> None:
        """Delete large data, which would fill the object store: with its session."""
        if self._stored:
            self._stored = False
            await self._delete(self._session)
            self._session = await self._open()

    async def _open(self) -> ak.Session:
        return await asyncio.to_thread(
            lambda: self._client.session(partitions=[PARTITION], ttl=3_600.0, on_exit="keep")
        )

    async def _delete(self, session: ak.Session | None) -> None:
        if session is not None:
            await (await self._keeper.session(session.name)).delete()

    def _one(self, session: Any, work: Work) -> None:
        session.submit(element, data(work.payload), work.milliseconds, work.size).result(TIMEOUT)

    def _map(self, session: ak.Session, count: int, work: Work) -> ak.MapResult[Any]:
        shared = {"milliseconds": work.milliseconds, "size": work.size}
        buffers = map(pickle.PickleBuffer, inputs(count, work.payload))
        return session.map(buffer, buffers, shared=shared)


def _drained(values: ak.MapResult[Any]) -> None:
    got = sum(1 for _ in values)
    if got != len(values):
        raise AssertionError(f"{got} results of {len(values)}")
