"""The node beneath the pods, on the local control plane: kill a container, cut a pod off from a server."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from release import Object, run

local_only = pytest.mark.skipif(
    not os.environ.get("ARMONIK_LOCAL_CLUSTER"), reason="reaches below the pods of the local control plane"
)


def kill(pod: Object, container: str) -> None:
    """End a container's processes at once, as the kernel does when memory runs out."""
    for process in processes(pod, container):
        os.kill(process, signal.SIGKILL)


def stop(pod: Object, container: str) -> None:
    """Let a container's processes do nothing any more, as when their node hangs."""
    for process in processes(pod, container):
        os.kill(process, signal.SIGSTOP)


def processes(pod: Object, container: str) -> list[int]:
    """Processes of a pod's container, by the control group that the kubelet gave them."""
    status = pod["status"]
    states = (*status.get("initContainerStatuses", []), *status.get("containerStatuses", []))
    (identity,) = (s["containerID"].rpartition("/")[2] for s in states if s["name"] == container)
    found = [
        int(entry.name)
        for entry in Path("/proc").glob("[0-9]*")
        if identity in _content(entry / "cgroup") and pod["metadata"]["uid"] in _content(entry / "cgroup")
    ]
    assert found, f"no process of {pod['metadata']['name']}/{container}"
    return found


@contextmanager
def cut_off(pod: Object, port: int) -> Iterator[None]:
    """Drop everything that a pod sends to a TCP port; connections stay open and receive nothing."""
    inside = ("nsenter", "--target", str(processes(pod, "agent")[0]), "--net", "iptables", "--wait")
    rule = ("OUTPUT", "--protocol", "tcp", "--dport", str(port), "--jump", "DROP")
    run(*inside, "--append", *rule)
    try:
        yield
    finally:
        run(*inside, "--delete", *rule)


def _content(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""  # the process has ended meanwhile
