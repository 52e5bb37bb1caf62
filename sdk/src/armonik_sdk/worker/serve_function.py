"""Serves a function, after the set-up that must precede all other imports."""

import os
import platform
import socket
import sys
from collections.abc import Mapping
from typing import Final

from armonik_sdk.worker.element import Function
from armonik_sdk.worker.executor.forkserver import hold
from armonik_sdk.worker.executor.log_reader import new_secret

WORKER_ADDRESS: Final = "ComputePlane__WorkerChannel__Address"
AGENT_ADDRESS: Final = "ComputePlane__AgentChannel__Address"
"""As ArmoniK's own workers read them."""


def serve(function: Function, about: Mapping[str, str] | None = None) -> None:
    """Serve a function until a signal ends it (SIGTERM, SIGINT).

    Call it once, at the end of the script, where no thread runs: the function's processes are copies of this
    one. Sockets are where ArmoniK's workers have them: `ComputePlane__WorkerChannel__Address`, else
    `/cache/armonik_worker.sock`, and `ComputePlane__AgentChannel__Address`, else `/cache/armonik_agent.sock`.

    Args:
        function: called with one element after the other.
        about: what the Partition's status says of this worker (`WorkerInfo`) beside its Python and platform.
    """
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    secret = new_secret()
    if not os.fork():
        here.close()
        hold(function, there, secret)
    there.close()
    # Not before: a process that has gRPC in it cannot be copied.
    from armonik_sdk.worker.server import run_server

    run_server(
        here,
        secret,
        os.environ.get(WORKER_ADDRESS) or "/cache/armonik_worker.sock",
        os.environ.get(AGENT_ADDRESS) or "/cache/armonik_agent.sock",
        {**_about_this_process(), **(about or {})},
    )


def _about_this_process() -> dict[str, str]:
    libc, version = platform.libc_ver()
    machine = platform.machine()
    return {
        "kind": "function",
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "platform": f"{machine}-manylinux_{version.replace('.', '_')}" if libc == "glibc" else machine,
    }
