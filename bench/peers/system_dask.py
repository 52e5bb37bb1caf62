"""Dask distributed: scheduler and workers as processes of this machine, with one thread each."""

import asyncio
import sys
import tempfile
from typing import Any, Final

import distributed

from bench.peers.element import element
from bench.peers.processes import START_SECONDS, Processes
from bench.systems.ports import free_port, listens
from bench.workloads import Work, data


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

    async def many(self, count: int, work: Work) -> None:
        """`Client.map` and `gather`."""
        await self._client.gather(self._map(count, work))

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

    def _map(self, count: int, work: Work) -> list[Any]:
        payloads = [data(work.payload)] * count
        futures: list[Any] = self._client.map(
            element, payloads, milliseconds=work.milliseconds, size=work.size, pure=False
        )
        return futures
