"""Two installations on one cluster, each with its own operator, NATS and object store: to grow past one."""

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
    Object,
    apply,
    attempt_helm,
    delete_namespace,
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

pytestmark = [pytest.mark.e2e, pytest.mark.alone, pytest.mark.timeout(900)]

OTHER = "armonik-other"
"""The other release, and its namespace."""


@pytest.fixture
def spaces() -> Iterator[tuple[str, str]]:
    """A namespace for each of the two to serve; afterwards the first serves all again."""
    with fresh_namespace("first", wait=False) as first, fresh_namespace("other", wait=False) as other:
        kubectl("create", "namespace", OTHER)
        try:
            yield first, other
        finally:
            if OTHER in helm("list", "--short", namespace=OTHER):
                helm("uninstall", OTHER, "--wait", "--timeout", "5m", namespace=OTHER)
            delete_namespace(OTHER)
            upgrade("--set-json", "watchNamespaces=[]")


def test_each_serves_its_namespaces_and_goes_without_the_other(spaces: tuple[str, str]) -> None:
    first, other = spaces
    values = helm("get", "values", RELEASE, "--output", "json")
    refused = attempt_helm("install", OTHER, str(CHART), *_serving(other), stdin=values, namespace=OTHER)
    assert f"watchNamespaces: there is release {RELEASE} in namespace {NAMESPACE}" in refused.stderr

    upgrade("--set-json", f"watchNamespaces={json.dumps(['default', first])}")
    words = ("install", OTHER, str(CHART), *_serving(other), "--wait", "--timeout", "5m")
    helm(*words, stdin=values, namespace=OTHER)
    for namespace in spaces:
        apply(*_work(namespace))
    for namespace in spaces:
        assert finished(namespace, "echo")["status"]["progress"] == "3/3"
    assert _nats_of(first) == f"nats://{RELEASE}-nats.{NAMESPACE}.svc:4222"
    assert _nats_of(other) == f"nats://{OTHER}-nats.{OTHER}.svc:4222"

    # It takes all of its own along, and the kinds stay for the other one's objects.
    purge = ("--set", "purgeOnUninstall=true", "--wait", "--timeout", "5m")
    helm("upgrade", OTHER, str(CHART), "--reuse-values", *purge, namespace=OTHER)
    helm("uninstall", OTHER, "--wait", "--timeout", "5m", namespace=OTHER)
    until("its claims are gone", lambda: not objects("pvc", "--namespace", OTHER))
    assert not objects("tasks.armonik.io", "--namespace", other)
    (kept,) = objects("tasks.armonik.io", "--namespace", first)
    assert kept["status"]["phase"] == "Completed"
    apply(task(first, "again", "work", payload={"inline": "x"}))
    assert finished(first, "again")["status"]["phase"] == "Completed"


def _serving(namespace: str) -> tuple[str, ...]:
    served = ("--set-json", f"watchNamespaces={json.dumps([namespace])}")
    return ("--values", "-", *served, "--set", "defaultPartition.enabled=false")


def _work(namespace: str) -> list[Object]:
    return [
        lab_partition(namespace, "lab"),
        session(namespace, "work", "lab"),
        task(namespace, "echo", "work", payload={"inline": "x"}, count=3),
    ]


def _nats_of(namespace: str) -> str:
    words = ("configmap/armonik-service-configuration", "--namespace", namespace)
    return kubectl("get", *words, "--output", "jsonpath={.data.nats-url}")
