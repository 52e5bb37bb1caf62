"""Pods of a Partition follow the queue, take a new template in, and go with it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from partitions import (
    all_succeeded,
    change,
    message,
    namespace,
    partition,
    pods,
    reason,
    sleeper,
    status,
    worker,
)
from release import (
    NAMESPACE,
    RELEASE,
    Object,
    apply,
    finished,
    kubectl,
    objects,
    session,
    task,
    until,
)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

__all__ = ["namespace"]


def test_pods_follow_the_queue_up_and_down_to_none(namespace: str) -> None:
    apply(partition(namespace, idleSeconds=5), session(namespace, "work", "lab"))
    until("nothing is asked for", lambda: reason(namespace) == "ScaledToZero")
    assert pods(namespace) == []
    apply(sleeper(namespace, 1000, 1))
    until("as many pods as may be", lambda: len(pods(namespace)) == 3)
    until("all are busy", lambda: status(namespace).get("busyReplicas") == 3)
    assert status(namespace)["queued"] > 0
    cancelled = ("--type=merge", "--patch", json.dumps({"spec": {"desiredState": "Cancelled"}}))
    kubectl("patch", "tasks.armonik.io", "sleeper", "--namespace", namespace, *cancelled)
    assert finished(namespace, "sleeper")["status"]["elements"].get("failed", 0) == 0
    until("all pods are gone", lambda: pods(namespace) == [])
    until("it says so", lambda: reason(namespace) == "ScaledToZero")
    assert (status(namespace)["busyReplicas"], status(namespace)["queued"]) == (0, 0)


def test_scaling_down_under_load_disturbs_no_element(namespace: str) -> None:
    apply(partition(namespace, podReserved=3), session(namespace, "work", "lab"))
    until("it serves", lambda: status(namespace).get("readyReplicas") == 3)
    apply(sleeper(namespace, 30, 1))
    until("all are busy", lambda: status(namespace).get("busyReplicas") == 3)
    change(namespace, {"podReserved": 1, "podMax": 1})
    until("one is left", lambda: len(pods(namespace)) == 1)
    all_succeeded(namespace, 30)


def test_a_new_template_comes_in_under_load_and_disturbs_no_element(namespace: str) -> None:
    apply(partition(namespace, podReserved=2), session(namespace, "work", "lab"))
    until("it serves", lambda: status(namespace).get("readyReplicas") == 2)
    old = {pod["metadata"]["uid"] for pod in pods(namespace)}
    apply(sleeper(namespace, 30, 1))
    until("both are busy", lambda: status(namespace).get("busyReplicas", 0) >= 2)
    change(namespace, worker(env=[{"name": "NEW", "value": "yes"}]))
    until("all pods are new", lambda: not old & {pod["metadata"]["uid"] for pod in pods(namespace)})
    all_succeeded(namespace, 30)
    assert all(
        {"name": "NEW", "value": "yes"} in pod["spec"]["initContainers"][0]["env"] for pod in pods(namespace)
    )


def test_a_quota_is_reported(namespace: str) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few", "namespace": namespace}}
    apply(quota | {"spec": {"hard": {"pods": "1"}}})
    until("the quota counts", lambda: "hard" in objects("quota", "-n", namespace)[0].get("status", {}))
    apply(partition(namespace, podReserved=2))
    until("it is reported", lambda: reason(namespace) == "QuotaExceeded")
    assert "few" in message(namespace)
    kubectl("delete", "quota/few", "--namespace", namespace)
    until("it serves", lambda: reason(namespace) == "Serving" and status(namespace)["readyReplicas"] == 2)


def test_a_more_urgent_partition_takes_room_and_disturbs_no_element(namespace: str) -> None:
    """A quota leaves room for two pods."""
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "two", "namespace": namespace}}
    apply(quota | {"spec": {"hard": {"pods": "2"}}})
    _one_of_two_pods_changes_hands(namespace, {})


@pytest.mark.alone
def test_a_more_urgent_partition_takes_room_of_the_node(namespace: str) -> None:
    """The node has room for two pods and no third; the scheduler says so. Needs a cluster of one node."""
    nodes = objects("nodes")
    if len(nodes) > 1:
        pytest.skip("fills the node, where there is only one")
    everywhere = ("pods", "--all-namespaces")
    # Of other tests: what they hold is free in a moment, and would be room for a third pod.
    until("nothing leaves", lambda: not [*_leaving("namespaces"), *_leaving(*everywhere)])
    free = _cpu(nodes[0]["status"]["allocatable"]["cpu"]) - sum(map(_asked, objects(*everywhere)))
    # Two take less than 90 % of it, three more than it; their agents request little (values-local.yaml).
    request = {"requests": {"cpu": f"{int(free * 430)}m"}}
    _one_of_two_pods_changes_hands(namespace, {"resources": request})


def _leaving(*what: str) -> list[Object]:
    return [one for one in objects(*what) if "deletionTimestamp" in one["metadata"]]


def _cpu(quantity: str) -> float:
    return float(quantity[:-1]) / 1000 if quantity.endswith("m") else float(quantity)


def _asked(pod: Object) -> float:
    """CPUs that a pod keeps others from: of its containers, and of those that run beside them."""
    if pod["status"].get("phase") in ("Failed", "Succeeded"):
        return 0.0
    beside = [c for c in pod["spec"].get("initContainers", []) if c.get("restartPolicy") == "Always"]
    containers = [*pod["spec"]["containers"], *beside]
    return sum(_cpu(c.get("resources", {}).get("requests", {}).get("cpu", "0")) for c in containers)


def _one_of_two_pods_changes_hands(namespace: str, template: Object) -> None:
    """And comes back when nobody needs it any more."""
    low = partition(namespace, template=template, podReserved=0, podMax=2, preemptionPercentage=50)
    urgent = partition(namespace, template=template, podMax=2, priority=50, idleSeconds=10)
    urgent["metadata"] = urgent["metadata"] | {"name": "urgent"}
    apply(low, urgent)
    apply(session(namespace, "work", "lab"), session(namespace, "alarm", "urgent"))
    apply(sleeper(namespace, 60, 1))
    until("two pods work", lambda: status(namespace).get("busyReplicas") == 2)
    apply(task(namespace, "fire", "alarm", payload={"inline": "x"}))
    until("one gives way", lambda: "partition urgent" in message(namespace))
    assert finished(namespace, "fire")["status"]["phase"] == "Completed"
    # Where a quota refuses it there is no other pod, where a node has no room it waits for one.
    assert len([pod for pod in pods(namespace) if pod["spec"].get("nodeName")]) == 1
    until("there are two again", lambda: status(namespace).get("readyReplicas") == 2)
    assert "partition urgent" not in message(namespace)
    all_succeeded(namespace, 60)


def test_a_deleted_partition_leaves_no_pod_and_no_consumer_and_its_work_waits(namespace: str) -> None:
    apply(partition(namespace, podReserved=1), session(namespace, "work", "lab"))
    until("it serves", lambda: status(namespace).get("readyReplicas") == 1)
    assert f"{namespace}_lab_0" in consumers()
    kubectl("delete", "partition.armonik.io/lab", "--namespace", namespace)
    until("its pods are gone", lambda: pods(namespace) == [])
    until("its consumer is gone", lambda: f"{namespace}_lab_0" not in consumers())
    apply(sleeper(namespace, 2, 0.1))
    waiting = "--for=jsonpath={.status.conditions[0].reason}=PartitionNotFound"
    kubectl("wait", waiting, "tasks.armonik.io/sleeper", "--namespace", namespace, "--timeout=170s")
    apply(partition(namespace))
    all_succeeded(namespace, 2)


def consumers() -> str:
    """What NATS' monitoring says of its streams and their consumers."""
    script = (
        "import urllib.request\n"
        f"url = 'http://{RELEASE}-nats:8222/jsz?consumers=true&limit=1000'\n"
        "print(urllib.request.urlopen(url, timeout=10).read().decode())\n"
    )
    pod = f"deploy/{RELEASE}-operator"
    return kubectl("exec", "--namespace", NAMESPACE, pod, "--", "python", "-c", script)
