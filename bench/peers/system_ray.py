"""Ray: one node on this machine, with a CPU for each worker."""

import asyncio
import os
import tempfile
from typing import Any, Final

import ray

from bench.peers.element import element
from bench.workloads import Work, data


class Peer:
    """As its documentation starts it: `ray.init`, remote functions, `ray.get` of all references at once."""

    name: Final = "Ray"
    slow: Final = False

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._function: Any = None
        self._filled: list[Any] = []
        self._folder = tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True)

    async def start(self) -> None:
        """All on loopback; nothing is reported to anybody."""
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        ray.init(
            num_cpus=self.workers,
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=1024**3,
            _node_ip_address="127.0.0.1",
            _temp_dir=self._folder.name,
        )
        self._function = ray.remote(element)

    async def stop(self) -> None:
        """End its processes."""
        ray.shutdown()
        self._folder.cleanup()

    async def one(self, work: Work) -> None:
        """One reference."""
        await self._function.remote(data(work.payload), work.milliseconds, work.size)

    async def many(self, count: int, work: Work) -> None:
        """Many of them, then `ray.get`."""
        await asyncio.to_thread(lambda: ray.get(self._many(count, work)))

    async def fill(self, count: int, work: Work) -> None:
        """References to results; small ones are in the memory of this process already."""
        self._filled = self._many(count, work)
        await asyncio.to_thread(ray.wait, self._filled, num_returns=count)

    async def collect(self) -> None:
        """`ray.get`."""
        await asyncio.to_thread(ray.get, self._filled)

    async def settle(self) -> None:
        """References that are gone free their objects."""

    def versions(self) -> dict[str, str]:
        """Of its package."""
        return {"ray": str(ray.__version__)}

    def _many(self, count: int, work: Work) -> list[Any]:
        payload = data(work.payload)
        return [self._function.remote(payload, work.milliseconds, work.size) for _ in range(count)]
