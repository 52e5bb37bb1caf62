"""The serving process: ArmoniK's Worker service, and the call that takes a whole run.

It runs no code of the user's, so it answers at any time.
"""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import grpc
import grpc.aio
from armonik.protogen.common.objects_pb2 import Empty, Output
from armonik.protogen.common.worker_common_pb2 import HealthCheckReply, ProcessReply
from armonik.protogen.worker.agent_service_pb2_grpc import AgentStub
from armonik.protogen.worker.worker_service_pb2_grpc import WorkerServicer, add_WorkerServicer_to_server

from armonik_sdk.api.bounds import MAX_FRAME_BYTES
from armonik_sdk.api.runcall import METHOD, frame, unframe
from armonik_sdk.worker.agent_calls import tell
from armonik_sdk.worker.executor import leftovers
from armonik_sdk.worker.executor.log_reader import Hearing
from armonik_sdk.worker.executor.pool import Children
from armonik_sdk.worker.run_scheduler import Ended, Running

log = logging.getLogger(__name__)

FOREVER: Final = 10**9
"""Seconds; the caller has a time-out of its own."""
FRAME_BYTES: Final = 4 * 1024 * 1024
"""Of blobs in one frame to the agent, about more than one element."""
_FINAL: Final = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED)
"""What the agent refuses with these codes it would refuse again."""
_LIMITS: Final = [
    ("grpc.max_receive_message_length", MAX_FRAME_BYTES),
    ("grpc.max_send_message_length", MAX_FRAME_BYTES),
]


def run_server(
    control: socket.socket, secret: bytes, worker_address: str, agent_address: str, about: Mapping[str, str]
) -> None:
    """Serve until a signal ends it, or until the template process has ended; `about` is what it is."""
    hearing = Hearing(secret)
    asyncio.run(_serve(control, hearing, worker_address, agent_address, about))
    hearing.close()


async def _serve(
    control: socket.socket,
    hearing: Hearing,
    worker_address: str,
    agent_address: str,
    about: Mapping[str, str],
) -> None:
    ended = asyncio.Event()
    children = Children(control, hearing, ended.set)
    loop = asyncio.get_running_loop()
    # As process 1 it inherits what nobody waits for: started by the module, or outliving the template.
    loop.add_signal_handler(signal.SIGCHLD, leftovers.reap)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    options = [("grpc.default_authority", "localhost")]
    async with grpc.aio.insecure_channel(f"unix://{agent_address}", options=options) as channel:
        server = grpc.aio.server(options=_LIMITS)
        add_WorkerServicer_to_server(_ElementByElement(children, AgentStub(channel)), server)
        server.add_generic_rpc_handlers((_WholeRun(children, about),))
        server.add_insecure_port(f"unix://{worker_address}")
        await server.start()
        # The agent has a uid of its own; the volume is this pod's alone.
        await asyncio.to_thread(Path(worker_address).chmod, 0o777)
        await ended.wait()
        await server.stop(grace=0)
        children.close()


class _WholeRun(grpc.GenericRpcHandler):
    """`ProcessRun`: frames both ways."""

    def __init__(self, children: Children, about: Mapping[str, str]) -> None:
        self._children, self._about = children, about

    def service(self, details: Any) -> Any:
        """Serve this one method."""
        return grpc.stream_stream_rpc_method_handler(self._process) if details.method == METHOD else None

    async def _process(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        running, closed, asked = Running(self._children), asyncio.Event(), True

        async def take() -> None:
            nonlocal asked
            try:
                async for request in requests:
                    asked = False
                    running.give(*unframe(request))
            finally:
                closed.set()
                running.wake()

        taking = asyncio.create_task(take())
        try:
            while True:
                if taking.done():
                    taking.result()  # raises what was wrong with a frame
                if ended := await running.ended():
                    for part in _parts(ended):
                        yield _ended_frame(part)
                elif closed.is_set() and not running.left:
                    if asked:
                        yield frame({"ended": [], "worker": dict(self._about)})
                    break
                if closed.is_set() and not running.left:
                    running.wake()
        finally:
            taking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(taking, return_exceptions=True)
            running.close()


class _ElementByElement(WorkerServicer):  # type: ignore[misc]  # generated without types
    """`Process` and `HealthCheck`, as ArmoniK's agent calls them."""

    def __init__(self, children: Children, agent: Any) -> None:
        self._children, self._agent = children, agent

    async def HealthCheck(self, request: Any, context: Any) -> Any:  # noqa: N802 - the service's name
        """It answers, so it is well."""
        return HealthCheckReply(status=HealthCheckReply.SERVING)

    async def Process(self, request: Any, context: Any) -> Any:  # noqa: N802 - the service's name
        """One element; a caller that gives up ends what is executed."""
        outputs = {_name(request.task_id, result): result for result in request.expected_output_keys}
        number = request.task_id.rpartition(".")[2]
        element = {
            "index": int(number) if number.isdigit() else 0,
            "id": request.task_id,
            "payload": request.payload_id,
            "dependencies": dict.fromkeys(request.data_dependencies),
            "outputs": outputs,
        }
        head = {
            "elements": [element],
            "folder": request.data_folder,
            "options": dict(request.task_options.options),
            "session": request.session_id,
            "limit": FOREVER,
        }
        running = Running(self._children)
        try:
            running.give(head, [])
            while not (ended := await running.ended()):
                pass
        finally:
            running.close()
        entry, blobs = ended[0]
        if "failed" in entry:
            await context.abort(grpc.StatusCode.INTERNAL, entry["failed"])
        if "error" in entry:
            return ProcessReply(output=Output(error=Output.Error(details=entry["error"])))
        try:
            await tell(self._agent, request, entry, blobs, outputs)
        except grpc.aio.AioRpcError as refused:
            if refused.code() not in _FINAL:
                raise
            error = Output.Error(details=refused.details() or "refused by the agent")
            return ProcessReply(output=Output(error=error))
        return ProcessReply(output=Output(ok=Empty()))


def _parts(ended: list[Ended]) -> Iterator[list[Ended]]:
    """What has ended, in frames of bounded length; executors bound what they say of one element."""
    part: list[Ended] = []
    size = 0
    for entry, blobs in ended:
        own = sum(map(len, blobs))
        if part and (size + own > FRAME_BYTES or "children" in entry or "children" in part[-1][0]):
            yield part
            part, size = [], 0
        part.append((entry, blobs))
        size += own
    if part:
        yield part


def _ended_frame(ended: list[Ended]) -> bytes:
    """One frame of many entries, whose blobs are numbered again."""
    entries: list[dict[str, Any]] = []
    blobs: list[memoryview] = []
    for entry, own in ended:
        if own:
            first = len(blobs)
            for name in ("detail", "printed"):
                if name in entry:
                    entry[name] += first
            if "outputs" in entry:
                places = entry["outputs"]
                entry["outputs"] = {n: None if at is None else first + at for n, at in places.items()}
            for child in entry.get("children", ()):
                if isinstance(child["payload"], int):
                    child["payload"] += first
            blobs += own
        entries.append(entry)
    return frame({"ended": entries}, blobs)


def _name(task_id: str, result: str) -> str:
    """Name of an output, from an id of ours: `<task>.<index>.<name>`; else the id."""
    parts = result.split(".")
    return parts[2] if len(parts) == 3 and parts[0] == task_id.partition(".")[0] else result
