"""The journal keeps room for commits: new work waits before it is full, and what is deleted makes room."""

import asyncio
import secrets
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.errors import APIError
from operator_process import DEADLINE, FakeAgent, Process, conditions, finished, manifest, until
from servers import NatsServer

from armonik_operator.cache.keys import DeletedTask
from armonik_operator.clients.kube import SESSIONS, TASKS, Kube
from armonik_operator.clients.servers import Clients
from armonik_operator.commits.child_tasks import ChildTasks
from armonik_operator.commits.record_applier import RecordApplier
from armonik_operator.gc.task_data import TaskDataRemover
from armonik_operator.journal.fold import TaskFold
from armonik_operator.queueing.cancellation import RunCanceller
from armonik_operator.queueing.journal_writer import JournalWriter
from armonik_operator.results.store import ResultStore
from armonik_sdk.api.names import JOURNAL, RunId, journal_of_session, result_journal
from armonik_sdk.api.records import Owner, Record, RecordKind
from armonik_sdk.api.results import ResultRecord, ResultRecordKind
from armonik_sdk.dataplane.nats.journal import Log
from armonik_sdk.dataplane.s3.store import ObjectStore

pytestmark = pytest.mark.integration

RUN = RunId("ns", "session", "task", 0)


async def fill(js: JetStreamContext) -> None:
    for number in range(10_000):
        await js.publish(f"armonik.journal.ns.session.other.{number}", b"x" * 10)


async def test_a_running_task_is_removed_though_the_journal_is_full(nats_client: Client) -> None:
    """Its last word, that it was cancelled, finds no room; it is what makes room."""
    servers = Clients(cast("Kube", None), nats_client, cast("ObjectStore", None))
    fold, owner = TaskFold(), Owner(pod="pod", process="1")
    head = Record(record_id="a", kind=RecordKind.SUBMITTED, start=0, end=9, n=1)
    sequence = await servers.journal.submit(RUN, head)
    held = head.model_copy(update={"kind": RecordKind.DISPATCHED, "owner": owner, "epoch": 1})
    sequence = await servers.journal.append(RUN, held, sequence)
    fold.add(held, sequence, datetime.now(UTC))
    js = nats_client.jetstream(timeout=10)
    config = (await js.stream_info(JOURNAL)).config
    await js.update_stream(config.evolve(max_bytes=100_000))
    with pytest.raises(APIError, match="maximum bytes exceeded"):
        await fill(js)

    book = ResultStore(servers, lambda _: None)
    children = ChildTasks(servers, cast("Any", None), book, cast("Any", None), lambda _: None)
    writer = JournalWriter(servers, cast("RecordApplier", None))  # nothing can be appended
    canceller = RunCanceller(servers, cast("Any", None), book, writer)
    remover = TaskDataRemover(servers, children, canceller)
    assert await remover.remove_task("task", DeletedTask("ns", "session"), fold) is None
    assert await servers.journal.head(RUN) is None


@pytest.mark.parametrize("operator", [{"ARMONIK_NATS_STORE": "4MiB"}], indirect=True)
async def test_new_work_waits_before_the_journal_is_full(
    demo: None,
    operator: Process,
    agent: FakeAgent,
    kube: Kube,
    namespace: str,
    nats_client: Client,
    nats_server: NatsServer,
) -> None:
    await kube.create(TASKS, manifest("Task", "before", session="demo"), namespace)
    taken = await agent.take()
    session = (await kube.get(SESSIONS, "demo", namespace))["metadata"]["uid"]
    log, js = Log(nats_client, ResultRecord), nats_client.jetstream(timeout=30)
    room = int(4 * 1024 * 1024 * 0.2)
    while (await js.stream_info(JOURNAL)).state.bytes < 0.82 * room:
        record = ResultRecord(record_id=secrets.token_hex(8), kind=ResultRecordKind.CREATED, name="n" * 250)
        await log.append(result_journal(namespace, session, secrets.token_hex(8)), record, 0)

    async def measured() -> None:
        """The sweep follows a reconnect."""
        nats_server.stop()
        nats_server.start()
        async with asyncio.timeout(DEADLINE):
            while not nats_client.is_connected:  # noqa: ASYNC110 - the client sets no event
                await asyncio.sleep(0.1)

    await measured()
    async with asyncio.timeout(DEADLINE):
        while "JOURNAL is 8" not in operator.log.read_text():  # noqa: ASYNC110 - a small file
            await asyncio.sleep(0.1)
    await agent.succeed(taken)  # commits find room
    await finished(kube, "before", namespace)
    await kube.create(TASKS, manifest("Task", "after", session="demo"), namespace)
    task = await until(kube, TASKS, "after", namespace, lambda task: "QueueFull" in conditions(task))
    said = next(c for c in task["status"]["conditions"] if c["type"] == "QueueFull")
    assert "NATS' journal is 8" in said["message"]
    await js.purge_stream(JOURNAL, subject=f"{journal_of_session(namespace, session)[:-1]}result.>")
    await measured()
    await agent.compute()
    await finished(kube, "after", namespace)
