"""A team with all its credentials against the NATS of another team: each attempt is refused.

Each attempt is made twice: with what a team has, and with its guard taken away, where it must succeed. So no
attempt is refused for a reason of its own. docs/security.md lists them.
"""

import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import nats.errors
import pytest
from accounts_server import AccountsServer
from nats.aio.client import Client

from armonik_operator.manifests.accounts.namespace import Limits, NamespaceAccounts
from hostile_nats import ATTEMPTS, Arena, Attempt, Target, fills_the_store, listens

pytestmark = pytest.mark.integration

HEAD = "armonik.journal.team-b.session.task.0"
RESULT = "armonik.journal.team-b.session.result.mine"
QUEUED = "armonik.queue.team-b.default.0.session.task.0.1"
CONTROL, RESULTS = "$KV.CONTROL.team-b.session", "$KV.RESULTS.team-b.session.task.0"
EVENT, PROBE = "armonik.event.team-b.worker-down", "armonik.agent.pod-of-b"
STORE = 3_000_000
"""Bytes that each team may keep."""
SECRET = b"of team b"


TARGET = Target(
    head=HEAD,
    result=RESULT,
    queued=QUEUED,
    consumer="team-b_default_0",
    control=CONTROL,
    entry=RESULTS,
    event=EVENT,
    probe=PROBE,
    mark=b"team-b",
    spoken=(HEAD, RESULTS, "_INBOX.operator.x", EVENT),
)


@dataclass
class Teams(Arena):
    """Both teams' accounts, with work of team B in its streams."""

    server: AccountsServer = field(kw_only=True)
    a: NamespaceAccounts = field(kw_only=True)
    b: NamespaceAccounts = field(kw_only=True)
    made: list[Client] = field(default_factory=list, kw_only=True)

    async def connect(self, accounts: NamespaceAccounts, role: str) -> Client:
        file = accounts.credentials(self.server.trust, role, time.time())
        self.made.append(await self.server.user(file, role))
        return self.made[-1]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[AccountsServer]:
    running = AccountsServer(tmp_path)
    running.start()
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture
async def arena(server: AccountsServer) -> AsyncIterator[Teams]:
    limits = Limits(disk_bytes=STORE, connections=20)
    a, b = [await server.serve(name, limits=limits) for name in ("team-a", "team-b")]
    victim = await server.user(b.credentials(server.trust, "operator", time.time()), "operator")
    made = Teams(TARGET, victim, STORE, server=server, a=a, b=b)
    for accounts in (a, b):
        owner = victim if accounts is b else await made.connect(a, "operator")
        js = owner.jetstream(timeout=10)
        await js.add_stream(name="JOURNAL", subjects=["armonik.journal.>"], allow_direct=True)
        await js.add_stream(name="QUEUE", subjects=["armonik.queue.>"])
        await js.add_consumer("QUEUE", durable_name="team-b_default_0", filter_subject=QUEUED)
        for bucket in ("CONTROL", "RESULTS", "TASKS"):
            await js.create_key_value(bucket=bucket)
    for subject in (HEAD, QUEUED, CONTROL, RESULTS):
        await victim.jetstream(timeout=10).publish(subject, SECRET)
    await made.wiretap()
    yield made
    for client in (*made.made, victim):
        await client.close()


@pytest.mark.parametrize("role", ["agent", "client"])
@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt.__name__)
async def test_another_team_has_nothing_of_it(arena: Teams, attempt: Attempt, role: str) -> None:
    client = await arena.connect(arena.a, role)
    client.of_clients = role == "client"  # type: ignore[attr-defined]
    before = await arena.state()
    assert not await attempt(arena, client)
    if attempt not in (listens, fills_the_store):  # in these, team B writes
        assert await arena.state() == before
    assert arena.heard == [] or attempt is listens


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt.__name__)
async def test_without_the_guard_each_attempt_succeeds(arena: Teams, attempt: Attempt) -> None:
    """In team B's own account and without permissions of a role."""
    assert await attempt(arena, await arena.connect(arena.b, "operator"))


async def test_connections_of_one_team_leave_room_for_the_others(arena: Teams) -> None:
    async def use_up(accounts: NamespaceAccounts) -> None:
        for _ in range(30):
            await arena.connect(accounts, "client")

    with pytest.raises(nats.errors.Error, match="maximum account active connections"):
        await use_up(arena.a)
    await arena.connect(arena.b, "client")
    with pytest.raises(nats.errors.Error, match="maximum account active connections"):
        await use_up(arena.b)  # without the guard, in the account itself, there is no room


async def test_old_credentials_are_worth_nothing_in_a_namespace_made_again(arena: Teams) -> None:
    again = await arena.server.serve("team-b", "another-uid")
    owner = await arena.connect(again, "operator")
    await owner.jetstream(timeout=10).add_stream(name="JOURNAL", subjects=["armonik.journal.>"])
    await owner.jetstream(timeout=10).publish(HEAD, b"new")
    former = await arena.connect(arena.b, "agent")
    read = await former.jetstream(timeout=10).get_last_msg("JOURNAL", HEAD)
    assert read.data == SECRET
    async with arena.server.accounts() as accounts:
        keys = (arena.b.streams.public, arena.b.clients.public)
        await accounts.delete(arena.server.trust.deletion(keys, time.time()))
    with pytest.raises(nats.errors.Error, match=r"(?i)authorization"):
        await arena.connect(arena.b, "agent")
