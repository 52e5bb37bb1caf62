"""Every pod of the chart: restricted, bounded, its image from values; and no secret made by the chart."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from armonik_operator.settings import Settings
from armonik_sdk.api.kinds import Partition
from rendering import CHART, Helm, Object, Values, environment, named, of_kind, pods

EVERYTHING: Values = {
    "purgeOnUninstall": True,
    "userRoles": {"connect": {"subjects": [{"kind": "Group", "name": "devs"}]}},
    "functions": {"enabled": True},
}
WITHOUT_CLAIMS: Values = {
    "nats": {"persistence": {"enabled": False}},
    "objectStore": {"persistence": {"enabled": False}},
}
# What the restricted Pod Security Standard lets pods mount, as far as the chart does.
ALLOWED_VOLUMES = {"configMap", "secret", "emptyDir", "persistentVolumeClaim", "projected"}


@pytest.fixture(
    params=[EVERYTHING, EVERYTHING | WITHOUT_CLAIMS, {"watchNamespaces": ["a", "b"]}],
    ids=["all", "no-claims", "two-namespaces"],
)
def objects(request: pytest.FixtureRequest, helm: Helm) -> list[Object]:
    return helm.render(request.param)


def test_pods_are_restricted(objects: list[Object]) -> None:
    for where, spec in pods(objects):
        security = spec["securityContext"]
        assert security["runAsNonRoot"] is True, where
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, where
        assert not {"hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"} & spec.keys(), where
        for volume in spec.get("volumes", []):
            assert set(volume) - {"name"} <= ALLOWED_VOLUMES, where
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            mine = container["securityContext"]
            assert mine["allowPrivilegeEscalation"] is False, where
            assert mine["capabilities"] == {"drop": ["ALL"]}, where
            assert mine["readOnlyRootFilesystem"] is True, where
            assert not any("hostPort" in port for port in container.get("ports", [])), where


def test_pods_are_bounded(objects: list[Object]) -> None:
    for where, spec in pods(objects):
        for container in spec["containers"]:
            resources = container["resources"]
            assert resources["requests"].keys() == {"cpu", "memory"}, where
            assert "memory" in resources["limits"], where


def test_only_what_talks_to_kubernetes_has_a_token(objects: list[Object]) -> None:
    without = {where for where, spec in pods(objects) if spec["automountServiceAccountToken"] is False}
    assert without == {"StatefulSet/armonik-nats", "StatefulSet/armonik-s3"}
    for account in of_kind(objects, "ServiceAccount"):
        assert account["automountServiceAccountToken"] is False


def test_the_chart_makes_no_secret(objects: list[Object]) -> None:
    """Under Argo CD and in dry runs `lookup` is empty: such a chart makes new passwords each time."""
    assert of_kind(objects, "Secret") == []


def test_openshift_chooses_the_ids(helm: Helm) -> None:
    for where, spec in pods(helm.render(EVERYTHING | {"podSecurity": {"openshift": True}})):
        assert not {"runAsUser", "runAsGroup", "fsGroup"} & spec["securityContext"].keys(), where


# Each image of the chart: where its values are, and where it must arrive.
IMAGES = [
    "operator",
    "agent",
    "nats",
    "objectStore.versitygw",
    "objectStore.minio",
    "defaultPartition.worker",
    "functions",
]


@pytest.mark.parametrize("values_path", IMAGES)
def test_images_and_pull_policies_come_from_values(helm: Helm, values_path: str) -> None:
    values: Values = {"image": {"repository": "marked", "tag": "t1", "pullPolicy": "Always"}}
    for key in reversed(values_path.split(".")):
        values = {key: values}
    if "functions" in values:
        values["functions"]["enabled"] = True
    if values_path == "objectStore.minio":
        values["objectStore"]["server"] = "minio"
    objects = helm.render(EVERYTHING | values | {"global": {"imageRegistry": "registry.example/x/"}})
    references = [image for image in _images(objects) if image[0] == "registry.example/x/marked:t1"]
    assert references
    assert {policy for _, policy in references} == {"Always"}
    others = {image for image, _ in _images(objects)} - {"registry.example/x/marked:t1"}
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    right = rf"registry\.example/x/armonik-[\w-]+:{version}(-python3\.12)?"
    assert all(re.fullmatch(right, image) for image in others)


def _images(objects: list[Object]) -> list[tuple[str, str]]:
    found = [(c["image"], c["imagePullPolicy"]) for _, spec in pods(objects) for c in spec["containers"]]
    operator = environment(_operator(objects))
    found.append((operator["ARMONIK_AGENT_IMAGE"], operator["ARMONIK_AGENT_PULL_POLICY"]))
    for partition in of_kind(objects, "Partition"):
        worker = partition["spec"]["template"]["spec"]["worker"]
        found.append((worker["image"], worker["imagePullPolicy"]))
    return found


def test_pull_secrets_and_placement_reach_the_pods(helm: Helm) -> None:
    place: dict[str, Any] = {
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
        "priorityClassName": "important",
    }
    objects = helm.render(
        {
            "global": {"imagePullSecrets": [{"name": "pull"}]},
            "operator": place,
            "nats": place,
            "objectStore": place,
        }
    )
    for where, spec in pods(objects):
        assert spec["imagePullSecrets"] == [{"name": "pull"}], where
        assert {key: spec[key] for key in place} == place, where


def test_operator_is_alone_and_replaced_not_doubled(objects: list[Object]) -> None:
    deployment = named(objects, "Deployment", "armonik-operator")
    assert deployment["spec"]["replicas"] == 1
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
    operator = _operator(objects)
    for probe, path in (
        ("startupProbe", "/livez"),
        ("livenessProbe", "/livez"),
        ("readinessProbe", "/readyz"),
    ):
        assert operator[probe]["httpGet"] == {"path": path, "port": "http"}
    assert {"name": "http", "containerPort": 8080} in operator["ports"]


def test_operator_accepts_its_environment(helm: Helm) -> None:
    given: Values = {
        "watchNamespaces": ["a", "b"],
        "taskDefaults": {"partition": "fast", "priority": 7, "maxRetries": 0, "maxDurationSeconds": 1000000},
        "nats": {"external": {"url": "tls://nats.example:4222", "existingSecret": "my-nats"}},
        "objectStore": {
            "bucket": "work",
            "region": "eu-west-3",
            "external": {"endpoint": "s3.example:443", "existingSecret": "my-s3"},
        },
        "podSecurity": {"openshift": True},
        "crds": {"manage": False},
    }
    settings = _settings(helm.render(given))
    assert settings.watch_namespaces == ("a", "b")
    assert settings.task_defaults.model_dump(exclude_none=True) == {
        "partition": "fast",
        "priority": 7,
        "max_retries": 0,
        "max_duration_seconds": 1000000,
    }
    assert (settings.nats_url, settings.nats_secret, settings.nats_external) == (
        "tls://nats.example:4222",
        "my-nats",
        True,
    )
    assert (settings.s3_endpoint, settings.s3_secure, settings.s3_secret, settings.s3_external) == (
        "s3.example:443",
        True,
        "my-s3",
        True,
    )
    assert (settings.s3_bucket, settings.s3_region) == ("work", "eu-west-3")
    assert settings.openshift
    assert not settings.manage_crds


def test_operator_finds_the_charts_own_servers(helm: Helm) -> None:
    settings = _settings(helm.render(release="mine"))
    assert settings.nats_url == "nats://mine-nats.armonik-system.svc:4222"
    assert settings.s3_endpoint == "mine-s3.armonik-system.svc:8333"
    assert (settings.nats_secret, settings.s3_secret) == ("armonik-nats", "armonik-s3")
    assert [settings.nats_external, settings.s3_external, settings.s3_secure] == [False, False, False]


def test_default_partition_is_a_valid_partition(helm: Helm) -> None:
    values: Values = {
        "defaultPartition": {
            "name": "cpu",
            "namespace": "work",
            "podReserved": 0,
            "podMax": 0,
            "worker": {
                "command": ["run"],
                "env": [{"name": "A", "value": "b"}],
                "resources": {"limits": {"memory": "1Gi"}},
                "volumeMounts": [{"name": "models", "mountPath": "/models"}],
            },
            "templateSpec": {
                "nodeSelector": {"disk": "fast"},
                "volumes": [{"name": "models", "emptyDir": {}}],
            },
        }
    }
    made = Partition.model_validate(named(helm.render(values), "Partition", "cpu", "work"))
    assert (made.spec.pod_reserved, made.spec.pod_max) == (0, 0)
    assert made.spec.template.spec.worker.command == ["run"]
    assert made.spec.template.spec.node_selector == {"disk": "fast"}


def test_the_partition_for_functions_is_made_where_namespaces_are_kept_apart(helm: Helm) -> None:
    """Pickles run code: where several namespaces share servers an administrator must ask for it."""
    shared: Values = {"nats": {"accounts": {"enabled": False}}}
    one: Values = {"watchNamespaces": ["work"], "defaultPartition": {"namespace": "work"}}
    two: Values = {"watchNamespaces": ["work", "play"], "defaultPartition": {"namespace": "work"}}
    made = {
        name: [
            p["metadata"]["namespace"]
            for p in of_kind(helm.render(values), "Partition")
            if p["metadata"]["name"] == "python"
        ]
        for name, values in {
            "all": {},
            "shared users": shared,
            "NATS of somebody": {"nats": {"external": {"url": "nats://n:4222", "existingSecret": "s"}}},
            "shared bucket": {"objectStore": {"external": {"endpoint": "s:9000", "existingSecret": "s"}}},
            "one": one | shared,
            "no default Partition": {
                "watchNamespaces": ["work"],
                "defaultPartition": {"enabled": False},
            },
            "two": two,
            "two that share": two | shared,
            "asked": two | shared | {"functions": {"enabled": True}},
            "refused": one | {"functions": {"enabled": False}},
            "elsewhere": {"functions": {"enabled": True, "namespace": "fun"}},
        }.items()
    }
    assert made == {
        "all": ["default"],
        "shared users": [],
        "NATS of somebody": [],
        "shared bucket": [],
        "one": ["work"],
        "no default Partition": ["work"],
        "two": ["work"],
        "two that share": [],
        "asked": ["work"],
        "refused": [],
        "elsewhere": ["fun"],
    }


def test_the_partition_for_functions_is_valid_and_names_its_python(helm: Helm) -> None:
    values: Values = {
        "functions": {
            "enabled": True,
            "pythonVersion": "3.13",
            "podMax": 7,
            "resources": {"limits": {"memory": "2Gi"}},
        }
    }
    made = Partition.model_validate(named(helm.render(values), "Partition", "python", "default"))
    assert made.spec.pod_max == 7
    assert made.spec.template.spec.worker.image.endswith("armonik-worker-python:0.2.0-python3.13")


def test_no_default_partition_no_selftest(helm: Helm) -> None:
    objects = helm.render({"defaultPartition": {"enabled": False}, "functions": {"enabled": False}})
    assert of_kind(objects, "Partition", "Pod") == []


def _operator(objects: list[Object]) -> Object:
    (deployment,) = of_kind(objects, "Deployment")
    container: Object = deployment["spec"]["template"]["spec"]["containers"][0]
    return container


def _settings(objects: list[Object]) -> Settings:
    return Settings.from_environ(environment(_operator(objects)) | {"ARMONIK_NAMESPACE": "armonik-system"})
