"""What is wrong with the pods of a Partition is reported, and those that end disturb nothing."""

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
    PATIENCE,
    Object,
    apply,
    kubectl,
    objects,
    session,
    until,
)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

__all__ = ["namespace"]


def test_an_invalid_template_is_reported_and_the_old_pods_keep_serving(namespace: str) -> None:
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
def test_what_keeps_pods_from_serving_is_reported(
    namespace: str, changed: Object, expected: str, word: str
) -> None:
    """Old pods stay; the Partition says what is wrong with the new one, and recovers with it."""
    apply(partition(namespace, podReserved=1))
    until("it serves", lambda: reason(namespace) == "Serving" and status(namespace)["readyReplicas"] == 1)
    standing = pods(namespace)[0]["metadata"]["uid"]
    change(namespace, changed)
    until(expected, lambda: reason(namespace) == expected and word in message(namespace))
    assert standing in {pod["metadata"]["uid"] for pod in pods(namespace)}
    assert len(pods(namespace)) == 2
    assert reason(namespace) == expected
    kubectl("replace", "--filename", "-", stdin=json.dumps(partition(namespace, podReserved=1)))
    until("it serves again", lambda: reason(namespace) == "Serving" and len(pods(namespace)) == 1)


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


@pytest.mark.alone
def test_a_node_that_is_drained_loses_nothing(namespace: str) -> None:
    """With `kubectl drain`, as an administrator does; without --force, for the pods have a controller."""
    drained = {"drained": namespace}
    made = partition(namespace, podReserved=2)
    made["spec"]["template"]["metadata"] = {"labels": drained}
    apply(made, session(namespace, "work", "lab"))
    until("it serves", lambda: status(namespace).get("readyReplicas") == 2)
    before = {pod["metadata"]["uid"] for pod in pods(namespace)}
    apply(sleeper(namespace, 20, 1))
    until("both are busy", lambda: status(namespace).get("busyReplicas", 0) >= 2)
    node = pods(namespace)[0]["spec"]["nodeName"]
    words = (f"--pod-selector=drained={namespace}", "--delete-emptydir-data", f"--timeout={PATIENCE}s")
    try:
        kubectl("drain", node, *words, timeout=PATIENCE + 30)
        assert before & {pod["metadata"]["uid"] for pod in pods(namespace)} == set()
        until("new ones find no room", lambda: reason(namespace) == "Unschedulable")
    finally:
        kubectl("uncordon", node)
    until("it serves again", lambda: status(namespace).get("readyReplicas") == 2)
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
    # process 1 that has just begun receives no signal.
    until("another serves", lambda: status(namespace).get("readyReplicas") == 1 and _one_but(namespace, pod))
    kubectl("delete", "partition.armonik.io/lab", *words, timeout=PATIENCE + 30)
    until("its pods are gone", lambda: not objects("pods", "--namespace", namespace))


def _one_but(namespace: str, gone: Object) -> bool:
    return [pod["metadata"]["uid"] for pod in pods(namespace)] != [gone["metadata"]["uid"]]
