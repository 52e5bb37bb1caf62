"""The installed chart: pods restricted, roles as documented, `helm test`, and upgrades under running work."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from release import (
    NAMESPACE,
    RELEASE,
    allowed,
    apply,
    attempt,
    finished,
    fresh_namespace,
    helm,
    kubectl,
    lab_partition,
    objects,
    session,
    task,
    until,
    upgrade,
)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

OPERATOR = f"system:serviceaccount:{NAMESPACE}:{RELEASE}-operator"


@pytest.fixture
def namespace() -> Iterator[str]:
    with fresh_namespace("chart", wait=False) as name:
        yield name


def test_every_pod_meets_the_restricted_standard() -> None:
    """The apiserver judges: labelling a namespace warns of each pod in it that does not meet the standard."""
    served = {
        found["metadata"]["namespace"] for found in objects("partitions.armonik.io", "--all-namespaces")
    }
    enforce = "pod-security.kubernetes.io/enforce=restricted"
    for name in {NAMESPACE} | served:
        done = attempt("kubectl", "label", "--dry-run=server", "--overwrite", "namespace", name, enforce)
        if name not in (NAMESPACE, "default") and "NotFound" in done.stderr:
            continue  # of a test beside this one, which has ended meanwhile
        assert done.returncode == 0, done.stderr
        assert "Warning" not in done.stderr, f"{name}: {done.stderr}"


def test_nothing_answers_without_credentials() -> None:
    """From inside the cluster: NATS refuses a stranger, S3 too."""
    script = (
        "import socket, urllib.request, urllib.error\n"
        f"nats = socket.create_connection(('{RELEASE}-nats', 4222), 10)\n"
        "nats.settimeout(10)\n"
        "nats.recv(4096)\n"
        "nats.sendall(b'CONNECT {\"verbose\":false}\\r\\nPING\\r\\n')\n"
        "print(nats.recv(4096).decode())\n"
        "try:\n"
        f"    urllib.request.urlopen('http://{RELEASE}-s3:8333/', timeout=10)\n"
        "except urllib.error.HTTPError as refusal:\n"
        "    print(refusal.code)\n"
    )
    said = kubectl(
        "exec", "--namespace", NAMESPACE, f"deploy/{RELEASE}-operator", "--", "python", "-c", script
    )
    assert "Authorization Violation" in said
    assert said.strip().endswith("403")


def test_requests_of_operator_and_users_are_queued_apart() -> None:
    schemas = {item["metadata"]["uid"]: item["metadata"]["name"] for item in objects("flowschemas")}
    tasks = "/apis/armonik.io/v1alpha1/namespaces/default/tasks?limit=1"
    assert schemas[_flow_schema(tasks, OPERATOR)] == f"{RELEASE}-operator"
    assert schemas[_flow_schema(tasks, "ada")] == f"{RELEASE}-users"
    assert schemas[_flow_schema("/api/v1/namespaces/default/pods?limit=1", "ada")] == "global-default"


def _flow_schema(path: str, user: str) -> str:
    """UID of the FlowSchema that the apiserver says it put a request of `user` into, allowed or not."""
    impersonation = (f"--as={user}", "--as-group=system:authenticated")
    done = attempt("kubectl", "get", "--raw", path, *impersonation, "-v=8")
    told = re.search(r"x-kubernetes-pf-flowschema-uid\W+([0-9a-f-]{36})", done.stderr, re.IGNORECASE)
    assert told, done.stderr
    return told[1]


def test_an_editor_submits_and_reads_but_makes_no_partition_and_no_status(namespace: str) -> None:
    kubectl("create", "rolebinding", "editors", "--clusterrole=edit", "--user=ada", "--namespace", namespace)
    # Kubernetes' own `edit` has ours once its controller has aggregated them.
    until("ada may create tasks", lambda: _may(namespace, "create", "tasks.armonik.io"))
    assert _may(namespace, "deletecollection", "tasks.armonik.io")
    assert _may(namespace, "patch", "sessions.armonik.io")
    assert _may(namespace, "get", "secrets/armonik-client")
    assert _may(namespace, "list", "partitions.armonik.io")
    assert not _may(namespace, "create", "partitions.armonik.io")
    assert not _may(namespace, "patch", "tasks.armonik.io", "--subresource=status")
    assert not _may(namespace, "update", "sessions.armonik.io", "--subresource=finalizers")


def _may(namespace: str, *words: str) -> bool:
    return allowed(*words, "--namespace", namespace, user="ada")


def test_partitions_are_written_by_who_may_create_pods(namespace: str) -> None:
    """Refused and then allowed: the right to create pods alone makes the difference."""

    def written() -> subprocess.CompletedProcess[str]:
        made = lab_partition(namespace, "lab", 0)
        words = ("kubectl", "apply", "--server-side", "--as=ada", "--dry-run=server", "--filename", "-")
        return attempt(*words, stdin=json.dumps(made))

    words = ("--user=ada", "--namespace", namespace)
    kubectl("create", "rolebinding", "partitions", f"--clusterrole={RELEASE}-admin", *words)
    until("ada may write partitions", lambda: _may(namespace, "create", "partitions.armonik.io"))
    assert "spec.template: user ada may not create pods" in written().stderr
    kubectl("create", "role", "pods", "--verb=create", "--resource=pods", "--namespace", namespace)
    kubectl("create", "rolebinding", "pods", "--role=pods", *words)
    until("ada may create pods", lambda: _may(namespace, "create", "pods"))
    assert (done := written()).returncode == 0, done.stderr


def test_the_operator_may_write_its_objects_and_no_others(namespace: str) -> None:
    def may(*words: str) -> bool:
        return allowed(*words, "--namespace", namespace, user=OPERATOR)

    assert may("patch", "secrets/armonik-agent")
    assert may("patch", "tasks.armonik.io", "--subresource=status")
    assert not may("patch", "secrets/other")
    assert not may("get", "secrets/armonik-client")
    assert not may("list", "secrets")
    assert not may("update", "tasks.armonik.io")
    assert not may("create", "pods", "--subresource=exec")
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "other", "namespace": namespace}}
    words = ("kubectl", "apply", "--server-side", f"--as={OPERATOR}", "--filename", "-")
    done = attempt(*words, stdin=json.dumps(secret))
    assert "forbidden" in done.stderr


def test_the_connect_role_is_enough_for_a_port_forward_and_for_no_secret() -> None:
    kubectl(
        "create",
        "rolebinding",
        "chart-test",
        "--role=armonik-connect",
        "--user=eve",
        "--namespace",
        NAMESPACE,
    )
    try:
        until(
            "eve may forward ports",
            lambda: allowed("get", f"services/{RELEASE}-nats", "-n", NAMESPACE, user="eve"),
        )
        eve = ("--as=eve", "--as-group=system:authenticated", "--namespace", NAMESPACE)
        forward = subprocess.Popen(
            ["kubectl", "port-forward", *eve, f"service/{RELEASE}-nats", ":4222"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            assert forward.stdout is not None
            assert "Forwarding from 127.0.0.1" in forward.stdout.readline()
        finally:
            forward.terminate()
            forward.communicate(timeout=10)
        assert not allowed("get", "secrets/armonik-nats", "-n", NAMESPACE, user="eve")
    finally:
        kubectl("delete", "rolebinding", "chart-test", "--namespace", NAMESPACE)


def test_helm_test_runs_a_task() -> None:
    """The pod ends well only if the square of 7 came back as 49; then nothing of it stays."""
    said = helm("test", RELEASE, "--timeout", "3m")
    assert set(re.findall(r"Phase:\s+(\w+)", said)) == {"Succeeded"}
    assert f"{RELEASE}-selftest" not in {pod["metadata"]["name"] for pod in objects("pods", "-n", NAMESPACE)}


@pytest.mark.alone
def test_an_upgrade_keeps_running_work_and_renews_the_kinds(namespace: str) -> None:
    """The operator is replaced while a Task runs, and puts back what an old definition lacks."""
    apply(
        lab_partition(namespace, "lab", pods=1),
        session(namespace, "work", "lab"),
        task(
            namespace,
            "sleeper",
            "work",
            payload={"inline": "x"},
            count=20,
            options={"options": {"mode": "sleep", "seconds": "1"}, "maxRetries": 0},
        ),
    )
    until("some elements are done", lambda: _succeeded(namespace, "sleeper") > 0)
    data_servers = _pod_uids("nats", "s3")
    operators = _pod_uids("operator")
    columns = "{.spec.versions[0].additionalPrinterColumns[*].name}"
    crd = ("crd", "tasks.armonik.io")
    stood = kubectl("get", *crd, "--output", f"jsonpath={columns}")
    old = [{"op": "remove", "path": "/spec/versions/0/additionalPrinterColumns"}]
    kubectl("patch", *crd, "--type=json", "--patch", json.dumps(old))

    upgrade("--set-string", f"operator.podAnnotations.armonik\\.io/touched={namespace}")

    assert _pod_uids("operator").isdisjoint(operators)
    assert _pod_uids("nats", "s3") == data_servers
    until(
        "the kinds are the chart's again",
        lambda: kubectl("get", *crd, "--output", f"jsonpath={columns}") == stood,
    )
    status = finished(namespace, "sleeper")["status"]
    assert status["progress"] == "20/20"
    # maxRetries is 0: an element that the upgrade had disturbed would have failed.
    assert status["elements"]["succeeded"] == 20


@pytest.mark.alone
def test_an_upgrade_brings_new_permissions_to_nats(namespace: str) -> None:
    """NATS reads its users once; an older file in the Secret is rendered anew and NATS started with it."""
    secret = ("secret", "armonik-nats", "--namespace", NAMESPACE)
    data = json.loads(kubectl("get", *secret, "--output", "json"))["data"]
    rendered = base64.b64decode(data["auth.conf"]).decode()
    older = rendered.replace('"armonik.event.>"', '"armonik.older.>"') + "# of an older release\n"
    patch = {"stringData": {"auth.conf": older}, "metadata": {"annotations": {"armonik.io/served": "older"}}}
    kubectl("patch", *secret, "--patch", json.dumps(patch))
    nats, store = _pod_uids("nats"), _pod_uids("s3")

    upgrade("--set-string", f"operator.podAnnotations.armonik\\.io/touched={namespace}")

    until("NATS is another pod", lambda: _pod_uids("nats").isdisjoint(nats) and bool(_pod_uids("nats")))
    kubectl("rollout", "status", f"statefulset/{RELEASE}-nats", "--namespace", NAMESPACE, "--timeout=170s")
    inside = (f"{RELEASE}-nats-0", "--namespace", NAMESPACE)
    served = kubectl("exec", *inside, "--", "cat", "/etc/nats/auth/auth.conf")
    assert served == rendered
    assert _pod_uids("s3") == store
    apply(
        lab_partition(namespace, "lab"),
        session(namespace, "work", "lab"),
        task(namespace, "echo", "work", payload={"inline": "x"}),
    )
    assert finished(namespace, "echo")["status"]["progress"] == "1/1"


def _succeeded(namespace: str, name: str) -> int:
    (found,) = objects("tasks.armonik.io", "--namespace", namespace, f"--field-selector=metadata.name={name}")
    return int(found.get("status", {}).get("elements", {}).get("succeeded", 0))


def _pod_uids(*components: str) -> set[str]:
    selector = f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component in ({','.join(components)})"
    return {
        pod["metadata"]["uid"] for pod in objects("pods", "--namespace", NAMESPACE, "--selector", selector)
    }
