"""Ports of services inside the cluster on this machine, for clients outside: `kubectl port-forward`.

A subprocess rather than the Python client's WebSocket: it speaks every apiserver's dialect, and each TCP
connection through it is independent, which NATS and the S3 client with its pool need.
"""

import asyncio
import contextlib
import logging
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from armonik_sdk.backoff import Backoff
from armonik_sdk.client.errors import NotConnected

log = logging.getLogger(__name__)

START_SECONDS: Final = 30.0
"""Seconds that a port-forward may take to be ready."""
_FORWARDING = re.compile(rb"Forwarding from 127\.0\.0\.1:(\d+) -> ")
_SERVICE_HOST = re.compile(r"(?P<name>[a-z0-9-]+)\.(?P<namespace>[a-z0-9-]+)\.svc(?:\..+)?", re.ASCII)


@dataclass(frozen=True)
class Service:
    """A port of a service inside the cluster."""

    namespace: str
    name: str
    port: int

    @classmethod
    def from_address(cls, host: str, port: int) -> "Service | None":
        """The service behind a cluster DNS name; None for any other host, which is reached directly."""
        match = _SERVICE_HOST.fullmatch(host)
        return cls(match["namespace"], match["name"], port) if match else None


class Forward:
    """One port-forward, started again on the same local port whenever it ends."""

    def __init__(self, service: Service, kubeconfig: str | None = None, context: str | None = None) -> None:
        self._service = service
        self._options = [
            *(["--kubeconfig", kubeconfig] if kubeconfig else []),
            *(["--context", context] if context else []),
        ]
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self.port = 0
        """Port on 127.0.0.1."""

    async def start(self) -> int:
        """Start it; the local port.

        Raises:
            NotConnected: kubectl is missing, or could not forward; the message has its words.
        """
        await self._spawn()
        self._keeper = asyncio.create_task(self._keep())
        return self.port

    async def close(self) -> None:
        """End the process."""
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):  # the cancellation just asked for
                await self._keeper
        await self._stop()

    async def _spawn(self) -> None:
        service = self._service
        self._process = process = await asyncio.create_subprocess_exec(
            _kubectl(),
            *self._options,
            *("port-forward", "--address", "127.0.0.1", "--namespace", service.namespace),
            f"service/{service.name}",
            f"{self.port or ''}:{service.port}",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        assert process.stdout is not None
        output = b""
        try:
            async with asyncio.timeout(START_SECONDS):
                async for line in process.stdout:
                    output += line
                    if match := _FORWARDING.search(line):
                        self.port = int(match[1])
                        return
        except TimeoutError:
            output += b"no answer in time"
        await self._stop()
        raise NotConnected(
            f"kubectl could not forward to service {service.namespace}/{service.name}:"
            f" {output.decode(errors='replace').strip() or 'it ended without a word'}"
        )

    async def _keep(self) -> None:
        backoff = Backoff(0.2, 5.0)
        while True:
            process = self._process
            if process is not None and process.stdout is not None:
                async for line in process.stdout:  # a full pipe would stop kubectl
                    log.debug("kubectl port-forward: %s", line.decode(errors="replace").rstrip())
                    if b"lost connection" in line:
                        break
            await self._stop()
            await asyncio.sleep(backoff.seconds)
            try:
                await self._spawn()
                backoff.reset()
            except (NotConnected, OSError) as error:
                backoff.failed()
                log.warning("%s; trying again", error)

    async def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):  # it has ended by itself
            process.terminate()
        try:
            async with asyncio.timeout(5):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def _kubectl() -> str:
    beside = Path(sys.executable).parent / "kubectl"
    found = shutil.which("kubectl") or (str(beside) if beside.is_file() else None)
    if found is None:
        raise NotConnected("outside the cluster the client needs kubectl to reach NATS and the object store")
    return found
