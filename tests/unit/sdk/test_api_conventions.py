"""The rules of Kubernetes' API reviews (kube-api-linter), one test each, over the generated definitions.

Exceptions are listed with their reason; a rule without exceptions has no list.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from armonik_sdk.api.crd import DEFINITIONS, crd

POD = "Partition.spec.template.spec"


@dataclass(frozen=True)
class Node:
    """One place in a schema; `path` is `Task.spec.items[].payload`, maps are `{}`."""

    path: str
    schema: dict[str, Any]
    required: bool

    @property
    def name(self) -> str:
        return self.path.rsplit(".", 1)[-1].rstrip("[]{}")

    @property
    def type(self) -> str:
        return str(self.schema.get("type", ""))


def walk(path: str, schema: dict[str, Any], required: bool = True) -> Iterator[Node]:
    yield Node(path, schema, required)
    for name, child in schema.get("properties", {}).items():
        yield from walk(f"{path}.{name}", child, name in schema.get("required", ()))
    if "items" in schema:
        yield from walk(f"{path}[]", schema["items"])
    if "additionalProperties" in schema:
        yield from walk(f"{path}{{}}", schema["additionalProperties"])


CRDS = {definition.kind: crd(definition) for definition in DEFINITIONS}
VERSIONS = {kind: definition["spec"]["versions"][0] for kind, definition in CRDS.items()}
ROOTS = {kind: version["schema"]["openAPIV3Schema"] for kind, version in VERSIONS.items()}
NODES = [node for kind, root in ROOTS.items() for node in walk(kind, root)]
FIELDS = [node for node in NODES if re.match(r"[A-Za-z]+\.(spec|status)", node.path)]
"""All but apiVersion, kind and metadata, which are Kubernetes' own."""
OURS = [n for n in FIELDS if not n.path.startswith(f"{POD}.")]
"""Fields of our own making; the pod's are named and typed by core/v1, and copied so that manifests can be."""


def paths(nodes: list[Node]) -> set[str]:
    return {node.path for node in nodes}


def test_the_walk_sees_every_corner() -> None:
    seen = paths(NODES)
    assert {
        "Task.spec.items[].dependsOn[].task",
        "Session.spec.taskDefaults.options{}",
        "Partition.spec.template.spec.volumes[].projected.sources[].secret.items[].key",
        "Task.status.conditions[].type",
    } <= seen
    assert len(FIELDS) > 250
    assert 50 < len(OURS) < len(FIELDS)


def test_conditions_come_first_in_status_and_are_a_map_by_type() -> None:
    for kind, root in ROOTS.items():
        status = root["properties"]["status"]["properties"]
        assert next(iter(status)) == "conditions", kind
        conditions = status["conditions"]
        assert conditions["x-kubernetes-list-type"] == "map"
        assert conditions["x-kubernetes-list-map-keys"] == ["type"]


def test_conditions_have_the_standard_form() -> None:
    for root in ROOTS.values():
        condition = root["properties"]["status"]["properties"]["conditions"]["items"]
        assert set(condition["properties"]) == {
            "type",
            "status",
            "observedGeneration",
            "lastTransitionTime",
            "reason",
            "message",
        }
        # metav1.Condition requires a message too; it may be empty there, so leaving it out says the same.
        assert set(condition["required"]) == {"type", "status", "lastTransitionTime", "reason"}
        assert condition["properties"]["status"]["enum"] == ["True", "False", "Unknown"]


def test_names_are_camel_case_without_underscores() -> None:
    wrong = [
        node.path
        for node in FIELDS
        if not node.path.endswith(("[]", "{}")) and not (node.name[0].islower() and node.name.isalnum())
    ]
    assert wrong == []


def test_every_field_is_described() -> None:
    undescribed = [
        node.path
        for node in FIELDS
        if not node.path.endswith(("[]", "{}")) and not node.schema.get("description", "").endswith(".")
    ]
    assert undescribed == []


def test_every_field_has_a_type() -> None:
    typeless = [n.path for n in NODES if not n.type and not n.schema.get("x-kubernetes-int-or-string")]
    assert typeless == []


def test_every_text_has_a_longest_length() -> None:
    unbounded = [
        node.path
        for node in FIELDS
        if node.type == "string"
        and "maxLength" not in node.schema
        and "enum" not in node.schema
        and node.schema.get("format") != "date-time"
    ]
    assert unbounded == []


def test_every_list_has_a_most() -> None:
    assert [node.path for node in FIELDS if node.type == "array" and "maxItems" not in node.schema] == []


def test_every_map_has_a_most() -> None:
    maps = [node for node in FIELDS if "additionalProperties" in node.schema]
    assert maps
    assert [node.path for node in maps if "maxProperties" not in node.schema] == []


def test_every_list_says_how_it_is_merged() -> None:
    lists = [node for node in FIELDS if node.type == "array"]
    assert [
        n.path for n in lists if n.schema.get("x-kubernetes-list-type") not in ("atomic", "set", "map")
    ] == []


def test_keys_of_map_lists_are_required_fields() -> None:
    for node in FIELDS:
        if node.schema.get("x-kubernetes-list-type") == "map":
            keys = node.schema["x-kubernetes-list-map-keys"]
            assert set(keys) <= set(node.schema["items"]["required"]), node.path


def test_sets_hold_plain_values() -> None:
    for node in FIELDS:
        if node.schema.get("x-kubernetes-list-type") == "set":
            assert node.schema["items"]["type"] in ("string", "integer"), node.path


def test_there_are_no_booleans() -> None:
    """They cannot grow a third value; enums can."""
    assert [node.path for node in OURS if node.type == "boolean"] == []


def test_there_are_no_floats() -> None:
    assert [node.path for node in NODES if node.type == "number"] == []


def test_integers_say_their_width() -> None:
    assert [
        n.path for n in NODES if n.type == "integer" and n.schema.get("format") not in ("int32", "int64")
    ] == []


def test_integers_have_a_smallest_value() -> None:
    assert [node.path for node in FIELDS if node.type == "integer" and "minimum" not in node.schema] == []


def test_durations_are_seconds() -> None:
    for node in FIELDS:
        assert node.schema.get("format") != "duration", node.path
        if any(word in node.name.lower() for word in ("duration", "ttl", "idle", "timeout")):
            assert node.name.endswith("Seconds") or "Finished" in node.name, node.path
            assert node.type == "integer", node.path


def test_there_are_no_maps_of_structures() -> None:
    maps = [
        node.path for node in FIELDS if node.schema.get("additionalProperties", {}).get("type") == "object"
    ]
    assert maps == []


def test_nothing_is_nullable_or_unknown() -> None:
    for node in NODES:
        assert "nullable" not in node.schema, node.path
        assert "x-kubernetes-preserve-unknown-fields" not in node.schema, node.path


def test_there_is_no_phase() -> None:
    exceptions = {
        # A read-only summary in ArmoniK's own words, the ones its users know and select by. Programs read
        # conditions; the schema lists no values, so that the words may grow.
        "Session.status.phase",
        "Task.status.phase",
    }
    phases = [node for node in FIELDS if node.name == "phase"]
    assert paths(phases) == exceptions
    assert all("enum" not in node.schema for node in phases)


def test_everything_in_status_is_optional() -> None:
    for kind, root in ROOTS.items():
        assert "required" not in root["properties"]["status"], kind


def test_only_spec_is_required_at_the_root() -> None:
    assert {kind: root["required"] for kind, root in ROOTS.items()} == {kind: ["spec"] for kind in ROOTS}


def test_status_is_a_subresource_everywhere() -> None:
    assert all(version["subresources"]["status"] == {} for version in VERSIONS.values())


def test_defaults_are_few_and_known() -> None:
    """A stored default would beat the layer below it, so options have none."""
    defaults = {node.path: node.schema["default"] for node in NODES if "default" in node.schema}
    assert defaults == {
        "Session.spec.desiredState": "Running",
        "Session.spec.submission": {"client": "Open", "worker": "Open"},
        "Session.spec.submission.client": "Open",
        "Session.spec.submission.worker": "Open",
        "Task.spec.desiredState": "Active",
        "Partition.spec.podReserved": 0,  # scale needs a number to read
    }
    assert not any(node.required for node in NODES if node.path in defaults)


def test_enums_are_in_capitals_like_those_of_kubernetes() -> None:
    exceptions = {f"{POD}.volumes[].emptyDir.medium"}  # core/v1: empty means the node's default
    for node in FIELDS:
        if node.path not in exceptions and node.type == "string":
            assert all(value[0].isupper() for value in node.schema.get("enum", ())), node.path


def test_every_rule_says_what_is_wrong() -> None:
    for node in NODES:
        for rule in node.schema.get("x-kubernetes-validations", ()):
            assert rule["message"], f"{node.path}: {rule['rule']}"
            assert len(rule["message"]) < 200
            assert "\n" not in rule["rule"]


def test_rules_at_the_root_name_the_field_they_blame() -> None:
    """Otherwise the apiserver reports `<nil>`."""
    for kind, root in ROOTS.items():
        for rule in root["x-kubernetes-validations"]:
            assert rule["fieldPath"].startswith("."), f"{kind}: {rule['rule']}"


def test_rules_on_transitions_are_where_values_can_be_matched() -> None:
    """Inside an atomic list the apiserver cannot know which old value belongs to which new one."""
    for node in NODES:
        for rule in node.schema.get("x-kubernetes-validations", ()):
            assert not ("oldSelf" in rule["rule"] and "[]" in node.path), node.path


def test_references_are_called_ref_and_names_are_bounded() -> None:
    assert [n.path for n in OURS if n.name.lower().endswith("reference") and not n.name.endswith("Ref")] == []


@pytest.mark.parametrize("kind", CRDS)
def test_few_columns_by_default_all_described_age_last(kind: str) -> None:
    columns = VERSIONS[kind]["additionalPrinterColumns"]
    narrow = [column["name"] for column in columns if column["priority"] == 0]
    assert len(narrow) <= 5
    assert narrow[-1] == "Age"
    assert all(column["description"].endswith(".") for column in columns)


@pytest.mark.parametrize("kind", CRDS)
def test_columns_and_selectors_point_at_fields_that_exist(kind: str) -> None:
    known = paths(NODES)
    version = VERSIONS[kind]
    for path in [column["jsonPath"] for column in version["additionalPrinterColumns"]]:
        if path != ".metadata.creationTimestamp":
            head, _, tail = path.partition(".conditions[")
            rest = f".conditions[].{tail.rsplit('.', 1)[1]}" if tail else ""
            assert f"{kind}{head}{rest}" in known, path
    selectable = [field["jsonPath"] for field in version.get("selectableFields", ())]
    assert len(selectable) <= 8
    assert {f"{kind}{path}" for path in selectable} <= known


@pytest.mark.parametrize("kind", CRDS)
def test_names_short_name_and_category(kind: str) -> None:
    names = CRDS[kind]["spec"]["names"]
    assert CRDS[kind]["metadata"]["name"] == f"{names['plural']}.armonik.io"
    assert names["listKind"] == f"{kind}List"
    assert names["categories"] == ["armonik"]
    assert len(names["shortNames"]) == 1
    assert CRDS[kind]["spec"]["scope"] == "Namespaced"


def test_one_version_that_is_served_and_stored() -> None:
    for definition in CRDS.values():
        (version,) = definition["spec"]["versions"]
        assert (version["name"], version["served"], version["storage"]) == ("v1alpha1", True, True)
