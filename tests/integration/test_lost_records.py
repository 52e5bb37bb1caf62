"""Records that are lost, or that nobody can read: their elements end as lost, and the Task continues."""

import json
from typing import Any

import pytest
from nats.aio.client import Client
from operator_process import (
    FakeAgent,
    Process,
    Taken,
    conditions,
    finished,
    manifest,
    ready_reason,
    session_folder,
    until,
)

from armonik_operator.clients.kube import TASKS, Kube
from armonik_sdk.api.messages import MAX_MESSAGE_BYTES
from armonik_sdk.api.names import JOURNAL
from armonik_sdk.api.records import MAX_ERROR_BYTES, Outcome, OutcomeKind, RecordKind
from armonik_sdk.dataplane.nats.requests import expected_sequence
from armonik_sdk.dataplane.record_overflow import spill

pytestmark = pytest.mark.integration

COUNT = 100


def errors(indexes: range) -> tuple[Outcome, ...]:
    text = "e" * MAX_ERROR_BYTES
    return tuple(
        Outcome(index=index, kind=OutcomeKind.ERROR, reason="WorkerError", message=text) for index in indexes
    )


async def whole_task(agent: FakeAgent, taken: Taken) -> list[Taken]:
    """All runs of the Task, dispatched."""
    runs = [taken]
    while sum(len(run.indexes) for run in runs) < COUNT:
        runs.append(await agent.take())
    return runs


async def append_manifest(agent: FakeAgent, taken: Taken, **changes: Any) -> None:
    """Append a record that is in a manifest, and lose that."""
    outcomes = taken.record.model_copy(update={"outcomes": errors(range(70))}).outcomes
    assert sum(len(outcome.encode()) for outcome in outcomes) > MAX_MESSAGE_BYTES
    record = taken.record.model_copy(update={"record_id": "lost", "outcomes": outcomes, **changes})
    slimmed = await spill(agent.store, record, taken.run.objects(1, "aa"))
    assert slimmed.manifest is not None
    await agent.store.delete([slimmed.manifest.key])
    taken.sequence = await agent.journal.append(taken.run, slimmed, taken.sequence)
    taken.record = slimmed


@pytest.fixture
async def taken(demo: None, agent: FakeAgent, kube: Kube, namespace: str) -> Taken:
    """A run of one element of a Task."""
    await kube.create(TASKS, manifest("Task", "task", session="demo"), namespace)
    return await agent.take()


async def test_what_only_a_lost_manifest_knew_ends_as_lost(
    taken: Taken, operator: Process, agent: FakeAgent, kube: Kube, namespace: str
) -> None:
    assert await operator.stop() == 0
    await append_manifest(agent, taken, kind=RecordKind.DONE)
    operator.start()
    task = await finished(kube, "task", namespace)
    assert conditions(task) == {"Finished": "Failed"}
    (failure,) = task["status"]["failures"]
    assert failure["reason"] == "DataLost"
    assert "manifest-lost, which is lost" in failure["message"]


async def test_a_run_that_continues_after_its_manifest_is_lost_ends_as_its_owner_says(
    taken: Taken, operator: Process, agent: FakeAgent, kube: Kube, namespace: str
) -> None:
    assert await operator.stop() == 0
    await append_manifest(agent, taken, kind=RecordKind.PROGRESS)
    operator.start()
    await agent.succeed(taken)
    assert conditions(await finished(kube, "task", namespace)) == {"Finished": "Succeeded"}


async def test_a_task_with_a_lost_manifest_can_be_cancelled(
    taken: Taken, operator: Process, agent: FakeAgent, kube: Kube, namespace: str
) -> None:
    assert await operator.stop() == 0
    await append_manifest(agent, taken, kind=RecordKind.RELEASED, owner=None)
    operator.start()
    await kube.patch(TASKS, "task", {"spec": {"desiredState": "Cancelled"}}, namespace)
    assert conditions(await finished(kube, "task", namespace)) == {"Finished": "Cancelled"}


BROKEN = {
    "seconds": {"index": 0, "kind": "Completed", "seconds": None},
    "base64": {
        "index": 0,
        "kind": "Completed",
        "outputs": {"result": {"length": 1, "sha256": "0" * 64, "inline": "no base64!"}},
    },
}


@pytest.mark.parametrize("broken", BROKEN)
async def test_a_head_that_nobody_can_read_is_ended(
    taken: Taken, kube: Kube, namespace: str, nats_client: Client, broken: str
) -> None:
    body = json.loads(taken.record.encode()) | {"kind": "Done", "outcomes": [BROKEN[broken]]}
    await nats_client.jetstream().publish(
        taken.run.journal,
        json.dumps(body).encode(),
        stream=JOURNAL,
        headers=expected_sequence(taken.sequence),
    )
    task = await finished(kube, "task", namespace)
    assert conditions(task) == {"Finished": "Failed"}
    (failure,) = task["status"]["failures"]
    assert failure["reason"] == "DataLost"
    assert "is not understood" in failure["message"]


async def test_a_task_with_a_head_that_nobody_can_read_can_be_deleted(
    taken: Taken, operator: Process, kube: Kube, namespace: str, nats_client: Client
) -> None:
    assert await operator.stop() == 0
    await nats_client.jetstream().publish(
        taken.run.journal, b"no record", stream=JOURNAL, headers=expected_sequence(taken.sequence)
    )
    await kube.delete(TASKS, "task", namespace)
    operator.start()
    subject, js = taken.run.journal, nats_client.jetstream(timeout=30)

    async def purged(_: object) -> bool:
        return not (await js.stream_info(JOURNAL, subjects_filter=subject)).state.subjects

    await kube.create(TASKS, manifest("Task", "other", session="demo"), namespace)
    while not await purged(None):
        await until(kube, TASKS, "other", namespace, lambda _: True)


async def test_a_key_that_no_object_can_have_is_named(demo: None, kube: Kube, namespace: str) -> None:
    key = f"{await session_folder(kube, namespace)}../x"
    wrong = {"object": {"key": key, "length": 1}}
    await kube.create(TASKS, manifest("Task", "task", session="demo", payload=wrong), namespace)
    message = await ready_reason(kube, "task", namespace, "PayloadNotFound")
    assert f"payload.object.key: the object key '{key}' has a part that is empty, '.' or '..'" in message
