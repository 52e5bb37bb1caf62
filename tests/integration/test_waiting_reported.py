"""Why an element does not run, as its Task says: the real operator; the test plays agent and kubelet."""

import time
from datetime import UTC, datetime
from typing import Any

import pytest
from operator_process import OWNER, TEMPLATE, FakeAgent, conditions, finished, manifest, until

from armonik_operator.clients.kube import PARTITIONS, PODS, SESSIONS, TASKS, Kube
from armonik_sdk.api.records import Attempt, RecordKind

pytestmark = pytest.mark.integration


async def told(kube: Kube, name: str, namespace: str, reason: str, *words: str) -> None:
    """Wait until the Task says that it waits, why, and in these words."""

    def says(task: dict[str, Any]) -> bool:
        found = [c for c in task.get("status", {}).get("conditions", []) if c["type"] == "Waiting"]
        return any(c["reason"] == reason and all(word in c["message"] for word in words) for c in found)

    await until(kube, TASKS, name, namespace, says)


def at(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def test_which_data_is_waited_for(demo: None, kube: Kube, namespace: str) -> None:
    await kube.create(TASKS, manifest("Task", "first", session="demo"), namespace)
    await kube.create(
        TASKS, manifest("Task", "all", session="demo", dependsOn=[{"task": "first"}]), namespace
    )
    await told(kube, "all", namespace, "WaitingForData", "1 element waits for data", "task first")


async def test_that_there_is_no_pod_and_why(demo: None, kube: Kube, namespace: str) -> None:
    await kube.create(TASKS, manifest("Task", "lonely", session="demo"), namespace)
    await told(
        kube, "lonely", namespace, "NoPods", "1 element waits for a pod: partition default has none ready"
    )


async def test_that_the_session_is_paused(demo: None, kube: Kube, namespace: str) -> None:
    await kube.patch(SESSIONS, "demo", {"spec": {"desiredState": "Paused"}}, namespace)
    await kube.create(TASKS, manifest("Task", "held", session="demo", count=3), namespace)
    await told(kube, "held", namespace, "Paused", "3 elements wait until session demo is resumed")


async def test_the_place_in_the_queue(demo: None, kube: Kube, namespace: str) -> None:
    await kube.patch(PARTITIONS, "default", {"spec": {"podReserved": 1}}, namespace)
    serving = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    await until(kube, PARTITIONS, "default", namespace, lambda o: o.get("status", {}).get("replicas") == 1)
    (pod,) = await kube.list(PODS, namespace)
    await kube.patch(PODS, pod["metadata"]["name"], {"status": serving}, namespace, status=True)
    await until(kube, PARTITIONS, "default", namespace, lambda o: o["status"].get("readyReplicas") == 1)
    await kube.create(TASKS, manifest("Task", "first", session="demo", count=3), namespace)
    await until(
        kube, TASKS, "first", namespace, lambda o: o.get("status", {}).get("elements", {}).get("queued") == 3
    )
    await kube.create(TASKS, manifest("Task", "second", session="demo"), namespace)
    await kube.create(TASKS, manifest("Task", "urgent", session="demo", options={"priority": 99}), namespace)
    words = ("1 element waits for a free worker in partition default", "0 of 1 pods work")
    await told(kube, "second", namespace, "Queued", *words, "of other tasks before them")
    await told(kube, "urgent", namespace, "Queued", *words, ", 0 of other tasks before them")


@pytest.mark.parametrize("shown", ["before it failed", "not before"])
async def test_until_when_a_single_element_backs_off(
    shown: str, demo: None, agent: FakeAgent, kube: Kube, namespace: str
) -> None:
    """Its status is written seldom, but this at once; each failure again, and not beyond its end."""
    await kube.create(TASKS, manifest("Task", "shaky", session="demo"), namespace)
    taken = await agent.take()
    if shown == "before it failed":
        await until(
            kube, TASKS, "shaky", namespace, lambda o: o.get("status", {}).get("phase") == "Processing"
        )
    for executions in (1, 2):
        later = time.time() + 600 * executions
        failed = Attempt(index=0, executions=executions, not_before=later)
        await agent.append(taken, kind=RecordKind.PROGRESS, attempts=(failed,))
        await told(kube, "shaky", namespace, "BackOff", f"1 element waits until {at(later)}")
    await agent.append(taken, kind=RecordKind.RELEASED, owner=None, not_before=later)
    released = {"kind": RecordKind.DISPATCHED, "owner": OWNER, "epoch": 2, "not_before": 0.0}
    await agent.append(taken, **released)
    await agent.succeed(taken)
    assert conditions(await finished(kube, "shaky", namespace)) == {"Finished": "Succeeded"}


async def test_that_a_partition_finds_no_room(demo: None, kube: Kube, namespace: str, apiserver: Any) -> None:
    """A quota, say: the Task names the Partition, with what keeps its pods away."""
    path, hard = f"/api/v1/namespaces/{namespace}/resourcequotas", {"pods": "0"}
    code, quota = apiserver.request("POST", path, {"metadata": {"name": "none"}, "spec": {"hard": hard}})
    assert code == 201, quota
    # No controllers run here: what is used is said by the test.
    quota["status"] = {"hard": hard, "used": hard}
    code, quota = apiserver.request("PUT", f"{path}/none/status", quota)
    assert code == 200, quota
    full = manifest("Partition", "full", podMax=1, podReserved=1, template=TEMPLATE)
    await kube.create(PARTITIONS, full, namespace)
    await until(kube, PARTITIONS, "full", namespace, lambda o: conditions(o).get("Ready") == "QuotaExceeded")
    await kube.create(SESSIONS, manifest("Session", "crowded", partitions=["full"]), namespace)
    await kube.create(TASKS, manifest("Task", "outside", session="crowded"), namespace)
    await told(kube, "outside", namespace, "NoPods", "partition full has none ready: QuotaExceeded", "none")
