"""TLS of the chart's servers: when it is on, who makes the certificates, and what is mounted."""

from __future__ import annotations

from typing import Any

import pytest
from test_rbac import rights

from armonik_sdk.api.errors import InvalidManifest
from armonik_sdk.api.kinds.volumes import SecretVolume
from rendering import Helm, Object, Values, environment, named, of_kind

ON: Values = {"tls": {"enabled": True}}
NATS_OUTSIDE: Values = {
    "outside": {"url": "tls://nats.example.org:4222", "service": {"type": "LoadBalancer"}}
}
S3_OUTSIDE: Values = {"outside": {"endpoint": "s3.example.org:8333", "service": {"type": "NodePort"}}}
PLAIN_S3: Values = {"outside": S3_OUTSIDE["outside"] | {"secure": False}}
EXTERNAL: Values = {
    "nats": {"external": {"url": "nats://n:4222", "existingSecret": "own-nats"}},
    "objectStore": {"external": {"endpoint": "s:9000", "existingSecret": "own-s3"}},
}


def operator_environment(objects: list[Object]) -> dict[str, str]:
    deployment = named(objects, "Deployment", "armonik-operator")
    return environment(deployment["spec"]["template"]["spec"]["containers"][0])


def server(objects: list[Object], component: str) -> Any:
    return named(objects, "StatefulSet", f"armonik-{component}")["spec"]["template"]["spec"]


@pytest.mark.parametrize(
    ("values", "servers"),
    [
        ({}, None),
        (ON, "nats,s3"),
        ({"nats": NATS_OUTSIDE}, "nats"),
        ({"objectStore": S3_OUTSIDE}, "s3"),
        ({"objectStore": PLAIN_S3}, None),
        ({"nats": NATS_OUTSIDE, "objectStore": S3_OUTSIDE, "tls": {"enabled": False}}, None),
        (ON | EXTERNAL, None),
    ],
    ids=["default", "on", "nats-outside", "s3-outside", "plain-outside", "off-outside", "external"],
)
def test_which_servers_speak_tls(helm: Helm, values: Values, servers: str | None) -> None:
    assert operator_environment(helm.render(values)).get("ARMONIK_TLS_SERVERS") == servers


def test_addresses_inside_say_tls(helm: Helm) -> None:
    given = operator_environment(helm.render(ON))
    assert given["ARMONIK_NATS_URL"] == "tls://armonik-nats.armonik-system.svc:4222"
    assert given["ARMONIK_S3_SECURE"] == "true"
    off = operator_environment(helm.render())
    assert (off["ARMONIK_NATS_URL"][:7], off["ARMONIK_S3_SECURE"]) == ("nats://", "false")


def test_certificates_are_for_all_names_of_a_server(helm: Helm) -> None:
    values = {"nats": NATS_OUTSIDE, "tls": {"enabled": True, "names": ["10.0.0.7"]}}
    given = operator_environment(helm.render(values))
    inside = ["armonik-nats", "armonik-nats.armonik-system", "armonik-nats.armonik-system.svc"]
    wanted = [*inside, "localhost", "127.0.0.1", "nats.example.org", "10.0.0.7"]
    assert given["ARMONIK_TLS_NATS_NAMES"].split(",") == wanted
    assert "nats.example.org" not in given["ARMONIK_TLS_S3_NAMES"]


def test_the_operator_makes_the_certificates(helm: Helm) -> None:
    objects = helm.render(ON)
    assert operator_environment(objects)["ARMONIK_TLS_ISSUED"] == "false"
    granted = rights(named(objects, "Role", "armonik-operator"))
    assert granted["/secrets[armonik-ca,armonik-nats-tls,armonik-s3-tls]"] == {"get", "create", "patch"}
    assert not of_kind(objects, "Certificate")


def test_an_issuer_makes_them_and_the_operator_only_reads(helm: Helm) -> None:
    values = {"tls": {"enabled": True, "issuerRef": {"name": "company", "kind": "ClusterIssuer"}}}
    objects = helm.render(values)
    assert operator_environment(objects)["ARMONIK_TLS_ISSUED"] == "true"
    granted = rights(named(objects, "Role", "armonik-operator"))
    assert granted["/secrets[armonik-nats-tls,armonik-s3-tls]"] == {"get"}
    assert not [where for where in granted if "armonik-ca" in where]
    for component in ("nats", "s3"):
        spec = named(objects, "Certificate", f"armonik-{component}")["spec"]
        assert spec["secretName"] == f"armonik-{component}-tls"
        assert spec["issuerRef"] == {"name": "company", "kind": "ClusterIssuer", "group": "cert-manager.io"}
        assert (spec["ipAddresses"], spec["dnsNames"][0]) == (["127.0.0.1"], f"armonik-{component}")


@pytest.mark.parametrize("store", ["versitygw", "minio"])
def test_servers_read_the_mounted_certificate(helm: Helm, store: str) -> None:
    objects = helm.render(ON | {"objectStore": {"server": store}})
    for component in ("nats", "s3"):
        spec = server(objects, component)
        (volume,) = [each for each in spec["volumes"] if each["name"] == "tls"]
        assert volume["secret"]["secretName"] == f"armonik-{component}-tls"
        (mount,) = [each for each in spec["containers"][0]["volumeMounts"] if each["name"] == "tls"]
        command = spec["containers"][0]["command"]
        conf = named(objects, "ConfigMap", "armonik-nats")["data"]["nats.conf"]
        assert mount["mountPath"] in (conf if component == "nats" else "\n".join(command))
    probes = [
        server(objects, "s3")["containers"][0][f"{kind}Probe"]
        for kind in ("startup", "readiness", "liveness")
    ]
    assert [probe["httpGet"]["scheme"] for probe in probes] == ["HTTPS"] * 3


def test_without_tls_nothing_of_it_is_there(helm: Helm) -> None:
    objects = helm.render()
    for component in ("nats", "s3"):
        spec = server(objects, component)
        assert "tls" not in [each["name"] for each in spec["volumes"]]
    assert server(objects, "nats")["containers"][0]["command"][0] == "nats-server"
    assert "tls" not in named(objects, "ConfigMap", "armonik-nats")["data"]["nats.conf"].split("jetstream")[0]


def test_a_purge_removes_certificates_and_the_ca_which_no_worker_may_mount(helm: Helm) -> None:
    role = named(helm.render({"purgeOnUninstall": True}), "Role", "armonik-cleanup-pre-delete")
    names = "armonik-ca,armonik-nats,armonik-nats-tls,armonik-s3,armonik-s3-tls"
    assert rights(role)[f"/secrets[{names}]"] == {"delete"}
    for name in names.split(","):
        with pytest.raises(InvalidManifest, match="for agents and servers, not for workers"):
            SecretVolume(secret_name=name)
