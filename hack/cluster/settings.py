"""Versions, folders, addresses: everything that has a name here has it once."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from .shell import ClusterError

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCES = Path(__file__).resolve().parent

# 1.34 is the newest that is at home with Debian 12's containerd 1.6 and with cgroup v1 hosts.
KUBERNETES_VERSION = "v1.34.4"

PAUSE_IMAGE = "localhost/armonik-cluster-pause:1"
COREDNS_IMAGE = "localhost/armonik-cluster-coredns:1"
# Debian's suites by their Python: base images are made of them where there is no registry. None has 3.12.
PYTHON_SUITES = {"3.11": "bookworm", "3.13": "trixie", "3.14": "forky"}
LOCAL_PYTHON = "3.11"

# Local clusters that can exist side by side. 198.18.0.0/15 is set aside for benchmarks (RFC 2544): no
# network a developer's machine is connected to uses it, so our routes never hide something real.
INSTANCES = {"local": 0, "ci": 1, "probe": 2}
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?")


@dataclass(frozen=True)
class Cache:
    """Where everything built or downloaded goes."""

    root: Path

    @classmethod
    def from_environ(cls) -> Cache:
        """The folder `ARMONIK_CACHE`, else one in the user's cache folder."""
        chosen = os.environ.get("ARMONIK_CACHE")
        return cls(Path(chosen).resolve() if chosen else Path.home() / ".cache/armonik-k8s")

    @property
    def bin(self) -> Path:
        """Programs."""
        return self.root / "bin"

    @property
    def images(self) -> Path:
        """Image archives, build stamps and the image builder's store."""
        return self.root / "images"

    @property
    def logs(self) -> Path:
        """Logs of builds."""
        return self.root / "logs"

    @property
    def go_environment(self) -> dict[str, str]:
        """Go keeps its downloads and objects in the cache too, deletable by an ordinary rm."""
        return {
            "GOPATH": str(self.root / "go"),
            "GOCACHE": str(self.root / "go/build-cache"),
            "GOFLAGS": "-modcacherw -buildvcs=false",
            "CGO_ENABLED": "0",
        }


@dataclass(frozen=True)
class Instance:
    """One local cluster: its names, folders and addresses."""

    name: str
    cache: Cache

    @classmethod
    def from_environ(cls, cache: Cache) -> Instance:
        """The instance named by `ARMONIK_CLUSTER` (default `local`).

        Raises:
            ClusterError: that can be no name of a cluster.
        """
        name = os.environ.get("ARMONIK_CLUSTER") or "local"
        if _NAME.fullmatch(name) is None:
            wanted = "must be at most 30 lower-case letters, digits and hyphens"
            raise ClusterError(f"ARMONIK_CLUSTER is {name!r}, {wanted}")
        return cls(name, cache)

    def check_local(self) -> None:
        """See that it can be a local control plane: addresses are set aside for a few of them.

        Raises:
            ClusterError: none are for this name.
        """
        if self.name not in INSTANCES:
            names = ", ".join(INSTANCES)
            raise ClusterError(
                f"ARMONIK_CLUSTER is {self.name!r}, must be one of {names} for a local control plane "
                "(with kind it may be any name)"
            )

    @property
    def index(self) -> int:
        """Number that all addresses are derived from."""
        return INSTANCES[self.name]

    @property
    def state(self) -> Path:
        """What survives a reboot: etcd, containers' images and volumes, certificates, logs."""
        return self.cache.root / "cluster" / self.name

    @property
    def run(self) -> Path:
        """What does not: sockets (whose paths must be short), namespaces, leases of addresses."""
        return Path("/run") / f"armonik-{self.name}"

    @property
    def socket(self) -> Path:
        """Containerd's socket."""
        return self.run / "containerd.sock"

    @property
    def netns(self) -> Path:
        """The network namespace that the whole cluster lives in."""
        return self.run / "netns"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig, complete in itself."""
        return self.state / "kubeconfig"

    @property
    def audit_log(self) -> Path:
        """The apiserver's record of writes to our own kinds."""
        return self.state / "logs" / "audit.log"

    @property
    def cgroup(self) -> str:
        """Below this control group lies every process of every pod."""
        return f"armonik-{self.name}"

    @property
    def link(self) -> str:
        """The machine's end of the only wire into the cluster."""
        return f"ak-{self.name}"

    @property
    def host_ip(self) -> str:
        """The machine's address on that wire."""
        return f"198.18.{self.index}.1"

    @property
    def node_ip(self) -> str:
        """The node's address on that wire."""
        return f"198.18.{self.index}.2"

    @property
    def wire_cidr(self) -> str:
        """Both ends of that wire."""
        return f"198.18.{self.index}.0/30"

    @property
    def service_cidr(self) -> str:
        """Addresses of Services."""
        return f"198.18.{128 + 16 * self.index}.0/20"

    @property
    def api_service_ip(self) -> str:
        """Address of the Service `kubernetes`."""
        return f"198.18.{128 + 16 * self.index}.1"

    @property
    def dns_ip(self) -> str:
        """Address of the Service `kube-dns`."""
        return f"198.18.{128 + 16 * self.index}.10"

    @property
    def pod_cidr(self) -> str:
        """Addresses of pods, of all nodes there could be."""
        return f"198.19.{16 * self.index}.0/20"

    @property
    def node_pod_cidr(self) -> str:
        """Addresses of pods on our one node."""
        return f"198.19.{16 * self.index}.0/24"

    def claim(self) -> None:
        """Make the run folder ours. It is one for the whole machine, whereas there may be several caches.

        Raises:
            ClusterError: a cluster of this name runs from another cache.
        """
        self.check_claim()
        self.run.mkdir(parents=True, exist_ok=True)
        (self.run / "state").write_text(str(self.state))

    def check_claim(self) -> None:
        """See that the run folder, if there is one, is ours.

        Raises:
            ClusterError: a cluster of this name runs from another cache.
        """
        owner = self.run / "state"
        if owner.exists() and owner.read_text() != str(self.state):
            raise ClusterError(
                f"the cluster {self.name} of this machine belongs to another cache, its state is in "
                f"{owner.read_text()}: set ARMONIK_CACHE to that one, or ARMONIK_CLUSTER to another name"
            )

    @property
    def ctr(self) -> list[str]:
        """How to call containerd's own client for what the kubelet sees."""
        return ["ctr", "--address", str(self.socket), "--namespace", "k8s.io"]
