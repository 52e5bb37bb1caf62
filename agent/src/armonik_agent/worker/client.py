"""The worker's side of the pod: its gRPC service on a unix socket, as PyPI `armonik` serves it."""

import asyncio
import math
import time
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from armonik.protogen.common.objects_pb2 import Configuration, Empty
from armonik.protogen.common.objects_pb2 import TaskOptions as TaskOptionsMessage
from armonik.protogen.common.worker_common_pb2 import HealthCheckReply, ProcessRequest
from armonik.protogen.worker.worker_service_pb2_grpc import WorkerStub

from armonik_agent.data.elements import Element
from armonik_agent.rpc import Channel
from armonik_agent.util.text import shorten
from armonik_agent.worker.run_stream import RunCalls
from armonik_sdk.api.bounds import DATA_CHUNK_BYTES, MAX_ANSWER_BYTES, MAX_FRAME_BYTES
from armonik_sdk.api.kinds import TaskOptions
from armonik_sdk.api.runcall import METHOD

HEALTH_TIMEOUT = 3.0
READY_INTERVAL = 0.2
WORKER_SECONDS = 3.0
"""How long a crashed worker has to be back."""
FRESH_SECONDS = 5.0
"""How long after its last answer a worker is assumed to be alive."""
CONDEMNED_SECONDS = 5.0
"""How long a worker that must be replaced is left alone, so that nothing begins on a pod about to go."""
ANSWER_BYTES = 512
"""Of what a worker that is not usable says about that."""
CONFIGURATION = Configuration(data_chunk_max_size=DATA_CHUNK_BYTES)
Call = Any
"""grpc.aio.UnaryUnaryCall, which is published without types."""
CHANNEL_OPTIONS = [
    ("grpc.default_authority", "localhost"),
    ("grpc.max_receive_message_length", MAX_FRAME_BYTES),
    ("grpc.max_send_message_length", MAX_FRAME_BYTES),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.initial_reconnect_backoff_ms", 200),
]


class Worker:
    """Client of the worker beside this agent, and whether it may be given work.

    A busy worker answers no question about its health, so it is asked only before work, never meanwhile.
    """

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._channel: grpc.aio.Channel | None = None
        """For calls with a whole run; made when there is a worker that takes them."""
        self._calls = Channel(socket, MAX_ANSWER_BYTES)
        self._stub = WorkerStub(self._calls)
        self.runs = RunCalls(self._streams, self._calls.unary_unary(METHOD, bytes, bytes))
        self._seen = -math.inf
        self._condemned_until = 0.0
        self.silence = ""
        """Why it was not usable when it was asked last; empty when it was."""
        self._options: tuple[TaskOptions, TaskOptionsMessage] | None = None

    async def close(self) -> None:
        """Close the channels."""
        await self._calls.close()
        if self._channel is not None:
            await self._channel.close()

    def _streams(self) -> grpc.aio.Channel:
        if self._channel is None:
            address = f"unix://{self._socket}"
            self._channel = grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)
        return self._channel

    def doubt(self) -> None:
        """Ask for its health before it gets more work."""
        self._seen = -math.inf
        self.runs.forget()

    def condemn(self) -> None:
        """It works on something that has ended already: it gets nothing before it is replaced.

        If nobody replaces it, it may be asked again after `CONDEMNED_SECONDS`.
        """
        self.doubt()
        self._condemned_until = time.monotonic() + CONDEMNED_SECONDS

    @property
    def condemned(self) -> float:
        """Seconds for which it is not even asked."""
        return max(0.0, self._condemned_until - time.monotonic())

    async def usable(self, seconds: float) -> bool:
        """Whether it can take work; one that is not there is waited for."""
        until = time.monotonic() + seconds
        while not self.condemned:
            # A worker that has ended while it was idle has closed the connection.
            fresh = self._calls.connected and time.monotonic() - self._seen < FRESH_SECONDS
            if fresh or await self.healthy():
                return True
            if time.monotonic() >= until:
                return False
            await asyncio.sleep(READY_INTERVAL)
        return False

    async def healthy(self) -> bool:
        """Whether the worker says it is."""
        try:
            reply = await self._stub.HealthCheck(Empty(), timeout=HEALTH_TIMEOUT)
        except grpc.aio.AioRpcError as error:
            fine = error.code() is grpc.StatusCode.UNIMPLEMENTED
            answer = f"{error.code().name}: {error.details() or 'no details'}"
        else:
            fine = reply.status == HealthCheckReply.SERVING
            answer = f"it answers {HealthCheckReply.ServingStatus.Name(reply.status)}"
        self.silence = "" if fine else f"HealthCheck of the worker: {shorten(answer, ANSWER_BYTES)}"
        if fine:
            self._seen = time.monotonic()
        return fine

    def process(self, element: Element, session: str, token: str, folder: Path) -> Call:
        """Begin one execution: a call to be awaited, which raises AioRpcError, or cancelled."""
        request = ProcessRequest(
            communication_token=token,
            session_id=session,
            task_id=element.task_id,
            task_options=self._options_of(element.options),
            expected_output_keys=element.expected,
            payload_id=element.payload_id,
            data_dependencies=element.dependencies,
            data_folder=str(folder),
            configuration=CONFIGURATION,
        )
        return self._stub.Process(request, timeout=element.max_duration)

    def answered(self) -> None:
        """It has just answered a call, so it is there."""
        self._seen = time.monotonic()

    def _options_of(self, options: TaskOptions) -> TaskOptionsMessage:
        if self._options is None or self._options[0] is not options:
            self._options = (options, options_message(options))
        return self._options[1]


def options_message(options: TaskOptions) -> TaskOptionsMessage:
    """Options as the worker reads them."""
    message = TaskOptionsMessage(
        options=options.options or {},
        max_retries=options.max_retries or 0,
        priority=options.priority or 0,
        partition_id=options.partition or "",
        engine_type=options.engine_type or "",
    )
    message.max_duration.seconds = options.max_duration_seconds or 0
    if application := options.application:
        message.application_name = application.name or ""
        message.application_version = application.version or ""
        message.application_namespace = application.namespace or ""
        message.application_service = application.service or ""
    return message
