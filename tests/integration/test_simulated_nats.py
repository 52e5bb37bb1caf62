"""The simulated JetStream against the real one: the same conversation must go the same way on both.

Each scenario talks to a server through the real client and writes down what it sees; the two accounts must be
equal. What the simulation's tests rest on is thereby what nats-server does.
"""

import asyncio
import random
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import nats
import nats.aio.client
import nats.errors
import nats.js.errors
import pytest
from nats.aio.client import Client
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    KeyValueConfig,
    RetentionPolicy,
    StreamConfig,
)
from servers import PASSWORD, NatsServer

sys.path.insert(0, str(Path(__file__).parents[1]))

from simulation.link import Link, SimulatedTransport
from simulation.loop import VirtualLoop, virtual_clocks
from simulation.server import NatsServer as SimulatedServer

pytestmark = pytest.mark.integration

Account = list[Any]
Scenario = Callable[[Client, Account], Awaitable[None]]
LEASE = 1.0
"""Seconds of ack_wait in these scenarios."""


async def refusal(account: Account, attempt: Awaitable[Any]) -> None:
    try:
        account.append(("accepted", type(await attempt).__name__))
    except nats.js.errors.APIError as error:
        account.append(("refused", getattr(error, "err_code", type(error).__name__)))


async def journal(client: Client) -> None:
    await client.jetstream().add_stream(StreamConfig(name="J", subjects=["j.>"], allow_direct=True))


async def queue(client: Client) -> None:
    js = client.jetstream()
    await js.add_stream(
        StreamConfig(
            name="Q",
            subjects=["q.>"],
            retention=RetentionPolicy.WORK_QUEUE,
            max_msgs_per_subject=1,
            discard="new",
            discard_new_per_subject=True,
        )
    )
    await js.add_consumer(
        "Q",
        ConsumerConfig(
            durable_name="c",
            filter_subject="q.>",
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=LEASE,
            max_deliver=-1,
            max_ack_pending=-1,
        ),
    )


async def appends_name_what_they_follow(client: Client, account: Account) -> None:
    await journal(client)
    js = client.jetstream()

    def append(subject: str, expected: int) -> Awaitable[Any]:
        header = {"Nats-Expected-Last-Subject-Sequence": str(expected)}
        return js.publish(subject, b"record", stream="J", headers=header)

    for subject, expected in (
        ("j.a", 0),
        ("j.a", 0),
        ("j.b", 0),
        ("j.a", 1),
        ("j.a", 1),
        ("j.a", 3),
        ("j.c", 9),
    ):
        await refusal(account, append(subject, expected))
    for subject in ("j.a", "j.b"):
        found = await js.get_last_msg("J", subject)
        account.append(
            (found.seq, found.subject, found.data, found.headers is not None, found.time is not None)
        )
    with pytest.raises(nats.js.errors.NotFoundError):
        await js.get_last_msg("J", "j.c")
    direct = await js.get_last_msg("J", "j.a", direct=True)
    account.append((direct.seq, direct.data))


async def several_records_are_stored_all_or_none(client: Client, account: Account) -> None:
    await journal(client)
    js = client.jetstream()

    async def together(batch: str, *appends: tuple[str, int], skip: int = 0) -> None:
        for number, (subject, expected) in enumerate(appends, start=1):
            if number <= skip:
                continue
            headers = {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(number)}
            headers["Nats-Expected-Last-Subject-Sequence"] = str(expected)
            if number < len(appends):
                await client.publish(subject, b"record", headers=headers)
            else:
                headers["Nats-Batch-Commit"] = "1"
                await refusal(account, js.publish(subject, b"record", stream="J", headers=headers))
        info = await js.stream_info("J")
        account.append((info.state.messages, info.state.last_seq))

    await together("not allowed yet", ("j.a", 0), ("j.b", 0))
    config = (await js.stream_info("J")).config
    await js.update_stream(config.evolve(allow_atomic=True))
    await together("first", ("j.a", 0), ("j.b", 0))
    await together("the first is behind", ("j.a", 7), ("j.c", 0))
    await together("the second is there", ("j.a", 1), ("j.b", 0))
    await together("half of it was lost", ("j.a", 1), ("j.c", 0), skip=1)
    await together("continues", ("j.a", 1), ("j.c", 0))
    found = await js.get_last_msg("J", "j.a")
    account.append((found.seq, found.data))


async def a_subject_of_the_queue_holds_one_message(client: Client, account: Account) -> None:
    await queue(client)
    js = client.jetstream()
    await refusal(account, js.publish("q.a.1", b"1", stream="Q"))
    await refusal(account, js.publish("q.a.1", b"1", stream="Q"))
    await refusal(account, js.publish("q.b.1", b"1", stream="Q"))
    pull = await js.pull_subscribe_bind(consumer="c", stream="Q")
    (message,) = await pull.fetch(1, timeout=10)
    account.append((message.subject, message.metadata.num_delivered, message.metadata.num_pending))
    await refusal(account, js.publish("q.a.1", b"again while held", stream="Q"))
    await message.ack_sync()
    await refusal(account, js.publish("q.a.1", b"2", stream="Q"))
    info = await js.stream_info("Q", subjects_filter="q.a.>")
    account.append((info.state.subjects, info.state.messages, info.state.last_seq))
    await js.purge_stream("Q", subject="q.*.1")
    info = await js.stream_info("Q", subjects_filter=">")
    account.append((info.state.subjects, info.state.messages))


async def leases_run_out_and_are_renewed(client: Client, account: Account) -> None:
    await queue(client)
    js = client.jetstream()
    pull = await js.pull_subscribe_bind(consumer="c", stream="Q")
    await js.publish("q.a.1", b"1", stream="Q")
    (first,) = await pull.fetch(1, timeout=10)
    for _ in range(3):
        await asyncio.sleep(LEASE * 0.6)
        await first.in_progress()
    with pytest.raises(TimeoutError):  # the client's own, or asyncio's when its answer is late
        await pull.fetch(1, timeout=LEASE * 0.3)
    (second,) = await pull.fetch(1, timeout=LEASE * 3)
    account.append(("after the lease", second.metadata.num_delivered, second.metadata.sequence.stream))
    await second.nak(delay=LEASE * 0.5)
    (third,) = await pull.fetch(1, timeout=LEASE * 3)
    account.append(("after nak", third.metadata.num_delivered))
    await client.publish(first.reply, b"-NAK")  # of a delivery that is long over
    (fourth,) = await pull.fetch(1, timeout=LEASE * 0.5)
    account.append(("a late nak delivers what is held", fourth.metadata.num_delivered))
    await client.request(first.reply, b"+ACK", timeout=10)
    info = await js.stream_info("Q")
    account.append(("a late ack removes what is held", info.state.messages))


async def reading_from_the_first_record(client: Client, account: Account) -> None:
    await journal(client)
    js = client.jetstream()
    for number in range(5):
        await js.publish(f"j.{number % 2}", str(number).encode())
    config = ConsumerConfig(
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=2,
        ack_policy=AckPolicy.NONE,
        inactive_threshold=30.0,
    )
    pull = await js.pull_subscribe("j.>", stream="J", config=config)
    places = [
        (m.subject, m.data, m.metadata.sequence.stream, m.metadata.sequence.consumer, m.metadata.num_pending)
        for m in await pull.fetch(5, timeout=10)
    ]
    account.append(places)
    with pytest.raises(TimeoutError):  # the client's own, or asyncio's when its answer is late
        await pull.fetch(10, timeout=0.3)
    account.append((await pull.consumer_info()).num_pending)
    await js.publish("j.1", b"5")
    account.append([m.data for m in await pull.fetch(1, timeout=10)])
    await js.purge_stream("J", subject="j.0")
    info = await js.stream_info("J")
    account.append((info.state.messages, info.state.first_seq, info.state.last_seq))


async def buckets(client: Client, account: Account) -> None:
    js = client.jetstream()
    bucket = await js.create_key_value(KeyValueConfig(bucket="B", history=1))
    account.append(await bucket.create("k.1", b"one"))
    await refusal(account, bucket.create("k.1", b"again"))
    account.append(await bucket.update("k.1", b"two", 1))
    await refusal(account, bucket.update("k.1", b"three", 1))
    account.append(await bucket.put("k.2", b"x"))
    await js.publish("$KV.B.k.2", b"", headers={"KV-Operation": "PURGE", "Nats-Rollup": "sub"})
    found = await js.get_last_msg("KV_B", "$KV.B.k.2")
    account.append((found.seq, found.headers and found.headers.get("KV-Operation")))
    info = await js.stream_info("KV_B", subjects_filter="$KV.B.k.*")
    account.append((info.state.subjects, info.state.messages))
    watcher = await bucket.watch("k.>")
    seen: Account = []
    async for entry in watcher:
        if entry is None:
            break
        seen.append((entry.key, entry.value, entry.revision, entry.operation))
    await bucket.put("k.3", b"later")
    entry = await watcher.updates(timeout=10)
    seen.append((entry.key, entry.value, entry.revision))
    await watcher.stop()
    account.append(seen)


async def questions(client: Client, account: Account) -> None:
    with pytest.raises(nats.errors.NoRespondersError):
        await client.request("nobody", b"?", timeout=1)

    async def answer(message: Any) -> None:
        await message.respond(b"yes to " + message.data)

    await client.subscribe("somebody.*", cb=answer)
    await client.flush()
    account.append((await client.request("somebody.here", b"you", timeout=10)).data)
    with pytest.raises(nats.js.errors.NotFoundError):
        await client.jetstream().stream_info("NONE")
    await journal(client)
    with pytest.raises(nats.js.errors.NotFoundError):
        await client.jetstream().consumer_info("J", "none")


SCENARIOS = [
    appends_name_what_they_follow,
    several_records_are_stored_all_or_none,
    a_subject_of_the_queue_holds_one_message,
    leases_run_out_and_are_renewed,
    reading_from_the_first_record,
    buckets,
    questions,
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_the_simulation_answers_as_the_server_does(scenario: Scenario, nats_server: NatsServer) -> None:
    real, simulated = asyncio.run(_on_the_server(scenario, nats_server)), _in_the_simulation(scenario)
    assert real
    assert simulated == real


async def _on_the_server(scenario: Scenario, server: NatsServer) -> Account:
    account: Account = []
    client = await nats.connect(server.url, user="operator", password=PASSWORD)
    try:
        await scenario(client, account)
    finally:
        await client.close()
    return account


def _in_the_simulation(scenario: Scenario) -> Account:
    account: Account = []
    loop = VirtualLoop()
    chance = random.Random(1)
    server = SimulatedServer(loop, chance)

    class Transport(SimulatedTransport):
        @staticmethod
        def dial(host: str) -> Link:
            assert host == "simulation"
            link = Link(loop, chance, "test")
            server.accept(link)
            return link

    async def talk() -> None:
        client = await nats.connect("nats://simulation:4222")
        try:
            await scenario(client, account)
        finally:
            await client.close()

    with patch.object(nats.aio.client, "TcpTransport", Transport), virtual_clocks(loop):
        try:
            loop.run_until_complete(talk())
        finally:
            loop.close()
    return account
