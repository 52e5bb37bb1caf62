"""Take a local cluster down and leave nothing of it on the machine."""

from __future__ import annotations

import contextlib
import shutil
import socket
from pathlib import Path

from .cgroups import remove_cgroup
from .network import remove_network
from .processes import kill, kill_all, shims, strays
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
_TASKS = "containerd/io.containerd.runtime.v2.task"
# Folders of the machine that programs use whatever their configuration says.
_CNI_RESULTS = Path("/var/lib/cni/results")
_CONTAINER_LOGS = Path("/var/log/containers")
_DEVICE_PLUGINS = Path("/var/lib/kubelet/device-plugins")
_SHIM_SOCKETS = Path("/run/containerd/s")
_SHARED_FOLDERS = (
    *(_CNI_RESULTS, _CNI_RESULTS.parent),
    _CONTAINER_LOGS,
    *(_DEVICE_PLUGINS, _DEVICE_PLUGINS.parent),
    *(_SHIM_SOCKETS, _SHIM_SOCKETS.parent),
)


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
    instance.check_claim()
    shim_sockets, containers = _shim_sockets(instance), _containers(instance)
    for name in _ORDER:
        kill(instance, name)  # what they would write down at a gentle end is deleted anyway
    kill_all(strays(instance))
    remove_cgroup(instance)
    kill_all(shims(instance))
    remove_network(instance)
    _unmount_below(instance.state, instance.run)
    for path in shim_sockets:
        path.unlink(missing_ok=True)
    _remove_traces_outside(instance, containers)
    for folder in (instance.run, instance.state):
        if folder.exists():
            shutil.rmtree(folder)


def _shim_sockets(instance: Instance) -> list[Path]:
    """Sockets of the processes between containerd and the pods; they lie in a folder of the machine."""
    return [
        Path(file.read_text().removeprefix("unix://")) for file in (instance.run / _TASKS).glob("*/*/address")
    ]


def _containers(instance: Instance) -> list[str]:
    """Ids of the containers that ran."""
    return [folder.name for folder in (instance.run / _TASKS).glob("*/*")]


def _unmount_below(*folders: Path) -> None:
    """Unmount everything below the folders: afterwards removing them cannot reach anything else."""
    for target in reversed(_mounts_below(*folders)):
        run("umount", "--lazy", target)
    left = _mounts_below(*folders)
    if left:
        raise ClusterError(f"cannot unmount {', '.join(left)}; nothing was removed")


def _mounts_below(*folders: Path) -> list[str]:
    targets = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    targets = [target.encode().decode("unicode_escape") for target in targets]  # a blank is \\040 there
    return [target for target in targets if any(Path(target).is_relative_to(folder) for folder in folders)]


def _remove_traces_outside(instance: Instance, containers: list[str]) -> None:
    """Clear the machine's folders of what is ours; the folders themselves go when nothing else is in them."""
    ours = [f"{instance.cgroup}-*", *(f"*-{container}-*" for container in containers)]
    for result in [file for pattern in ours for file in _CNI_RESULTS.glob(pattern)]:
        result.unlink(missing_ok=True)
    if _CONTAINER_LOGS.exists():
        for link in _CONTAINER_LOGS.iterdir():
            if link.is_symlink() and link.readlink().is_relative_to(instance.state):
                link.unlink()
    kubelet_socket = _DEVICE_PLUGINS / "kubelet.sock"
    if kubelet_socket.exists() and not _listened_to(kubelet_socket):  # another cluster's kubelet may
        kubelet_socket.unlink()
        (_DEVICE_PLUGINS / "kubelet_internal_checkpoint").unlink(missing_ok=True)
    for folder in _SHARED_FOLDERS:
        with contextlib.suppress(OSError):  # not there, or not empty and so not ours alone
            folder.rmdir()


def _listened_to(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
    return True
