"""Real servers on loopback: nats-server with JetStream, and SeaweedFS's S3."""

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from nats.aio.client import Client
from ports import free_port, free_ports

from armonik_operator.resources.nats_auth import render_auth_conf
from armonik_sdk.dataplane.connect import Credentials, connect_nats
from armonik_sdk.dataplane.topology import ensure

READY_SECONDS = 200
START_ATTEMPTS = 3
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
        passwords = dict.fromkeys(("operator", "agent", "client"), PASSWORD)
        (folder / "auth.conf").write_text(render_auth_conf(passwords))
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


@pytest.fixture(scope="session")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """host:port of a SeaweedFS that knows the identity test/test-secret."""
    for attempt in range(1, START_ATTEMPTS + 1):
        folder = tmp_path_factory.mktemp("s3")
        process, port = _start_s3(folder)
        try:
            if _answers(process, port):
                yield f"127.0.0.1:{port}"
                return
        finally:
            process.kill()  # its data is thrown away; asked to stop it takes its time over it
            process.wait(timeout=30)
        log = (folder / "log").read_text()[-2000:]
        assert attempt < START_ATTEMPTS, f"SeaweedFS did not start: {log}"


def _start_s3(folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    ports = free_ports(8)
    identity = {
        "name": "test",
        "credentials": [{"accessKey": "test", "secretKey": "test-secret"}],
        "actions": ["Admin", "Read", "Write", "List"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    command = [binary("weed"), "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3"]
    command += [f"-s3.port={ports[0]}", f"-s3.config={folder / 's3.json'}", f"-master.port={ports[1]}"]
    command += [f"-volume.port={ports[2]}", f"-filer.port={ports[3]}", "-volume.max=20"]
    # Left alone they are 10000 above the others, which may be beyond the last port.
    command += [f"-master.port.grpc={ports[4]}", f"-volume.port.grpc={ports[5]}"]
    command += [f"-filer.port.grpc={ports[6]}", f"-s3.port.grpc={ports[7]}"]
    # Catalogues on fixed ports, which a second server would fight for.
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0", "-master.volumeSizeLimitMB=64"]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, cwd=folder), ports[0]


def _answers(process: subprocess.Popen[bytes], port: int) -> bool:
    """Wait for its first answer; false when it ended before, as when somebody took one of its ports."""
    deadline = time.monotonic() + READY_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=2).close()
        except urllib.error.HTTPError:
            return True
        except OSError:
            time.sleep(0.1)
        else:
            return True
    return False


@pytest.fixture
def credentials(nats_server: NatsServer, s3_endpoint: str) -> Credentials:
    """Credentials for both servers."""
    return Credentials(
        nats_url=nats_server.url,
        nats_user="operator",
        nats_password=PASSWORD,
        s3_endpoint=s3_endpoint,
        s3_secure=False,
        s3_region="us-east-1",
        s3_bucket="armonik",
        s3_access_key="test",
        s3_secret_key="test-secret",
    )


@pytest.fixture
async def nats_client(credentials: Credentials) -> AsyncIterator[Client]:
    """A connection to a server that has the streams and buckets."""
    client = await connect_nats(credentials, "test")
    await ensure(client)
    yield client
    await client.close()
