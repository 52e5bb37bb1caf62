"""Uninstalling, at the very end of the suite: the release is not there afterwards.

One story in order: uninstall keeps all user data and blocks no namespace; the next installation uses it;
a purge leaves nothing.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from release import (
    CHART,
    NAMESPACE,
    RELEASE,
    apply,
    delete_namespace,
    finished,
    helm,
    kubectl,
    lab_partition,
    objects,
    session,
    task,
    until,
    upgrade,
)

pytestmark = [pytest.mark.e2e, pytest.mark.alone, pytest.mark.timeout(900)]

KINDS = ("sessions.armonik.io", "tasks.armonik.io", "partitions.armonik.io")
CLUSTER_WIDE = (
    "clusterroles",
    "clusterrolebindings",
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
)
KEPT, DOOMED = "uninstall-kept", "uninstall-doomed"


@pytest.fixture(scope="module", autouse=True)
def user_data() -> Iterator[None]:
    """Two namespaces with finished work and a session that still has its finalizer."""
    for namespace in (KEPT, DOOMED):
        delete_namespace(namespace)
        kubectl("create", "namespace", namespace)
        apply(
            lab_partition(namespace, "lab"),
            session(namespace, "work", "lab"),
            task(namespace, "echo", "work", payload={"inline": "mine"}),
        )
    for namespace in (KEPT, DOOMED):
        finished(namespace, "echo")
        (stood,) = objects("sessions.armonik.io", "--namespace", namespace)
        assert stood["metadata"]["finalizers"], "the test needs a session that only the operator releases"
    yield
    for namespace in (KEPT, DOOMED):
        delete_namespace(namespace)


def test_uninstall_keeps_what_is_the_users_and_blocks_no_namespace() -> None:
    values = helm("get", "values", RELEASE, "--output", "yaml")
    helm("uninstall", RELEASE, "--wait", "--timeout", "5m")

    until("all pods of the release are gone", lambda: not objects("pods", "--namespace", NAMESPACE))
    until("all workers are gone", lambda: not _workers())
    for namespace in (KEPT, DOOMED):
        (kept,) = objects("sessions.armonik.io", "--namespace", namespace)
        assert not kept["metadata"].get("finalizers")
        (done,) = objects("tasks.armonik.io", "--namespace", namespace)
        assert done["status"]["progress"] == "1/1"
    assert _names("pvc") == {f"data-{RELEASE}-nats-0", f"data-{RELEASE}-s3-0"}
    assert {"armonik-nats", "armonik-s3"} <= _names("secrets")
    for kind in (*CLUSTER_WIDE, "flowschemas", "prioritylevelconfigurations"):
        assert _left_by_the_release(kind) == []

    delete_namespace(DOOMED)  # fails when something keeps it from going
    helm("install", RELEASE, str(CHART), "--values", "-", "--wait", "--timeout", "5m", stdin=values)


def test_the_next_installation_continues_with_the_data() -> None:
    until("the session is served again", lambda: bool(_session()["metadata"].get("finalizers")))
    apply(
        # Depends on a result that only the journal and the object store of before the uninstall have.
        task(
            KEPT,
            "again",
            "work",
            payload={"inline": "x"},
            dependsOn=[{"task": "echo", "output": "result"}],
            options={"options": {"mode": "concat"}},
        )
    )
    (result,) = finished(KEPT, "again")["status"]["results"]
    assert result["inline"] == "mine"


def test_purge_leaves_nothing() -> None:
    upgrade("--set", "purgeOnUninstall=true")
    helm("uninstall", RELEASE, "--wait", "--timeout", "5m")

    until("the kinds are gone", _kinds_gone)
    until("the claims are gone", lambda: not _names("pvc"))
    until("all workers are gone", lambda: not _workers())
    for namespace in (NAMESPACE, KEPT):
        assert not {n for n in _names("secrets", namespace) if n.startswith("armonik-")}
    assert "armonik-agent" not in _names("serviceaccounts", KEPT)
    assert "armonik-service-configuration" not in _names("configmaps", KEPT)
    for kind in CLUSTER_WIDE:
        assert _left_by_the_release(kind) == []
    assert not objects("jobs", "--namespace", NAMESPACE)


def test_uninstalling_twice_says_so_and_breaks_nothing() -> None:
    with pytest.raises(AssertionError, match="not found"):
        helm("uninstall", RELEASE)


def _session() -> dict[str, object]:
    return json.loads(kubectl("get", "sessions.armonik.io/work", "--namespace", KEPT, "--output", "json"))


def _kinds_gone() -> bool:
    return not {crd["metadata"]["name"] for crd in objects("crd")} & set(KINDS)


def _workers() -> list[dict[str, object]]:
    return objects("pods", "--all-namespaces", "--selector", "armonik.io/partition")


def _names(kind: str, namespace: str = NAMESPACE) -> set[str]:
    return {found["metadata"]["name"] for found in objects(kind, "--namespace", namespace)}


def _left_by_the_release(kind: str) -> list[str]:
    selector = f"app.kubernetes.io/instance={RELEASE}"
    return [found["metadata"]["name"] for found in objects(kind, "--selector", selector)]
