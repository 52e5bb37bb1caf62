"""Accounts of namespaces on a real nats-server: apart from each other, limited, and changed while it runs."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import nats.errors
import nats.js.errors
import pytest
from accounts_server import AccountsServer
from nats.aio.client import Client
from proxy import Proxy

from armonik_operator.errors import AccountError, AccountsUnavailable
from armonik_operator.manifests.accounts import claims
from armonik_operator.manifests.accounts.keys import Key, Role
from armonik_operator.manifests.accounts.namespace import Limits, NamespaceAccounts
from armonik_operator.provisioning import nats_accounts
from armonik_operator.provisioning.nats_accounts import NatsAccounts
from armonik_sdk.dataplane.credentials import Credentials
from armonik_sdk.dataplane.errors import QueueFull
from armonik_sdk.dataplane.nats.connection import Renewal, close_nats, connect_nats
from armonik_sdk.dataplane.nats.requests import write_error

pytestmark = pytest.mark.integration

CREDENTIALS = Credentials("nats://", "agent", "s3:1", False, "r", "b", "a", "s")
"""Of a user; only what concerns NATS is used."""
SUBJECT = "armonik.journal.ns.session.task.0"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[AccountsServer]:
    running = AccountsServer(tmp_path)
    running.start()
    try:
        yield running
    finally:
        running.stop()


class Users:
    """Connections of users of a server, closed with the test."""

    def __init__(self, server: AccountsServer) -> None:
        self._server = server
        self._made: list[Client] = []

    async def connect(self, accounts: NamespaceAccounts, role: str = "operator") -> Client:
        file = accounts.credentials(self._server.trust, role, time.time())
        self._made.append(await self._server.user(file, role))
        return self._made[-1]

    async def close(self) -> None:
        for client in self._made:
            await client.close()


@pytest.fixture
async def users(server: AccountsServer) -> AsyncIterator[Users]:
    made = Users(server)
    yield made
    await made.close()


async def journal(client: Client, **limits: int) -> None:
    await client.jetstream().add_stream(name="JOURNAL", subjects=["armonik.journal.>"], **limits)


async def fill(client: Client, size: int) -> None:
    """Append that number of bytes to the journal."""
    for _ in range(size // 10_000):
        await client.jetstream().publish(SUBJECT, bytes(10_000))


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110 - nats-py has no event for it
            await asyncio.sleep(0.02)


async def test_streams_of_equal_names_live_side_by_side_unseen(server: AccountsServer, users: Users) -> None:
    one, other = [await users.connect(await server.serve(name)) for name in ("team-a", "team-b")]
    heard = await other.subscribe(">")
    for client, text in ((one, b"of a"), (other, b"of b")):
        await journal(client)
        await client.jetstream().publish(SUBJECT, text)
    assert (await one.jetstream().get_last_msg("JOURNAL", SUBJECT)).data == b"of a"
    assert (await other.jetstream().get_last_msg("JOURNAL", SUBJECT)).data == b"of b"
    await one.publish("armonik.event.ns.pod", b"of a")
    await one.jetstream().delete_stream("JOURNAL")
    assert (await other.jetstream().stream_info("JOURNAL")).state.messages == 1
    await other.publish("last", b"")
    subjects = set()
    while "last" not in subjects:
        message = await heard.next_msg(timeout=5)
        assert message.data != b"of a"
        subjects.add(message.subject)
    assert SUBJECT in subjects


async def test_a_namespace_made_again_sees_nothing_of_the_former(
    server: AccountsServer, users: Users
) -> None:
    former = await users.connect(await server.serve("team-a", "uid-1"))
    await journal(former)
    fresh = await users.connect(await server.serve("team-a", "uid-2"))
    assert await fresh.jetstream().streams_info() == []


@pytest.mark.parametrize("role", ["agent", "client"])
async def test_a_revoked_file_is_refused_at_once_and_who_has_a_new_one_continues(
    server: AccountsServer, users: Users, role: str
) -> None:
    first = await server.serve("team-a")
    later = replace(first, generation=1)
    owner = await users.connect(first)
    await journal(owner)
    files = [made.credentials(server.trust, role, time.time()) for made in (first, later)]
    now = [replace(CREDENTIALS, nats_url=server.url, nats_user=role, nats_creds=files[0])]
    back, refused = asyncio.Event(), asyncio.Event()

    async def on_refused() -> None:
        refused.set()
        now[0] = replace(now[0], nats_creds=files[1])

    async def on_back() -> None:
        back.set()

    client = await connect_nats(
        now[0], "test", on_reconnected=on_back, renewal=Renewal(lambda: now[0], on_refused)
    )
    try:
        async with server.accounts() as accounts:
            for token in later.tokens(server.trust, Limits(), time.time()):
                await accounts.push(token)
        async with asyncio.timeout(60):
            await refused.wait()
            await back.wait()
        await client.publish("armonik.journal.ns.session.result.x", b"after")
        await client.flush()
        await until_stored(owner, "armonik.journal.ns.session.result.x", b"after")
        with pytest.raises(nats.errors.Error, match=r"(?i)auth"):
            await server.user(files[0], role)
        assert owner.is_connected, "the operator's own file was never handed out, and is not revoked"
    finally:
        await close_nats(client)


async def until_stored(owner: Client, subject: str, data: bytes) -> None:
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(nats.js.errors.NotFoundError):
                if (await owner.jetstream().get_last_msg("JOURNAL", subject)).data == data:
                    return
            await asyncio.sleep(0.02)


async def test_limits_of_many_namespaces_may_be_more_than_the_disk(
    server: AccountsServer, users: Users
) -> None:
    """As the chart configures it. Else the server has no JetStream for the account that is too much."""
    limits = Limits(disk_bytes=400 << 20)
    for number in range(8):
        await journal(await users.connect(await server.serve(f"team-{number}", limits=limits)))
    server.stop()
    server.keep("1600MB")
    server.start()
    with pytest.raises(nats.js.errors.ServiceUnavailableError):
        await journal(await users.connect(await server.serve("one-more", limits=limits)))


async def test_limits_of_an_account_are_enforced_and_leave_the_other_alone(
    server: AccountsServer, users: Users
) -> None:
    limits = Limits(disk_bytes=100_000, streams=1, consumers=1, connections=2)
    small, large = await server.serve("small", limits=limits), await server.serve("large")
    client, other = await users.connect(small), await users.connect(large)
    for each in (client, other):
        await journal(each)
    with pytest.raises(nats.js.errors.APIError, match="maximum number of streams"):
        await client.jetstream().add_stream(name="MORE", subjects=["more"])
    await client.jetstream().add_consumer("JOURNAL", durable_name="one")
    with pytest.raises(nats.js.errors.APIError, match="maximum consumers limit"):
        await client.jetstream().add_consumer("JOURNAL", durable_name="two")
    with pytest.raises(nats.js.errors.APIError) as full:
        await fill(client, 200_000)
    assert isinstance(write_error("append", full.value), QueueFull)
    await fill(other, 200_000)
    await users.connect(small, "agent")
    with pytest.raises(nats.errors.Error, match="maximum account active connections"):
        await users.connect(small, "agent")
    await users.connect(large, "agent")


async def test_limits_are_raised_while_work_continues(server: AccountsServer, users: Users) -> None:
    client = await users.connect(await server.serve("team-a", limits=Limits(disk_bytes=20_000)))
    await journal(client)
    with pytest.raises(nats.js.errors.APIError):
        await fill(client, 50_000)
    await server.serve("team-a", limits=Limits(disk_bytes=200_000))
    await fill(client, 50_000)
    assert client.is_connected


async def test_users_of_one_namespace_are_none_of_another(server: AccountsServer) -> None:
    made = [await server.serve(name) for name in ("team-a", "team-b")]
    forged = replace(made[1], streams=Key.make(Role.ACCOUNT))
    for accounts in (forged, NamespaceAccounts.of(server.trust, "team-c", "uid")):
        with pytest.raises(nats.errors.Error, match=r"(?i)authorization"):
            await server.user(accounts.credentials(server.trust, "agent", time.time()), "agent")


async def test_an_account_imports_nothing_that_was_not_given_to_it(
    server: AccountsServer, users: Users
) -> None:
    """Also one that a trusted key has signed, with a token for another account or with none."""
    victim, trust, now = await server.serve("team-a"), server.trust, time.time()
    owner = await users.connect(victim)
    await journal(owner)
    await owner.jetstream().publish(SUBJECT, b"of a")
    thief = await server.serve("team-b")
    stolen = claims.read(victim.tokens(trust, Limits(), now)[1])["nats"]
    without = {**stolen, "imports": [each | {"token": ""} for each in stolen["imports"]]}
    async with server.accounts() as accounts:
        with pytest.raises(AccountError, match="token doesn't match account"):
            await accounts.push(claims.sign(trust.signing, thief.clients.public, "thief", stolen, now))
        await accounts.push(claims.sign(trust.signing, thief.clients.public, "thief", without, now))
    client = await users.connect(thief, "client")
    with pytest.raises((nats.errors.Error, nats.js.errors.Error)):
        await client.jetstream(prefix="armonik.api", timeout=1).get_last_msg("JOURNAL", SUBJECT)
    other = await users.connect(victim, "client")
    read = await other.jetstream(prefix="armonik.api", timeout=5).get_last_msg("JOURNAL", SUBJECT)
    assert read.data == b"of a"


async def test_an_account_is_pushed_once_and_again_when_it_says_something_else(
    server: AccountsServer,
) -> None:
    made, now = NamespaceAccounts.of(server.trust, "team-a", "uid"), time.time()
    async with server.accounts() as accounts:
        assert await accounts.lookup(made.streams.public) is None
        pushed = [await accounts.ensure(token) for token in made.tokens(server.trust, Limits(), now)]
        again = [await accounts.ensure(token) for token in made.tokens(server.trust, Limits(), now + 60)]
        other = [await accounts.ensure(t) for t in made.tokens(server.trust, Limits(streams=9), now)]
    assert (pushed, again, other) == ([True, True], [False, False], [True, False])


async def test_a_deleted_account_ends_its_connections_and_stays_deleted(
    server: AccountsServer, users: Users
) -> None:
    gone, kept = await server.serve("gone"), await server.serve("kept")
    client, other = await users.connect(gone), await users.connect(kept)
    await journal(other)
    async with server.accounts() as accounts:
        keys = (gone.streams.public, gone.clients.public)
        request = server.trust.deletion(keys, time.time())
        await accounts.delete(request)
        await accounts.delete(request)  # may be repeated
        present = await accounts.list()
        assert present == {server.trust.system.public, kept.streams.public, kept.clients.public}
    await until(lambda: not client.is_connected)
    server.kill()
    server.start()
    async with server.accounts() as accounts:
        assert await accounts.list() == present
    again = await users.connect(kept)
    assert (await again.jetstream().stream_info("JOURNAL")).state.messages == 0


async def test_the_signing_key_is_rotated_and_the_former_one_then_refused(
    server: AccountsServer, users: Users
) -> None:
    old, now = server.trust, time.time()
    made = await server.serve("team-a")
    await journal(await users.connect(made))
    await (await users.connect(made)).jetstream().publish(SUBJECT, b"before")

    server.restart(old.rotated())  # both are trusted: what is there works on, unsigned anew
    assert (await (await users.connect(made)).jetstream().stream_info("JOURNAL")).state.messages == 1
    async with server.accounts() as accounts:
        tokens = made.tokens(server.trust, Limits(), now)
        assert [await accounts.ensure(token) for token in tokens] == [True, True]

    server.restart(server.trust.settled())
    client = await users.connect(made)
    assert (await client.jetstream().get_last_msg("JOURNAL", SUBJECT)).data == b"before"
    late = NamespaceAccounts.of(server.trust, "team-b", "uid")
    async with server.accounts() as accounts:
        await accounts.push(late.tokens(old, Limits(), now)[0])
    with pytest.raises(nats.errors.Error, match=r"(?i)authorization"):
        await server.user(late.credentials(server.trust, "operator", now), "operator")


async def test_an_account_that_only_the_former_key_signed_is_refused_after_the_rotation(
    server: AccountsServer,
) -> None:
    made = await server.serve("team-a")
    server.restart(server.trust.rotated().settled())
    with pytest.raises(nats.errors.Error, match=r"(?i)authorization"):
        await server.user(made.credentials(server.trust, "agent", time.time()), "agent")


async def test_without_an_answer_it_says_so_and_works_when_the_server_is_back(
    server: AccountsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats_accounts, "REQUEST_TIMEOUT", 0.2)
    monkeypatch.setattr(nats_accounts, "DELAYS", (0.01,) * 4)
    made = NamespaceAccounts.of(server.trust, "team-a", "uid")
    token = made.tokens(server.trust, Limits(), time.time())[0]
    way = Proxy(f"127.0.0.1:{server.port}")
    await way.mend()
    client = await connect_nats(system(server, f"nats://{way.address}"), "system")
    try:
        accounts = NatsAccounts(client)
        await way.cut()
        with pytest.raises(AccountsUnavailable, match=rf"account {made.streams.public}.*is it up\?"):
            await accounts.push(token)
        await way.mend()
        await until(lambda: client.is_connected)
        monkeypatch.setattr(nats_accounts, "REQUEST_TIMEOUT", 30.0)
        await accounts.push(token)
        assert await accounts.lookup(made.streams.public) is not None
    finally:
        await close_nats(client)
        await way.cut()


def system(server: AccountsServer, url: str) -> Credentials:
    """Credentials of the system account's user, for NATS alone."""
    return Credentials(
        nats_url=url,
        nats_user="sys",
        nats_creds=server.trust.system_credentials(time.time()),
        s3_endpoint="",
        s3_secure=False,
        s3_region="",
        s3_bucket="",
        s3_access_key="",
        s3_secret_key="",
    )


async def test_the_system_user_has_no_other_right(server: AccountsServer) -> None:
    refused: list[str] = []

    async def note(error: Exception) -> None:
        refused.append(str(error))

    client = await connect_nats(system(server, server.url), "system")
    client._error_cb = note
    attempts = 5
    try:
        for subject in ("$SYS.REQ.SERVER.PING.CONNZ", "$SYS.REQ.ACCOUNT.A.CONNZ", "$SYS.REQ.CLAIMS.PACK"):
            await client.publish(subject, b"")
        for subject in ("$SYS.>", "_INBOX.>"):
            await client.subscribe(subject)
        async with asyncio.timeout(60):
            while len(refused) < attempts:
                await client.flush()
    finally:
        await close_nats(client)
    assert all("permissions violation" in each.lower() for each in refused)
