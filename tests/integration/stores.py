"""Object stores on loopback, as the chart runs them: versitygw and MinIO."""

import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from apiserver import binary
from ports import free_port

KINDS = ("versitygw", "minio")
READY_SECONDS = 200
START_ATTEMPTS = 3
ROOT_KEY = "test"
ROOT_SECRET = "test-secret"

each_store = pytest.mark.parametrize("store_kind", KINDS, indirect=True)
"""Runs a test that uses `credentials` or `s3_endpoint` once against each server."""


class StoreServer:
    """An object store that keeps its port and its data over restarts."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self.folder = folder
        self.port = free_port()
        self.endpoint = f"127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        for name in ("objects", "users"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    def start(self) -> bool:
        """Start and wait for its first answer; false when it ended before, as when its port was taken."""
        command, environment = self._command()
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | environment)
        deadline = time.monotonic() + READY_SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"http://{self.endpoint}/", timeout=2).close()
            except urllib.error.HTTPError as answer:
                if answer.code < 500:
                    return True
                time.sleep(0.1)
            except OSError:
                time.sleep(0.1)
            else:
                return True
        return False

    def kill(self) -> None:
        """End it as a lost node would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=30)
            self._process = None

    def log(self) -> str:
        """The end of what it wrote."""
        return (self.folder / "log").read_text()[-2000:]

    def _command(self) -> tuple[list[str], dict[str, str]]:
        objects = str(self.folder / "objects")
        if self.kind == "minio":
            keys = {"MINIO_ROOT_USER": ROOT_KEY, "MINIO_ROOT_PASSWORD": ROOT_SECRET}
            quiet = {"MINIO_BROWSER": "off", "MINIO_UPDATE": "off", "MINIO_CI_CD": "on"}
            return [str(binary("minio")), "server", "--address", self.endpoint, objects], keys | quiet
        command = [str(binary("versitygw")), "--port", self.endpoint, "--iam-dir", str(self.folder / "users")]
        command += ["--quiet", "--keep-alive", "--health", "/healthz", "posix", objects]
        return command, {"ROOT_ACCESS_KEY": ROOT_KEY, "ROOT_SECRET_KEY": ROOT_SECRET}


def started(kind: str, folder: Path) -> StoreServer:
    """A server that answers."""
    for attempt in range(START_ATTEMPTS):
        server = StoreServer(kind, folder / str(attempt))
        if server.start():
            return server
        server.kill()
    raise AssertionError(f"{kind} did not start: {server.log()}")


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, StoreServer]]:
    """Servers that are started when they are first asked for, and stay."""

    class Started(dict[str, StoreServer]):
        def __missing__(self, kind: str) -> StoreServer:
            self[kind] = started(kind, tmp_path_factory.mktemp(kind))
            return self[kind]

    servers = Started()
    try:
        yield servers
    finally:
        for server in servers.values():
            server.kill()  # its data is thrown away


@pytest.fixture
def store_kind(request: pytest.FixtureRequest) -> str:
    """Which server a test uses: `versitygw` unless it says otherwise (`each_store`)."""
    return str(getattr(request, "param", KINDS[0]))


@pytest.fixture
def s3_endpoint(stores: dict[str, StoreServer], store_kind: str) -> str:
    """host:port of an object store with the root key test/test-secret."""
    return stores[store_kind].endpoint
