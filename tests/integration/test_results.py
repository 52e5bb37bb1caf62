"""Results that clients make: the real client, operator, NATS and object store; the test plays agents."""

import asyncio
import hashlib
import os
import time
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from minio import Minio
from nats.aio.client import Client as NatsClient
from operator_process import FakeAgent, Process, conditions, finished, manifest, until

from armonik_operator.clients.kube import SESSIONS, TASKS, Kube
from armonik_operator.clients.servers import Clients
from armonik_operator.gc.orphans import ABANDONED, OrphanCollector
from armonik_operator.queueing.priority_bands import PriorityBands
from armonik_operator.settings import Settings
from armonik_sdk.api.names import environment_key, environments, upload_key
from armonik_sdk.api.records import RecordKind
from armonik_sdk.client import (
    Client,
    NotFound,
    Refused,
    ResultAborted,
    ResultDeleted,
    ResultState,
    SessionHandle,
    WaitTimeout,
)
from armonik_sdk.dataplane.credentials import Credentials
from armonik_sdk.dataplane.errors import ObjectMissing
from armonik_sdk.dataplane.s3.store import S3Store

pytestmark = pytest.mark.integration
WAIT = 60.0
MIB = 1024 * 1024
LARGE_MIB = int(os.environ.get("ARMONIK_TEST_LARGE_MIB", "48"))
"""Size of the large result; 1024 tries the largest that is promised."""


@pytest.fixture
async def client(apiserver: Any, demo: None, namespace: str) -> AsyncIterator[Client]:
    """With the credentials and permissions that the operator gives to clients."""
    async with await Client.connect(namespace, kubeconfig=str(apiserver.kubeconfig)) as client:
        yield client


@pytest.fixture
async def session(client: Client) -> SessionHandle:
    return await client.session("demo")


def minio(credentials: Credentials) -> Minio:
    keys = (credentials.s3_access_key, credentials.s3_secret_key)
    return Minio(credentials.s3_endpoint, *keys, secure=False, region=credentials.s3_region)


def stored(credentials: Credentials, session: SessionHandle) -> list[str]:
    """Keys of the objects that clients uploaded as results."""
    prefix = f"{session.namespace}/{session.uid}/results/"
    listed = minio(credentials).list_objects(credentials.s3_bucket, prefix=prefix, recursive=True)
    return [str(entry.object_name) for entry in listed if not entry.is_dir]


async def test_results_are_made_uploaded_read_and_listed(session: SessionHandle, tmp_path: Path) -> None:
    made = await session.create_results(["empty", "text", "file", "pieces"])
    assert len({result.id for result in made}) == 4
    assert {await result.status() for result in made} == {ResultState.CREATED}
    file = tmp_path / "content"
    file.write_bytes(b"from a file")
    contents = (b"", "tëxt", file, [b"pie", b"", b"ces"])
    told = [await result.upload(content) for result, content in zip(made, contents, strict=True)]
    assert [info.size for info in told] == [0, 5, 11, 6]
    expected = (b"", "tëxt".encode(), b"from a file", b"pieces")
    for result, data in zip(made, expected, strict=True):
        assert await result.result(WAIT) == data
        assert [piece async for piece in result.chunks(WAIT, size=4)] == [
            data[at : at + 4] for at in range(0, len(data), 4)
        ]
        assert await session.result(result.id).download(tmp_path / "copy", WAIT) == len(data)
        assert (tmp_path / "copy").read_bytes() == data
    listed = {info.name: info async for info in session.results()}
    assert {name: (info.state, info.size) for name, info in listed.items()} == {
        name: (ResultState.COMPLETED, len(data))
        for name, data in zip(("empty", "text", "file", "pieces"), expected, strict=True)
    }
    for info in listed.values():
        assert info.created is not None
        assert info.ended is not None
        assert info.created <= info.ended
    with pytest.raises(Refused, match="complete already"):
        await made[0].upload(b"other")
    with pytest.raises(NotFound):
        await session.result("0" * 32).result(WAIT)
    with pytest.raises(Refused, match="at most 253 characters"):
        await session.create_results(["short", "n" * 254])


async def test_a_large_result_passes_through_little_memory(session: SessionHandle) -> None:
    (result,) = await session.create_results(["large"])
    sent, received = hashlib.sha256(), hashlib.sha256()

    def content() -> Iterator[bytes]:
        for number in range(LARGE_MIB):
            piece = number.to_bytes(4, "big") * (MIB // 4)
            sent.update(piece)
            yield piece

    tracemalloc.start()
    try:
        info = await result.upload(content())
        async for piece in result.chunks(WAIT):
            received.update(piece)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert info.size == LARGE_MIB * MIB
    assert received.hexdigest() == sent.hexdigest()
    assert peak < 40 * MIB, f"{peak / MIB:.0f} MiB at once"


async def test_an_upload_that_breaks_off_leaves_nothing_visible(
    session: SessionHandle, credentials: Credentials
) -> None:
    (result,) = await session.create_results(["broken"])

    def content() -> Iterator[bytes]:
        yield b"x" * 20 * MIB
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        await result.upload(content())
    assert await result.status() is ResultState.CREATED
    assert stored(credentials, session) == []
    with pytest.raises(WaitTimeout):
        await result.result(0.5)

    started = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b"x" * 20 * MIB
        started.set()
        await asyncio.Event().wait()

    uploading = asyncio.create_task(result.upload(endless()))
    await started.wait()
    uploading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await uploading
    assert stored(credentials, session) == []
    await result.upload(b"whole")
    assert await result.result(WAIT) == b"whole"


async def test_of_two_uploads_one_is_refused_and_the_other_succeeds(session: SessionHandle) -> None:
    (result,) = await session.create_results()
    contents = (b"a" * 9 * MIB, b"b" * 9 * MIB)
    done = await asyncio.gather(*(result.upload(c) for c in contents), return_exceptions=True)
    assert sorted(type(each).__name__ for each in done) == ["Refused", "ResultInfo"]
    first = next(at for at, each in enumerate(done) if not isinstance(each, Refused))
    assert await result.result(WAIT) == contents[first]


async def test_a_task_waits_for_a_result_and_starts_when_it_is_uploaded(
    session: SessionHandle, agent: FakeAgent, kube: Kube, namespace: str
) -> None:
    needed, payload = await session.create_results(["needed", "payload"])
    depends = [{"result": needed.id}]
    of_payload = manifest("Task", "of", session="demo", dependsOn=depends, payload={"result": payload.id})
    await kube.create(TASKS, of_payload, namespace)
    waiting = await until(
        kube, TASKS, "of", namespace, lambda o: conditions(o).get("Waiting") == "WaitingForData"
    )
    message = next(c["message"] for c in waiting["status"]["conditions"] if c["type"] == "Waiting")
    assert f"result {needed.id} is not written yet" in message
    await needed.upload(b"model")
    await payload.upload(b"shout")
    taken = await agent.take()
    assert taken.message.dependencies == (needed.id,)
    assert await agent.store.get(taken.message.locators[needed.id]) == b"model"
    await agent.succeed(taken)
    await finished(kube, "of", namespace)
    assert await (await _task(session, "of")).result(timeout=WAIT) == b"SHOUT"


async def test_an_upload_while_the_operator_is_away_is_seen_when_it_is_back(
    session: SessionHandle, operator: Process, agent: FakeAgent, kube: Kube, namespace: str
) -> None:
    (result,) = await session.create_results(["late"])
    assert await operator.stop() == 0
    (other,) = await session.create_results(["made meanwhile"])
    infos = await asyncio.gather(result.upload(b"one"), other.upload(b"two"))
    assert {info.state for info in infos} == {ResultState.COMPLETED}
    after = manifest("Task", "after", session="demo", dependsOn=[{"result": r.id} for r in (result, other)])
    await kube.create(TASKS, after, namespace)
    operator.start()
    assert await result.result(WAIT) == b"one"
    assert (await agent.compute()).dependencies == (result.id, other.id)
    assert (await other.info()).name == "made meanwhile"


async def test_given_up_and_deleted_results_end_those_who_wait_with_the_reason(
    session: SessionHandle, kube: Kube, namespace: str, credentials: Credentials
) -> None:
    aborted, deleted = await session.create_results(["aborted", "deleted"])
    for name, result in (("first", aborted), ("second", deleted)):
        waits = manifest("Task", name, session="demo", dependsOn=[{"result": result.id}])
        await kube.create(TASKS, waits, namespace)
        await until(kube, TASKS, name, namespace, lambda o: conditions(o).get("Waiting") == "WaitingForData")
    await aborted.abort("the sensor broke")
    await deleted.delete()
    for name, text in (("first", "the sensor broke"), ("second", "Deleted")):
        (failure,) = (await finished(kube, name, namespace))["status"]["failures"]
        assert failure["reason"] == "DependencyAborted"
        assert text in failure["message"]
    with pytest.raises(ResultAborted, match="the sensor broke"):
        await aborted.result(WAIT)
    with pytest.raises(ResultDeleted):
        await deleted.upload(b"too late")
    await aborted.abort()
    await deleted.delete()

    (complete,) = await session.create_results()
    await complete.upload(b"data")
    assert len(stored(credentials, session)) == 1
    with pytest.raises(Refused, match="complete"):
        await complete.abort()
    await complete.delete()
    with pytest.raises(ResultDeleted):
        await complete.result(WAIT)
    async with asyncio.timeout(WAIT):
        while stored(credentials, session):  # noqa: ASYNC110 - the store sets no event
            await asyncio.sleep(0.1)


async def test_a_run_that_continues_after_its_input_was_deleted_gets_a_key_that_does_not_exist(
    session: SessionHandle, agent: FakeAgent, kube: Kube, namespace: str
) -> None:
    """It was submitted when they were, so nobody waits for them; its agent ends it for want of them."""
    given, kept = await session.create_results(["given", "kept"])
    await given.upload(b"given")
    await kept.upload(b"kept")
    needs = {"dependsOn": [{"result": given.id}, {"result": kept.id}], "payload": {"result": given.id}}
    await kube.create(TASKS, manifest("Task", "uses", session="demo", **needs), namespace)
    taken = await agent.take()
    await kube.patch(SESSIONS, "demo", {"spec": {"desiredState": "Paused"}}, namespace)
    await agent.append(taken, kind=RecordKind.PAUSED, owner=None)
    await taken.delivery.ack_sync()
    await given.delete()
    await kube.patch(SESSIONS, "demo", {"spec": {"desiredState": "Running"}}, namespace)
    again = (await agent.take()).message
    assert again.n == taken.message.n + 1
    assert await agent.store.get(again.locators[kept.id]) == b"kept"
    for gone in (again.locators[given.id], again.payload):
        assert gone is not None
        with pytest.raises(ObjectMissing):
            await agent.store.get(gone)


async def test_a_deleted_output_is_given_to_nobody_any_more_also_after_a_restart(
    session: SessionHandle, operator: Process, agent: FakeAgent, kube: Kube, namespace: str
) -> None:
    task = await session.submit(items=["a", "b"], name="maker")
    with pytest.raises(Refused, match="may still make it"):
        await task.output(0).delete()
    ended = 0
    while ended < task.total:
        message = await agent.compute()
        ended += message.end - message.start
    await task.wait(WAIT)
    assert {i.id: i.size async for i in session.results()} == {task.output(n).id: 1 for n in range(2)}
    await task.output(0).delete()
    assert await task.output(0).status() is ResultState.DELETED
    assert await task.output(1).result(WAIT) == b"B"
    states = {info.id: info.state async for info in session.results()}
    assert states == {task.output(0).id: ResultState.DELETED, task.output(1).id: ResultState.COMPLETED}
    assert await operator.stop() == 0
    operator.start()
    for name, depends in (("whole", {"task": "maker"}), ("one", {"result": task.output(0).id})):
        await kube.create(TASKS, manifest("Task", name, session="demo", dependsOn=[depends]), namespace)
        (failure,) = (await finished(kube, name, namespace))["status"]["failures"]
        assert failure["reason"] == "DependencyAborted"


async def test_a_cancelled_session_gives_up_what_was_not_uploaded(
    session: SessionHandle, kube: Kube, namespace: str
) -> None:
    left, done = await session.create_results(["left", "done"])
    await done.upload(b"data")
    await kube.patch(SESSIONS, "demo", {"spec": {"desiredState": "Cancelled"}}, namespace)
    with pytest.raises(ResultAborted, match="session demo is cancelled"):
        await left.result(WAIT)
    assert await done.result(WAIT) == b"data"
    (late,) = await session.create_results(["late"])
    with pytest.raises(ResultAborted, match="session demo is cancelled"):
        await late.result(WAIT)


async def test_a_session_that_takes_no_more_tasks_still_takes_results(
    session: SessionHandle, kube: Kube, namespace: str
) -> None:
    await kube.patch(SESSIONS, "demo", {"spec": {"submission": {"client": "Closed"}}}, namespace)
    (result,) = await session.create_results(["after"])
    await result.upload(b"taken")
    assert await result.result(WAIT) == b"taken"


async def test_a_purge_leaves_what_is_marked_for_manual_deletion(
    session: SessionHandle, kube: Kube, namespace: str, credentials: Credentials, agent: FakeAgent
) -> None:
    (kept,) = await session.create_results(["kept"], manual_deletion=True)
    gone, unfinished = await session.create_results(["gone", "unfinished"])
    await kept.upload(b"keep me")
    await gone.upload(b"and me?")
    await session.submit("x")
    await agent.compute()
    await kube.patch(SESSIONS, "demo", {"spec": {"desiredState": "Closed"}}, namespace)
    await until(kube, SESSIONS, "demo", namespace, lambda o: conditions(o).get("Finished") == "Closed")
    await kube.patch(SESSIONS, "demo", {"spec": {"desiredState": "Purged"}}, namespace)
    await until(kube, SESSIONS, "demo", namespace, lambda o: conditions(o).get("Finished") == "Purged")
    assert await kept.result(WAIT) == b"keep me"
    assert [(info.id, info.manual_deletion) async for info in session.results()] == [(kept.id, True)]
    assert len(stored(credentials, session)) == 1
    for result in (gone, unfinished):
        with pytest.raises(NotFound):
            await result.result(WAIT)
    await kept.delete()
    with pytest.raises(ResultDeleted):
        await kept.result(WAIT)
    async with asyncio.timeout(WAIT):
        while stored(credentials, session):  # noqa: ASYNC110 - the store sets no event
            await asyncio.sleep(0.1)


async def test_what_no_result_names_is_collected_when_it_is_old(
    session: SessionHandle, kube: Kube, nats_client: NatsClient, namespace: str, credentials: Credentials
) -> None:
    named, deleted = await session.create_results(["named", "deleted"])
    await named.upload(b"data")
    store = S3Store(credentials)
    orphan = upload_key(namespace, session.uid, deleted.id, "0" * 16)
    await store.put(orphan, b"its client was killed before it could say so")
    s3 = minio(credentials)
    s3._create_multipart_upload(credentials.s3_bucket, f"{orphan}-parts", {})
    kept = environment_key(namespace, "a" * 64)
    await store.put(kept, b"zip")
    s3._create_multipart_upload(credentials.s3_bucket, environment_key(namespace, "b" * 64), {})
    servers, clock = Clients(kube, nats_client, store), [time.time()]
    settings = Settings(
        namespace=namespace,
        watch_namespaces=(namespace,),
        nats_url=credentials.nats_url,
        s3_endpoint=credentials.s3_endpoint,
        agent_image="agent:1",
    )
    keeper = OrphanCollector(servers, PriorityBands(servers), store, settings, lambda: clock[0])
    parts = s3._list_multipart_uploads
    prefix, own = f"{namespace}/{session.uid}/", environments(namespace)

    await keeper.collect()
    assert len(stored(credentials, session)) == 2
    assert len(parts(credentials.s3_bucket, prefix=prefix).uploads) == 1
    assert len(parts(credentials.s3_bucket, prefix=own).uploads) == 1
    clock[0] += ABANDONED + 60
    await keeper.collect()
    (left,) = stored(credentials, session)
    assert named.id in left
    assert not parts(credentials.s3_bucket, prefix=prefix).uploads
    assert not parts(credentials.s3_bucket, prefix=own).uploads
    assert await store.stat(kept) == 3, "an environment is the user's to remove"
    assert await named.result(WAIT) == b"data"


async def _task(session: SessionHandle, name: str) -> Any:
    return await Client(session._connection, {}).task(name)
