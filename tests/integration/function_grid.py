"""A whole installation in processes of this machine: operator, agents, workers of functions, real servers."""

import asyncio
import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from apiserver import ApiServer
from ports import free_port
from servers import NatsServer, as_role, made_credentials
from stores import KINDS, StoreServer

from armonik_sdk.api.const import CLIENT_SECRET
from armonik_sdk.dataplane.credentials import Credentials
from armonik_sdk.dataplane.nats.connection import connect_nats
from armonik_sdk.dataplane.nats.streams import ensure
from armonik_sdk.dataplane.s3.store import S3Store

PODS = 2
PARTITION = "python"
WORKER = "armonik_sdk.worker.functions"
GROUP = "/apis/armonik.io/v1alpha1"


class FunctionGrid:
    """The processes, and where a client finds them."""

    def __init__(self, folder: Path, apiserver: ApiServer, credentials: Credentials, namespace: str) -> None:
        self.folder, self.apiserver, self.namespace = folder, apiserver, namespace
        self._credentials = credentials
        self._processes: list[subprocess.Popen[bytes]] = []
        self._commands: list[tuple[Path, list[str], dict[str, str]]] = []
        self._ended = threading.Event()
        self._restarts = threading.Thread(target=self._restart, name="restarts", daemon=True)

    @property
    def kubeconfig(self) -> Path:
        """Of its apiserver."""
        return self.apiserver.kubeconfig

    def start(self) -> None:
        """Start the operator, and pods without a kubelet."""
        given = self._credentials
        self._create(
            "/api/v1",
            "secrets",
            "own-s3",
            stringData={
                "access-key": given.s3_access_key,
                "secret-key": given.s3_secret_key,
            },
        )
        users = {f"{user}-password": given.nats_password for user in ("operator", "agent", "client")}
        self._create("/api/v1", "secrets", "own-nats", stringData=users)
        self._operator()
        template = {"spec": {"worker": {"image": "worker:1"}}}
        self._create(GROUP, "partitions", PARTITION, spec={"podMax": 1, "template": template})
        for number in range(PODS):
            self._pod(number)
        self._restarts.start()
        secret = f"/api/v1/namespaces/{self.namespace}/secrets/{CLIENT_SECRET}"
        eventually(lambda: self.apiserver.request("GET", secret)[0] == 200)

    def stop(self) -> None:
        """End all processes: workers end their own, all other data is thrown away.

        An agent that was asked would wait for what runs, and its worker ends in the same moment.
        """
        self._ended.set()
        self._restarts.join()
        for process, (_, command, _) in zip(self._processes, self._commands, strict=True):
            process.terminate() if command[-1] == WORKER else process.kill()
        for process in self._processes:
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(timeout=30)

    def said(self) -> str:
        """The ends of all logs, for a test that fails."""
        return "\n".join(f"{log.name}:\n{log.read_text()[-2000:]}" for log in self.folder.glob("*.log"))

    def _create(self, group: str, plural: str, name: str, **body: Any) -> None:
        path = f"{group}/namespaces/{self.namespace}/{plural}"
        manifest = {"metadata": {"name": name}, **body}
        if group == GROUP:
            manifest |= {"apiVersion": "armonik.io/v1alpha1", "kind": plural[:-1].capitalize()}
        code, answer = self.apiserver.request("POST", path, manifest)
        assert code == 201, answer

    def _operator(self) -> None:
        given = self._credentials
        environ = {
            "KUBECONFIG": str(self.kubeconfig),
            "POD_NAME": f"operator-{secrets.token_hex(2)}",
            "ARMONIK_NAMESPACE": self.namespace,
            "ARMONIK_WATCH_NAMESPACES": self.namespace,
            "ARMONIK_NATS_URL": given.nats_url,
            "ARMONIK_NATS_SECRET": "own-nats",
            "ARMONIK_NATS_EXTERNAL": "true",
            "ARMONIK_S3_ENDPOINT": given.s3_endpoint,
            "ARMONIK_S3_SECRET": "own-s3",
            "ARMONIK_S3_EXTERNAL": "true",
            "ARMONIK_AGENT_IMAGE": "agent:1",
            "ARMONIK_MANAGE_CRDS": "false",
            "ARMONIK_HEALTH_PORT": str(free_port()),
        }
        self._run("operator", [sys.executable, "-m", "armonik_operator"], environ)

    def _pod(self, number: int) -> None:
        folder = self.folder / f"pod-{number}"
        secret = folder / "credentials"
        secret.mkdir(parents=True)
        given = as_role(self._credentials, "agent")
        for field in fields(given):
            value = getattr(given, field.name)
            text = str(value).lower() if isinstance(value, bool) else value
            (secret / field.name.replace("_", "-")).write_text(text)
        sockets = {
            "ComputePlane__WorkerChannel__Address": str(folder / "armonik_worker.sock"),
            "ComputePlane__AgentChannel__Address": str(folder / "armonik_agent.sock"),
        }
        self._run(f"worker-{number}", [sys.executable, "-m", WORKER], sockets)
        agent = {
            "POD_UID": secrets.token_hex(16),
            "POD_NAME": f"pod-{number}",
            "POD_NAMESPACE": self.namespace,
            "ARMONIK_PARTITION": PARTITION,
            "ARMONIK_CREDENTIALS": str(secret),
            "ARMONIK_CACHE_DIR": str(folder),
            "ARMONIK_HTTP_PORT": str(free_port()),
        }
        self._run(f"agent-{number}", [sys.executable, "-m", "armonik_agent"], agent | sockets)

    def _run(self, name: str, command: list[str], environ: dict[str, str]) -> None:
        log = self.folder / f"{name}.log"
        self._processes.append(_started(log, command, environ))
        self._commands.append((log, command, environ))

    def _restart(self) -> None:
        """Start again what has ended, as a kubelet does: an agent ends if its worker is silent."""
        while not self._ended.wait(0.5):
            for number, process in enumerate(self._processes):
                if process.poll() is not None:
                    self._processes[number] = _started(*self._commands[number])


def _started(log: Path, command: list[str], environ: dict[str, str]) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(command, env=os.environ | environ, stdout=output, stderr=output)


@pytest.fixture(scope="module")
def function_grid(
    apiserver: ApiServer, stores: dict[str, StoreServer], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FunctionGrid]:
    """An installation with a Partition of function workers."""
    name = f"test-{secrets.token_hex(4)}"
    code, body = apiserver.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    assert code == 201, body
    folder = tmp_path_factory.mktemp("grid")
    (folder / "nats").mkdir()
    with ExitStack() as ending:
        server = NatsServer(folder / "nats")
        server.start()
        ending.callback(server.stop)
        credentials = made_credentials(server, stores[KINDS[0]].endpoint)
        asyncio.run(_provision(credentials))
        grid = FunctionGrid(folder, apiserver, credentials, name)
        ending.callback(grid.stop)
        grid.start()
        yield grid


async def _provision(credentials: Credentials) -> None:
    client = await connect_nats(credentials, "test")
    await ensure(client)
    await client.close()
    await S3Store(credentials).ensure_bucket()


def eventually(true: Callable[[], Any], seconds: float = 180.0) -> Any:
    """Look again and again until it is so; what it then is."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, "it never became so"
        time.sleep(0.05)
    return found
