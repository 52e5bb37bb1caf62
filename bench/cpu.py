"""CPU time and memory of components: pods from their control groups, other processes from /proc."""

import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

_TICK: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_PROGRAMS: Final = {"kube-apiserver": "apiserver", "etcd": "etcd"}


class ClusterCpu:
    """The parts of an installation and of the control plane below it, as far as this machine runs them."""

    def __init__(self, partition: str) -> None:
        groups = _groups()
        self._files: dict[str, list[Path]] = {}
        for component, container in containers(_pods(), partition):
            if container in groups:
                self._files.setdefault(component, []).append(groups[container])
        self._programs = _programs()

    def read(self) -> dict[str, float]:
        """Seconds so far, by component; one that has gone meanwhile is left out."""
        found: dict[str, float] = {}
        for component, files in self._files.items():
            if all(file.exists() for file in files):
                found[component] = sum(_used(file) for file in files)
        for component, pid in self._programs.items():
            if (stat := _stat(pid)) is not None:
                found[component] = stat[1]
        return found

    def memory(self) -> dict[str, float]:
        """MiB that the processes of each component hold now, without what the system caches of files."""
        pids = {component: list(map(_members, files)) for component, files in self._files.items()}
        pids |= {component: [[pid]] for component, pid in self._programs.items()}
        return {
            component: sum(resident(pid) for group in groups for pid in group)
            for component, groups in pids.items()
        }


def containers(pods: Iterable[Mapping[str, Any]], partition: str) -> list[tuple[str, str]]:
    """(component, container id): an installation's own pods, the agents and workers of a partition."""
    found: list[tuple[str, str]] = []
    for pod in pods:
        labels = pod["metadata"].get("labels") or {}
        status = pod.get("status") or {}
        for container in [*status.get("containerStatuses", []), *status.get("initContainerStatuses", [])]:
            identity = str(container.get("containerID", "")).rpartition("/")[2]
            if labels.get("armonik.io/partition") == partition:
                found.append((str(container["name"]), identity))
            elif labels.get("app.kubernetes.io/name") == "armonik":
                found.append((str(labels.get("app.kubernetes.io/component", "")), identity))
    return [(component, identity) for component, identity in found if component and identity]


def tree(root: int, without: Iterable[int] = ()) -> float:
    """Seconds used by a process and its descendants, those that ended and were waited for included."""
    processes = _processes()
    return sum(processes[pid][1] for pid in _family(processes, root, without))


def family(root: int) -> list[int]:
    """A process and its descendants, parents first."""
    return _family(_processes(), root)


def _processes() -> dict[int, tuple[int, float]]:
    return {pid: stat for pid in _pids() if (stat := _stat(pid)) is not None}


def _family(processes: Mapping[int, tuple[int, float]], root: int, without: Iterable[int] = ()) -> list[int]:
    children: dict[int, list[int]] = {}
    for pid, (parent, _) in processes.items():
        children.setdefault(parent, []).append(pid)
    found: list[int] = []
    left, skipped = [root], set(without)
    while left:
        pid = left.pop()
        if pid in processes and pid not in skipped:
            found.append(pid)
            left += children.get(pid, [])
    return found


def resident(pid: int) -> float:
    """MiB that a process holds now."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE / 2**20
    except OSError:
        return 0.0  # it has ended


def _pods() -> list[dict[str, Any]]:
    said = subprocess.run(
        ["kubectl", "get", "pods", "-A", "-o", "json"], capture_output=True, text=True, check=True
    )
    found: list[dict[str, Any]] = json.loads(said.stdout)["items"]
    return found


def _groups() -> dict[str, Path]:
    """The file with a container's CPU time, by container id; control groups of version 1 or 2."""
    for root, name in (("/sys/fs/cgroup/cpuacct", "cpuacct.usage"), ("/sys/fs/cgroup", "cpu.stat")):
        found: dict[str, Path] = {}
        for folder, folders, files in os.walk(root):
            identity = Path(folder).name.removesuffix(".scope").rpartition("-")[2]
            if name in files and len(identity) == 64:
                found[identity] = Path(folder, name)
                folders.clear()
        if found:
            return found
    return {}


def _used(file: Path) -> float:
    text = file.read_text()
    if file.name == "cpuacct.usage":
        return int(text) / 1e9
    return int(dict(line.split() for line in text.splitlines())["usage_usec"]) / 1e6


def _members(file: Path) -> list[int]:
    """Processes of the control group that a file of it belongs to."""
    try:
        return [int(line) for line in file.with_name("cgroup.procs").read_text().split()]
    except OSError:
        return []  # it has gone


def _programs() -> dict[str, int]:
    """Processes of a control plane that runs beside its cluster's pods, by component."""
    cluster = str(Path(os.environ.get("KUBECONFIG", "")).parent)
    found: dict[str, int] = {}
    for pid in _pids():
        try:
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        except OSError:
            continue  # it has ended
        component = _PROGRAMS.get(Path(words[0]).name)
        if component and any(cluster in word for word in words[1:]):
            found[component] = pid
    return found


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _stat(pid: int) -> tuple[int, float] | None:
    """Parent, and seconds used by a process and by those of its children that ended; None when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[1]), sum(map(int, fields[11:15])) / _TICK
