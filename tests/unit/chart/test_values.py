"""Values: what is refused, and that values, schema and README tell the same."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
import yaml
from rendering import CHART, ChartRefusedError, Helm, Values, named
from values_table import documented_values, values_table

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text())

REFUSED: list[tuple[Values, str]] = [
    ({"nope": 1}, "'nope' not allowed"),
    ({"operator": {"replicas": 2}}, "at '/operator': additional properties 'replicas' not allowed"),
    ({"operator": {"image": {"pullPolicy": "Sometimes"}}}, "/operator/image/pullPolicy"),
    ({"operator": {"image": {"repository": "UPPER"}}}, "/operator/image/repository"),
    ({"operator": {"logLevel": "info"}}, "/operator/logLevel"),
    ({"operator": {"resources": {"request": {}}}}, "/operator/resources"),
    ({"operator": {"extraEnv": [{"value": "nameless"}]}}, "/operator/extraEnv/0"),
    ({"agent": {"image": {"tag": "no spaces"}}}, "/agent/image/tag"),
    ({"watchNamespaces": "default"}, "/watchNamespaces"),
    ({"watchNamespaces": ["a", "a"]}, "/watchNamespaces"),
    ({"watchNamespaces": ["Not_A_Label"]}, "/watchNamespaces/0"),
    ({"purgeOnUninstall": "yes"}, "/purgeOnUninstall"),
    ({"taskDefaults": {"priority": 100}}, "/taskDefaults/priority"),
    ({"taskDefaults": {"maxRetries": -1}}, "/taskDefaults/maxRetries"),
    ({"taskDefaults": {"maxDurationSeconds": "1h"}}, "/taskDefaults/maxDurationSeconds"),
    ({"nats": {"external": {"url": "nats://mine:4222"}}}, "/nats/external/existingSecret"),
    ({"nats": {"external": {"url": "mine:4222"}}}, "/nats/external/url"),
    ({"nats": {"external": {"url": "ws://mine:80", "existingSecret": "x"}}}, "/nats/external/url"),
    ({"nats": {"outside": {"url": "nats.example.org"}}}, "/nats/outside/url"),
    ({"nats": {"outside": {"service": {"type": "ClusterIP"}}}}, "/nats/outside/service/type"),
    (
        {
            "nats": {
                "external": {"url": "nats://mine:4222", "existingSecret": "x"},
                "outside": {"service": {"type": "NodePort"}},
            }
        },
        "nats.outside.service opens the chart's own server, which nats.external.url replaces",
    ),
    ({"nats": {"jetstream": {"syncInterval": "sometimes"}}}, "/nats/jetstream/syncInterval"),
    ({"nats": {"jetstream": {"maxFileStore": "big"}}}, "/nats/jetstream/maxFileStore"),
    ({"nats": {"persistence": {"size": "2 GB"}}}, "/nats/persistence/size"),
    ({"objectStore": {"external": {"endpoint": "s3:9000"}}}, "/objectStore/external/existingSecret"),
    ({"objectStore": {"external": {"endpoint": "https://s3:9000"}}}, "/objectStore/external/endpoint"),
    ({"objectStore": {"outside": {"endpoint": "http://s3:9000"}}}, "/objectStore/outside/endpoint"),
    (
        {
            "objectStore": {
                "external": {"endpoint": "s3:9000", "existingSecret": "x"},
                "outside": {"service": {"type": "NodePort"}},
            }
        },
        "objectStore.outside.service opens the chart's own server, which objectStore.external.endpoint",
    ),
    ({"objectStore": {"bucket": "My_Bucket"}}, "/objectStore/bucket"),
    ({"defaultPartition": {"name": "x" * 41}}, "/defaultPartition/name"),
    ({"defaultPartition": {"name": "a.b"}}, "/defaultPartition/name"),
    ({"defaultPartition": {"slotsPerPod": 0}}, "/defaultPartition/slotsPerPod"),
    ({"defaultPartition": {"podReserved": 11}}, "defaultPartition.podReserved (11) must not be above"),
    ({"defaultPartition": {"templateSpec": {"hostNetwork": True}}}, "/defaultPartition/templateSpec"),
    ({"flowControl": {"operatorShares": 0}}, "/flowControl/operatorShares"),
    (
        {"userRoles": {"connect": {"subjects": [{"kind": "Robot", "name": "x"}]}}},
        "/userRoles/connect/subjects/0",
    ),
]


@pytest.mark.parametrize(("values", "told"), REFUSED, ids=[told for _, told in REFUSED])
def test_bad_values_are_refused_naming_the_field(helm: Helm, values: Values, told: str) -> None:
    with pytest.raises(ChartRefusedError) as refusal:
        helm.render(values)
    assert told in str(refusal.value)


def test_global_values_are_open(helm: Helm) -> None:
    assert helm.render({"global": {"something": {"of": "a parent chart"}}})


def test_every_object_of_the_schema_is_closed() -> None:
    """An open object would swallow misspelt values; those of Kubernetes' own types say why they are open."""
    open_objects = [
        path
        for path, node in _objects(SCHEMA, "")
        if node.get("additionalProperties", True) is True
        and "checked by the apiserver" not in node.get("description", "")
    ]
    assert open_objects == ["/properties/global"]


def test_values_and_schema_name_the_same_fields() -> None:
    assert _paths_of_schema(SCHEMA) == _paths_of_values(DEFAULTS)


def _objects(node: Any, path: str) -> list[tuple[str, dict[str, Any]]]:
    found = []
    if isinstance(node, dict):
        if node.get("type") == "object":
            found.append((path, node))
        for key, child in node.items():
            if key not in ("if", "then"):  # conditions add to an object that stands elsewhere
                found += _objects(child, f"{path}/{key}")
    elif isinstance(node, list):
        for index, child in enumerate(node):
            found += _objects(child, f"{path}/{index}")
    return found


def _paths_of_schema(node: dict[str, Any], path: str = "") -> set[str]:
    if "$ref" in node:
        definition = node["$ref"].rsplit("/", 1)[1]
        # Kubernetes' own types stand as `{}` in values.yaml.
        node = {} if definition in ("resources", "affinity") else SCHEMA["$defs"][definition]
    if path.endswith("templateSpec") or not node.get("properties"):
        return {path}
    return {p for key, child in node["properties"].items() for p in _paths_of_schema(child, f"{path}/{key}")}


def _paths_of_values(node: Any, path: str = "") -> set[str]:
    if not isinstance(node, dict) or not node or path.endswith("/resources"):
        return {path}
    return {p for key, child in node.items() for p in _paths_of_values(child, f"{path}/{key}")}


def test_every_value_is_explained() -> None:
    assert {"/" + path.replace(".", "/") for path in documented_values()} == _paths_of_values(DEFAULTS)


def test_readme_has_the_table_of_values() -> None:
    """`ARMONIK_UPDATE=1 pytest tests/unit/chart` writes it anew."""
    readme = CHART / "README.md"
    before, marker, rest = readme.read_text().partition("<!-- values -->\n")
    assert marker, "README.md has lost its marker"
    _, end, after = rest.partition("<!-- /values -->\n")
    assert end, "README.md has lost its end marker"
    fresh = f"{before}{marker}\n{values_table()}\n{end}{after}"
    if os.environ.get("ARMONIK_UPDATE"):
        readme.write_text(fresh)
    assert readme.read_text() == fresh


def test_lint_is_clean(helm: Helm) -> None:
    for file in ("values.yaml", "values-local.yaml"):
        told = helm.run(
            "lint", "--strict", "--kube-version", "1.34.4", str(CHART), "--values", str(CHART / file)
        )
        assert "0 chart(s) failed" in told
        assert "[WARNING]" not in told


def test_local_values_name_local_images(helm: Helm) -> None:
    objects = helm.render(files=("values-local.yaml",))
    operator = named(objects, "Deployment", "armonik-operator")["spec"]["template"]["spec"]["containers"][0]
    assert operator["image"] == "localhost/armonik-operator:dev"
    worker = named(objects, "Partition", "default")["spec"]["template"]["spec"]["worker"]
    assert worker["image"] == "localhost/armonik-worker-hello:dev"
