"""A real nats-server with JetStream on loopback, and credentials for it and the object store."""

import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from nats.aio.client import Client
from ports import free_port
from stores import ROOT_KEY, ROOT_SECRET

from armonik_operator.manifests.nats_auth import render_auth_conf
from armonik_sdk.dataplane.credentials import Credentials
from armonik_sdk.dataplane.nats.connection import connect_nats
from armonik_sdk.dataplane.nats.streams import ensure

READY_SECONDS = 200
PASSWORD = "secret"
"""Of all three users, who have the permissions of a real installation."""


def binary(name: str) -> str:
    """A server of the locked test dependencies."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    assert found, f"{name} is missing; it comes with the dependency group 'servers' (make venv)"
    return found


class NatsServer:
    """A nats-server that keeps its port and its data over restarts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        self._write_auth(PASSWORD)
        (folder / "nats.conf").write_text(
            f"host: 127.0.0.1\nport: {self.port}\ninclude auth.conf\n"
            f"jetstream {{ store_dir: '{folder}/data', sync_interval: always }}\n"
        )

    def start(self) -> None:
        """Start and wait until it accepts connections."""
        with (self.folder / "log").open("ab") as log:
            command = [binary("nats-server"), "-c", str(self.folder / "nats.conf")]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError(f"nats-server did not start: {(self.folder / 'log').read_text()[-2000:]}")

    def auth_conf(self, password: str) -> str:
        """Who may connect, as the server's configuration includes it."""
        return render_auth_conf(dict.fromkeys(("operator", "agent", "client"), password))

    def reload(self, password: str) -> None:
        """Have the running server take another password for all its users."""
        assert self._process is not None
        self._write_auth(password)
        self._process.send_signal(signal.SIGHUP)

    def _write_auth(self, password: str) -> None:
        (self.folder / "auth.conf").write_text(self.auth_conf(password))

    def kill(self) -> None:
        """End it as a lost node would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=20)
            self._process = None

    def stop(self) -> None:
        """Stop it as Kubernetes would."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=20)
            self._process = None


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[NatsServer]:
    """An empty nats-server of the test's own."""
    folder = tmp_path / "nats"
    folder.mkdir()
    server = NatsServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()


FILES: dict[str, dict[str, str]] = {}
"""Credentials files by role, of a server with accounts; found by the operator's file."""


def as_role(credentials: Credentials, role: str) -> Credentials:
    """The operator's credentials turned into those of another role."""
    file = FILES[credentials.nats_creds][role] if credentials.nats_creds else ""
    return replace(credentials, nats_user=role, nats_creds=file)


@pytest.fixture
def credentials(nats_server: NatsServer, s3_endpoint: str) -> Credentials:
    """Credentials for both servers."""
    return made_credentials(nats_server, s3_endpoint)


def made_credentials(nats_server: NatsServer, s3_endpoint: str) -> Credentials:
    """The operator's, by password."""
    return Credentials(
        nats_url=nats_server.url,
        nats_user="operator",
        nats_password=PASSWORD,
        s3_endpoint=s3_endpoint,
        s3_secure=False,
        s3_region="us-east-1",
        s3_bucket="armonik",
        s3_access_key=ROOT_KEY,
        s3_secret_key=ROOT_SECRET,
    )


@pytest.fixture
async def nats_client(credentials: Credentials) -> AsyncIterator[Client]:
    """A connection to a server that has the streams and buckets."""
    client = await connect_nats(credentials, "test")
    await ensure(client)
    yield client
    await client.close()
