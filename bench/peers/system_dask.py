"""Dask distributed: scheduler and workers as processes of this machine, with one thread each."""

import asyncio
import sys
import tempfile
from typing import Any, Final

import distributed

from bench.peers.element import element, joint, leaf
from bench.peers.processes import START_SECONDS, Processes
from bench.systems.ports import free_port, listens
from bench.workloads import MIB, Work, data, inputs

SCATTERED: Final = 4 * MIB
"""Bytes of an input above which it is scattered first."""


class Peer:
    """As its documentation does by hand: `dask scheduler`, `dask worker`; quicker than a LocalCluster."""

    name: Final = "Dask distributed"
    slow: Final = False

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._folder = tempfile.TemporaryDirectory(prefix="dask-", ignore_cleanup_errors=True)
        self._processes = Processes()
        self._client: Any = None
        self._filled: list[Any] = []
        self._large_ones: list[Any] = []

    async def start(self) -> None:
        """All on loopback."""
        port = free_port()
        address = f"tcp://127.0.0.1:{port}"
        local = ("--host", "127.0.0.1", "--no-dashboard")
        dask = (sys.executable, "-m", "dask")
        self._processes.spawn(*dask, "scheduler", *local, "--port", str(port))
        self._processes.until(lambda: listens(port), "the scheduler")
        workers = ("--nworkers", str(self.workers), "--nthreads", "1")
        self._processes.spawn(
            *dask, "worker", address, *local, *workers, "--local-directory", self._folder.name
        )
        self._client = await distributed.Client(address, asynchronous=True)
        await self._client.wait_for_workers(self.workers, timeout=START_SECONDS)

    async def stop(self) -> None:
        """Client, workers, scheduler."""
        if self._client is not None:
            await self._client.close()
        self._processes.stop()
        self._folder.cleanup()

    async def one(self, work: Work) -> None:
        """A future; `pure=False`, or equal calls would be one."""
        await self._client.submit(element, data(work.payload), work.milliseconds, work.size, pure=False)

    async def urgent(self, work: Work) -> None:
        """The same with a higher `priority`; workers take the highest they were given."""
        payload = data(work.payload)
        await self._client.submit(element, payload, work.milliseconds, work.size, pure=False, priority=10)

    async def many(self, count: int, work: Work) -> None:
        """`Client.map` and `gather`."""
        if work.payload > SCATTERED:
            await self._large(count, work)
        else:
            await self._client.gather(self._map(count, work))

    async def tree(self, levels: int, width: int) -> int:
        """The graph, task by task, with futures as arguments: the scheduler wants to know it beforehand."""
        last = self._client.submit(joint, 0, (), pure=False)
        for _ in range(levels):
            leaves = self._client.map(leaf, [last] * (width - 1), pure=False)
            last = self._client.submit(joint, last, leaves, pure=False)
        return int(await last)

    async def loop(self, count: int, work: Work) -> None:
        """`Client.submit` in a loop, then `gather`."""
        payload = data(work.payload)
        given = (payload, work.milliseconds, work.size)
        await self._client.gather([self._client.submit(element, *given, pure=False) for _ in range(count)])

    async def graph(self, chains: int, length: int) -> int:
        """Futures as arguments."""
        ends = []
        for _ in range(chains):
            last = self._client.submit(leaf, pure=False)
            for _ in range(length - 1):
                last = self._client.submit(leaf, last, pure=False)
            ends.append(last)
        return sum(await self._client.gather(ends))

    async def fill(self, count: int, work: Work) -> None:
        """Futures whose results stay in the workers' memory."""
        self._filled = self._map(count, work)
        await distributed.wait(self._filled)

    async def collect(self) -> None:
        """`gather`."""
        await self._client.gather(self._filled)

    async def settle(self) -> None:
        """Let the scheduler forget what was released."""
        await asyncio.sleep(0)

    def versions(self) -> dict[str, str]:
        """Of its package."""
        return {"distributed": str(distributed.__version__)}

    async def _large(self, count: int, work: Work) -> None:
        """As its documentation has it for large data: straight to the workers, not through the scheduler."""
        for payload in inputs(count, work.payload):
            given = await self._client.scatter(payload, hash=False)
            self._large_ones.append(
                self._client.submit(element, given, work.milliseconds, work.size, pure=False)
            )
        while self._large_ones:
            await self._large_ones.pop(0)

    def _map(self, count: int, work: Work) -> list[Any]:
        payloads = list(inputs(count, work.payload))
        futures: list[Any] = self._client.map(
            element, payloads, milliseconds=work.milliseconds, size=work.size, pure=False
        )
        return futures
