"""An agent in a process of its own, as a pod has it."""

import asyncio
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from dataclasses import fields
from pathlib import Path

from agent_bench import DEADLINE, WorkerProcess, eventually
from ports import free_port

from armonik_sdk.dataplane.credentials import Credentials


class AgentProcess:
    """`python -m armonik_agent`, as the pod starts it, with a worker beside it."""

    def __init__(self, folder: Path, credentials: Credentials, script: str = "agent_worker.py") -> None:
        self.worker, self._port = WorkerProcess(folder, script), free_port()
        self.uid = str(uuid.uuid4())
        self._secret = secret = folder / "credentials"
        secret.mkdir()
        for field in fields(credentials):
            value = getattr(credentials, field.name)
            text = str(value).lower() if isinstance(value, bool) else value
            (secret / field.name.replace("_", "-")).write_text(text)
        self._environ = {
            "POD_UID": self.uid,
            "POD_NAME": "pod-0",
            "POD_NAMESPACE": "ns",
            "ARMONIK_PARTITION": "p",
            "ARMONIK_CREDENTIALS": str(secret),
            "ARMONIK_CACHE_DIR": str(folder),
            "ARMONIK_HTTP_PORT": str(self._port),
        }
        self.log = folder / "agent.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, **environ: str) -> None:
        with self.log.open("ab") as log:
            command = [sys.executable, "-W", "always::ResourceWarning", "-m", "armonik_agent"]
            env = os.environ | self._environ | environ
            self.process = subprocess.Popen(command, env=env, stdout=log, stderr=log)

    def mount(self, changed: dict[str, str]) -> None:
        """Other values of the Secret, as the kubelet writes them."""
        for key, value in changed.items():
            (self._secret / key).write_text(value)

    def terminate(self) -> None:
        """SIGTERM, as the kubelet sends it."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)

    async def code(self) -> int:
        """Its exit code, once it has ended."""
        assert self.process is not None
        code = await asyncio.to_thread(self.process.wait, DEADLINE)
        assert "ResourceWarning" not in self.log.read_text()
        return code

    async def get(self, path: str) -> tuple[int, str]:
        """Status and body; status 0 while nobody listens."""

        def ask() -> tuple[int, str]:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=10) as reply:
                    return reply.status, reply.read().decode()
            except urllib.error.HTTPError as error:
                with error:
                    return error.code, error.read().decode()
            except OSError:
                return 0, ""

        return await asyncio.to_thread(ask)

    async def says(self, path: str, status: int) -> None:
        """Wait until this path answers so."""

        async def true() -> bool:
            return (await self.get(path))[0] == status

        await eventually(true)

    def end(self) -> None:
        self.worker.end()
        if self.process is not None:
            self.process.kill()
            self.process.wait(timeout=20)
