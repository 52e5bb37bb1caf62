"""Values: what is refused, and that values, schema and README say the same."""

from __future__ import annotations

import json
import os
import re
from typing import Any

import pytest
import yaml
from values_table import documented_values, values_table

from rendering import CHART, ChartRefusedError, Helm, Values, named, of_kind, pods

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
    ({"networkPolicy": {"workers": {"namespaces": ["Not_A_Label"]}}}, "/networkPolicy/workers/namespaces/0"),
    ({"networkPolicy": {"workers": {"closed": ["169.254.169.254"]}}}, "/networkPolicy/workers/closed/0"),
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
    ({"functions": {"enabled": "yes"}}, "/functions/enabled"),
    ({"functions": {"pythonVersion": "3.9"}}, "/functions/pythonVersion"),
    ({"functions": {"enabled": True, "podReserved": 5}}, "functions.podReserved (5) must not be above"),
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


def test_every_field_of_the_charts_own_objects_is_required() -> None:
    """`helm upgrade --reuse-values` brings none that an older chart did not have: it must say so."""
    lacking = {
        path: sorted(set(node["properties"]) - set(node.get("required", ())))
        for path, node in _objects({"properties": SCHEMA["properties"]}, "")
        if "properties" in node and not path.endswith(("/items", "/templateSpec"))  # of Kubernetes' own types
    }
    assert {path: names for path, names in lacking.items() if names} == {}


def test_values_of_an_older_chart_are_refused_with_the_names_of_those_it_lacks(helm: Helm) -> None:
    older: Values = {"tls": None, "nats": {"accounts": None}, "objectStore": {"server": None}}
    with pytest.raises(ChartRefusedError) as refusal:
        helm.render(older)
    for field in ("'tls'", "'accounts'", "'server'"):
        assert f"missing property {field}" in str(refusal.value)


def _objects(node: Any, path: str) -> list[tuple[str, dict[str, Any]]]:
    found = []
    if isinstance(node, dict):
        if node.get("type") == "object":
            found.append((path, node))
        for key, child in node.items():
            if key not in ("if", "then"):  # conditions add to an object that is defined elsewhere
                found += _objects(child, f"{path}/{key}")
    elif isinstance(node, list):
        for index, child in enumerate(node):
            found += _objects(child, f"{path}/{index}")
    return found


def _paths_of_schema(node: dict[str, Any], path: str = "") -> set[str]:
    if "$ref" in node:
        definition = node["$ref"].rsplit("/", 1)[1]
        # Kubernetes' own types are `{}` in values.yaml.
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


def test_local_values_fit_a_kind_node_of_two_cpus(helm: Helm) -> None:
    """Beside Kubernetes' own pods: the release, the demo, and the end-to-end tests in three processes."""
    objects = helm.render(files=("values-local.yaml",))
    release = sum(
        _cpu(container) for _, pod in pods(of_kind(objects, *_LASTING)) for container in pod["containers"]
    )
    values = yaml.safe_load((CHART / "values-local.yaml").read_text())
    agent, partition = _cpu(values["agent"]), values["defaultPartition"]
    waiting = partition["podMax"] * (agent + _cpu(partition["worker"]))
    demo = 2 * (agent + OPERATOR_DEFAULT_CPU)
    tests = 3 * PODS_OF_A_TEST_FILE * (agent + _milli(_cpu_of_test_workers()))
    assert release + waiting + demo + tests <= 2_000 - KIND_CPU


_LASTING = ("Deployment", "StatefulSet")
KIND_CPU = 950
"""Requested by the pods of a kind node: apiserver, etcd, controllers, scheduler, DNS, network."""
OPERATOR_DEFAULT_CPU = 100
"""Of a worker whose Partition says nothing."""
PODS_OF_A_TEST_FILE = 4


def _cpu_of_test_workers() -> str:
    (cpu,) = re.findall(
        r'^WORKER_CPU = "(.+)"$', (CHART / "../../tests/e2e/release.py").read_text(), re.MULTILINE
    )
    return str(cpu)


def _cpu(container: Values) -> int:
    return _milli(container["resources"]["requests"]["cpu"])


def _milli(quantity: str) -> int:
    assert quantity.endswith("m")
    return int(quantity[:-1])
