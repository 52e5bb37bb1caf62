"""The Python client against a real apiserver, NATS and S3; the test plays the operator."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from nats.aio.client import Client as NatsClient
from ports import free_port
from servers import as_role

from armonik_operator.clients.kube import SECRETS, SESSIONS, TASKS, Kube
from armonik_sdk.api.const import CLIENT_SECRET
from armonik_sdk.api.names import CLIENT_API, RESULTS, result_key
from armonik_sdk.api.records import Outcome, OutcomeKind, Piece
from armonik_sdk.api.results import ResultEntry, ResultState, RunResults
from armonik_sdk.client import (
    AlreadyExists,
    Client,
    NotConnected,
    NotFound,
    Refused,
    ResultAborted,
    TaskHandle,
    Unavailable,
    WaitTimeout,
)
from armonik_sdk.client import (
    ResultState as PublicState,
)
from armonik_sdk.client.results.stream import Order
from armonik_sdk.client.transport import data_plane
from armonik_sdk.client.transport import kube as client_kube
from armonik_sdk.dataplane.credentials import Credentials
from armonik_sdk.dataplane.nats import streams
from armonik_sdk.dataplane.nats.buckets import Bucket
from armonik_sdk.dataplane.s3.store import S3Store

pytestmark = pytest.mark.integration
WAIT = 60.0


@pytest.fixture
async def store(credentials: Credentials) -> S3Store:
    store = S3Store(credentials)
    await store.ensure_bucket()
    return store


@pytest.fixture
async def client(
    apiserver: Any,
    kube: Kube,
    namespace: str,
    credentials: Credentials,
    nats_client: NatsClient,
    store: S3Store,
) -> AsyncIterator[Client]:
    await streams.ensure(nats_client)
    credentials = replace(as_role(credentials, "client"), nats_api=CLIENT_API)
    values = {
        name.replace("_", "-"): str(getattr(credentials, name)) for name in Credentials.__dataclass_fields__
    }
    values["s3-secure"] = str(credentials.s3_secure).lower()
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": CLIENT_SECRET}, "stringData": values}
    await kube.create(SECRETS, secret, namespace)
    async with await Client.connect(namespace, kubeconfig=str(apiserver.kubeconfig)) as client:
        yield client


def outcome(index: int, data: bytes, offset: int = 0, *, inline: bool = False) -> Outcome:
    piece = Piece(
        object=0,
        offset=offset,
        length=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        inline=base64.b64encode(data).decode() if inline else None,
    )
    return Outcome(index=index, kind=OutcomeKind.COMPLETED, outputs={"result": piece})


async def finish(kube: Kube, task: TaskHandle, reason: str, message: str = "") -> None:
    finished = {
        "type": "Finished",
        "status": "True",
        "reason": reason,
        "message": message,
        "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    body = {"status": {"conditions": [finished]}}
    await kube.patch(TASKS, task.name, body, task.namespace, status=True)


async def at(task: TaskHandle, name: str) -> str:
    """A key of the Task's Session."""
    return f"{task.namespace}/{await task.session_uid()}/{name}"


async def commit(nats_client: NatsClient, task: TaskHandle, start: int, run: RunResults) -> None:
    key = f"{task.namespace}.{await task.session_uid()}.{task.uid}.{start}"
    await Bucket(nats_client, RESULTS, RunResults).put(key, run)


async def test_a_result_is_returned_once_it_is_committed(client: Client, nats_client: NatsClient) -> None:
    session = await client.create_session("demo")
    task = await session.submit("7", name="square")
    assert (await task.read()).spec.payload.inline == "7"
    assert await task.output().status() is PublicState.CREATED
    waiting = asyncio.create_task(task.result(timeout=WAIT))
    run = RunResults(sequence=1, end=1, outcomes=(outcome(0, b"49", inline=True),), objects=("k",), done=True)
    await commit(nats_client, task, 0, run)
    assert await waiting == b"49"
    assert await task.output().status() is PublicState.COMPLETED


async def test_what_was_committed_before_anybody_listened_is_found(
    client: Client, nats_client: NatsClient
) -> None:
    """A client expects a notification of what it has just submitted; it makes up for one that came early."""
    session = await client.create_session("demo")
    one, two = await session.submit("7"), await session.submit(b"", count=2)
    outcomes = tuple(outcome(index, b"49", inline=True) for index in range(2))
    await commit(nats_client, one, 0, RunResults(sequence=1, end=1, outcomes=outcomes[:1], done=True))
    await commit(nats_client, two, 0, RunResults(sequence=2, end=2, outcomes=outcomes, done=True))
    assert await one.result(timeout=WAIT) == b"49"
    assert [item async for item in two.results(timeout=WAIT)] == [(0, b"49"), (1, b"49")]


async def test_results_of_many_elements_come_from_packs_and_from_sub_tasks(
    client: Client, nats_client: NatsClient, store: S3Store
) -> None:
    session = await client.create_session("demo")
    task = await session.submit(items=[str(i) for i in range(5)])
    await store.put(await at(task, "pack-0"), b"zeroone")
    await store.put(await at(task, "pack-3"), b"threefour")
    await store.put(await at(task, "child"), b"two")
    handed = task.output(2).id
    first = RunResults(
        sequence=1,
        end=3,
        outcomes=(
            outcome(0, b"zero"),
            outcome(1, b"one", 4),
            Outcome(index=2, kind=OutcomeKind.COMPLETED, delegated=(handed,)),
        ),
        objects=(await at(task, "pack-0"),),
        done=True,
    )
    await commit(nats_client, task, 0, first)

    async def collect() -> dict[int, bytes]:
        return {index: data async for index, data in task.results(timeout=WAIT)}

    collecting = asyncio.create_task(collect())
    second = RunResults(
        sequence=2,
        end=5,
        outcomes=(outcome(3, b"three"), outcome(4, b"four", 5)),
        objects=(await at(task, "pack-3"),),
        done=True,
    )
    await commit(nats_client, task, 3, second)
    entry = ResultEntry(
        state=ResultState.COMPLETED, ref={"key": await at(task, "child"), "offset": 0, "length": 3}
    )
    key = result_key(client.namespace, session.uid, handed)
    await Bucket(nats_client, RESULTS, ResultEntry).put(key, entry)
    assert await collecting == {0: b"zero", 1: b"one", 2: b"two", 3: b"three", 4: b"four"}


async def test_results_come_by_index_although_runs_end_in_another_order(
    client: Client, nats_client: NatsClient, store: S3Store
) -> None:
    task = await (await client.create_session("demo")).submit(count=7)
    pack_a, pack_d = await at(task, "pack-a"), await at(task, "pack-d")
    await store.put(pack_a, b"abc")
    await store.put(pack_d, b"defg")

    def run(start: int, end: int, outcomes: list[Outcome], pack: str, *, done: bool = True) -> RunResults:
        return RunResults(sequence=end, end=end, outcomes=outcomes, objects=(pack,), done=done)

    late = run(3, 7, [outcome(3 + i, data, i) for i, data in enumerate((b"d", b"e", b"f", b"g"))], pack_d)
    first = [outcome(0, b"a"), outcome(1, b"b", 1), outcome(2, b"c", 2)]
    collected: list[tuple[int, bytes]] = []
    at_two = asyncio.Event()

    async def collect() -> None:
        async for item in task.results(order="index", timeout=WAIT):
            collected.append(item)
            if len(collected) == 1:
                at_two.set()

    collecting = asyncio.create_task(collect())
    await commit(nats_client, task, 3, late)
    # Element 1 has to be run again: element 2 is there before it, and waits for its turn.
    await commit(nats_client, task, 0, run(0, 3, [first[0], first[2]], pack_a, done=False))
    await at_two.wait()
    await commit(nats_client, task, 0, run(0, 3, first, pack_a))
    await collecting
    assert collected == list(enumerate(b"%c" % letter for letter in b"abcdefg"))


@pytest.mark.parametrize("order", ["completion", "index"])
async def test_thousands_of_results_are_each_returned_once(
    client: Client, nats_client: NatsClient, store: S3Store, order: Order
) -> None:
    task = await (await client.create_session("demo")).submit(count=3_000)
    for start in range(0, 3_000, 30):
        pack = await at(task, f"pack-{start}")
        await store.put(pack, b"".join(b"%04d" % (start + i) for i in range(30)))
        outcomes = [outcome(start + i, b"%04d" % (start + i), 4 * i) for i in range(30)]
        done = RunResults(sequence=1, end=start + 30, outcomes=outcomes, objects=(pack,), done=True)
        await commit(nats_client, task, start, done)
    collected = [item async for item in task.results(order=order, timeout=WAIT)]
    assert sorted(collected) == [(index, b"%04d" % index) for index in range(3_000)]
    assert order == "completion" or collected == sorted(collected)


async def test_a_failed_element_is_reported_after_what_came_with_it(
    client: Client, nats_client: NatsClient
) -> None:
    task = await (await client.create_session("demo")).submit(count=2)
    failed = Outcome(index=0, kind=OutcomeKind.ERROR, reason="WorkerError", message="no such number")
    run = RunResults(
        sequence=1, end=2, outcomes=(failed, outcome(1, b"49", inline=True)), objects=("k",), done=True
    )
    await commit(nats_client, task, 0, run)
    results = task.results(timeout=WAIT)
    assert await anext(results) == (1, b"49")
    with pytest.raises(ResultAborted, match="no such number"):
        await anext(results)


async def test_a_result_handed_to_a_sub_task_is_awaited_beyond_the_end_of_its_task(
    client: Client, nats_client: NatsClient, kube: Kube, store: S3Store
) -> None:
    session = await client.create_session("demo")
    task = await session.submit("7")
    handed = task.output()
    given = Outcome(index=0, kind=OutcomeKind.COMPLETED, delegated=(handed.id,))
    await commit(nats_client, task, 0, RunResults(sequence=1, end=1, outcomes=(given,), done=True))
    await finish(kube, task, "Succeeded")
    with pytest.raises(WaitTimeout):
        await handed.result(3.0)
    waiting = asyncio.create_task(handed.result(WAIT))
    await store.put(await at(task, "child"), b"49")
    entry = ResultEntry(
        state=ResultState.COMPLETED, ref={"key": await at(task, "child"), "offset": 0, "length": 2}
    )
    key = result_key(client.namespace, session.uid, handed.id)
    await Bucket(nats_client, RESULTS, ResultEntry).put(key, entry)
    assert await waiting == b"49"


async def test_waiting_ends_with_the_condition(client: Client, kube: Kube) -> None:
    task = await (await client.create_session("demo")).submit("7")
    waiting = asyncio.create_task(task.wait(WAIT))
    await finish(kube, task, "Succeeded")
    assert (await waiting).conditions[0].reason == "Succeeded"
    again = await client.task(task.name)
    assert (await again.wait(WAIT)).conditions[0].reason == "Succeeded"


async def test_hundreds_wait_at_once_over_watches_that_end(
    client: Client, kube: Kube, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_kube, "WATCH_SECONDS", 1)
    session = await client.create_session("demo")
    tasks = await asyncio.gather(*(session.submit("7") for _ in range(300)))
    waiting = [asyncio.create_task(task.wait(WAIT)) for task in tasks]
    for at in range(0, len(tasks), 50):
        batch = slice(at, at + 50)
        await asyncio.gather(*(finish(kube, task, "Succeeded") for task in tasks[batch]))
        ended = await asyncio.gather(*waiting[batch])
        assert {status.conditions[0].reason for status in ended} == {"Succeeded"}


async def test_a_task_made_again_under_its_name_is_another_one(client: Client, kube: Kube) -> None:
    session = await client.create_session("demo")
    first = await session.submit("7", name="again")
    waiting = asyncio.create_task(first.wait(WAIT))
    await first.delete()
    second = await session.submit("8", name="again")
    with pytest.raises(NotFound):
        await waiting
    waiting = asyncio.create_task(second.wait(WAIT))
    await finish(kube, second, "Succeeded")
    assert (await waiting).conditions[0].reason == "Succeeded"


async def test_a_task_that_ended_without_a_result_says_why(client: Client, kube: Kube) -> None:
    task = await (await client.create_session("demo")).submit("7")
    waiting = asyncio.create_task(task.result(timeout=WAIT))
    await finish(kube, task, "Failed", "the dependency was aborted")
    with pytest.raises(ResultAborted, match="the dependency was aborted"):
        await waiting


async def test_a_task_deleted_while_it_is_awaited_is_not_found(client: Client) -> None:
    task = await (await client.create_session("demo")).submit("7")
    waiting = asyncio.create_task(task.wait(WAIT))
    await task.delete()
    with pytest.raises(NotFound):
        await waiting
    await task.delete()


async def test_a_wait_that_is_over_leaves_the_task_alone(client: Client) -> None:
    task = await (await client.create_session("demo")).submit("7")
    with pytest.raises(WaitTimeout, match="not finished"):
        await task.wait(0.2)
    with pytest.raises(WaitTimeout):
        await task.result(timeout=0.2)
    assert (await task.read()).metadata.uid == task.uid


async def test_large_payloads_are_in_the_store_before_the_task_exists(client: Client, store: S3Store) -> None:
    task = await (await client.create_session("demo")).submit(items=[b"a" * 40_000, b"b" * 40_000])
    items = (await task.read()).spec.items
    assert items is not None
    stored = [await store.get(item.payload.object) for item in items]
    assert stored == [b"a" * 40_000, b"b" * 40_000]


async def test_what_the_cluster_refuses_is_reported_with_its_field(client: Client) -> None:
    session = await client.create_session("demo")
    with pytest.raises(AlreadyExists, match="demo"):
        await client.create_session("demo", partitions=["other"])
    with pytest.raises(Refused, match=r"metadata\.name"):
        await session.submit("7", name="Not_A_Label")
    with pytest.raises(NotFound, match="nothing"):
        await client.session("nothing")
    await session.delete()


async def test_without_credentials_the_client_says_what_is_missing(
    apiserver: Any, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_plane, "CONNECT_SECONDS", 0.5)
    async with await Client.connect(namespace, kubeconfig=str(apiserver.kubeconfig)) as client:
        task = await (await client.create_session("demo")).submit("7")
        with pytest.raises(NotConnected, match="armonik-client"):
            await task.result(timeout=WAIT)


async def test_without_an_apiserver_the_client_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotConnected, match="kubeconfig"):
        await Client.connect(kubeconfig=str(tmp_path / "missing"))
    cluster = {"server": f"https://127.0.0.1:{free_port()}"}
    config = {
        "clusters": [{"name": "gone", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "gone", "context": {"cluster": "gone", "user": "u"}}],
        "current-context": "gone",
    }
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    with pytest.raises(Unavailable, match="no usable answer"):
        await Client.connect(kubeconfig=str(tmp_path / "kubeconfig"))


async def test_a_session_that_is_gone_takes_no_task(client: Client, kube: Kube) -> None:
    session = await client.create_session("short")
    await kube.delete(SESSIONS, "short", session.namespace)
    with pytest.raises(NotFound, match="short"):
        await session.submit("1")


async def test_a_task_names_its_session_and_dependencies_by_uid(client: Client, kube: Kube) -> None:
    session = await client.create_session("demo")
    first = await session.submit("1")
    second = await session.submit("2", depends_on=[first])
    spec = (await kube.get(TASKS, second.name, second.namespace))["spec"]
    assert spec["sessionUid"] == session.uid
    assert spec["dependsOn"] == [{"task": first.name, "uid": first.uid}]


async def test_a_wait_that_is_over_says_what_keeps_the_task(client: Client, kube: Kube) -> None:
    session = await client.create_session("demo")
    task = await session.submit("1")
    missing = {
        "type": "Ready",
        "status": "False",
        "reason": "PartitionNotFound",
        "message": "partition default does not exist",
        "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    status = {"status": {"conditions": [missing]}}
    await kube.patch(TASKS, task.name, status, task.namespace, status=True)
    with pytest.raises(WaitTimeout, match="PartitionNotFound: partition default does not exist"):
        await task.wait(timeout=0.2)
