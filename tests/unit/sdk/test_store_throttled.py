"""A store that throttles one bucket answers: work of other buckets is not held back."""

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from armonik_sdk import circuit as circuits
from armonik_sdk.api.kinds import ObjectRef
from armonik_sdk.circuit import Circuit
from armonik_sdk.dataplane.credentials import Credentials
from armonik_sdk.dataplane.errors import StoreUnavailable
from armonik_sdk.dataplane.s3 import store as module
from armonik_sdk.dataplane.s3.store import S3Store

ERROR = "<Error><Code>{}</Code><Message>no</Message></Error>"


class Answers(BaseHTTPRequestHandler):
    """503 for the bucket `busy` and `broken`, bytes for others."""

    def do_GET(self) -> None:
        code = {"busy": "SlowDown", "broken": "InternalError"}.get(self.path.split("/")[1])
        body = ERROR.format(code).encode() if code else b"data"
        self.send_response(503 if code else 200)
        self.send_header("Content-Type", "application/xml" if code else "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        """Of many objects that shall be deleted one is not."""
        self.rfile.read(int(self.headers["Content-Length"]))
        no = "<Error><Key>ns/s/x</Key><Code>AccessDenied</Code><Message>locked</Message></Error>"
        body = f"<DeleteResult>{no}</DeleteResult>".encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""


@pytest.fixture
def endpoint() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def circuit(monkeypatch: pytest.MonkeyPatch) -> Circuit:
    monkeypatch.setattr(circuits, "SECONDS", 0.0)
    monkeypatch.setattr(module, "ATTEMPTS", circuits.FAILURES)
    return Circuit("the object store")


def store(endpoint: str, bucket: str, circuit: Circuit) -> S3Store:
    credentials = Credentials(
        nats_url="nats://n",
        nats_user="operator",
        s3_endpoint=endpoint,
        s3_secure=False,
        s3_region="us-east-1",
        s3_access_key="k",
        s3_secret_key="secret-of-k",
        s3_bucket=bucket,
    )
    return S3Store(credentials, circuit=circuit)


@pytest.mark.parametrize(("bucket", "up"), [("busy", True), ("broken", False)])
async def test_only_a_store_that_does_not_answer_counts_as_down(
    bucket: str, up: bool, endpoint: str, circuit: Circuit
) -> None:
    with pytest.raises(StoreUnavailable):
        await store(endpoint, bucket, circuit).get(ObjectRef(key="ns/s/x"))
    assert circuit.up is up
    if up:
        assert await store(endpoint, "other", circuit).get(ObjectRef(key="ns/s/x")) == b"data"


async def test_an_answer_without_a_body_does_not_say_that_the_store_is_down(
    endpoint: str, circuit: Circuit
) -> None:
    with pytest.raises(StoreUnavailable):
        await store(endpoint, "busy", circuit).stat("ns/s/x")
    assert circuit.up


@pytest.mark.parametrize(("bucket", "up"), [("busy", True), ("broken", False)])
async def test_the_probe_asks_for_an_answer_that_says_why(
    bucket: str, up: bool, endpoint: str, circuit: Circuit
) -> None:
    for _ in range(circuits.FAILURES):
        with contextlib.suppress(StoreUnavailable):
            await store(endpoint, bucket, circuit).probe()
    assert circuit.up is up
    circuit.down("for whatever reason")
    with contextlib.suppress(StoreUnavailable):
        await store(endpoint, bucket, circuit).probe()
    assert circuit.up is up


async def test_an_object_that_cannot_be_deleted_does_not_say_that_the_store_is_down(
    endpoint: str, circuit: Circuit
) -> None:
    with pytest.raises(StoreUnavailable, match=r"1 of 2 objects were not deleted: .*locked"):
        await store(endpoint, "locked", circuit).delete(["ns/s/x", "ns/s/y"])
    assert circuit.up
