"""The cluster itself: pods, sidecars, names, Services, volumes, and no way out of the machine."""

import json
import os
import subprocess
from collections.abc import Iterator

import pytest

pytestmark = pytest.mark.e2e

# Any image with Python and a server in it does.
IMAGE = "localhost/armonik-nats:dev"
NAMESPACE = "cluster-check"

RESTRICTED = {
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "runAsGroup": 0,
    "fsGroup": 65532,
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONFINED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
SERVER = {
    "name": "server",
    "image": IMAGE,
    "imagePullPolicy": "IfNotPresent",
    "command": ["nats-server", "--http_port", "8222"],
    "securityContext": CONFINED,
    "startupProbe": {
        "httpGet": {"path": "/healthz", "port": 8222},
        "periodSeconds": 1,
        "failureThreshold": 30,
    },
}
MAIN = {
    "name": "main",
    "image": IMAGE,
    "imagePullPolicy": "IfNotPresent",
    "command": ["sh", "-c", "echo started; exec sleep infinity"],
    "securityContext": CONFINED,
}


def kubectl(*words: str, stdin: str | None = None, timeout: float = 200) -> str:
    done = subprocess.run(
        ["kubectl", *words], input=stdin, capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, f"kubectl {' '.join(words)}: {done.stderr}{done.stdout}"
    return done.stdout


def apply(*objects: dict[str, object]) -> None:
    manifest = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    kubectl("apply", "--namespace", NAMESPACE, "--filename", "-", stdin=manifest)


def python_in_pod(code: str) -> str:
    return kubectl(
        "exec", "--namespace", NAMESPACE, "sidecar", "--container", "main", "--", "python3", "-c", code
    )


@pytest.fixture(scope="module", autouse=True)
def pod() -> Iterator[None]:
    """A pod like ours, with a main container, a native sidecar, a claim and a Service."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}
    kubectl("apply", "--filename", "-", stdin=json.dumps(namespace))
    apply(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "data"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "16Mi"}}},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "server"},
            "spec": {"selector": {"app": "sidecar"}, "ports": [{"port": 80, "targetPort": 4222}]},
        },
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "sidecar", "labels": {"app": "sidecar"}},
            "spec": {
                "automountServiceAccountToken": False,
                "terminationGracePeriodSeconds": 1,
                "securityContext": RESTRICTED,
                "initContainers": [{**SERVER, "restartPolicy": "Always"}],
                "containers": [{**MAIN, "volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
                "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
            },
        },
    )
    kubectl("wait", "--namespace", NAMESPACE, "--for=condition=Ready", "pod/sidecar", "--timeout=180s")
    yield
    kubectl("delete", "namespace", NAMESPACE, "--wait", "--timeout=180s")


def test_node_is_ready() -> None:
    kubectl("wait", "--for=condition=Ready", "node", "--all", "--timeout=180s")


def test_native_sidecar_starts_before_the_main_container() -> None:
    pod = json.loads(kubectl("get", "pod", "--namespace", NAMESPACE, "sidecar", "--output", "json"))
    (sidecar,) = pod["status"]["initContainerStatuses"]
    (main,) = pod["status"]["containerStatuses"]
    assert sidecar["started"]
    assert "running" in sidecar["state"]
    assert sidecar["state"]["running"]["startedAt"] <= main["state"]["running"]["startedAt"]


def test_logs_and_exec() -> None:
    assert kubectl("logs", "--namespace", NAMESPACE, "sidecar", "--container", "main") == "started\n"
    assert python_in_pod("import os; print(os.getuid(), os.getgid())") == "65532 0\n"


@pytest.mark.parametrize("name", ["server", f"server.{NAMESPACE}", f"server.{NAMESPACE}.svc.cluster.local"])
def test_service_is_reached_by_name(name: str) -> None:
    greeting = python_in_pod(
        f"import socket; print(socket.create_connection(({name!r}, 80), 10).recv(4096).decode()[:5])"
    )
    assert greeting == "INFO \n"


def test_apiserver_is_reached_from_pods() -> None:
    name = "kubernetes.default.svc.cluster.local"
    assert (
        python_in_pod(f"import socket; socket.create_connection(({name!r}, 443), 10); print('ok')") == "ok\n"
    )


def test_claim_is_bound_and_writable_for_any_user() -> None:
    python_in_pod("open('/data/file', 'w').write('kept')")
    assert python_in_pod("print(open('/data/file').read())") == "kept\n"
    phase = kubectl("get", "pvc", "--namespace", NAMESPACE, "data", "--output", "jsonpath={.status.phase}")
    assert phase == "Bound"


local_only = pytest.mark.skipif(
    not os.environ.get("ARMONIK_LOCAL_CLUSTER"), reason="about the network of the local control plane"
)


@local_only
@pytest.mark.parametrize(
    "address",
    [
        pytest.param("203.0.113.7", id="the internet"),
        pytest.param("198.18.112.7", id="beside our ranges"),
        pytest.param("169.254.169.254", id="cloud metadata"),
        pytest.param("2001:db8::7", id="IPv6"),
    ],
)
def test_nothing_leaves_from_a_pod(address: str) -> None:
    code = f"""
import errno, socket
try:
    socket.create_connection(({address!r}, 80), 10)
    print("connected")
except OSError as error:
    print(errno.errorcode.get(error.errno, error))
"""
    assert python_in_pod(code) == "ENETUNREACH\n"


@local_only
def test_no_other_name_is_looked_up() -> None:
    code = """
import socket
try:
    print(socket.getaddrinfo("example.com", 80))
except socket.gaierror as error:
    print(error.errno == socket.EAI_NONAME)
"""
    assert python_in_pod(code) == "True\n"


@local_only
def test_addresses_of_pods_and_services_are_routed_into_the_cluster_alone() -> None:
    """Also addresses nobody has: with the machine's default route they would go out."""
    link = f"ak-{os.environ.get('ARMONIK_CLUSTER') or 'local'}"
    pod = kubectl("get", "pod", "--namespace", NAMESPACE, "sidecar", "--output", "jsonpath={.status.podIP}")
    service = kubectl(
        "get", "svc", "--namespace", NAMESPACE, "server", "--output", "jsonpath={.spec.clusterIP}"
    )
    for address in (pod, service, _last_byte(pod, 251), _last_byte(service, 251)):
        route = subprocess.run(["ip", "route", "get", address], capture_output=True, text=True, check=True)
        assert f" dev {link} " in route.stdout, f"{address}: {route.stdout}"


def _last_byte(address: str, byte: int) -> str:
    return f"{address.rpartition('.')[0]}.{byte}"
