"""The operator's process against a real apiserver, NATS and object store; the test plays the agent."""

from typing import Any

import pytest
from nats.aio.client import Client
from operator_process import (
    OWNER,
    TEMPLATE,
    FakeAgent,
    Process,
    absent,
    conditions,
    finished,
    manifest,
    until,
)

from armonik_operator.clients.kube import LEASES, PARTITIONS, PODS, SESSIONS, TASKS, Kube
from armonik_operator.planning.run_sizing import FIRST_RUN
from armonik_sdk.api.names import RESULTS, RunId, queue_of_task
from armonik_sdk.api.ranges import Ranges
from armonik_sdk.api.records import Attempt, RecordKind
from armonik_sdk.api.results import RunResults
from armonik_sdk.dataplane.credentials import Credentials
from armonik_sdk.dataplane.nats.buckets import Bucket
from armonik_sdk.dataplane.nats.queue import queued
from armonik_sdk.dataplane.s3.store import S3Store

pytestmark = pytest.mark.integration


async def test_tasks_run_wait_for_each_other_and_go(
    operator: Process, kube: Kube, namespace: str, nats_client: Client, credentials: Credentials
) -> None:
    store = S3Store(credentials)
    early = manifest("Task", "early", session="demo", payload={"inline": "hello"})
    await kube.create(TASKS, early, namespace)
    parked = await until(kube, TASKS, "early", namespace, lambda o: "Ready" in conditions(o))
    assert conditions(parked)["Ready"] == "SessionNotFound"

    after = manifest("Task", "after", session="demo", dependsOn=[{"task": "early"}])
    await kube.create(TASKS, after, namespace)
    await kube.create(SESSIONS, manifest("Session", "demo", partitions=["default"]), namespace)
    partition = manifest("Partition", "default", podMax=2, podReserved=1, template=TEMPLATE)
    await kube.create(PARTITIONS, partition, namespace)
    session = await until(kube, SESSIONS, "demo", namespace, lambda o: "Ready" in conditions(o))
    assert session["metadata"]["finalizers"] == ["armonik.io/session"]
    starting = await until(kube, PARTITIONS, "default", namespace, lambda o: "status" in o)
    assert conditions(starting)["Ready"] == "Starting"
    assert len(await kube.list(PODS, namespace)) == 1

    agent = FakeAgent(nats_client, namespace, store)
    first = await agent.compute()
    assert (first.task_name, first.single, first.payload is not None) == ("early", True, True)
    ended = await until(kube, TASKS, "early", namespace, lambda o: "Finished" in conditions(o))
    assert conditions(ended) == {"Finished": "Succeeded"}
    assert ended["status"]["succeededIndexes"] == "0"
    assert ended["status"]["sessionUid"] == session["metadata"]["uid"]

    second = await agent.compute()
    (dependency,) = second.dependencies
    assert await store.get(second.locators[dependency]) == b"HELLO"
    await until(kube, TASKS, "after", namespace, lambda o: "Finished" in conditions(o))

    await kube.delete(SESSIONS, "demo", namespace)
    await absent(kube, SESSIONS, namespace)
    assert await kube.list(TASKS, namespace) == []


async def test_many_elements_survive_a_restart_and_a_cancel(
    operator: Process, kube: Kube, namespace: str, nats_client: Client, credentials: Credentials
) -> None:
    await kube.create(SESSIONS, manifest("Session", "demo", partitions=["default"]), namespace)
    partition = manifest("Partition", "default", podMax=1, template=TEMPLATE)
    await kube.create(PARTITIONS, partition, namespace)
    await kube.create(TASKS, manifest("Task", "many", session="demo", count=80), namespace)
    await until(kube, TASKS, "many", namespace, lambda o: o.get("status", {}).get("phase") == "Submitted")
    agent = FakeAgent(nats_client, namespace, S3Store(credentials))
    done = await agent.compute()
    assert await operator.stop() == 0
    given_back = await kube.get(LEASES, "armonik-operator", namespace)
    assert given_back["spec"]["holderIdentity"] == ""
    done_as_well = await agent.compute()
    operator.start()
    seen = await until(kube, TASKS, "many", namespace, lambda o: o["status"]["elements"]["succeeded"] == 20)
    assert seen["status"]["progress"] == "20/80"
    uid = seen["metadata"]["uid"]
    key = RunId(namespace, done.session, uid, done_as_well.start).results
    entry = await Bucket(nats_client, RESULTS, RunResults).get(key)
    assert entry is not None
    assert len(entry[0].outcomes) == 10

    await kube.patch(TASKS, "many", {"spec": {"desiredState": "Cancelled"}}, namespace)
    ended = await until(kube, TASKS, "many", namespace, lambda o: "Finished" in conditions(o))
    assert conditions(ended)["Finished"] == "Cancelled"
    assert ended["status"]["elements"]["succeeded"] == 20
    assert len(Ranges.parse(ended["status"]["cancelledIndexes"])) == 60


async def test_a_high_priority_goes_before_a_long_queue(
    demo: None, agent: FakeAgent, kube: Kube, namespace: str
) -> None:
    await kube.create(TASKS, manifest("Task", "long", session="demo", count=400), namespace)
    assert (await agent.compute()).task_name == "long"
    for name, priority in (("low", 9), ("middle", 45), ("high", 99)):
        task = manifest("Task", name, session="demo", options={"priority": priority})
        await kube.create(TASKS, task, namespace)
        await until(kube, TASKS, name, namespace, lambda o: o.get("status", {}).get("phase") == "Submitted")
    items: list[dict[str, Any]] = [{}, {"options": {"priority": 70}}]
    await kube.create(TASKS, manifest("Task", "item", session="demo", items=items), namespace)
    await until(kube, TASKS, "item", namespace, lambda o: o.get("status", {}).get("phase") == "Submitted")
    taken = [await agent.compute() for _ in range(4)]
    # The item's run is as urgent as its most urgent element.
    assert [message.task_name for message in taken] == ["high", "item", "middle", "long"]
    assert 1 in range(taken[1].start, taken[1].end)
    assert taken[3].start == FIRST_RUN


def cancelled_of(task: dict[str, Any]) -> str:
    return str(task.get("status", {}).get("cancelledIndexes", ""))


async def test_single_elements_are_cancelled_wherever_they_are(
    demo: None, operator: Process, agent: FakeAgent, kube: Kube, namespace: str, nats_client: Client
) -> None:
    """In a run that an agent holds, in one that is queued, a whole run, and before anything is queued."""
    await kube.create(TASKS, manifest("Task", "many", session="demo", count=40), namespace)
    held = await agent.take()
    assert list(held.indexes) == [0, 1, 2, 3, 4]
    waiting = manifest("Task", "waiting", session="demo", count=3, dependsOn=[{"task": "many"}])
    await kube.create(TASKS, waiting | {"spec": waiting["spec"] | {"cancelledIndexes": ["1"]}}, namespace)
    await until(kube, TASKS, "waiting", namespace, lambda o: cancelled_of(o) == "1")

    await kube.patch(TASKS, "many", {"spec": {"cancelledIndexes": ["2", "7", "10-14"]}}, namespace)
    await agent.noted(held)
    assert (held.record.kind, held.record.cancel) == (RecordKind.CANCEL_REQUESTED, "2")
    assert (held.record.owner, held.record.epoch) == (OWNER, 1)
    seen = await until(kube, TASKS, "many", namespace, lambda o: cancelled_of(o).endswith("7,10-14"))
    uid = seen["metadata"]["uid"]
    assert 10 not in {RunId.from_queue(s)[0].start for s in await queued(nats_client)}
    # The agent ignores the note: after its time the operator ends the element, and the agent continues.
    await agent.noted(held)
    assert {o.index: str(o.kind) for o in held.record.outcomes} == {2: "Cancelled"}
    assert (held.record.owner, held.record.remaining) == (OWNER, (0, 1, 3, 4))
    await operator.kill()
    operator.start()
    await agent.succeed(held)
    taken = []
    for _ in range(6):
        taken.append(await agent.take())
        await agent.succeed(taken[-1])
    assert sorted(run.message.start for run in taken) == [5, 15, 20, 25, 30, 35]
    (partly,) = [run for run in taken if run.message.start == 5]
    assert partly.record.ended == frozenset(range(5, 10))
    ended = await finished(kube, "many", namespace)
    assert conditions(ended) == {"Finished": "Cancelled"}
    assert cancelled_of(ended) == "2,7,10-14"
    assert ended["status"]["elements"]["succeeded"] == 33
    assert await queued(nats_client, queue_of_task(namespace, uid)) == set()
    fallen = await finished(kube, "waiting", namespace)
    assert (cancelled_of(fallen), fallen["status"]["failedIndexes"]) == ("1", "0,2")


def status_writes(apiserver: Any) -> int:
    """Writes of Tasks' statuses that the apiserver has served."""
    metrics = apiserver.kubectl("get", "--raw", "/metrics").stdout
    wanted = ("apiserver_request_total{", 'resource="tasks"', 'subresource="status"', 'verb="PATCH"')
    lines = [line for line in metrics.splitlines() if all(part in line for part in wanted)]
    return sum(int(float(line.rsplit(" ", 1)[1])) for line in lines)


async def test_a_single_task_costs_two_writes_also_when_it_waits_and_fails(
    demo: None, agent: FakeAgent, kube: Kube, namespace: str, apiserver: Any
) -> None:
    await kube.create(TASKS, manifest("Task", "first", session="demo"), namespace)
    taken = await agent.take()
    after = manifest("Task", "after", session="demo", dependsOn=[{"task": "first"}])
    before = status_writes(apiserver)
    await kube.create(TASKS, after, namespace)
    await until(kube, TASKS, "after", namespace, lambda o: "Waiting" in conditions(o))
    await until(kube, TASKS, "first", namespace, lambda o: "status" in o)
    await agent.append(taken, kind=RecordKind.PROGRESS, attempts=(Attempt(index=0, executions=1),))
    await agent.append(taken, kind=RecordKind.RELEASED, owner=None)
    again = taken.record.model_copy(update={"kind": RecordKind.DISPATCHED, "owner": OWNER, "epoch": 2})
    await agent.append(taken, **dict(again))
    await agent.succeed(taken)
    second = await agent.take()
    assert second.message.task_name == "after"
    await agent.succeed(second)
    for name in ("first", "after"):
        await finished(kube, name, namespace)
    assert status_writes(apiserver) - before <= 4
