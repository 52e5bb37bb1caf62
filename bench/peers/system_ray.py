"""Ray: one node on this machine, with a CPU for each worker."""

import asyncio
import os
import tempfile
from typing import Any, Final

import ray

from bench.peers.element import element, joint, leaf
from bench.workloads import Work, data, inputs


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
            object_store_memory=2 * 1024**3,
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

    async def urgent(self, work: Work) -> None:
        """The same: Ray has no priorities."""
        await self.one(work)

    async def many(self, count: int, work: Work) -> None:
        """Many of them, then `ray.get`."""
        await asyncio.to_thread(lambda: ray.get(self._many(count, work)))

    async def tree(self, levels: int, width: int) -> int:
        """Remote functions that call remote functions, with references as arguments."""

        def run() -> int:
            found: Any = grow.remote(levels, width, 0)
            while isinstance(found, ray.ObjectRef):
                found = ray.get(found)
            return int(found)

        return await asyncio.to_thread(run)

    async def loop(self, count: int, work: Work) -> None:
        """The same as `many`: a call for each is all that Ray has."""
        await self.many(count, work)

    async def graph(self, chains: int, length: int) -> int:
        """References as arguments."""

        def run() -> int:
            ends = []
            for _ in range(chains):
                last = _leaf.remote()
                for _ in range(length - 1):
                    last = _leaf.remote(last)
                ends.append(last)
            return sum(ray.get(ends))

        return await asyncio.to_thread(run)

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
        return [
            self._function.remote(payload, work.milliseconds, work.size)
            for payload in inputs(count, work.payload)
        ]


@ray.remote  # type: ignore[untyped-decorator]  # published without types
def grow(left: int, width: int, above: int, *leaves: int) -> Any:
    """The last task of a level; the reference to the next one, which waits for the others of its level."""
    counted = joint(above, leaves)
    if not left:
        return counted
    below = [_leaf.remote() for _ in range(width - 1)]
    return grow.remote(left - 1, width, counted, *below)


_leaf: Final = ray.remote(leaf)
