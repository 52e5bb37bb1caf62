"""The worker's side of the pod: its gRPC service on a unix socket, as PyPI `armonik` serves it."""

import asyncio
import logging
from pathlib import Path

import grpc
import grpc.aio
from armonik.protogen.common.objects_pb2 import Configuration, Empty
from armonik.protogen.common.objects_pb2 import TaskOptions as TaskOptionsMessage
from armonik.protogen.common.worker_common_pb2 import HealthCheckReply, ProcessReply, ProcessRequest
from armonik.protogen.worker.worker_service_pb2_grpc import WorkerStub

from armonik_agent.elements import Element
from armonik_sdk.api.const import DATA_CHUNK_BYTES
from armonik_sdk.api.kinds import TaskOptions

log = logging.getLogger(__name__)

HEALTH_TIMEOUT = 5.0
READY_INTERVAL = 0.5
CHANNEL_OPTIONS = [
    ("grpc.default_authority", "localhost"),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.initial_reconnect_backoff_ms", 200),
]


class Worker:
    """Client of the worker beside this agent."""

    def __init__(self, socket: Path) -> None:
        self._channel = grpc.aio.insecure_channel(f"unix://{socket}", options=CHANNEL_OPTIONS)
        self._stub = WorkerStub(self._channel)

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()

    async def healthy(self) -> bool:
        """Whether the worker says it is. A busy one gives no answer: never ask while it works."""
        try:
            reply = await self._stub.HealthCheck(Empty(), timeout=HEALTH_TIMEOUT)
        except grpc.aio.AioRpcError as error:
            return error.code() is grpc.StatusCode.UNIMPLEMENTED
        return bool(reply.status == HealthCheckReply.SERVING)

    async def until_healthy(self) -> None:
        """Wait until the worker can take work."""
        while not await self.healthy():  # noqa: ASYNC110 - the worker is asked; nobody sets an event
            await asyncio.sleep(READY_INTERVAL)

    async def process(self, element: Element, session: str, token: str, folder: Path) -> ProcessReply:
        """One execution.

        Raises:
            grpc.aio.AioRpcError: the call failed, or took longer than the element may.
        """
        request = ProcessRequest(
            communication_token=token,
            session_id=session,
            task_id=element.task_id,
            task_options=options_message(element.options),
            expected_output_keys=element.expected,
            payload_id=element.payload_id,
            data_dependencies=element.dependencies,
            data_folder=str(folder),
            configuration=Configuration(data_chunk_max_size=DATA_CHUNK_BYTES),
        )
        return await self._stub.Process(request, timeout=element.max_duration)


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
