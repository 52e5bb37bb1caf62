"""Explanations of what a real kube-apiserver has: what is read, and statuses that the real operator wrote."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from operator_process import TEMPLATE, FakeAgent, conditions, manifest, until

from armonik_operator.clients.kube import EVENTS, PARTITIONS, PODS, SESSIONS, TASKS, Kube
from armonik_sdk.client.errors import NotFound
from armonik_sdk.client.facts import explain_object
from armonik_sdk.client.transport.kube import Kube as ClientKube
from armonik_sdk.explain import Explanation

pytestmark = pytest.mark.integration

SPEC = {"podMax": 2, "template": {"spec": {"worker": {"image": "r.example/x:1"}}}}
THEN = "2026-11-30T12:00:00Z"


@pytest.fixture
async def reads(apiserver: Any) -> AsyncIterator[ClientKube]:
    connected = await ClientKube.connect(str(apiserver.kubeconfig))
    yield connected
    await connected.close()


def said(type_: str, status: str, reason: str, message: str) -> dict[str, Any]:
    return {
        "type": type_,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": THEN,
        "observedGeneration": 1,
    }


async def make(
    kube: Kube, kind: Any, namespace: str, name: str, spec: Any, *conditions: Any, **status: Any
) -> Any:
    body = {"apiVersion": "armonik.io/v1alpha1", "kind": kind.name, "metadata": {"name": name}, "spec": spec}
    await kube.create(kind, body, namespace)
    if not conditions:
        return await kube.get(kind, name, namespace)
    written = {"status": {"conditions": list(conditions), "observedGeneration": 1, **status}}
    return await kube.patch(kind, name, written, namespace, status=True)


async def test_a_task_that_waits_for_a_task_that_waits_for_an_image(
    kube: Kube, reads: ClientKube, namespace: str
) -> None:
    words = 'default-x: worker: Back-off pulling image "r.example/x:1": ErrImagePull: x: not found'
    await make(
        kube, SESSIONS, namespace, "demo", {"partitions": ["default"]}, said("Ready", "True", "Accepted", "")
    )
    await make(kube, PARTITIONS, namespace, "default", SPEC, said("Ready", "False", "ImagePullFailed", words))
    queued = said("Waiting", "True", "NoPods", f"1 element waits for a pod: {words}")
    await make(
        kube, TASKS, namespace, "fetch", {"session": "demo"}, queued, phase="Submitted", partition="default"
    )
    for name, other in (("parse", "fetch"), ("reduce", "parse")):
        waits = said(
            "Waiting", "True", "WaitingForData", f"1 element waits for data: task {other} has not ended"
        )
        await make(kube, TASKS, namespace, name, {"session": "demo", "dependsOn": [{"task": other}]}, waits)
    pod = {
        "metadata": {"name": "default-x", "labels": {"armonik.io/partition": "default"}},
        "spec": {"containers": [{"name": "worker", "image": "r.example/x:1"}]},
    }
    made = await kube.create(PODS, {"apiVersion": "v1", "kind": "Pod", **pod}, namespace)
    event = {
        "metadata": {"generateName": "default-x."},
        "involvedObject": {
            "kind": "Pod",
            "name": "default-x",
            "namespace": namespace,
            "uid": made["metadata"]["uid"],
        },
        "type": "Warning",
        "reason": "Failed",
        "message": 'Failed to pull image "r.example/x:1": not found',
        "lastTimestamp": THEN,
    }
    await kube.create(EVENTS, {"apiVersion": "v1", "kind": "Event", **event}, namespace)
    found = await explain_object(reads, namespace, "reduce")
    assert [(link.subject, link.reason) for link in found.chain] == [
        ("task parse", "WaitingForData"),
        ("task fetch", "NoPods"),
        ("partition default", "ImagePullFailed"),
    ]
    assert "image r.example/x:1 cannot be pulled: not found" in found.why
    assert "Not read" not in found.why
    of = await explain_object(reads, namespace, "demo", kind="session")
    assert {link.subject for link in of.chain} == {
        f"task {name} (session demo)" for name in ("fetch", "parse", "reduce")
    }


async def test_names_that_are_not_there_are_compared_with_those_of_the_session(
    kube: Kube, reads: ClientKube, namespace: str
) -> None:
    words = "task prase does not exist in session demo; create it"
    await make(kube, TASKS, namespace, "parse", {"session": "demo"})
    await make(kube, TASKS, namespace, "prase-x", {"session": "another"})
    spec = {"session": "demo", "dependsOn": [{"task": "prase"}]}
    await make(kube, TASKS, namespace, "reduce", spec, said("Ready", "False", "DependencyNotFound", words))
    found = await explain_object(reads, namespace, "reduce")
    assert (
        found.why == "It depends on task prase, which does not exist in session demo. There is a task parse."
    )
    for name in ("default", "gpu"):
        await make(kube, PARTITIONS, namespace, name, SPEC)
    words = "partition gpus does not exist in this namespace; create it"
    lost = said("Ready", "False", "PartitionNotFound", words)
    await make(kube, TASKS, namespace, "hello", {"session": "demo", "options": {"partition": "gpus"}}, lost)
    found = await explain_object(reads, namespace, "hello")
    assert (
        found.why == f"Partition gpus does not exist in namespace {namespace}. Those that do: default, gpu."
    )


async def test_names_alone_are_asked_for_without_the_objects(
    kube: Kube, reads: ClientKube, namespace: str
) -> None:
    for number in range(3):
        await make(
            kube, TASKS, namespace, f"t-{number}", {"session": "demo", "payload": {"inline": "x" * 9000}}
        )
    from armonik_sdk.client.transport.kube import TASKS as OF_CLIENT

    found = await reads.first(
        OF_CLIENT, namespace, 2, {"fieldSelector": "spec.session=demo"}, names_only=True
    )
    assert [one["metadata"]["name"] for one in found] == ["t-0", "t-1"]
    assert all("spec" not in one for one in found)


async def test_the_log_of_a_pod_that_no_node_has(kube: Kube, reads: ClientKube, namespace: str) -> None:
    spec = {"containers": [{"name": "worker", "image": "x"}]}
    await kube.create(
        PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec}, namespace
    )
    assert await reads.log_end(namespace, "p", "worker") == ""
    with pytest.raises(NotFound):
        await reads.log_end(namespace, "absent", "worker")


# The real operator; the test plays agent and kubelet.


async def explained(
    kube: Kube, reads: ClientKube, namespace: str, name: str, reason: str, words: str = ""
) -> Explanation:
    """Of a Task, once its status has a condition of this reason, with these words in its message."""

    def says(task: dict[str, Any]) -> bool:
        found = task.get("status", {}).get("conditions", [])
        return any(c["reason"] == reason and words in c["message"] for c in found)

    await until(kube, TASKS, name, namespace, says)
    return await explain_object(reads, namespace, name, kind="task")


async def test_a_task_that_the_operator_holds_back_for_data_and_pods(
    demo: None, kube: Kube, reads: ClientKube, namespace: str
) -> None:
    await kube.create(TASKS, manifest("Task", "first", session="demo"), namespace)
    second = manifest("Task", "second", session="demo", dependsOn=[{"task": "first"}])
    await kube.create(TASKS, second, namespace)
    await explained(kube, reads, namespace, "first", "NoPods")
    found = await explained(kube, reads, namespace, "second", "WaitingForData")
    assert [link.subject for link in found.chain] == ["task first", "partition default"]
    assert found.text.splitlines()[:3] == [
        "task second (session demo): 1 of 1 elements waits, none runs",
        "why     It needs all outputs of task first, which has not ended.",
        f"          task first: Partition default has no ready pod: {_cause(found)}",
    ]


def _cause(found: Explanation) -> str:
    return found.why.splitlines()[1].partition("no ready pod: ")[2]


async def test_the_place_in_the_queue_and_how_long_it_is_likely_to_take(
    demo: None, agent: FakeAgent, kube: Kube, reads: ClientKube, namespace: str
) -> None:
    await kube.patch(PARTITIONS, "default", {"spec": {"podReserved": 1}}, namespace)
    serving = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    await until(kube, PARTITIONS, "default", namespace, lambda o: o.get("status", {}).get("replicas") == 1)
    (pod,) = await kube.list(PODS, namespace)
    await kube.patch(PODS, pod["metadata"]["name"], {"status": serving}, namespace, status=True)
    await until(kube, PARTITIONS, "default", namespace, lambda o: o["status"].get("readyReplicas") == 1)
    await kube.create(TASKS, manifest("Task", "done", session="demo"), namespace)
    await agent.succeed(await agent.take())
    await kube.create(TASKS, manifest("Task", "before", session="demo", count=30), namespace)
    await until(
        kube,
        TASKS,
        "before",
        namespace,
        lambda o: o.get("status", {}).get("elements", {}).get("queued") == 30,
    )
    await kube.create(TASKS, manifest("Task", "behind", session="demo"), namespace)
    found = await explained(kube, reads, namespace, "behind", "Queued", "30 of other tasks before them")
    assert found.why == (
        "0 of 1 pods of partition default are busy, and 30 elements of other tasks are before these."
    )
    assert found.mend[0].startswith("More pods:   kubectl patch akp default --type merge")
    assert found.mend[1] == "Go first:    submit with a priority above 9; this task has 1"
    for seconds in range(61, 600):  # a rate is written with other changes, once it was seen for long enough
        await kube.patch(PARTITIONS, "default", {"spec": {"idleSeconds": seconds}}, namespace)
        made = await until(
            kube,
            PARTITIONS,
            "default",
            namespace,
            lambda o: o["status"].get("observedGeneration") == o["metadata"]["generation"],
        )
        if made["status"]["elementsPerMinute"]:
            break
    found = await explain_object(reads, namespace, "behind")
    assert found.likely_seconds
    assert "until the first starts: the partition does" in found.text


async def test_a_quota_that_lets_no_pod_in(
    demo: None, kube: Kube, reads: ClientKube, namespace: str, apiserver: Any
) -> None:
    path, hard = f"/api/v1/namespaces/{namespace}/resourcequotas", {"pods": "0"}
    code, quota = apiserver.request("POST", path, {"metadata": {"name": "team"}, "spec": {"hard": hard}})
    assert code == 201, quota
    quota["status"] = {"hard": hard, "used": hard}  # no controllers run here
    code, quota = apiserver.request("PUT", f"{path}/team/status", quota)
    assert code == 200, quota
    full = manifest("Partition", "full", podMax=1, podReserved=1, template=TEMPLATE)
    await kube.create(PARTITIONS, full, namespace)
    await until(kube, PARTITIONS, "full", namespace, lambda o: conditions(o).get("Ready") == "QuotaExceeded")
    await kube.create(SESSIONS, manifest("Session", "crowded", partitions=["full"]), namespace)
    await kube.create(TASKS, manifest("Task", "outside", session="crowded"), namespace)
    found = await explained(kube, reads, namespace, "outside", "NoPods", "QuotaExceeded")
    assert found.chain[-1].subject == "quota team"
    assert "Partition full has no ready pod: a quota of the namespace allows no more." in found.why
    assert found.look == ["kubectl describe resourcequota team"]


async def test_what_the_operator_refuses(demo: None, kube: Kube, reads: ClientKube, namespace: str) -> None:
    await kube.create(TASKS, manifest("Task", "parse", session="demo"), namespace)
    wrong = manifest("Task", "reduce", session="demo", dependsOn=[{"task": "prase"}])
    await kube.create(TASKS, wrong, namespace)
    found = await explained(kube, reads, namespace, "reduce", "DependencyNotFound")
    assert found.state == "not admitted, 1 element waits"
    assert "task prase, which does not exist in session demo. There is a task parse." in found.why
    await kube.create(TASKS, manifest("Task", "lost", session="nothing"), namespace)
    found = await explained(kube, reads, namespace, "lost", "SessionNotFound")
    assert found.why == f"Session nothing does not exist in namespace {namespace}."
