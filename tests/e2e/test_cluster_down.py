"""The local control plane's life: it outlives crashes and restarts of the machine, and goes without a trace.

On an instance of its own, beside the cluster that the other tests use.
"""

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        not os.environ.get("ARMONIK_LOCAL_CLUSTER"),
        reason="about the local control plane, which is not in use",
    ),
    pytest.mark.timeout(600),
]

REPOSITORY = Path(__file__).resolve().parents[2]
RUN = Path("/run/armonik-probe")
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "sleeper"},
    "spec": {
        "containers": [
            {
                "name": "sleeper",
                "image": "localhost/armonik-nats:dev",
                "imagePullPolicy": "IfNotPresent",
                "command": ["nats-server"],
            }
        ]
    },
}


@dataclass
class Probe:
    """A local cluster that only this file uses."""

    environment: dict[str, str]

    @property
    def state(self) -> Path:
        return Path(self.environment["KUBECONFIG"]).parent

    def call(self, *words: str) -> str:
        done = subprocess.run(
            words,
            cwd=REPOSITORY,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}{done.stdout}"
        return done.stdout + done.stderr

    def up(self) -> str:
        return self.call("python3", "-m", "hack.cluster", "up")

    def down(self) -> str:
        return self.call("python3", "-m", "hack.cluster", "down")

    def kubectl(self, *words: str) -> str:
        return self.call("kubectl", *words)

    def run_pod(self) -> None:
        self.call("python3", "-m", "hack.images", "load", "nats")
        if "sleeper" not in self.kubectl("get", "pods", "--output", "name"):
            subprocess.run(
                ["kubectl", "create", "--filename", "-"],
                env=self.environment,
                input=json.dumps(POD),
                text=True,
                check=True,
                timeout=60,
            )
        self.kubectl("wait", "--for=condition=Ready", "pod/sleeper", "--timeout=180s")

    def program(self, name: str) -> int:
        return int(json.loads((self.state / "processes" / f"{name}.json").read_text())["pid"])

    def processes(self) -> set[int]:
        """Everything in the cluster's network or a control group of its pods."""
        inside = set()
        for pid in pids():
            try:
                same_network = Path(f"/proc/{pid}/ns/net").stat().st_ino == (RUN / "netns").stat().st_ino
                groups = Path(f"/proc/{pid}/cgroup").read_text()
            except OSError:
                continue  # ended meanwhile
            if same_network or "/armonik-probe" in groups:
                inside.add(pid)
        return inside

    def mounts(self) -> set[str]:
        return {mount for mount in mounts() if mount.startswith((f"{self.state}/", f"{RUN}/"))}


def pids() -> list[int]:
    """Living processes; one that only waits for its parent to notice its death is not."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and _lives(entry)]


def _lives(process: Path) -> bool:
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def mounts() -> set[str]:
    return {line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()}


def kept_alive(namespaces: set[str]) -> set[str]:
    """Mounts that keep these network namespaces; their numbers alone the kernel gives away again."""
    names = {f"net:[{number}]" for number in namespaces}
    lines = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return {line[4] for line in lines if line[3] in names}


def machine() -> dict[str, str]:
    """What of the machine's network a cluster could change, as seen from outside."""
    commands = {
        "rules": ["nft", "list", "ruleset"],
        "links": ["sh", "-c", "ls /sys/class/net | grep -v '^ak-local$\\|^ak-ci$'"],
        "IPv4 routes": ["sh", "-c", "ip -4 route | grep -v 'dev ak-local\\|dev ak-ci'"],
        "IPv6 routes": ["sh", "-c", "ip -6 route | grep -v 'dev ak-local\\|dev ak-ci'"],
        "forwarding": ["cat", "/proc/sys/net/ipv4/ip_forward"],
    }
    return {
        what: subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for what, command in commands.items()
    }


@pytest.fixture(scope="module")
def probe() -> Iterator[Probe]:
    environment = {**os.environ, "ARMONIK_CLUSTER": "probe"}
    environment.pop("KUBECONTEXT", None)
    answer = subprocess.run(
        ["python3", "-m", "hack.cluster", "env"],
        cwd=REPOSITORY,
        env={**environment, "ARMONIK_CLUSTER_DRIVER": "local"},
        capture_output=True,
        text=True,
        check=True,
    )
    cluster = Probe(environment | dict(re.findall(r"^export (\w+)='?(.*?)'?$", answer.stdout, re.MULTILINE)))
    cluster.down()
    yield cluster
    cluster.down()


def test_up_twice_keeps_what_exists(probe: Probe) -> None:
    probe.up()
    before = {name: probe.program(name) for name in ("etcd", "kube-apiserver", "kubelet", "containerd")}
    probe.up()
    assert {name: probe.program(name) for name in before} == before


def test_dead_programs_are_started_again_and_pods_live_on(probe: Probe) -> None:
    probe.up()
    probe.run_pod()
    started = probe.kubectl("get", "pod", "sleeper", "--output", "jsonpath={.status.containerStatuses[0]}")
    for name in ("etcd", "kube-apiserver", "containerd", "kube-proxy"):
        os.kill(probe.program(name), signal.SIGKILL)
    said = probe.up()
    for name in ("etcd", "kube-apiserver", "containerd", "kube-proxy"):
        assert f"{name} had died: starting it again" in said
    assert "afresh" not in said
    assert (
        probe.kubectl("get", "pod", "sleeper", "--output", "jsonpath={.status.containerStatuses[0]}")
        == started
    )


def test_it_comes_back_with_its_data_after_a_restart_of_the_machine(probe: Probe) -> None:
    probe.up()
    probe.run_pod()
    probe.kubectl("create", "configmap", "remember", "--from-literal=this=value")
    _restart_the_machine(probe)
    said = probe.up()
    assert "the machine was restarted" in said
    assert "afresh" not in said
    assert probe.kubectl("get", "configmap", "remember", "--output", "jsonpath={.data.this}") == "value"
    probe.kubectl("wait", "--for=condition=Ready", "pod/sleeper", "--timeout=180s")


def test_without_kube_proxy_service_traffic_still_stays_inside(probe: Probe) -> None:
    probe.up()
    os.kill(probe.program("kube-proxy"), signal.SIGKILL)
    inside = ["nsenter", f"--net={RUN}/netns"]
    subprocess.run([*inside, "nft", "delete", "table", "ip", "kube-proxy"], check=True)
    service = probe.kubectl("get", "svc", "kubernetes", "--output", "jsonpath={.spec.clusterIP}")
    for where in ([], inside):
        route = subprocess.run(
            [*where, "ip", "route", "get", service], capture_output=True, text=True, check=True
        )
        assert re.search(r" dev (ak-probe|sink) ", route.stdout), route.stdout


def test_when_the_link_vanishes_nothing_is_sent_elsewhere(probe: Probe) -> None:
    probe.up()
    addresses = (
        urlsplit(
            probe.kubectl("config", "view", "--output", "jsonpath={.clusters[0].cluster.server}")
        ).hostname,
        probe.kubectl("get", "svc", "kubernetes", "--output", "jsonpath={.spec.clusterIP}"),
    )
    subprocess.run(["ip", "link", "delete", "ak-probe"], check=True)
    for address in addresses:
        asked = subprocess.run(
            ["ip", "route", "get", str(address)], capture_output=True, text=True, check=False
        )
        assert "No route to host" in asked.stderr, asked.stdout
    probe.up()
    probe.kubectl("get", "nodes")


def test_down_leaves_nothing_behind(probe: Probe) -> None:
    probe.down()
    before = machine()
    probe.up()
    probe.run_pod()

    processes, mounted = probe.processes(), probe.mounts()
    namespaces = {str(Path(f"/proc/{pid}/ns/net").stat().st_ino) for pid in processes}
    kept = kept_alive(namespaces)
    listening = subprocess.run(
        ["nsenter", f"--net={RUN}/netns", "ss", "--no-header", "--listening", "--unix"],
        capture_output=True,
        text=True,
        check=True,
    )
    sockets = {Path(word) for word in listening.stdout.split() if word.startswith("/")}
    logs = set(Path("/var/log/containers").glob("sleeper_*"))
    # The cluster was really there to be taken down, down to each kind of trace.
    assert len(processes) > 10
    assert len(mounted) > 6
    assert len(namespaces) >= 3  # the cluster's own, CoreDNS's, the pod's
    assert len(kept) >= 3
    assert len(sockets) > 3
    assert logs
    assert machine() != before

    assert "is down" in probe.down()

    assert processes & set(pids()) == set()
    assert probe.mounts() == set()
    assert kept & mounts() == set()
    assert {socket for socket in sockets if socket.exists()} - _sockets_of_other_kubelets() == set()
    assert {log for log in logs if log.is_symlink()} == set()
    assert machine() == before
    assert not probe.state.exists()
    assert not RUN.exists()
    assert list(Path("/sys/fs/cgroup").glob("**/armonik-probe")) == []
    assert list(Path("/var/lib/cni/results").glob("armonik-probe-*")) == []


def test_down_again_is_no_error(probe: Probe) -> None:
    probe.down()
    assert "was not up" in probe.down()


def _restart_the_machine(probe: Probe) -> None:
    """What a restart leaves: files, with no process, mount or link behind them, and another boot id."""
    namespace = RUN / "netns"
    for pid in probe.processes():
        os.kill(pid, signal.SIGKILL)
    subprocess.run(["ip", "link", "delete", "ak-probe"], check=True)
    while mounts := sorted(probe.mounts(), reverse=True):
        # One may go with another, or with a process that has just ended: what counts is that none is left.
        subprocess.run(["umount", "--lazy", *mounts], check=False, capture_output=True)
    assert not os.path.ismount(namespace)
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    for file in (RUN / "boot", *(probe.state / "processes").glob("*.json")):
        file.write_text(file.read_text().replace(boot, "another-boot"))


def _sockets_of_other_kubelets() -> set[Path]:
    """This one has the same path for every kubelet of the machine."""
    return {Path("/var/lib/kubelet/device-plugins/kubelet.sock")}
