"""Each field of a worker template on a real apiserver, by pod security; docs/security.md has the table."""

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from api_requests import Api
from apiserver import ApiServer
from manifests import partition, worker
from partition_fields import ACCEPTED, BY_THE_KIND, LEVELS, ROWS, Row, page
from partition_refused import CORE

from armonik_operator.manifests.pod import PodSettings, build_pod
from armonik_sdk.api.crd import crds
from armonik_sdk.api.kinds import Partition

pytestmark = pytest.mark.integration

SETTINGS = PodSettings(agent_image="example.org/agent:1")
ENFORCE = "pod-security.kubernetes.io/enforce"
OTHER_OBJECTS = {
    "/apis/scheduling.k8s.io/v1/priorityclasses": {"value": 1},
    "/apis/node.k8s.io/v1/runtimeclasses": {"handler": "test"},
}


@pytest.fixture(scope="module")
def levels(apiserver: ApiServer) -> dict[str, Api]:
    """A namespace for each level of pod security."""
    for path, fields in OTHER_OBJECTS.items():
        code, body = apiserver.request("POST", path, {"metadata": {"name": "armonik-test"}, **fields})
        assert code in (201, 409), body
    found = {}
    for level in LEVELS:
        name = f"pods-{level}-{secrets.token_hex(4)}"
        labels = {} if level == "none" else {ENFORCE: level}
        meta = {"metadata": {"name": name, "labels": labels}}
        assert apiserver.request("POST", "/api/v1/namespaces", meta)[0] == 201
        found[level] = Api(apiserver, name)
    return found


def _manifest(row: Row) -> dict[str, Any]:
    """A good Partition with the row's value in it."""
    value: Any = row.value
    for part in reversed(row.path.split(".")):
        value = {part.removesuffix("[]"): [value] if part.endswith("[]") else value}
    template = _merged({"spec": worker()}, value)
    for volume in template["spec"].get("volumes", []):
        volume.setdefault("name", "data")
        if set(volume) == {"name"}:
            volume["emptyDir"] = {}
    for mount in template["spec"]["worker"].get("volumeMounts", []):
        mount.setdefault("name", "tmp")
        mount.setdefault("mountPath", "/data")
    for variable in template["spec"]["worker"].get("env", []):
        variable.setdefault("name", "A")
    return partition({"template": template})


def _merged(old: Any, new: Any) -> Any:
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{key: _merged(old.get(key), value) for key, value in new.items()}}
    return new


def _create(api: Api, manifest: dict[str, Any], validation: str) -> tuple[int, dict[str, Any]]:
    path = f"{api.path('Partition')}?dryRun=All&fieldValidation={validation}"
    return api.server.request("POST", path, manifest)


def _run(api: Api, stored: dict[str, Any]) -> tuple[int, str]:
    """What the apiserver says of the pod that the operator makes of a Partition."""
    pod = build_pod(Partition.from_object(stored), SETTINGS)
    code, body = api.server.request("POST", f"/api/v1/namespaces/{api.namespace}/pods?dryRun=All", pod)
    return code, body.get("message", "")


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.field)
def test_a_field_of_the_template(levels: dict[str, Api], row: Row, level: str) -> None:
    api, outcome = levels[level], row.outcomes[LEVELS.index(level)]
    code, body = _create(api, _manifest(row), "Strict")
    if outcome == BY_THE_KIND:
        assert code in (400, 422), body
        leaf = row.path.split(".")[-1].removesuffix("[]")
        assert leaf in body["message"], body
        return
    assert code == 201, body
    pod_code, said = _run(api, body)
    if outcome == ACCEPTED:
        assert pod_code == 201, said
    else:
        assert (pod_code, "violates PodSecurity" in said) == (403, True), said


@pytest.mark.parametrize("row", [row for row in ROWS if not row.leaves], ids=lambda row: row.field)
def test_a_client_that_ignores_unknown_fields_gets_the_same_pod_as_without(
    levels: dict[str, Api], row: Row
) -> None:
    code, with_field = _create(levels["none"], _manifest(row), "Ignore")
    if code != 201:  # of what is left, something else is wrong: such as a volume without a source
        assert code == 422, with_field
        return
    rest = _create(levels["none"], Partition.from_object(with_field).to_object(), "Strict")[1]
    made = (build_pod(Partition.from_object(stored), SETTINGS)["spec"] for stored in (with_field, rest))
    assert next(made) == next(made)
    assert row.path.split(".")[-1].removesuffix("[]") not in _keys(with_field["spec"]["template"], row.path)


def _keys(template: Any, path: str) -> set[str]:
    """Names of fields beside the one at `path`, in a template."""
    here: Any = template
    for part in path.split(".")[:-1]:
        here = here.get(part.removesuffix("[]"), {})
        here = (here or [{}])[0] if part.endswith("[]") else here
    return set(here)


@pytest.mark.parametrize(
    ("level", "field", "value"),
    [
        ("baseline", "volumes", [{"name": "v", "hostPath": {"path": "/"}}]),
        ("baseline", "hostNetwork", True),
        ("restricted", "securityContext", {"runAsNonRoot": False}),
    ],
)
def test_the_apiserver_of_these_tests_enforces_pod_security(
    levels: dict[str, Api], level: str, field: str, value: Any
) -> None:
    pod = {
        "metadata": {"name": "own"},
        "spec": {"containers": [{"name": "c", "image": "example.org/c:1"}], field: value},
    }

    def created(api: Api) -> int:
        return api.server.request("POST", f"/api/v1/namespaces/{api.namespace}/pods?dryRun=All", pod)[0]

    assert (created(levels["none"]), created(levels[level])) == (201, 403)


def test_the_documentation_has_the_rows_that_are_tried() -> None:
    text = (Path(__file__).parents[2] / "docs" / "security.md").read_text()
    assert page() in text, "print the table again: python tests/integration/partition_fields.py"


def test_each_field_of_the_kind_has_a_row() -> None:
    (version,) = crds()["armonik.io_partitions.yaml"]["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["template"]
    wholes = [row.path for row in ROWS if row.leaves == ("**",)]
    fields = {
        leaf for leaf in _leaves(schema, "") if not any(leaf.startswith((f"{w}.", f"{w}[]")) for w in wholes)
    }
    rows = {_joined(row.path, leaf) for row in ROWS if row.leaves != ("**",) for leaf in row.leaves}
    refused = {row.path for row in ROWS if not row.leaves}
    assert rows == fields
    assert not refused & fields
    assert not [whole for whole in wholes if whole not in _known(schema, "")]


def test_each_field_of_a_pod_has_a_row(apiserver: ApiServer) -> None:
    code, described = apiserver.request("GET", "/openapi/v3/api/v1")
    assert code == 200
    covered = set(_covered())
    for schema, where in CORE.items():
        names = described["components"]["schemas"][schema]["properties"]
        missing = [name for name in names if f"{where}.{name}" not in covered]
        assert not missing, f"{schema}: {missing} have no row in partition_fields.py"


def _covered() -> Iterator[str]:
    """Every field that a row is about, and those above it, without the mark of a list at its end."""
    for row in ROWS:
        for leaf in row.leaves or ("",):
            parts = _joined(row.path, leaf.replace("**", "")).split(".")
            for end in range(1, len(parts) + 1):
                yield ".".join(parts[:end]).removesuffix("[]")


def _joined(path: str, leaf: str) -> str:
    return path + leaf if leaf.startswith("[]") or not leaf else f"{path}.{leaf}"


def _children(schema: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    items = schema.get("items")
    if isinstance(items, dict) and items.get("properties"):
        return "[]", items["properties"]
    return "", schema.get("properties", {})


def _leaves(schema: dict[str, Any], path: str) -> Iterator[str]:
    mark, children = _children(schema)
    if not children:
        yield path
    for name, child in children.items():
        yield from _leaves(child, f"{path}{mark}.{name}".lstrip("."))


def _known(schema: dict[str, Any], path: str) -> Iterator[str]:
    mark, children = _children(schema)
    yield path
    for name, child in children.items():
        yield from _known(child, f"{path}{mark}.{name}".lstrip("."))
