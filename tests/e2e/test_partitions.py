"""Pods of a Partition: they follow the queue, take a new template in, and say what is wrong with them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from release import (
    NAMESPACE,
    PATIENCE,
    RELEASE,
    Object,
    apply,
    finished,
    fresh_namespace,
    kubectl,
    lab_partition,
    objects,
    session,
    task,
    until,
)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.fixture
def namespace() -> Iterator[str]:
    with fresh_namespace("partitions", wait=False) as name:
        yield name


def partition(namespace: str, *, template: Object | None = None, **spec: Any) -> Object:
    made = lab_partition(namespace, "lab")
    made["spec"] |= {"podReserved": 0, "podMax": 3} | spec
    made["spec"]["template"]["spec"]["worker"] |= template or {}
    return made


def status(namespace: str) -> Object:
    (found,) = objects("partitions.armonik.io", "--namespace", namespace)
    answered: Object = found.get("status", {})
    return answered if answered.get("observedGeneration") == found["metadata"]["generation"] else {}


def reason(namespace: str) -> str:
    return next((c["reason"] for c in status(namespace).get("conditions", [])), "")


def message(namespace: str) -> str:
    return next((c["message"] for c in status(namespace).get("conditions", [])), "")


def pods(namespace: str) -> list[Object]:
    found = objects("pods", "--namespace", namespace, "--selector", "armonik.io/partition=lab")
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def sleeper(namespace: str, count: int, seconds: float) -> Object:
    # Without retries: an element that a pod's end disturbed would fail.
    options = {"options": {"mode": "sleep", "seconds": str(seconds)}, "maxRetries": 0}
    return task(namespace, "sleeper", "work", payload={"inline": "x"}, count=count, options=options)


def change(namespace: str, spec: Object) -> None:
    kubectl(
        "patch",
        "partition.armonik.io/lab",
        "--namespace",
        namespace,
        "--type=merge",
        "--patch",
        json.dumps({"spec": spec}),
    )


def worker(**fields: Any) -> Object:
    return {"template": {"spec": {"worker": fields}}}


def all_succeeded(namespace: str, count: int) -> None:
    done = finished(namespace, "sleeper")["status"]
    assert done["progress"] == f"{count}/{count}", done


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


def test_an_invalid_template_is_told_and_the_old_pods_keep_serving(namespace: str) -> None:
    apply(partition(namespace, podReserved=1), session(namespace, "work", "lab"))
    until("it serves", lambda: reason(namespace) == "Serving" and status(namespace)["readyReplicas"] == 1)
    before = [pod["metadata"]["uid"] for pod in pods(namespace)]
    change(namespace, worker(volumeMounts=[{"name": "nowhere", "mountPath": "/data"}]))
    until("it is refused", lambda: reason(namespace) == "TemplateInvalid")
    assert "nowhere" in message(namespace)
    apply(sleeper(namespace, 2, 0.1))
    all_succeeded(namespace, 2)
    assert [pod["metadata"]["uid"] for pod in pods(namespace)] == before
    change(namespace, worker(volumeMounts=[]))
    until("it serves again", lambda: reason(namespace) == "Serving")


@pytest.mark.parametrize(
    ("changed", "expected", "word"),
    [
        (worker(image="localhost/no-such-worker:1"), "ImagePullFailed", "no-such-worker"),
        (worker(command=["python", "-c", "raise SystemExit(3)"]), "WorkerCrashLooping", "worker"),
        ({"template": {"spec": {"nodeSelector": {"no-such": "node"}}}}, "Unschedulable", "node"),
    ],
    ids=["image", "crash", "node"],
)
def test_what_keeps_pods_from_serving_is_told(
    namespace: str, changed: Object, expected: str, word: str
) -> None:
    """Old pods stay; the Partition says what is wrong with the new one, and mends itself with it."""
    apply(partition(namespace, podReserved=1))
    until("it serves", lambda: reason(namespace) == "Serving" and status(namespace)["readyReplicas"] == 1)
    standing = pods(namespace)[0]["metadata"]["uid"]
    change(namespace, changed)
    until(expected, lambda: reason(namespace) == expected)
    assert word in message(namespace)
    assert standing in {pod["metadata"]["uid"] for pod in pods(namespace)}
    assert len(pods(namespace)) == 2
    kubectl("replace", "--filename", "-", stdin=json.dumps(partition(namespace, podReserved=1)))
    until("it serves again", lambda: reason(namespace) == "Serving" and len(pods(namespace)) == 1)


def test_a_quota_is_told(namespace: str) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few", "namespace": namespace}}
    apply(quota | {"spec": {"hard": {"pods": "1"}}})
    until("the quota counts", lambda: "hard" in objects("quota", "-n", namespace)[0].get("status", {}))
    apply(partition(namespace, podReserved=2))
    until("it is told", lambda: reason(namespace) == "QuotaExceeded")
    assert "few" in message(namespace)
    kubectl("delete", "quota/few", "--namespace", namespace)
    until("it serves", lambda: reason(namespace) == "Serving" and status(namespace)["readyReplicas"] == 2)


def test_an_evicted_pod_is_replaced_and_loses_nothing(namespace: str) -> None:
    apply(partition(namespace, podReserved=2), session(namespace, "work", "lab"))
    until("it serves", lambda: status(namespace).get("readyReplicas") == 2)
    apply(sleeper(namespace, 20, 1))
    until("both are busy", lambda: status(namespace).get("busyReplicas", 0) >= 2)
    name = pods(namespace)[0]["metadata"]["name"]
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    path = f"/api/v1/namespaces/{namespace}/pods/{name}/eviction"
    kubectl("create", "--raw", path, "--filename", "-", stdin=json.dumps(eviction))
    until("it is gone", lambda: name not in {pod["metadata"]["name"] for pod in pods(namespace)})
    until("another is ready", lambda: status(namespace).get("readyReplicas", 0) >= 2)
    all_succeeded(namespace, 20)


def test_a_pod_of_a_worker_that_ignores_sigterm_ends_before_its_grace(namespace: str) -> None:
    """Python as process 1 does; a grace of ten minutes would outlast the test."""
    made = partition(namespace, podReserved=1)
    made["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 600
    code = (
        "import runpy, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "runpy.run_path('/app/worker.py', run_name='__main__')"
    )
    made["spec"]["template"]["spec"]["worker"]["command"] = ["python", "-c", code]
    apply(made)
    until("it serves", lambda: status(namespace).get("readyReplicas") == 1)
    (pod,) = pods(namespace)
    words = ("--namespace", namespace, f"--timeout={PATIENCE}s")
    kubectl("delete", f"pod/{pod['metadata']['name']}", *words, timeout=PATIENCE + 30)
    # Once a namespace that goes has seen a pod with such a grace, it looks again only after half of it; and a
    # process 1 that has just begun hears no signal.
    until("another serves", lambda: status(namespace).get("readyReplicas") == 1 and _one_but(namespace, pod))
    kubectl("delete", "partition.armonik.io/lab", *words, timeout=PATIENCE + 30)
    until("its pods are gone", lambda: not objects("pods", "--namespace", namespace))


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


def _one_but(namespace: str, gone: Object) -> bool:
    return [pod["metadata"]["uid"] for pod in pods(namespace)] != [gone["metadata"]["uid"]]


def consumers() -> str:
    """What NATS' monitoring says of its streams and their consumers."""
    script = (
        "import urllib.request\n"
        f"url = 'http://{RELEASE}-nats:8222/jsz?consumers=true&limit=1000'\n"
        "print(urllib.request.urlopen(url, timeout=10).read().decode())\n"
    )
    pod = f"deploy/{RELEASE}-operator"
    return kubectl("exec", "--namespace", NAMESPACE, pod, "--", "python", "-c", script)
