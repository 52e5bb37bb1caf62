"""How tests write manifests, good and bad."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Bad:
    """One bad manifest: the first complaint must be about `field` and contain `message`."""

    name: str
    manifest: dict[str, Any]
    field: str
    message: str


def session(spec: dict[str, Any], name: str = "s") -> dict[str, Any]:
    return _manifest("Session", name, {"partitions": ["default"], **spec})


def task(spec: dict[str, Any], name: str = "t") -> dict[str, Any]:
    return _manifest("Task", name, {"session": "demo", **spec})


def partition(spec: dict[str, Any], name: str = "p") -> dict[str, Any]:
    return _manifest("Partition", name, {"podMax": 2, "template": {"spec": worker()}, **spec})


def pods(pod: dict[str, Any], container: dict[str, Any] | None = None) -> dict[str, Any]:
    """A Partition whose pod and worker have these fields."""
    return partition({"template": {"spec": {**worker(container or {}), **pod}}})


def worker(container: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"worker": {"image": "localhost/hello:1", **(container or {})}}


def _manifest(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "armonik.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {key: value for key, value in spec.items() if value is not ...},
    }


NO_SUCH = "unknown field"
