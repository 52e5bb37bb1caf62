"""`python -m bench.peers.driver MODULE WORKERS`, in the peers' environment: follows commands on stdin.

A line of JSON in, a line of JSON out. Whatever goes wrong ends the process, with the reason in its log.
"""

import asyncio
import importlib
import json
import os
import pickle
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TextIO, cast

from bench.workloads import System, Workload


class PeerSystem(System, Protocol):
    """A system, and what it is made of."""

    def versions(self) -> dict[str, str]:
        """Versions of its parts."""


async def serve(system: PeerSystem, answers: TextIO) -> None:
    """Until the command to stop, or until the other side is gone."""
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(32))
    reader = asyncio.StreamReader(limit=2**20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    loop.add_signal_handler(signal.SIGTERM, reader.feed_eof)
    try:
        await system.start()
        while line := await reader.readline():
            request = json.loads(line)
            print(json.dumps(await _act(system, request)), file=answers, flush=True)
            if request["do"] == "stop":
                return
    finally:
        await system.stop()


async def _act(system: PeerSystem, request: dict[str, Any]) -> dict[str, Any]:
    if request["do"] in ("start", "stop"):
        return dict(system.versions())
    workload = cast("Workload", pickle.loads(bytes.fromhex(request["workload"])))
    if request["do"] == "warm":
        await workload.warm(system)
        return {}
    return dict(await workload.measure(system))


def main() -> None:
    """The command line."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes to the log
    module, workers = sys.argv[1:]
    asyncio.run(serve(importlib.import_module(module).Peer(int(workers)), answers))


if __name__ == "__main__":
    main()
