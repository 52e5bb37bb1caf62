"""A Partition of the lab worker in a namespace of its own, and what its pods do."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from release import (
    Object,
    finished,
    fresh_namespace,
    kubectl,
    lab_partition,
    objects,
    task,
)


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
    words = ("--namespace", namespace, "--field-selector", "metadata.name=lab")
    (found,) = objects("partitions.armonik.io", *words)
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
