"""`armonikctl doctor` on an apiserver alone, and on a whole installation of processes."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from apiserver import ApiServer, as_list
from ctl import GROUP, Ctl, condition, ctl
from function_grid import FunctionGrid, eventually, function_grid
from nats.js.api import ConsumerConfig
from ports import free_port
from servers import NatsServer, made_credentials

from armonik_operator.sources.journal import ALL_RECORDS
from armonik_sdk.api.crd import crds
from armonik_sdk.api.names import JOURNAL
from armonik_sdk.client.transport.port_forward import Service
from armonik_sdk.dataplane.errors import StoreUnavailable
from armonik_sdk.dataplane.nats.connection import connect_nats
from armonik_sdk.dataplane.nats.streams import ensure

__all__ = ["ctl", "function_grid"]
pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]


def lines(text: str) -> dict[str, str]:
    """The lines of checks, by check."""
    found = {}
    for line in text.splitlines():
        if not line.startswith(" ") and len(line.split()) > 2:
            level, check, rest = line.split(maxsplit=2)
            found[check] = f"{level} {rest}"
    return found


def test_a_namespace_without_anything_has_no_problems_and_one_warning(ctl: Ctl) -> None:
    done = ctl.ok("doctor")
    found = lines(done.out)
    assert " answers in " in found["apiserver"]
    assert f"as admin in namespace {ctl.namespace} (context test)" in found["apiserver"]
    assert found["kinds"] == "ok sessions, tasks, partitions: v1alpha1, as this client knows them"
    assert found["rights"] == "ok you may create sessions and tasks, read results, and change partitions"
    assert found["operator"].startswith("skip")
    assert found["nats"].startswith("skip the namespace gets its credentials")
    assert found["partitions"].startswith(f"warn namespace {ctl.namespace} has none")
    assert done.out.splitlines()[-1] == "1 warning."


def test_a_cluster_that_lacks_kinds_says_what_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An apiserver without the chart's CustomResourceDefinitions, then with some of them."""
    server = ApiServer(tmp_path)
    try:
        server.start()
        ctl = Ctl(server, "default", capsys)
        bare = ctl("doctor", "--only", "kinds")
        assert bare.code == 1
        assert lines(bare.out)["kinds"] == "FAIL the cluster does not know sessions.armonik.io"
        assert "helm install armonik" in bare.out
        some = [crd for crd in crds().values() if crd["spec"]["names"]["plural"] != "tasks"]
        assert server.kubectl("apply", "--server-side", "-f", "-", stdin=as_list(*some)).returncode == 0
        names = [f"crd/{crd['metadata']['name']}" for crd in some]
        waited = server.kubectl("wait", "--for=condition=Established", "--timeout=30s", *names)
        assert waited.returncode == 0, waited.stderr
        found = eventually(lambda: _without_sessions(ctl("doctor", "--only", "kinds").out))
        assert found == "FAIL the cluster does not know tasks.armonik.io"
    finally:
        server.stop()


def _without_sessions(out: str) -> str:
    """The line of kinds, once discovery has the new ones."""
    said = lines(out)["kinds"]
    return "" if "sessions.armonik.io" in said or "partitions.armonik.io" in said else said


def test_a_partition_that_does_not_serve_is_a_problem(ctl: Ctl) -> None:
    manifest = {
        "apiVersion": "armonik.io/v1alpha1",
        "kind": "Partition",
        "metadata": {"name": "default"},
        "spec": {"podMax": 1, "template": {"spec": {"worker": {"image": "hello:1"}}}},
    }
    code, body = ctl.apiserver.request("POST", f"{GROUP}/namespaces/{ctl.namespace}/partitions", manifest)
    assert code == 201, body
    ready = [condition("Ready", "False", "ImagePullFailed", "hello:1: not found")]
    ctl.status("partitions", "default", {"conditions": ready})
    done = ctl("doctor", "--only", "partitions")
    assert done.code == 1
    assert done.out.splitlines() == [
        "FAIL  partitions  default: no ready pod: ImagePullFailed, hello:1: not found",
        f"      {'mend':<12}armonikctl explain partition/default",
        "1 problem.",
    ]
    found = json.loads(ctl("doctor", "--only", "partitions,kinds", "-o", "json").out)
    assert (found["kind"], found["problems"], found["warnings"]) == ("Diagnosis", 1, 0)
    assert [check["check"] for check in found["checks"]] == ["kinds", "partitions"]


def test_a_user_without_rights_is_shown_whom_to_ask(ctl: Ctl) -> None:
    """The operator's user of these tests has no rights in this cluster."""
    given = ["--kubeconfig", str(ctl.apiserver.operator_kubeconfig), "-n", ctl.namespace]
    done = ctl.call("doctor", "--only", "rights,operator", *given)
    out = done.out
    assert done.code == 1
    assert f"FAIL  rights      you may not create sessions.armonik.io in namespace {ctl.namespace}" in out
    assert "create rolebinding operator-edit --clusterrole edit --user operator" in out


def test_without_an_apiserver_nothing_else_is_looked_at(ctl: Ctl, tmp_path: Path) -> None:
    config = yaml.safe_load(ctl.apiserver.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:9"
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    given = ["--kubeconfig", str(tmp_path / "kubeconfig"), "--request-timeout", "1s"]
    done = ctl.call("doctor", "--only", "kinds", *given)
    out = done.out
    assert done.code == 1
    assert list(lines(out)) == ["apiserver"]
    assert "https://127.0.0.1:9 does not answer (context test in" in out


def test_a_whole_installation_is_well_and_a_function_goes_through(
    function_grid: FunctionGrid, capsys: pytest.CaptureFixture[str]
) -> None:
    ctl = Ctl(function_grid.apiserver, function_grid.namespace, capsys)
    ctl.status("partitions", "python", {"worker": {"kind": "functions", "python": "3.11"}})
    done = ctl("doctor", "--run")
    found = lines(done.out)
    assert found["nats"].startswith("ok reached directly in ")
    assert found["store"].startswith("ok a probe of 1 KiB was written and read in ")
    assert found["run"].startswith("ok a function went through partition python in ")
    assert "started after " in found["run"]
    left = ctl.ok("session", "list", "-o", "json").json["items"]
    assert [one for one in left if "deletionTimestamp" not in one["metadata"]] == []


def test_a_store_that_does_not_answer_is_a_problem(
    function_grid: FunctionGrid, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(*_: object) -> None:
        raise StoreUnavailable("the object store does not answer: timed out")

    ctl = Ctl(function_grid.apiserver, function_grid.namespace, capsys)
    monkeypatch.setattr("armonik_sdk.dataplane.s3.store.S3Store.put", silent)
    done = ctl("doctor", "--only", "store")
    assert (done.code, "FAIL  store       the object store does not answer" in done.out) == (1, True), done


SMALL = 50_000_000
"""Bytes that the server of these tests may store; the journal has a fifth of it."""


@pytest.fixture
def monitored(ctl: Ctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NatsServer]:
    """A NATS server whose monitoring port is that of the chart's, and a namespace with its address."""
    server, port = NatsServer(tmp_path), free_port()
    config = (tmp_path / "nats.conf").read_text().replace("store_dir", f"max_file_store: {SMALL}, store_dir")
    (tmp_path / "nats.conf").write_text(f"http: 127.0.0.1:{port}\n{config}")

    class Forwarded:
        def __init__(self, service: Service, *_: object) -> None:
            assert (service.name, service.port) == ("armonik-nats", 8222)

        async def start(self) -> int:
            return port

        async def close(self) -> None:
            """There is nothing to end."""

    monkeypatch.setattr("armonik_sdk.client.transport.monitor.Forward", Forwarded)
    secret = {"nats-url": "nats://armonik-nats.armonik-system.svc:4222"}
    _create(ctl, "Secret", "armonik-client", stringData=secret)
    server.start()
    yield server
    server.stop()


def _create(ctl: Ctl, kind: str, name: str, **body: Any) -> None:
    path = f"/api/v1/namespaces/{ctl.namespace}/{kind.lower()}s"
    meta = {"name": name, "labels": body.pop("labels", {})}
    manifest = {"apiVersion": "v1", "kind": kind, "metadata": meta, **body}
    code, answer = ctl.apiserver.request("POST", path, manifest)
    assert code == 201, answer


def _fill(server: NatsServer, records: int) -> None:
    """Make the streams, with records of 900 kB that a consumer has not read."""

    async def fill() -> None:
        client = await connect_nats(made_credentials(server, "127.0.0.1:1"), "test")
        await ensure(client, store_bytes=SMALL)
        js = client.jetstream()
        await js.pull_subscribe(ALL_RECORDS, stream=JOURNAL, config=ConsumerConfig(inactive_threshold=600))
        for number in range(records):
            await js.publish(ALL_RECORDS.replace(">", f"n.s.t.{number}"), bytes(900_000))
        await client.close()

    asyncio.run(fill())


def test_how_full_nats_is_comes_from_its_monitoring_port(ctl: Ctl, monitored: NatsServer) -> None:
    _fill(monitored, 0)
    done = ctl.ok("doctor", "--only", "space")
    assert done.out.splitlines()[0] == "ok    space       journal 0 of 10 MB, queue 0 of 20 MB"


def test_a_full_journal_and_unread_records_are_shown(ctl: Ctl, monitored: NatsServer) -> None:
    _fill(monitored, 8)
    ctl.ok("session", "create", "old", "-p", "default")
    ctl.status("sessions", "old", {"phase": "Closed"})
    data = {"operator-namespace": ctl.namespace}
    _create(ctl, "ConfigMap", "armonik-service-configuration", data=data)
    labels = {"app.kubernetes.io/name": "armonik", "app.kubernetes.io/component": "operator"}
    pod = {"containers": [{"name": "operator", "image": "o:1"}], "automountServiceAccountToken": False}
    _create(ctl, "Pod", "armonik-operator-1", labels=labels, spec=pod)
    path = f"/api/v1/namespaces/{ctl.namespace}/pods/armonik-operator-1/status"
    ready = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    merge = "application/merge-patch+json"
    assert ctl.apiserver.request("PATCH", path, ready, content_type=merge)[0] == 200
    done = ctl.ok("doctor", "--only", "operator,space")
    assert "8 records behind the journal" in lines(done.out)["operator"]
    full = lines(done.out)["space"]
    assert full.startswith("warn NATS' journal is 72% full (7 MB of 10 MB): from 70% on new work waits")
    assert "(1 have no time to live: armonikctl session list" in done.out


def test_nats_without_a_monitoring_port_is_skipped(ctl: Ctl, monitored: NatsServer) -> None:
    monitored.stop()
    done = ctl.ok("doctor", "--only", "space")
    assert lines(done.out)["space"].startswith(
        "skip what NATS stores is not known: NATS' monitoring port does"
    )


def test_an_operator_that_crashes_is_a_problem(ctl: Ctl) -> None:
    _create(ctl, "ConfigMap", "armonik-service-configuration", data={"operator-namespace": ctl.namespace})
    assert "there is none" in lines(ctl("doctor", "--only", "operator").out)["operator"]
    labels = {"app.kubernetes.io/name": "armonik", "app.kubernetes.io/component": "operator"}
    pod = {"containers": [{"name": "operator", "image": "o:1"}], "automountServiceAccountToken": False}
    _create(ctl, "Pod", "armonik-operator-1", labels=labels, spec=pod)
    waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}}
    container = {"name": "operator", "restartCount": 6, "state": waiting, "ready": False, "image": "o:1"}
    status = {"status": {"containerStatuses": [container | {"imageID": "o"}]}}
    path = f"/api/v1/namespaces/{ctl.namespace}/pods/armonik-operator-1/status"
    code, answer = ctl.apiserver.request("PATCH", path, status, content_type="application/merge-patch+json")
    assert code == 200, answer
    done = ctl("doctor", "--only", "operator")
    assert done.code == 1
    assert done.out.splitlines() == [
        f"FAIL  operator    no pod of deployment armonik-operator in {ctl.namespace} is ready:"
        " CrashLoopBackOff, 6 restarts",
        f"      {'mend':<12}kubectl -n {ctl.namespace} logs deploy/armonik-operator --previous",
        f"      {'note':<12}What runs continues; statuses do not change until it is back.",
        "1 problem.",
    ]


def test_nats_that_cannot_be_reached_is_a_problem_and_hides_the_store(
    ctl: Ctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("armonik_sdk.client.transport.data_plane.CONNECT_SECONDS", 2.0)
    given = {
        "nats-url": "nats://127.0.0.1:1",
        "nats-user": "client",
        "nats-password": "x",
        "s3-endpoint": "127.0.0.1:1",
        "s3-secure": "false",
        "s3-region": "r",
        "s3-bucket": "b",
        "s3-access-key": "a",
        "s3-secret-key": "s",
    }
    _create(ctl, "Secret", "armonik-client", stringData=given)
    done = ctl("doctor", "--only", "nats,store,space")
    found = lines(done.out)
    assert done.code == 1
    assert found["nats"].startswith("FAIL NATS at nats://127.0.0.1:1 does not answer")
    assert found["store"] == "skip it is reached after NATS: see nats"
    assert found["space"].endswith("127.0.0.1 is no service of the cluster")


def test_versions_that_differ_are_warned_of(ctl: Ctl) -> None:
    data = {"operator-namespace": ctl.namespace}
    _create(ctl, "ConfigMap", "armonik-service-configuration", data=data)
    labels = {"app.kubernetes.io/name": "armonik", "app.kubernetes.io/component": "operator"}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "operator", "image": "o:1"}]},
    }
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "o", "labels": labels | {"app.kubernetes.io/version": "0.1.0"}},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }
    path = f"/apis/apps/v1/namespaces/{ctl.namespace}/deployments"
    assert ctl.apiserver.request("POST", path, deployment)[0] == 201
    agent = {"containers": [{"name": "agent", "image": "r/armonik-agent:0.0.9"}]}
    pod = {"armonik.io/partition": "default"}
    _create(ctl, "Pod", "p-1", labels=pod, spec=agent | {"automountServiceAccountToken": False})
    done = ctl.ok("doctor", "--only", "versions")
    assert ", the operator 0.1.0: fields that only one of them knows are ignored" in done.out
    assert "pip install 'armonik-k8s-sdk==0.1.*'" in done.out
    assert "1 of 1 agents are 0.0.9, the operator is 0.1.0" in done.out
    assert done.out.splitlines()[-1] == "2 warnings."


def test_a_quota_that_is_nearly_used_up_is_warned_of(ctl: Ctl) -> None:
    path = f"/api/v1/namespaces/{ctl.namespace}/resourcequotas"
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "team"}}
    code, answer = ctl.apiserver.request("POST", path, quota | {"spec": {"hard": {"pods": "10"}}})
    assert code == 201, answer
    status = {"status": {"hard": {"pods": "10"}, "used": {"pods": "9"}}}
    merge = "application/merge-patch+json"
    assert ctl.apiserver.request("PATCH", f"{path}/team/status", status, content_type=merge)[0] == 200
    done = ctl.ok("doctor", "--only", "quotas")
    assert lines(done.out)["quotas"] == "warn ResourceQuota team: 9 of 10 pods are used"
