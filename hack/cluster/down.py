"""Take a local cluster down and leave nothing of it on the machine."""

from __future__ import annotations

import shutil
from pathlib import Path

from .cgroups import remove_cgroup
from .network import remove_network
from .processes import kill_all, processes_whose_command_names, stop
from .settings import Instance
from .shell import ClusterError, locked, run, say

# The kubelet goes first, or it would start again what we stop.
_ORDER = (
    "kubelet",
    "kube-proxy",
    "volume-provisioner",
    "kube-scheduler",
    "kube-controller-manager",
    "kube-apiserver",
    "etcd",
    "containerd",
)
_CNI_RESULTS = Path("/var/lib/cni/results")
_CONTAINER_LOGS = Path("/var/log/containers")


def bring_down(instance: Instance) -> None:
    """Stop the cluster and remove all it had, its data included. Nothing to do is no error.

    Raises:
        ClusterError: something could not be removed.
    """
    with locked(instance.cache.root / "cluster" / f"{instance.name}.lock"):
        stood = instance.state.exists() or instance.run.exists()
        take_down(instance)
        say(f"cluster {instance.name} is down" if stood else f"cluster {instance.name} was not up")


def take_down(instance: Instance) -> None:
    """The work of `bring_down`, for those who hold the lock."""
    shim_sockets = _shim_sockets(instance)
    for name in _ORDER:
        stop(instance, name)
    remove_cgroup(instance)
    kill_all(processes_whose_command_names(f"-address {instance.socket}".replace(" ", "\0")))
    remove_network(instance)
    _unmount_below(instance.state, instance.run)
    for socket in shim_sockets:
        socket.unlink(missing_ok=True)
    _remove_traces_outside(instance)
    for folder in (instance.run, instance.state):
        if folder.exists():
            shutil.rmtree(folder)


def _shim_sockets(instance: Instance) -> list[Path]:
    """Sockets of the processes between containerd and the pods; they lie in a folder of the machine."""
    tasks = instance.run / "containerd/io.containerd.runtime.v2.task"
    return [Path(file.read_text().removeprefix("unix://")) for file in tasks.glob("*/*/address")]


def _unmount_below(*folders: Path) -> None:
    """Unmount everything below the folders: afterwards removing them cannot reach anything else."""
    for target in reversed(_mounts_below(*folders)):
        run("umount", "--lazy", target)
    left = _mounts_below(*folders)
    if left:
        raise ClusterError(f"cannot unmount {', '.join(left)}; nothing was removed")


def _mounts_below(*folders: Path) -> list[str]:
    targets = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    targets = [target.encode().decode("unicode_escape") for target in targets]  # blanks stand there as \\040
    return [target for target in targets if any(Path(target).is_relative_to(folder) for folder in folders)]


def _remove_traces_outside(instance: Instance) -> None:
    """What CNI and the kubelet keep in folders of the machine that cannot be moved."""
    if _CNI_RESULTS.exists():
        for result in _CNI_RESULTS.glob(f"{instance.cgroup}-*"):
            result.unlink(missing_ok=True)
    if _CONTAINER_LOGS.exists():
        for link in _CONTAINER_LOGS.iterdir():
            if link.is_symlink() and link.readlink().is_relative_to(instance.state):
                link.unlink()
