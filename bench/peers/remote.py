"""A peer as the run sees it: a process in the peers' environment that measures itself on command.

While another system is measured it is stopped (SIGSTOP), with all processes below, so that its background
work is not measured. Its process leads a group of its own, so when the run is killed the kernel wakes what is
stopped and ends it (POSIX: orphaned process groups).
"""

import asyncio
import contextlib
import json
import os
import pickle
import signal
from pathlib import Path
from typing import Any, Final

from bench.cpu import family, tree
from bench.peers import Peer
from bench.peers.environment import install, python
from bench.report import OUT
from bench.run import EVERYTHING, SystemFailed
from bench.workloads import Workload

ROOT: Final = Path(__file__).parents[2]
START_SECONDS: Final = 180.0
PATIENCE_SECONDS: Final = 900.0
"""For one repetition of one workload."""
STOP_SECONDS: Final = 60.0
WAKE_SECONDS: Final = 1.0
"""To catch up with what is due."""
REST_SECONDS: Final = 60.0
"""At a stretch; Dask gives up workers that were silent for 300."""
BREATH_SECONDS: Final = 2.0
"""In between, for their heartbeats."""


class Remote:
    """One peer."""

    def __init__(self, peer: Peer, workers: int) -> None:
        self.name = peer.name
        self._peer = peer
        self._workers = workers
        self._process: asyncio.subprocess.Process | None = None
        self._resting: asyncio.Task[None] | None = None
        self._log = OUT / f"{peer.module.rpartition('_')[2]}.log"
        self.versions: dict[str, str] = {}

    @property
    def pid(self) -> int:
        """Of its process; 0 when there is none."""
        return self._process.pid if self._process and self._process.returncode is None else 0

    def takes(self, workload: Workload) -> bool:
        """All that a system can do."""
        return workload.of_systems

    async def start(self) -> None:
        """Install it, start its process, and have that bring it up."""
        interpreter = await asyncio.to_thread(python)
        await asyncio.to_thread(install, self._peer, interpreter)
        OUT.mkdir(parents=True, exist_ok=True)
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(str(interpreter), "-m", "bench.peers.driver", self._peer.module, str(self._workers)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                cwd=ROOT,
                process_group=0,
                env=os.environ
                | {"PYTHONPATH": str(ROOT), "PATH": f"{interpreter.parent}:{os.environ['PATH']}"},
            )
        self.versions = await self._ask(START_SECONDS, do="start")

    async def rest(self) -> None:
        """Stop its processes where they are; they run for a moment at intervals."""
        if self.pid and self._resting is None:
            self._signal(signal.SIGSTOP)
            self._resting = asyncio.create_task(self._breathe())

    async def wake(self) -> None:
        """Let them continue."""
        if self._resting is not None:
            self._resting.cancel()
            await asyncio.wait({self._resting})
            self._resting = None
            self._signal(signal.SIGCONT)
            await asyncio.sleep(WAKE_SECONDS)

    async def stop(self) -> None:
        """Ask it to take itself down; one that does not is killed."""
        if self.pid:
            await self.wake()
            try:
                await self._ask(STOP_SECONDS, do="stop")
            finally:
                await self._kill()

    async def warm(self, workload: Workload) -> None:
        """There."""
        await self._ask(PATIENCE_SECONDS, do="warm", workload=pickle.dumps(workload).hex())

    async def measure(self, workload: Workload) -> dict[str, float]:
        """There."""
        found: dict[str, float] = await self._ask(
            PATIENCE_SECONDS, do="measure", workload=pickle.dumps(workload).hex()
        )
        return found

    def cpu(self) -> dict[str, float]:
        """Its client, scheduler, brokers and workers: they are all children of its process."""
        return {EVERYTHING: tree(self.pid)} if self.pid else {}

    def memory(self) -> dict[str, float]:
        """Not measured: its processes share what they map."""
        return {}

    async def _ask(self, seconds: float, **request: str) -> Any:
        process = self._process
        assert process
        assert process.stdin
        assert process.stdout
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            async with asyncio.timeout(seconds):
                answer = await process.stdout.readline()
        except (TimeoutError, ConnectionError) as error:
            await self._kill()
            raise SystemFailed(f"{request['do']}: no answer in {seconds:.0f} s, see {self._log}") from error
        if not answer:
            await self._kill()
            raise SystemFailed(f"{request['do']}: it ended: {_last_line(self._log)} (all of it: {self._log})")
        return json.loads(answer)

    async def _breathe(self) -> None:
        while True:
            await asyncio.sleep(REST_SECONDS)
            self._signal(signal.SIGCONT)
            await asyncio.sleep(BREATH_SECONDS)
            self._signal(signal.SIGSTOP)

    def _signal(self, number: signal.Signals) -> None:
        for pid in family(self.pid) if self.pid else ():
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.kill(pid, number)

    async def _kill(self) -> None:
        """End the process; its children end when they lose it."""
        if self._process and self._process.returncode is None:
            await self.wake()
            self._process.terminate()
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else "without a word"
