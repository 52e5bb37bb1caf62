"""Serving a function; what must happen before anything else is imported."""

import os
import socket
from typing import Final

from armonik_sdk.worker.element import Function
from armonik_sdk.worker.template import hold

WORKER_ADDRESS: Final = "ComputePlane__WorkerChannel__Address"
AGENT_ADDRESS: Final = "ComputePlane__AgentChannel__Address"
"""As ArmoniK's own workers read them."""


def serve(function: Function) -> None:
    """Serve a function until told to end (SIGTERM, SIGINT).

    Call it once, at the end of the script, where no thread runs: the function's processes are copies of this
    one. Sockets are where ArmoniK's workers have them: `ComputePlane__WorkerChannel__Address`, else
    `/cache/armonik_worker.sock`, and `ComputePlane__AgentChannel__Address`, else `/cache/armonik_agent.sock`.
    """
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if not os.fork():
        here.close()
        hold(function, there)
    there.close()
    # Not before: a process that has gRPC in it cannot be copied.
    from armonik_sdk.worker.server import run_server

    run_server(
        here,
        os.environ.get(WORKER_ADDRESS) or "/cache/armonik_worker.sock",
        os.environ.get(AGENT_ADDRESS) or "/cache/armonik_agent.sock",
    )
