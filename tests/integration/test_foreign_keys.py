"""A user of one namespace names objects of another one, in every place that takes a key: nothing is read."""

import secrets
import uuid
from typing import Any

import pytest
from nats.aio.client import Client
from operator_process import FakeAgent, conditions, finished, manifest, ready_reason, session_folder, until
from proxy import Proxy

from armonik_operator.clients.kube import SESSIONS, TASKS, Kube
from armonik_sdk.api.kinds import ObjectRef
from armonik_sdk.api.messages import ManifestItem
from armonik_sdk.api.names import RESULTS, result_journal, result_key
from armonik_sdk.api.records import Outcome, OutcomeKind, Piece, RecordKind
from armonik_sdk.api.results import ResultEntry, ResultRecord, ResultRecordKind, ResultState
from armonik_sdk.dataplane.nats.buckets import Bucket
from armonik_sdk.dataplane.nats.journal import Log

pytestmark = pytest.mark.integration

SECRET = b'{"payload": {"inline": "of another tenant"}}\n'


@pytest.fixture
async def foreign(agent: FakeAgent, store_proxy: Proxy) -> ObjectRef:
    """An object of another namespace; whether the operator asks for it or gets its bytes is recorded."""
    await agent.store.ensure_bucket()
    ref = await agent.store.put(f"team-a/{uuid.uuid4()}/client/{secrets.token_hex(8)}", SECRET)
    store_proxy.words = {f"/{ref.key}".encode(), SECRET.strip()}  # a request has the bucket before the key
    return ref


async def test_no_field_of_a_task_reads_them(
    demo: None, agent: FakeAgent, kube: Kube, namespace: str, foreign: ObjectRef, store_proxy: Proxy
) -> None:
    here = await session_folder(kube, namespace)
    payload = {"payload": {"object": {"key": foreign.key}}}
    line = ManifestItem.model_validate(payload).model_dump_json(by_alias=True, exclude_unset=True)
    listed = await agent.store.put(f"{here}client/listed", f"{line}\n".encode())
    specs: dict[str, tuple[dict[str, Any], str]] = {
        "payload": (payload, "payload.object.key"),
        "item": ({"items": [{}, payload]}, "items[1].payload.object.key"),
        "items": ({"itemsRef": {"object": foreign.key, "count": 1}}, "itemsRef.object"),
        "line": ({"itemsRef": {"object": listed.key, "count": 1}}, "items[0].payload.object.key"),
    }
    for name, (spec, _) in specs.items():
        await kube.create(TASKS, manifest("Task", name, session="demo", **spec), namespace)
    for name, (_, field) in specs.items():
        message = await ready_reason(kube, name, namespace, "PayloadNotFound")
        assert message.startswith(f"{field}: the object key '{foreign.key}' is not below {here}, ")
        assert message.endswith("delete the task and create it with the new key")
    await kube.create(TASKS, manifest("Task", "plain", session="demo"), namespace)
    assert (await agent.compute()).task_name == "plain"  # nothing was queued before it
    for name in specs:
        await kube.patch(TASKS, name, {"spec": {"desiredState": "Cancelled"}}, namespace)
        assert conditions(await finished(kube, name, namespace)) == {"Finished": "Cancelled"}
    assert store_proxy.heard == set()


async def test_no_record_of_a_client_reads_them(
    demo: None,
    agent: FakeAgent,
    kube: Kube,
    namespace: str,
    foreign: ObjectRef,
    store_proxy: Proxy,
    nats_client: Client,
) -> None:
    session = (await kube.get(SESSIONS, "demo", namespace))["metadata"]["uid"]
    result = str(uuid.uuid4())
    record = ResultRecord(record_id="r", kind=ResultRecordKind.UPLOADED, ref=foreign)
    await Log(nats_client, ResultRecord).append(result_journal(namespace, session, result), record, 0)
    for name, spec in {
        "payload": {"payload": {"result": result}},
        "depends": {"dependsOn": [{"result": result}]},
    }.items():
        await kube.create(TASKS, manifest("Task", name, session="demo", **spec), namespace)
        task = await finished(kube, name, namespace)
        assert conditions(task) == {"Finished": "Failed"}
        assert f"ref.key: the object key '{foreign.key}' is not below" in str(task["status"]["failures"])
    entry = await Bucket(nats_client, RESULTS, ResultEntry).get(result_key(namespace, session, result))
    assert entry is not None
    assert (entry[0].state, entry[0].ref) == (ResultState.ABORTED, None)
    assert store_proxy.heard == set()


@pytest.mark.parametrize("place", ["objects", "manifest", "children"])
async def test_no_record_of_a_run_reads_them(
    demo: None,
    agent: FakeAgent,
    kube: Kube,
    namespace: str,
    foreign: ObjectRef,
    store_proxy: Proxy,
    place: str,
) -> None:
    await kube.create(TASKS, manifest("Task", "task", session="demo"), namespace)
    needs = manifest("Task", "needs", session="demo", dependsOn=[{"task": "task"}])
    await kube.create(TASKS, needs, namespace)
    taken = await agent.take()
    piece = Piece(object=0, length=len(SECRET), sha256=str(foreign.sha256))
    done = Outcome(index=0, kind=OutcomeKind.COMPLETED, outputs={"result": piece})
    if place == "objects":
        await agent.finish(taken, [done], objects=(foreign.key,))
        told = await agent.take()
        assert foreign.key.encode() not in told.message.encode()
        await agent.succeed(told)
        await finished(kube, "needs", namespace)
    elif place == "manifest":
        await agent.append(taken, kind=RecordKind.DONE, manifest=foreign)
        assert conditions(await finished(kube, "task", namespace)) == {"Finished": "Failed"}
    else:
        group = await agent.group(taken, [ManifestItem()])
        forged = group.model_copy(update={"items": foreign.key})
        await agent.finish(taken, [done], objects=(foreign.key,), children=(forged,))
        await until(kube, TASKS, "task", namespace, lambda o: "PayloadNotFound" in conditions(o).values())
    assert store_proxy.heard == set()
