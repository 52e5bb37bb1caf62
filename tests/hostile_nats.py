"""What a team tries on the NATS of another, in integration tests and on a real cluster.

Each returns whether it had what it wanted. docs/security.md lists them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from armonik_sdk.api.names import CLIENT_API

FORGED, REPLAYED = b"forged", b"seen before"
PIECE = 100_000
"""Bytes of a message that fills a store."""


@dataclass(frozen=True)
class Target:
    """Subjects of work of the other team."""

    head: str
    """Of a run in the journal."""
    result: str
    """Of a client's record in the journal."""
    queued: str
    """Of a message in the queue."""
    consumer: str
    control: str
    entry: str
    """Of RESULTS."""
    event: str
    probe: str
    mark: bytes
    """In every list of the other team's subjects."""
    spoken: tuple[str, ...]
    """On which the other team says something, the first one in its journal."""
    filler: str = "armonik.journal.x.session.result"
    """Prefix of subjects that the attacker may write to."""


@dataclass
class Arena:
    """The other team, seen by its owner."""

    target: Target
    victim: Client
    """As the operator, in the other team's account."""
    store: int
    """Bytes that each team may keep."""
    heard: list[Msg] = field(default_factory=list)

    async def state(self) -> dict[str, tuple[int, int, int]]:
        """Of each stream: messages, first and last sequence."""
        infos = await self.victim.jetstream(timeout=10).streams_info()
        return {
            str(info.config.name): (info.state.messages, info.state.first_seq, info.state.last_seq)
            for info in infos
        }

    async def wiretap(self) -> None:
        """Receive what reaches the operator and the agents of the other team."""

        async def hear(message: Msg) -> None:
            self.heard.append(message)

        for subject in (self.target.event, self.target.probe):
            await self.victim.subscribe(subject, cb=hear)
        await self.victim.flush()


Attempt = Callable[[Arena, Client], Awaitable[bool]]


def api(client: Client) -> str:
    return CLIENT_API if getattr(client, "of_clients", False) else "$JS.API"


async def asks(client: Client, subject: str, data: bytes = b"") -> bytes:
    """An answer, or nothing where the server refuses the request or nobody listens."""
    try:
        return (await client.request(subject, data, timeout=0.5)).data
    except (nats.errors.Error, TimeoutError):
        return b""


async def reads_a_head(arena: Arena, client: Client) -> bool:
    body = b'{"last_by_subj": "%s"}' % arena.target.head.encode()
    return b'"message"' in await asks(client, f"{api(client)}.STREAM.MSG.GET.JOURNAL", body)


async def reads_a_result(arena: Arena, client: Client) -> bool:
    body = b'{"last_by_subj": "%s"}' % arena.target.entry.encode()
    return b'"message"' in await asks(client, f"{api(client)}.STREAM.MSG.GET.KV_RESULTS", body)


async def reads_directly(arena: Arena, client: Client) -> bool:
    return bool(await asks(client, f"$JS.API.DIRECT.GET.JOURNAL.{arena.target.head}"))


async def lists_subjects(arena: Arena, client: Client) -> bool:
    answer = await asks(client, f"{api(client)}.STREAM.INFO.KV_RESULTS", b'{"subjects_filter": ">"}')
    return arena.target.mark in answer


async def forges_a_commit(arena: Arena, client: Client) -> bool:
    return await places(arena, client, "JOURNAL", arena.target.head, FORGED)


async def forges_a_clients_record(arena: Arena, client: Client) -> bool:
    return await places(arena, client, "JOURNAL", arena.target.result, FORGED)


async def forges_a_result(arena: Arena, client: Client) -> bool:
    return await places(arena, client, "KV_RESULTS", arena.target.entry, FORGED)


async def cancels(arena: Arena, client: Client) -> bool:
    return await places(arena, client, "KV_CONTROL", arena.target.control, b"Cancelled")


async def queues_work(arena: Arena, client: Client) -> bool:
    """Also replay: a message that was seen is sent again."""
    return await places(arena, client, "QUEUE", arena.target.queued, REPLAYED)


async def places(arena: Arena, client: Client, stream: str, subject: str, data: bytes) -> bool:
    """Whether a message of the client's is stored in the other team's stream."""
    await client.publish(subject, data)
    await client.flush()
    for _ in range(5):
        try:
            last = await arena.victim.jetstream(timeout=10).get_last_msg(stream, subject)
        except nats.js.errors.NotFoundError:
            last = None
        if last is not None and last.data == data:
            return True
        await asyncio.sleep(0.02)
    return False


async def takes_work(arena: Arena, client: Client) -> bool:
    pull = await client.jetstream().pull_subscribe_bind(consumer=arena.target.consumer, stream="QUEUE")
    try:
        return bool(await pull.fetch(1, timeout=0.5))
    except (nats.errors.Error, TimeoutError):
        return False


async def deletes_a_stream(arena: Arena, client: Client) -> bool:
    await asks(client, "$JS.API.STREAM.DELETE.JOURNAL")
    return "JOURNAL" not in await arena.state()


async def purges_a_stream(arena: Arena, client: Client) -> bool:
    await asks(client, "$JS.API.STREAM.PURGE.KV_RESULTS")
    return (await arena.state())["KV_RESULTS"][0] == 0


async def answers_into(arena: Arena, client: Client) -> bool:
    """Has the server send its answer where it deletes something: an answer has rights of its own."""
    absent = "$JS.API.DIRECT.GET.JOURNAL.armonik.journal.absent"  # its answer has no body
    for subject in (f"{api(client)}.STREAM.MSG.GET.JOURNAL", arena.target.result, absent):
        await client.publish(subject, b"{}", reply="$JS.API.STREAM.PURGE.KV_CONTROL")
    await client.flush()
    for _ in range(5):
        if (await arena.state())["KV_CONTROL"][0] == 0:
            return True
        await asyncio.sleep(0.02)
    return False


async def listens(arena: Arena, client: Client) -> bool:
    found = []

    async def hear(message: Msg) -> None:
        if message.data == b"to b":
            found.append(message)

    for subject in (">", "armonik.>", "$KV.>", "$KV.RESULTS.>", "_INBOX.>", "_INBOX.operator.>"):
        await client.subscribe(subject, cb=hear)
    await client.flush()
    await client.flush()
    for subject in arena.target.spoken:
        await arena.victim.publish(subject, b"to b")
    await arena.victim.flush()
    await asyncio.sleep(0.05)
    await client.flush()
    return bool(found)


async def speaks_to_the_operator(arena: Arena, client: Client) -> bool:
    """Reports that a pod of team B is gone, or answers in its name."""
    for subject in (arena.target.event, arena.target.probe):
        await client.publish(subject, b"{}")
    await client.flush()
    for _ in range(5):
        if arena.heard:
            return True
        await asyncio.sleep(0.02)
    return False


async def fills_the_store(arena: Arena, client: Client) -> bool:
    """Writes until it is refused; then team B has no room either."""
    for number in range(arena.store // PIECE + 1):
        await client.publish(f"{arena.target.filler}.{number}", bytes(PIECE))
        await client.flush()
    await asyncio.sleep(0.2)
    try:
        await arena.victim.jetstream(timeout=10).publish(arena.target.spoken[0], bytes(PIECE))
    except nats.js.errors.APIError:
        return True
    return False


ATTEMPTS: tuple[Attempt, ...] = (
    reads_a_head,
    reads_a_result,
    reads_directly,
    lists_subjects,
    forges_a_commit,
    forges_a_clients_record,
    forges_a_result,
    cancels,
    queues_work,
    takes_work,
    deletes_a_stream,
    purges_a_stream,
    answers_into,
    listens,
    speaks_to_the_operator,
    fills_the_store,
)
