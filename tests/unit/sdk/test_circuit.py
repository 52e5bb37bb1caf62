"""One state of a dependency for all who call it, and a store that accepts and stays silent."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from armonik_sdk.api.kinds.data import ObjectRef
from armonik_sdk.circuit import FAILURES, SECONDS, Circuit
from armonik_sdk.dataplane.credentials import Credentials
from armonik_sdk.dataplane.errors import StoreUnavailable
from armonik_sdk.dataplane.s3 import client
from armonik_sdk.dataplane.s3.store import S3Store


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


def test_it_takes_several_failures_in_a_row_over_some_time() -> None:
    clock, changes = Clock(), []
    circuit = Circuit("store", lambda: changes.append(circuit.up), clock)
    for _ in range(FAILURES):
        circuit.failed(clock.time, "refused")
    assert circuit.up  # all at once: as a server does that restarts
    clock.time += SECONDS
    circuit.failed(clock.time, "refused")
    assert (circuit.up, circuit.error) == (False, "refused")
    circuit.answered()
    assert circuit.up
    assert changes == [False, True]


def test_an_answer_in_between_starts_the_count_anew() -> None:
    clock = Clock()
    circuit = Circuit("store", clock=clock)
    for _ in range(5 * FAILURES):
        circuit.failed(clock.time, "silent")
        circuit.failed(clock.time, "silent")
        circuit.answered()
        clock.time += SECONDS
    assert circuit.up


def test_time_counts_from_the_begin_of_the_first_attempt() -> None:
    clock = Clock()
    circuit = Circuit("store", clock=clock)
    begun = clock.time
    clock.time += SECONDS
    for _ in range(FAILURES):
        circuit.failed(begun, "silent")
    assert not circuit.up


@pytest.fixture
async def silent() -> AsyncIterator[str]:
    """host:port of a server that accepts and says nothing."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    yield f"{host}:{port}"
    server.close()


def store_at(endpoint: str, circuit: Circuit | None) -> S3Store:
    credentials = Credentials("nats://n", "u", endpoint, False, "us-east-1", "bucket", "a", "s")
    return S3Store(credentials, circuit=circuit)


async def test_a_silent_store_is_down_for_all_after_one_time_out(
    silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "READ_TIMEOUT", 2.0)  # in place of the default of what the pool waits
    circuit = Circuit("store")
    store = store_at(silent, circuit)
    ref = ObjectRef(key="ns/s/object", offset=0, length=10)
    calls = [store.get(ref) for _ in range(FAILURES)]
    errors = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(error, StoreUnavailable) for error in errors)
    assert not circuit.up
    with pytest.raises(StoreUnavailable, match=r"ns/s/object: .*timed out"):
        await store.get(ref)  # at once: nothing is sent


async def test_only_a_probe_is_sent_while_the_store_is_down(s3_like: list[str]) -> None:
    circuit = Circuit("store")
    circuit.down("silent")
    store = store_at(s3_like[0], circuit)
    with pytest.raises(StoreUnavailable):
        await store.stat("ns/s/object")
    assert len(s3_like) == 1
    await store.probe()
    assert s3_like[1:] == ["HEAD /bucket HTTP/1.1"]
    assert circuit.up


@pytest.fixture
async def s3_like() -> AsyncIterator[list[str]]:
    """host:port of a server that answers 200, followed by the requests it got."""
    requests: list[str] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        requests.append(head.split(b"\r\n")[0].decode())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    requests.append(f"{host}:{port}")
    yield requests
    server.close()


def test_large_data_has_more_time() -> None:
    assert client.patience(0) == client.READ_TIMEOUT
    assert client.patience(64 * client.BYTES_PER_SECOND) == client.READ_TIMEOUT + 64
