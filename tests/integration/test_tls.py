"""TLS of NATS and of the object stores as the chart runs them: who connects, who does not, and rotation."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from nats.aio.client import Client
from servers import NatsServer, as_role
from stores import KINDS
from tls_servers import HERE, TlsServer, serial_of

from armonik_operator.manifests.certificates import authority_values
from armonik_sdk.dataplane.credentials import Credentials
from armonik_sdk.dataplane.errors import StoreUnavailable
from armonik_sdk.dataplane.nats.connection import close_nats, connect_nats
from armonik_sdk.dataplane.nats.streams import ensure
from armonik_sdk.dataplane.s3.store import S3Store
from rendering import Helm

pytestmark = pytest.mark.integration

Make = Callable[..., TlsServer]
each_store = pytest.mark.parametrize("kind", KINDS)
ANOTHER = authority_values({}, datetime.now(UTC))["ca.crt"]
"""A CA that signed nothing."""


@pytest.fixture
def make(helm: Helm, tmp_path: Path) -> Iterator[Make]:
    """Starts servers."""
    made: list[TlsServer] = []

    def start(kind: str, names: tuple[str, ...] = HERE) -> TlsServer:
        server = TlsServer(helm, kind, tmp_path / kind, names)
        made.append(server)
        server.start()
        return server

    yield start
    for server in made:
        server.stop()


async def nats_refusal(credentials: Credentials) -> str:
    """What is said of the first attempt to connect to NATS, which must fail."""
    heard: asyncio.Queue[str] = asyncio.Queue()
    connecting = asyncio.create_task(connect_nats(credentials, "test", on_error=heard.put_nowait))
    listening = asyncio.create_task(heard.get())
    await asyncio.wait({connecting, listening}, return_when=asyncio.FIRST_COMPLETED)
    assert not connecting.done(), "it connected"
    connecting.cancel()
    return listening.result()


async def store_refusal(credentials: Credentials) -> str:
    store = S3Store(credentials)
    with pytest.raises(StoreUnavailable) as refused:
        await store.probe()
    return str(refused.value)


async def test_the_data_plane_works_over_nats_with_the_ca(make: Make) -> None:
    server = make("nats")
    client = await connect_nats(server.credentials, "test")
    await ensure(client)
    for role in ("agent", "client"):
        other = await connect_nats(as_role(server.credentials, role), role)
        assert other.is_connected
        await close_nats(other)
    await close_nats(client)


@each_store
async def test_objects_are_put_and_read_with_the_ca(make: Make, kind: str) -> None:
    store = S3Store(make(kind).credentials)
    await store.ensure_bucket()
    ref = await store.put("a/b", b"data" * 1000)
    assert await store.get(ref) == b"data" * 1000


@pytest.mark.parametrize("ca", ["", ANOTHER], ids=["no-ca", "wrong-ca"])
async def test_who_has_not_the_ca_is_not_connected_and_reads_the_remedy(make: Make, ca: str) -> None:
    said = await nats_refusal(replace(make("nats").credentials, tls_ca=ca))
    assert "not signed by a CA that is trusted here" in said
    assert "tls-ca of the credentials" in said


@pytest.mark.parametrize("ca", ["", ANOTHER], ids=["no-ca", "wrong-ca"])
@each_store
async def test_who_has_not_the_ca_uses_no_store_and_reads_the_remedy(make: Make, kind: str, ca: str) -> None:
    said = await store_refusal(replace(make(kind).credentials, tls_ca=ca))
    assert "not signed by a CA that is trusted here" in said
    assert "tls-ca of the credentials" in said


async def test_a_certificate_of_another_name_is_refused_with_the_value_to_set(make: Make) -> None:
    assert "add the name to tls.names" in await nats_refusal(make("nats", ("nats.example.org",)).credentials)


async def test_nothing_is_sent_to_a_server_that_offers_no_tls(
    nats_server: NatsServer, credentials: Credentials
) -> None:
    plain = replace(credentials, nats_url=nats_server.url.replace("nats://", "tls://"))
    assert "the server offers no TLS" in await nats_refusal(plain)


def presented(client: Client) -> str:
    """Serial number of the certificate that NATS has shown to a connection."""
    writer = client._transport._io_writer  # type: ignore[union-attr]  # there is no public way
    return serial_of(writer.get_extra_info("ssl_object").getpeercert())


async def test_nats_takes_a_new_certificate_in_and_keeps_its_connections(make: Make) -> None:
    server = make("nats")
    lost = asyncio.Event()

    async def disconnected() -> None:
        lost.set()

    client = await connect_nats(server.credentials, "first", on_disconnected=disconnected)
    before = presented(client)
    server.rotate()
    while True:
        fresh = await connect_nats(server.credentials, "next")
        after = presented(fresh)
        await close_nats(fresh)
        if after != before:
            break
    await client.flush()
    assert not lost.is_set()
    await close_nats(client)


@each_store
async def test_stores_take_a_new_certificate_in_and_keep_their_connections(make: Make, kind: str) -> None:
    server = make(kind)
    store = S3Store(server.credentials)
    await store.ensure_bucket()
    ref = await store.put("a", b"1")
    before = await asyncio.to_thread(server.serial)
    server.rotate()
    while await asyncio.to_thread(server.serial) == before:
        assert await store.get(ref) == b"1"
        await asyncio.sleep(0.1)
    assert await store.get(ref) == b"1"


@pytest.mark.parametrize("kind", ["nats", "versitygw"])
def test_the_container_ends_with_its_server(make: Make, kind: str) -> None:
    server = make(kind)
    assert server.stop() in (0, 1, -signal.SIGTERM, 128 + signal.SIGTERM)
    with pytest.raises(OSError, match="refused"):
        server._touch()
