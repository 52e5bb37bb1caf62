"""A real kube-apiserver with its etcd on loopback, with the project's CustomResourceDefinitions in it.

No controllers run: what is written stays as it is, and nothing but the apiserver answers. Binaries come from
the local cluster's cache (`make cluster-build`).
"""

import json
import secrets
import shutil
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hack.apiserver import CERTIFICATE, apiserver_command, etcd_command, kubeconfig, program
from ports import free_ports

from armonik_operator.clients.kube import Kube
from armonik_sdk.api.crd import crds

START_ATTEMPTS = 3
OPERATOR = "operator"
"""The user that operators of tests are; what it may do is in `operator_rights`."""
READY_SECONDS = 90.0


class NotReadyError(Exception):
    """The server did not come up; the message ends with its last words."""


class ApiServer:
    """One etcd and one kube-apiserver, as one thing that starts and stops.

    `kubeconfig` is a file that gives full rights; every client that takes one can use it. The one of
    `operator_kubeconfig` has those of the chart's roles.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kubeconfig = folder / "kubeconfig"
        self.operator_kubeconfig = folder / "operator.kubeconfig"
        self.token, self._operator_token = secrets.token_hex(16), secrets.token_hex(16)
        self.port = 0
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start both, on ports that nobody else took meanwhile, and wait until requests are served."""
        for attempt in range(1, START_ATTEMPTS + 1):
            try:
                self._start_once(attempt)
            except NotReadyError:
                self.stop()
                if attempt == START_ATTEMPTS:
                    raise
            else:
                return

    def _start_once(self, attempt: int) -> None:
        state = self.folder / f"start-{attempt}"
        state.mkdir()
        etcd_port, peer_port, self.port = free_ports(3)
        for name in ("etcd", "kube-apiserver"):
            binary(name)
        self._run(state, etcd_command(state / "etcd", etcd_port, peer_port))
        tokens = {"admin": self.token, OPERATOR: self._operator_token}
        self._run(state, apiserver_command(state, self.port, etcd_port, tokens))
        self._await_ready(state)

    def _await_ready(self, state: Path) -> None:
        certificate = state / CERTIFICATE
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            for process in self._processes:
                if process.poll() is not None:
                    raise NotReadyError(f"{process.args} ended: {_last_words(state)}")
            if certificate.exists():
                self._write_kubeconfig(state)
                with suppress(OSError):  # refused or reset until it listens; the deadline bounds this
                    if self.request("GET", "/readyz")[0] == 200:
                        return
            time.sleep(0.1)
        raise NotReadyError(f"kube-apiserver was not ready in {READY_SECONDS} s: {_last_words(state)}")

    def _write_kubeconfig(self, state: Path) -> None:
        users = {
            self.kubeconfig: ("admin", self.token),
            self.operator_kubeconfig: (OPERATOR, self._operator_token),
        }
        for path, (user, token) in users.items():
            path.write_text(kubeconfig(state, self.port, user, token, context="test"))
        self._tls = ssl.create_default_context(cadata=(state / CERTIFICATE).read_text())

    def _run(self, state: Path, command: list[str]) -> None:
        with (state / f"{Path(command[0]).name}.log").open("wb") as log:
            self._processes.append(
                subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )

    def stop(self) -> None:
        """Kill both, whose data is thrown away: asked to end, the apiserver waits for its watches."""
        for process in reversed(self._processes):
            process.kill()
        for process in reversed(self._processes):
            process.wait(timeout=30)
        self._processes.clear()

    def kubectl(self, *arguments: str, stdin: Any = None) -> subprocess.CompletedProcess[str]:
        """Run kubectl against this server; `stdin` is an object (or list of objects) for `-f -`."""
        return subprocess.run(
            [kubectl_path(), "--kubeconfig", self.kubeconfig, "--request-timeout=20s", *arguments],
            input=None if stdin is None else json.dumps(stdin),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> tuple[int, Any]:
        """One plain HTTP request; returns the status code and the decoded body, errors too."""
        request = urllib.request.Request(
            f"https://127.0.0.1:{self.port}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self.token}",
                "Accept": accept,
                "Content-Type": content_type,
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=20, context=self._tls) as answer:
                return answer.status, _decode(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _decode(error.read())


def _decode(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except json.JSONDecodeError:
        return raw.decode(errors="replace")


def _last_words(state: Path) -> str:
    return " | ".join(f"{log.name}: {log.read_text(errors='replace')[-1500:]}" for log in state.glob("*.log"))


def binary(name: str) -> Path:
    """A program of the local cluster; fails the test, with the remedy, if it was never built."""
    try:
        return program(name)
    except FileNotFoundError as missing:
        pytest.fail(str(missing), pytrace=False)


def kubectl_path() -> str:
    """The kubectl of the virtual environment, else of the path."""
    beside = Path(sys.executable).parent / "kubectl"
    found = str(beside) if beside.exists() else shutil.which("kubectl")
    if found is None:
        pytest.fail("kubectl is missing; install it with `make venv`", pytrace=False)
    return found


@pytest.fixture(scope="session")
def apiserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A kube-apiserver that knows the three kinds, one for the whole run."""
    server = ApiServer(tmp_path_factory.mktemp("apiserver"))
    try:
        server.start()
        applied = server.kubectl("apply", "--server-side", "-f", "-", stdin=as_list(*crds().values()))
        assert applied.returncode == 0, applied.stderr
        names = [f"crd/{crd['metadata']['name']}" for crd in crds().values()]
        waited = server.kubectl("wait", "--for=condition=Established", "--timeout=30s", *names)
        assert waited.returncode == 0, waited.stderr
        yield server
    finally:
        server.stop()


@pytest.fixture
def namespace(apiserver: ApiServer) -> str:
    """A namespace of the test's own."""
    name = f"test-{secrets.token_hex(4)}"
    code, body = apiserver.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    assert code == 201, body
    return name


@pytest.fixture
async def kube(apiserver: ApiServer) -> AsyncIterator[Kube]:
    """The operator's adapter, with full rights."""
    kube = await Kube.connect(str(apiserver.kubeconfig))
    yield kube
    await kube.close()


def as_list(*objects: dict[str, Any]) -> dict[str, Any]:
    """Objects as one List, for kubectl's standard input."""
    return {"apiVersion": "v1", "kind": "List", "items": list(objects)}
