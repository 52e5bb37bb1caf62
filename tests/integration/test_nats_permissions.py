"""What each NATS user may do, tried against a real nats-server with the shipped permission lists.

The protocol rests on roles: the operator owns streams and consumers, agents pull, acknowledge and append to
the journal, clients read and say what becomes of results they make. The lists live with the operator, which
renders them into ``auth.conf``; the server here includes that file the way the chart's configuration does.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, NamedTuple

import nats.errors
import nats.js.api as js_api
import nats.js.errors
import pytest
from accounts_server import AccountsServer
from nats.aio.client import Client, RawCredentials
from nats.js.client import JetStreamContext
from servers import NatsServer

from armonik_operator.manifests.nats_auth import render_auth_conf
from armonik_sdk.api.names import CLIENT_API
from armonik_sdk.dataplane.credentials import JETSTREAM_API
from armonik_sdk.dataplane.nats.connection import PersistentClient
from armonik_sdk.dataplane.nats.subjects import subjects

pytestmark = pytest.mark.integration

PASSWORDS = {"operator": "op1", "agent": "ag1", "client": "cl1"}
JOURNAL_SUBJECT = "armonik.journal.ns.session.task.0"
FORGED_SUBJECT = "armonik.journal.ns.session.task.result"
QUEUE_SUBJECT = "armonik.queue.ns.default.0.session.task.0.1"
CONSUMER = "ns_default_0"


class Served(NamedTuple):
    """A server, and by what each role connects to it."""

    url: str
    by: dict[str, dict[str, Any]]
    """Options of the connection by role."""


@pytest.fixture(scope="module", params=["passwords", "accounts"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Both ways that users are made: by passwords in a file, and by accounts and users that are signed."""
    signed = request.param == "accounts"
    folder = tmp_path_factory.mktemp("nats")
    running = AccountsServer(folder) if signed else PasswordServer(folder)
    running.start()
    try:
        if isinstance(running, AccountsServer):
            made = asyncio.run(running.serve("ns"))
            files = {role: made.credentials(running.trust, role, time.time()) for role in PASSWORDS}
            by = {role: {"user_credentials": RawCredentials(file)} for role, file in files.items()}
        else:
            by = {role: {"user": role, "password": PASSWORDS[role]} for role in PASSWORDS}
        yield Served(running.url, by)
    finally:
        running.stop()


class PasswordServer(NatsServer):
    """Each role has a password of its own."""

    def auth_conf(self, _: str) -> str:
        """The file that the operator renders."""
        return render_auth_conf(PASSWORDS)


class Role:
    """One connection under a user's name, with the violations the server reported to it."""

    def __init__(self, user: str) -> None:
        self.user = user
        self.violations: list[str] = []
        self._reported = asyncio.Event()
        self.nc = PersistentClient()
        if user == "client":
            self.nc.api = CLIENT_API

    async def connect(self, server: Served, *, inbox_prefix: str | None = None) -> None:
        await self.nc.connect(
            server.url,
            **server.by[self.user],
            inbox_prefix=(inbox_prefix or f"_INBOX.{self.user}").encode(),
            error_cb=self._on_error,
            max_reconnect_attempts=60,
        )

    async def _on_error(self, error: Exception) -> None:
        self.violations.append(str(error))
        self._reported.set()

    @property
    def js(self) -> JetStreamContext:
        return self.nc.jetstream(timeout=1)

    async def settled(self) -> None:
        """Return when the server knows the subscriptions made so far.

        nats-py writes the first flush's PING past its own buffer, so only the second is behind them.
        """
        await self.nc.flush()
        await self.nc.flush()

    async def refused(self, action: Awaitable[object], subject: str) -> None:
        """Assert that the server answers ``action`` with a permissions violation naming ``subject``."""
        self.violations.clear()
        self._reported.clear()
        attempt = asyncio.ensure_future(action)
        try:
            await asyncio.wait_for(self._reported.wait(), 5)
        finally:
            attempt.cancel()
            # Without an answer the request runs into its time-out ("no stream"); the violation is the proof.
            with contextlib.suppress(asyncio.CancelledError, nats.errors.Error, nats.js.errors.Error):
                await attempt
        assert any(
            "permissions violation" in v.lower() and subject.lower() in v.lower() for v in self.violations
        ), f"{self.user}: expected a violation for {subject}, got {self.violations}"


@pytest.fixture
async def roles(server: Served) -> AsyncIterator[dict[str, Role]]:
    """All three users connected, with streams as the operator makes them and one message in each."""
    everyone = {name: Role(name) for name in PASSWORDS}
    for role in everyone.values():
        await role.connect(server)
    js = everyone["operator"].js
    await js.add_stream(
        name="QUEUE",
        subjects=["armonik.queue.>"],
        retention=js_api.RetentionPolicy.WORK_QUEUE,
        max_msgs_per_subject=1,
        discard=js_api.DiscardPolicy.NEW,
        discard_new_per_subject=True,
    )
    await js.add_stream(name="JOURNAL", subjects=["armonik.journal.>"], allow_direct=True)
    await js.add_consumer(
        "QUEUE",
        durable_name=CONSUMER,
        filter_subject="armonik.queue.ns.default.0.>",
        ack_policy=js_api.AckPolicy.EXPLICIT,
        ack_wait=10,
        max_ack_pending=-1,
    )
    buckets = {name: await js.create_key_value(bucket=name) for name in ("CONTROL", "RESULTS", "TASKS")}
    for stream in await js.streams_info():
        await js.purge_stream(stream.config.name)
    for name, kv in buckets.items():
        await kv.put("ns.known", name.encode())
    await js.publish(JOURNAL_SUBJECT, b"submitted")
    await js.publish(QUEUE_SUBJECT, b"run")
    yield everyone
    for role in everyone.values():
        await role.nc.close()


async def test_agent_pulls_renews_and_acknowledges(roles: dict[str, Role]) -> None:
    agent = roles["agent"]
    pull = await agent.js.pull_subscribe_bind(consumer=CONSUMER, stream="QUEUE")
    (message,) = await pull.fetch(1, timeout=2)
    await agent.nc.request(message.reply, b"+WPI", timeout=2)  # a renewal as a request is answered
    await message.nak()
    (message,) = await pull.fetch(1, timeout=2)
    await message.ack_sync(timeout=2)
    info = await roles["operator"].js.stream_info("QUEUE")
    assert info.state.messages == 0
    assert agent.violations == []


async def test_agent_appends_with_compare_and_set_and_reads_heads(roles: dict[str, Role]) -> None:
    agent = roles["agent"]
    head = await agent.js.get_last_msg("JOURNAL", JOURNAL_SUBJECT)
    follows = {"Nats-Expected-Last-Subject-Sequence": str(head.seq)}
    ack = await agent.js.publish(JOURNAL_SUBJECT, b"dispatched", headers=follows)
    assert ack.seq == (head.seq or 0) + 1
    with pytest.raises(nats.js.errors.APIError) as fenced:
        await agent.js.publish(JOURNAL_SUBJECT, b"late", headers=follows)
    assert fenced.value.err_code == 10071
    leader = await agent.js.get_last_msg("JOURNAL", JOURNAL_SUBJECT)
    direct = await agent.js.get_last_msg("JOURNAL", JOURNAL_SUBJECT, direct=True)
    assert (leader.data, direct.data) == (b"dispatched", b"dispatched")
    assert agent.violations == []


@pytest.mark.parametrize(("user", "bucket"), [("agent", "CONTROL"), ("client", "RESULTS")])
async def test_changes_are_delivered_without_a_consumer(
    roles: dict[str, Role], user: str, bucket: str
) -> None:
    role = roles[user]
    hints = await role.nc.subscribe(f"$KV.{bucket}.ns.>")
    await role.settled()
    writer = await roles["operator"].js.key_value(bucket)
    await writer.put("ns.new", b"1")
    assert (await hints.next_msg(timeout=2)).subject == f"$KV.{bucket}.ns.new"
    assert role.violations == []


@pytest.mark.parametrize("bucket", ["CONTROL", "RESULTS"])
async def test_agents_read_both_buckets(roles: dict[str, Role], bucket: str) -> None:
    role = roles["agent"]
    kv = await role.js.key_value(bucket)
    assert (await kv.get("ns.known")).value == bucket.encode()
    leader = await role.js.get_last_msg(f"KV_{bucket}", f"$KV.{bucket}.ns.known")
    assert leader.data == bucket.encode()
    assert role.violations == []


async def test_client_reads_heads_and_lists_and_reads_results(roles: dict[str, Role]) -> None:
    client = roles["client"]
    assert (await client.js.get_last_msg("JOURNAL", JOURNAL_SUBJECT)).data == b"submitted"
    assert await subjects(client.nc, "KV_RESULTS", "$KV.RESULTS.ns.*") == {"$KV.RESULTS.ns.known"}
    assert (await client.js.get_last_msg("KV_RESULTS", "$KV.RESULTS.ns.known")).data == b"RESULTS"
    assert client.violations == []


async def test_client_appends_records_of_results_with_compare_and_set(roles: dict[str, Role]) -> None:
    client, subject = roles["client"], "armonik.journal.ns.session.result.0a1b"
    first = {"Nats-Expected-Last-Subject-Sequence": "0"}
    made = await client.js.publish(subject, b"created", headers=first)
    with pytest.raises(nats.js.errors.APIError) as refused:
        await client.js.publish(subject, b"created", headers=first)
    assert refused.value.err_code == 10071
    follows = {"Nats-Expected-Last-Subject-Sequence": str(made.seq)}
    await client.js.publish(subject, b"uploaded", headers=follows)
    assert (await client.js.get_last_msg("JOURNAL", subject)).data == b"uploaded"
    assert client.violations == []


async def test_agents_ask_and_answer_each_other_and_the_operator(
    roles: dict[str, Role], server: Served
) -> None:
    owner = roles["agent"]

    async def answer(message: Any) -> None:
        await message.respond(b"yes")

    await owner.nc.subscribe("armonik.agent.pod-1", cb=answer)
    await owner.settled()
    other = Role("agent")
    await other.connect(server)
    for asker in (other, roles["operator"]):
        assert (await asker.nc.request("armonik.agent.pod-1", b"run R?", timeout=2)).data == b"yes"
    events = await roles["operator"].nc.subscribe("armonik.event.>")
    await roles["operator"].settled()
    await other.nc.publish("armonik.event.ns.pod-1", b"WorkerDown")
    assert (await events.next_msg(timeout=2)).data == b"WorkerDown"
    assert owner.violations == other.violations == []
    await other.nc.close()


Attempt = tuple[str, Callable[[Role], Awaitable[object]]]

# What neither agents nor clients may do: the subject the server must name, and the call that tries.
FORBIDDEN: list[Attempt] = [
    ("$JS.API.STREAM.CREATE.MINE", lambda r: r.js.add_stream(name="MINE", subjects=["mine"])),
    (
        "$JS.API.STREAM.UPDATE.JOURNAL",
        lambda r: r.js.update_stream(name="JOURNAL", subjects=["armonik.journal.>"]),
    ),
    ("$JS.API.STREAM.DELETE.QUEUE", lambda r: r.js.delete_stream("QUEUE")),
    ("$JS.API.STREAM.PURGE.JOURNAL", lambda r: r.js.purge_stream("JOURNAL")),
    ("$JS.API.STREAM.PURGE.KV_RESULTS", lambda r: r.js.purge_stream("KV_RESULTS")),
    ("$JS.API.STREAM.MSG.DELETE.JOURNAL", lambda r: r.js.delete_msg("JOURNAL", 1)),
    (
        "$JS.API.CONSUMER.DURABLE.CREATE.QUEUE.thief",
        lambda r: r.js.add_consumer("QUEUE", durable_name="thief", filter_subject="armonik.queue.>"),
    ),
    (
        "$JS.API.CONSUMER.CREATE.QUEUE.thief",
        lambda r: r.js.add_consumer("QUEUE", name="thief", filter_subject="armonik.queue.>"),
    ),
    ("$JS.API.CONSUMER.CREATE.KV_RESULTS", lambda r: _watch(r, "KV_RESULTS")),
    ("$JS.API.CONSUMER.CREATE.KV_CONTROL", lambda r: _watch(r, "KV_CONTROL")),
    ("$JS.API.CONSUMER.CREATE.JOURNAL", lambda r: r.js.subscribe("armonik.journal.>", stream="JOURNAL")),
    (f"$JS.API.CONSUMER.DELETE.QUEUE.{CONSUMER}", lambda r: r.js.delete_consumer("QUEUE", CONSUMER)),
    (QUEUE_SUBJECT.replace(".1", ".2"), lambda r: r.js.publish(QUEUE_SUBJECT.replace(".1", ".2"), b"mine")),
    ("$KV.CONTROL.ns.known", lambda r: r.js.publish("$KV.CONTROL.ns.known", b"Cancelled")),
    ("$KV.RESULTS.ns.known", lambda r: r.js.publish("$KV.RESULTS.ns.known", b"forged")),
    ("$KV.TASKS.ns.known", lambda r: r.js.publish("$KV.TASKS.ns.known", b"forged")),
    ("$JS.API.STREAM.MSG.GET.KV_TASKS", lambda r: r.js.get_last_msg("KV_TASKS", "$KV.TASKS.ns.known")),
    ("_INBOX.>", lambda r: r.nc.subscribe("_INBOX.>")),
    ("$JS.API.>", lambda r: r.nc.subscribe(f"{r.nc.api}.>")),
    ("armonik.queue.>", lambda r: r.nc.subscribe("armonik.queue.>")),
]
# Clients have, beyond that, no part in running work.
FORBIDDEN_TO_CLIENTS: list[Attempt] = [
    (f"$JS.API.CONSUMER.MSG.NEXT.QUEUE.{CONSUMER}", lambda r: _fetch(r)),
    (JOURNAL_SUBJECT, lambda r: r.js.publish(JOURNAL_SUBJECT, b"done")),
    (FORGED_SUBJECT, lambda r: r.js.publish(FORGED_SUBJECT, b"done")),
    ("$JS.ACK.QUEUE.x", lambda r: r.nc.publish("$JS.ACK.QUEUE.x", b"+ACK")),
    ("armonik.agent.pod-1", lambda r: r.nc.publish("armonik.agent.pod-1", b"?")),
    ("armonik.event.ns.pod-1", lambda r: r.nc.publish("armonik.event.ns.pod-1", b"WorkerDown")),
    ("armonik.agent.>", lambda r: r.nc.subscribe("armonik.agent.>")),
    ("armonik.journal.>", lambda r: r.nc.subscribe("armonik.journal.>")),
    ("$KV.CONTROL.>", lambda r: r.nc.subscribe("$KV.CONTROL.>")),
    (
        "$JS.API.STREAM.MSG.GET.KV_CONTROL",
        lambda r: r.js.get_last_msg("KV_CONTROL", "$KV.CONTROL.ns.known"),
    ),
    (
        f"$JS.API.DIRECT.GET.JOURNAL.{JOURNAL_SUBJECT}",
        lambda r: r.js.get_last_msg("JOURNAL", JOURNAL_SUBJECT, direct=True),
    ),
]


async def _fetch(role: Role) -> object:
    pull = await role.js.pull_subscribe_bind(consumer=CONSUMER, stream="QUEUE")
    return await pull.fetch(1, timeout=1)


async def _watch(role: Role, stream: str) -> object:
    return await role.js.add_consumer(stream, name="watcher", filter_subject="$KV.>")


@pytest.mark.parametrize(
    ("user", "api", "subject", "attempt"),
    [("agent", JETSTREAM_API, *each) for each in FORBIDDEN]
    + [
        ("client", api, *each)
        for api in (JETSTREAM_API, CLIENT_API)
        for each in FORBIDDEN + FORBIDDEN_TO_CLIENTS
    ],
)
async def test_everything_else_is_refused(
    roles: dict[str, Role], user: str, api: str, subject: str, attempt: Callable[[Role], Awaitable[object]]
) -> None:
    role = roles[user]
    role.nc.api = api
    await role.refused(attempt(role), subject.replace(JETSTREAM_API, api))
    js = roles["operator"].js
    states = {info.config.name: info.state.messages for info in await js.streams_info()}
    assert states == {"QUEUE": 1, "JOURNAL": 1, "KV_CONTROL": 1, "KV_RESULTS": 1, "KV_TASKS": 1}
    assert [c.name for c in await js.consumers_info("QUEUE")] == [CONSUMER]
    assert (await (await js.key_value("CONTROL")).get("ns.known")).value == b"CONTROL"


async def test_another_roles_replies_cannot_be_read(roles: dict[str, Role]) -> None:
    for user, foreign in (("agent", "_INBOX.operator.>"), ("client", "_INBOX.agent.>")):
        await roles[user].refused(roles[user].nc.subscribe(foreign), foreign)


async def test_no_user_no_connection(server: Served) -> None:
    for credentials in ({}, {"user": "agent", "password": "wrong"}):
        nc = Client()
        with pytest.raises(nats.errors.Error, match=r"(?i)authorization"):
            await nc.connect(server.url, allow_reconnect=False, error_cb=_ignore, **credentials)
        await nc.close()


async def _ignore(_: Exception) -> None:
    """The error is raised by connect itself."""
