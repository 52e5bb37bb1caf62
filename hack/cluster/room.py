"""How many processes of end-to-end tests a cluster has room for: each keeps pods of its own."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

from .shell import run
from .tools import kubectl

CPU_OF_A_PROCESS = Decimal("0.12")
"""Requested by the pods of one test file: four of 30m, by values-local.yaml and the tests' release.py."""
_DEFAULT = 3
_ENDED = ("Failed", "Succeeded")

Object = dict[str, Any]


def processes(kubeconfig: Path) -> int:
    """At most `TEST_PROCESSES`, fewer where the CPUs that nobody requested are too few.

    Raises:
        ClusterError: the cluster does not answer.
    """
    ask = [*kubectl(), "--kubeconfig", str(kubeconfig), "--request-timeout=30s", "get", "--output", "json"]
    nodes = json.loads(run(*ask, "nodes"))["items"]
    pods = json.loads(run(*ask, "pods", "--all-namespaces"))["items"]
    return fitting(free(nodes, pods), int(os.environ.get("TEST_PROCESSES") or _DEFAULT))


def fitting(cpus: Decimal, wanted: int) -> int:
    """How many of the wanted processes fit into `cpus`; one in any case."""
    return max(1, min(wanted, int(cpus / CPU_OF_A_PROCESS)))


def free(nodes: list[Object], pods: list[Object]) -> Decimal:
    """CPUs that no pod requests."""
    allocatable = sum((cpus(node["status"]["allocatable"]["cpu"]) for node in nodes), Decimal())
    return allocatable - sum((_requested(pod) for pod in pods), Decimal())


def cpus(quantity: str) -> Decimal:
    """A quantity of Kubernetes as a number of CPUs."""
    return Decimal(quantity[:-1]) / 1000 if quantity.endswith("m") else Decimal(quantity)


def _requested(pod: Object) -> Decimal:
    if pod["status"].get("phase") in _ENDED:
        return Decimal()
    beside = [c for c in pod["spec"].get("initContainers", []) if c.get("restartPolicy") == "Always"]
    containers = [*pod["spec"]["containers"], *beside]
    requests = [container.get("resources", {}).get("requests", {}) for container in containers]
    return sum((cpus(request.get("cpu", "0")) for request in requests), Decimal())
