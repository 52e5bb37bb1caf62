"""The control group all pods of a cluster live in, in every hierarchy the machine has mounted."""

from __future__ import annotations

import os
from pathlib import Path

from .processes import kill_all
from .settings import Instance
from .shell import wait_until


def ensure_cgroup(instance: Instance) -> None:
    """Make the group; the kubelet wants to find it."""
    for hierarchy in _hierarchies():
        (hierarchy / instance.cgroup).mkdir(exist_ok=True)


def remove_cgroup(instance: Instance) -> None:
    """Kill every process in the group, then remove it and the groups below."""
    for hierarchy in _hierarchies():
        root = hierarchy / instance.cgroup
        if not root.exists():
            continue
        wait_until(f"{root} is empty", lambda root=root: _emptied(root), 20)  # type: ignore[misc]
        for folder, _, _ in os.walk(root, topdown=False):
            wait_until(f"{folder} is removed", lambda folder=Path(folder): _removed(folder), 10)  # type: ignore[misc]


def _hierarchies() -> list[Path]:
    """Mount points of all hierarchies, version 1 and 2."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [Path(mount[1]) for mount in mounts if mount[2] in {"cgroup", "cgroup2"}]


def _emptied(root: Path) -> bool:
    """Kill what lives in the group; whether there was nothing (a dying process may have had children)."""
    pids = [int(pid) for group in root.rglob("cgroup.procs") for pid in group.read_text().split()]
    pids += [int(pid) for pid in (root / "cgroup.procs").read_text().split()]
    kill_all(pids)
    return not pids


def _removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False  # the kernel is still burying the last process
    return True
