"""A journal that loses records, or is made again, and sessions that pause: nothing is taken back."""

import shutil
from pathlib import Path

import pytest
from nats.aio.client import Client
from operator_process import OWNER, FakeAgent, Process, conditions, finished, manifest, until
from servers import NatsServer

from armonik_operator.clients.kube import SESSIONS, TASKS, Kube
from armonik_sdk.api.kinds import Payload
from armonik_sdk.api.messages import ManifestItem
from armonik_sdk.api.names import JOURNAL, RunId
from armonik_sdk.api.records import Outcome, OutcomeKind, RecordKind

pytestmark = pytest.mark.integration


async def test_a_journal_that_was_made_again_takes_no_outcome_back(
    demo: None, agent: FakeAgent, kube: Kube, namespace: str, nats_client: Client
) -> None:
    await kube.create(TASKS, manifest("Task", "many", session="demo", count=16), namespace)
    for _ in range(3):
        await agent.compute()
    held = await agent.take()
    before = await until(
        kube, TASKS, "many", namespace, lambda o: o.get("status", {}).get("progress") == "6/16"
    )
    assert await nats_client.jetstream().delete_stream(JOURNAL)
    seen: set[int] = set()
    while len(seen) < 10:
        taken = await agent.take()
        assert taken.message.n > held.message.n
        assert taken.record.epoch > held.record.epoch
        seen |= set(taken.indexes)
        await agent.succeed(taken)
    assert seen == set(range(6, 16))
    ended = await finished(kube, "many", namespace)
    assert ended["status"]["progress"] == "16/16"
    assert ended["status"]["journalEpoch"] > before["status"]["journalEpoch"]


async def test_what_was_handed_to_a_child_is_asked_of_it_though_the_journal_is_lost(
    demo: None,
    operator: Process,
    agent: FakeAgent,
    kube: Kube,
    namespace: str,
    nats_client: Client,
) -> None:
    """The parent's status says that it succeeded, and not that another task was to make its output."""
    await kube.create(TASKS, manifest("Task", "parent", session="demo"), namespace)
    parent = await agent.take()
    handed = f"{parent.message.task}.0.result"
    item = ManifestItem(payload=Payload.of("x"), output_ids=[handed])
    group = await agent.group(parent, [item])
    await agent.succeed(parent, delegated=[handed], children=(group,))
    await agent.fail(await agent.take(), "no such model")
    assert conditions(await finished(kube, "parent", namespace)) == {"Finished": "Succeeded"}
    await finished(kube, group.name, namespace)
    assert await operator.stop() == 0
    assert await nats_client.jetstream().delete_stream(JOURNAL)
    operator.start()
    after = manifest("Task", "after", session="demo", dependsOn=[{"task": "parent", "index": 0}])
    await kube.create(TASKS, after, namespace)
    (failure,) = (await finished(kube, "after", namespace))["status"]["failures"]
    assert failure["reason"] == "DependencyAborted"
    assert "no such model" in failure["message"]


async def test_work_behind_lost_records_is_fenced_and_queued_again(
    demo: None,
    agent: FakeAgent,
    kube: Kube,
    namespace: str,
    nats_server: NatsServer,
    tmp_path: Path,
) -> None:
    await kube.create(TASKS, manifest("Task", "many", session="demo", count=16), namespace)
    first = await agent.take()
    second = await agent.take()
    data, copy = nats_server.folder / "data", tmp_path / "copy"
    nats_server.stop()
    shutil.copytree(data, copy)
    nats_server.start()
    await agent.finish(first, [Outcome(index=i, kind=OutcomeKind.COMPLETED) for i in first.indexes])
    await until(kube, TASKS, "many", namespace, lambda o: o["status"]["progress"] == "2/16")
    # The disk of yesterday: the first run's commit and the operator's entries in RESULTS are gone.
    nats_server.stop()
    shutil.rmtree(data)
    shutil.copytree(copy, data)
    nats_server.start()
    held = {first.run.start: first, second.run.start: second}
    done: set[int] = set()
    while len(done) < 16:
        taken = await agent.take()
        if (old := held.get(taken.run.start)) is not None:
            assert taken.message.n == old.message.n + 1
            assert taken.record.epoch > old.record.epoch + 1
        done |= set(taken.indexes)
        await agent.succeed(taken)
    ended = await finished(kube, "many", namespace)
    assert ended["status"]["progress"] == "16/16"


async def test_a_paused_session_continues_where_it_stopped(
    demo: None, agent: FakeAgent, kube: Kube, namespace: str
) -> None:
    await kube.create(TASKS, manifest("Task", "slow", session="demo"), namespace)
    taken = await agent.take()
    await kube.patch(SESSIONS, "demo", {"spec": {"desiredState": "Paused"}}, namespace)
    await agent.append(taken, kind=RecordKind.PAUSED, owner=None)
    await taken.delivery.ack_sync()
    await kube.create(TASKS, manifest("Task", "later", session="demo"), namespace)
    later = await until(kube, TASKS, "later", namespace, lambda o: "status" in o)
    assert later["status"]["phase"] == "Paused"
    await kube.patch(SESSIONS, "demo", {"spec": {"desiredState": "Running"}}, namespace)
    again: dict[str, int] = {}
    while len(again) < 2:
        message = await agent.compute()
        again[message.task_name] = message.n
    assert again == {"slow": taken.message.n + 1, "later": 1}
    for name in again:
        assert conditions(await finished(kube, name, namespace)) == {"Finished": "Succeeded"}


async def test_cancelling_keeps_the_outcomes_that_are_in_a_manifest(
    demo: None, agent: FakeAgent, kube: Kube, namespace: str
) -> None:
    await kube.create(TASKS, manifest("Task", "wide", session="demo", count=16), namespace)
    taken = await agent.take()
    done = (Outcome(index=taken.run.start, kind=OutcomeKind.COMPLETED),)
    whole = taken.record.model_copy(update={"kind": RecordKind.PROGRESS, "outcomes": done})
    manifest_ref = await agent.store.put(f"{taken.run.objects(1, 'x')}/manifest", whole.encode())
    await agent.append(taken, kind=RecordKind.PROGRESS, manifest=manifest_ref, outcomes=(), owner=OWNER)
    await until(kube, TASKS, "wide", namespace, lambda o: o.get("status", {}).get("progress") == "1/16")
    await kube.patch(TASKS, "wide", {"spec": {"desiredState": "Cancelled"}}, namespace)
    ended = await finished(kube, "wide", namespace)
    assert ended["status"]["elements"] == {
        **dict.fromkeys(("pending", "queued", "running", "failed", "timedOut"), 0),
        "total": 16,
        "succeeded": 1,
        "cancelled": 15,
    }
    head = await agent.journal.head(RunId(*taken.run))
    assert head is not None
    assert head.record.kind is RecordKind.CANCELLED
    assert head.record.outcomes[0].kind is OutcomeKind.COMPLETED
