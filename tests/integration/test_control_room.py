"""CONTROL keeps room: what it says of Tasks goes by itself, a reserve is for Sessions and pods."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from nats.aio.client import Client

from armonik_operator.cache.keys import DeletedTask
from armonik_operator.clients.kube import Kube
from armonik_operator.clients.servers import Clients
from armonik_operator.commits.child_tasks import ChildTasks
from armonik_operator.commits.record_applier import RecordApplier
from armonik_operator.gc.orphans import FORGET, OrphanCollector
from armonik_operator.gc.task_data import TaskDataRemover
from armonik_operator.journal.fold import TaskFold
from armonik_operator.queueing.cancellation import HINT_SECONDS, RunCanceller
from armonik_operator.queueing.journal_writer import JournalWriter
from armonik_operator.queueing.priority_bands import PriorityBands
from armonik_operator.results.store import ResultStore
from armonik_operator.settings import Settings
from armonik_sdk.api.names import CONTROL, bucket_stream, bucket_subject, control_key
from armonik_sdk.api.records import Control, DesiredState
from armonik_sdk.dataplane.credentials import Credentials
from armonik_sdk.dataplane.errors import QueueFull
from armonik_sdk.dataplane.nats.buckets import put_control
from armonik_sdk.dataplane.nats.streams import ACK_WAIT, ensure
from armonik_sdk.dataplane.s3.store import ObjectStore, S3Store

pytestmark = pytest.mark.integration

SMALL_STORE = 8 * 1024 * 1024
"""Bytes of a store of which CONTROL has 80 KiB."""
SETTINGS = Settings(namespace="armonik", nats_url="nats://nats", s3_endpoint="s3:1", agent_image="agent:1")


class EmptyKube:
    """Nothing lives."""

    async def list(self, *_: Any, **__: Any) -> list[Any]:
        return []

    async def metadata(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
        for nothing in ():
            yield nothing


def servers_of(client: Client) -> Clients:
    return Clients(cast("Kube", EmptyKube()), client, cast("ObjectStore", None))


def remover_of(servers: Clients) -> TaskDataRemover:
    book = ResultStore(servers, lambda _: None)
    children = ChildTasks(servers, cast("Any", None), book, cast("Any", None), lambda _: None)
    writer = JournalWriter(servers, cast("RecordApplier", None))
    return TaskDataRemover(servers, children, RunCanceller(servers, cast("Any", None), book, writer))


async def fill(servers: Clients, part: float) -> int:
    """Deleted Tasks' entries until so much of the bucket is filled; how many there are."""
    count = 0
    while True:
        await servers.rooms.measure(servers.client, SMALL_STORE)
        if servers.rooms.filled(CONTROL) >= part:
            return count
        for _ in range(10):
            entry = Control(state=DesiredState.DELETED, at=time.time())
            try:
                await put_control(servers.control, control_key("ns", f"task-{count}"), entry)
            except QueueFull:
                return count
            count += 1


async def test_an_entry_of_a_task_goes_when_its_time_is_over(nats_client: Client) -> None:
    control = servers_of(nats_client).control
    deleted = Control(state=DesiredState.DELETED, at=time.time())
    await put_control(control, "ns.task", deleted, ttl=1.0)
    await put_control(control, "ns.session", deleted)
    async with asyncio.timeout(60):
        while await control.get("ns.task") is not None:  # noqa: ASYNC110 - a server sets no event
            await asyncio.sleep(0.1)
    assert await control.keys() == {"ns.session"}


async def test_a_deleted_tasks_entry_has_a_time_and_is_written_again_meanwhile(nats_client: Client) -> None:
    servers = servers_of(nats_client)
    assert HINT_SECONDS > 2 * ACK_WAIT
    assert await remover_of(servers).remove_task("task", DeletedTask("ns", "session"), TaskFold()) is None
    stored = await nats_client.jetstream().get_last_msg(
        bucket_stream(CONTROL), bucket_subject(CONTROL, "ns.task")
    )
    assert (stored.headers or {})["Nats-TTL"] == f"{HINT_SECONDS:g}"
    entry = Control.model_validate_json(stored.data or b"")
    later = entry.model_copy(update={"at": entry.at + HINT_SECONDS * 0.6})
    assert await put_control(servers.control, "ns.task", later, ttl=HINT_SECONDS) == later
    soon = later.model_copy(update={"at": later.at + 1})
    assert await put_control(servers.control, "ns.task", soon, ttl=HINT_SECONDS) == later


async def test_a_task_is_removed_and_a_session_accepted_when_the_bucket_is_full(nats_client: Client) -> None:
    await ensure(nats_client, store_bytes=SMALL_STORE)
    servers = servers_of(nats_client)
    await fill(servers, 2.0)
    assert servers.rooms.scarce(CONTROL)
    assert await remover_of(servers).remove_task("task", DeletedTask("ns", "session"), TaskFold()) is None


async def test_what_is_reserved_is_for_sessions(nats_client: Client, caplog: Any) -> None:
    await ensure(nats_client, store_bytes=SMALL_STORE)
    servers = servers_of(nats_client)
    await fill(servers, 0.82)
    assert "CONTROL is 8" in caplog.text
    for number in range(200):
        assert (
            await remover_of(servers).remove_task(f"gone-{number}", DeletedTask("ns", "s"), TaskFold())
            is None
        )
    for number in range(20):
        entry = Control(state=DesiredState.RUNNING, generation=1, at=time.time())
        assert await put_control(servers.control, control_key("ns", f"session-{number}"), entry) == entry


async def test_everything_old_is_forgotten_in_one_pass(nats_client: Client, credentials: Credentials) -> None:
    store = S3Store(credentials)
    await store.ensure_bucket()
    servers = servers_of(nats_client)
    for number in range(2_300):  # the last in their order are the oldest
        at = time.time() - (FORGET + 60 if number >= 1_100 else 60)
        await servers.control.put(f"ns.task-{number:05}", Control(state=DesiredState.DELETED, at=at))
    await OrphanCollector(servers, PriorityBands(servers), store, SETTINGS, time.time).collect()
    assert await servers.control.keys() == {f"ns.task-{number:05}" for number in range(1_100)}
