"""The operator's process, as the chart runs it, in a bounded control group."""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from armonik_sdk.dataplane.credentials import Credentials
from bench.cpu import tree
from bench.restart.memory import Bound, held
from bench.systems.ports import free_port

STOP_SECONDS = 60.0
QUIET_SECONDS = 5.0
QUIET_SHARE = 0.1
"""Of a core, below which it has come to rest."""
WORKING = b"; working"


class OperatorEndedError(Exception):
    """The operator did not survive; the message ends with its last words."""


@dataclass
class Operator:
    """A running one."""

    process: asyncio.subprocess.Process
    log: Path
    started: float

    @property
    def age(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self.started

    def check(self) -> None:
        """Fail if it has ended."""
        code = self.process.returncode
        if code is not None:
            words = self.log.read_text(errors="replace")[-1500:]
            raise OperatorEndedError(f"the operator ended with {code} after {self.age:.0f} s: {words}")

    async def works(self) -> float:
        """Seconds after which it said that the journal is replayed and that it works."""
        while WORKING not in self.log.read_bytes():
            self.check()
            await asyncio.sleep(0.1)
        return self.age

    async def rests(self, most: float) -> float:
        """Seconds after which it had nothing to do any more; it is not waited for beyond `most`."""
        seen = tree(self.process.pid)
        while self.age < most:
            await asyncio.sleep(QUIET_SECONDS)
            self.check()
            before, seen = seen, tree(self.process.pid)
            if seen - before < QUIET_SHARE * QUIET_SECONDS:
                return self.age - QUIET_SECONDS
        return self.age

    def memory(self) -> tuple[float, float]:
        """MiB now, and at most."""
        self.check()
        return held(self.process.pid)


@contextlib.asynccontextmanager
async def operator(
    log: Path, bound: Bound, kubeconfig: Path, credentials: Credentials, namespace: str
) -> AsyncIterator[Operator]:
    """An operator from its start to the end of the block."""
    environ = {
        "KUBECONFIG": str(kubeconfig),
        "POD_NAME": f"operator-{log.stem}",
        "ARMONIK_NAMESPACE": namespace,
        "ARMONIK_NATS_URL": credentials.nats_url,
        "ARMONIK_NATS_SECRET": "own-nats",
        "ARMONIK_NATS_EXTERNAL": "true",
        "ARMONIK_S3_ENDPOINT": credentials.s3_endpoint,
        "ARMONIK_S3_SECRET": "own-s3",
        "ARMONIK_S3_EXTERNAL": "true",
        "ARMONIK_AGENT_IMAGE": "agent:1",
        "ARMONIK_MANAGE_CRDS": "false",
        "ARMONIK_HEALTH_PORT": str(free_port()),
    }
    with log.open("wb") as out:
        started = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            *bound.entering,
            *(sys.executable, "-m", "armonik_operator"),
            env=os.environ | environ,
            stdout=out,
            stderr=out,
        )
    try:
        yield Operator(process, log, started)
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
