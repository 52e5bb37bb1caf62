"""Record what the workers' gRPC servers send to the agent: `python -m tests.polyglot.record node go`.

Writes `tests/unit/agent/recorded/<language>.json`: for each call what was asked, all bytes that the server
sent from the end of the call before until this one had ended, and how it ended.
`tests/unit/agent/test_rpc_recorded.py` gives these bytes to the agent's client again.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import grpc.aio
from armonik.protogen.common.worker_common_pb2 import ProcessRequest
from hack.polyglot.build import command

from armonik_agent.rpc import channel, headers

FOLDER = Path(__file__).parents[2] / "tests" / "unit" / "agent" / "recorded"
WORKER = "/armonik.api.grpc.v1.worker.Worker/"
LONG = 200_000
"""Bytes: more than a window, so that the server must say that it has read some."""
CALL_SECONDS, GIVEN_UP_SECONDS, START_SECONDS = 30.0, 1.0, 60.0
CALLS = [
    ("HealthCheck", None, 0),
    ("Process", "error", 0),
    ("Process", "throw", 0),
    ("NoSuchMethod", None, 0),
    ("Process", "error", LONG),
    ("Process", "sleep", 0),
    ("HealthCheck", None, 0),
]


class Recorder(channel._Client):
    """Keeps what is received."""

    def __init__(self) -> None:
        super().__init__(2**20)
        self.received = b""

    def data_received(self, data: bytes) -> None:
        """Keep it, and take it."""
        self.received += data
        super().data_received(data)

    def taken(self) -> str:
        """What was received since this was asked last."""
        taken, self.received = self.received.hex(), b""
        return taken


async def connect(path: Path) -> Recorder:
    """Connect as soon as the worker listens."""
    async with asyncio.timeout(START_SECONDS):
        while True:
            try:
                return (await asyncio.get_running_loop().create_unix_connection(Recorder, str(path)))[1]
            except OSError:
                await asyncio.sleep(0.1)


async def call(
    client: Recorder, folder: Path, method: str, payload: str | None, extra: int
) -> dict[str, Any]:
    """One call, and how it ended."""
    request = b""
    if payload is not None:
        (folder / "payload").write_text(payload)
        request = ProcessRequest(
            payload_id="payload", data_folder=str(folder), communication_token="t" * extra
        ).SerializeToString()
    seconds = GIVEN_UP_SECONDS if payload == "sleep" else CALL_SECONDS
    ended: dict[str, Any]
    try:
        answer = await client.call(headers.write((":path", WORKER + method)), request, seconds)
        ended = {"answer": bytes(answer).hex()}
    except grpc.aio.AioRpcError as error:
        ended = {"code": error.code().name, "details": error.details()}
    asked = {"method": method, "payload": payload, "request_bytes": len(request)}
    return {**asked, "sent": client.taken(), **ended}


async def record(language: str) -> None:
    """Start a worker, call it, end it."""
    with tempfile.TemporaryDirectory(prefix="ak") as name:
        folder = Path(name)
        socket = folder / "worker.sock"
        env = os.environ | {
            "ComputePlane__WorkerChannel__Address": str(socket),
            "ComputePlane__AgentChannel__Address": str(folder / "agent.sock"),
        }
        worker = await asyncio.create_subprocess_exec(*command(language), env=env)
        try:
            client = await connect(socket)
            calls = CALLS if language != "python" else CALLS[:-1]  # it answers nothing while it sleeps
            written = [await call(client, folder, *one) for one in calls]
        finally:
            worker.kill()
            await worker.wait()
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{language}.json").write_text(json.dumps(written, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    for chosen in sys.argv[1:]:
        asyncio.run(record(chosen))
