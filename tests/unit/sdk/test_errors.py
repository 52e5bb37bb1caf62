"""Messages about bad input name the field and the fault, in words of Kubernetes and not of a library."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from armonik_sdk.api.errors import InvalidManifest, explain
from armonik_sdk.api.kinds import Dependency, Partition, Payload, Session, Task, TaskOptions
from armonik_sdk.api.messages import ManifestItem
from armonik_sdk.api.records import Record

REPOSITORY = Path(__file__).parents[3]
OF_THE_LIBRARY = re.compile(
    r"pydantic|https?://|input_value|input_type|validation error|Value error|function-|constrained"
)
HEAD = {"apiVersion": "armonik.io/v1alpha1", "metadata": {"name": "a"}}
WORKERS: list[dict[str, Any]] = [
    {},
    {"image": ""},
    {"image": "x", "resources": {"limits": {"memory": "lots"}}},
    {"image": "x", "resources": {"limits": {"memory": None}}},
    {"image": "x", "resources": {"requests": {"cpu": [1]}}},
    {"image": "x", "imagePullPolicy": "Sometimes"},
    {"image": "x", "env": [{"name": "A"}, {"name": "A"}]},
    {"image": "x", "volumeMounts": [{"name": "A", "mountPath": "/cache"}]},
    {"image": "x", "securityContext": {"runAsUser": 0, "allowPrivilegeEscalation": True}},
    {"image": "x", "ports": []},
    {"image": "x", "command": "sh"},
]
TASKS: list[dict[str, Any]] = [
    {},
    {"session": "A B"},
    {"session": 3},
    {"session": "s", "count": 0},
    {"session": "s", "count": "many"},
    {"session": "s", "count": 2, "items": [{}]},
    {"session": "s", "items": [{"payload": {"inline": "é" * 20_000}}]},
    {"session": "s", "payload": {}},
    {"session": "s", "payload": {"data": "%"}},
    {"session": "s", "dependsOn": [{"task": "a", "result": "b"}, {}]},
    {"session": "s", "dependsOn": {}},
    {"session": "s", "outputs": ["a", "a"]},
    {"session": "s", "options": {"priority": 1000, "maxRetries": -1, "maxDurationSeconds": "1h"}},
    {"session": "s", "options": {"options": {"k": 3}}},
    {"session": "s", "desiredState": "Perhaps"},
]
SESSIONS: list[dict[str, Any]] = [
    {},
    {"partitions": []},
    {"partitions": ["a", "a"]},
    {"partitions": ["a", "b"]},
    {"partitions": ["a"], "taskDefaults": {"partition": "c"}},
    {"partitions": ["a"], "submission": {"client": "Ajar"}},
]


def partition(worker: dict[str, Any]) -> dict[str, Any]:
    template = {"spec": {"worker": worker, "volumes": [{"name": "tmp", "emptyDir": {}}, {"name": "v"}]}}
    return HEAD | {"kind": "Partition", "spec": {"podReserved": 2, "podMax": 1, "template": template}}


def bad_manifests() -> Iterator[tuple[type[Partition] | type[Task] | type[Session], dict[str, Any]]]:
    yield from ((Partition, partition(worker)) for worker in WORKERS)
    yield from ((Task, HEAD | {"kind": "Task", "spec": spec}) for spec in TASKS)
    yield from ((Session, HEAD | {"kind": "Session", "spec": spec}) for spec in SESSIONS)


@pytest.mark.parametrize(("kind", "manifest"), bad_manifests())
def test_a_bad_manifest_is_refused_in_our_own_words(kind: type[Task], manifest: dict[str, Any]) -> None:
    with pytest.raises(InvalidManifest) as caught:
        kind.from_manifest(manifest)
    assert not OF_THE_LIBRARY.search(str(caught.value)), str(caught.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: TaskOptions(priority=1000),
        lambda: Dependency(task="A B"),
        lambda: Dependency(),
        lambda: Payload(inline="é" * 20_000),
        lambda: Payload(),
    ],
)
def test_a_constructor_refuses_in_our_own_words(make: Callable[[], object]) -> None:
    with pytest.raises(InvalidManifest) as caught:
        make()
    assert not OF_THE_LIBRARY.search(str(caught.value)), str(caught.value)


@pytest.mark.parametrize("model", [ManifestItem, Record, TaskOptions])
@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"payload": 3, "kind": 3, "priority": "x"}'])
def test_what_is_read_from_servers_is_explained_in_our_own_words(model: type[BaseModel], text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        model.model_validate_json(text)
    assert explain(caught.value)
    assert not OF_THE_LIBRARY.search(explain(caught.value)), explain(caught.value)


def test_an_explanation_is_bounded_and_says_how_much_it_leaves_out() -> None:
    class Many(BaseModel):
        numbers: list[int]

    with pytest.raises(ValidationError) as caught:
        Many.model_validate({"numbers": ["x"] * 1_000})
    text = explain(caught.value)
    assert text.startswith("numbers[0]: ")
    assert text.endswith("; and 990 more")


def test_an_error_that_is_not_pydantics_is_its_own_explanation() -> None:
    assert explain(ValueError("no such thing")) == "no such thing"


def test_a_quantity_has_one_message() -> None:
    with pytest.raises(InvalidManifest) as caught:
        Partition.from_manifest(partition(WORKERS[2]))
    assert "worker.resources.limits.memory: must be a quantity such as 2, 500m or 1Gi" in str(caught.value)


def handlers(tree: ast.AST) -> Iterator[ast.ExceptHandler]:
    """Those that may be given an error of pydantic's, under a name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and node.name and node.type is not None:
            names = {one.id for one in ast.walk(node.type) if isinstance(one, ast.Name)}
            if names & {"ValueError", "ValidationError"}:
                yield node


def raw_uses(handler: ast.ExceptHandler) -> list[int]:
    """Lines that use the error otherwise than through what explains it, or as a cause."""
    fine: set[int] = set()
    for node in ast.walk(handler):
        if isinstance(node, ast.Raise) and node.cause is not None:
            fine.add(id(node.cause))
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            if name in {"explain", "field_problems", "from_validation", "refused", "type"}:
                fine |= {id(inner) for inner in ast.walk(node)}
    uses = (n for n in ast.walk(handler) if isinstance(n, ast.Name) and n.id == handler.name)
    return [use.lineno for use in uses if id(use) not in fine]


def test_nobody_shows_an_error_of_pydantics_as_it_is() -> None:
    found = [
        f"{path.relative_to(REPOSITORY)}:{line}"
        for part in ("sdk", "operator", "agent")
        for path in sorted((REPOSITORY / part / "src").rglob("*.py"))
        for handler in handlers(ast.parse(path.read_text()))
        for line in raw_uses(handler)
    ]
    assert not found, f"use armonik_sdk.api.errors.explain: {', '.join(found)}"
