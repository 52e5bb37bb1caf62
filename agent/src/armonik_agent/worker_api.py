"""The service that workers call: all is buffered, and committed after the worker's success or dropped."""

import asyncio
import stat
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import grpc
import grpc.aio
from armonik.protogen.common import agent_common_pb2 as wire
from armonik.protogen.common.result_status_pb2 import RESULT_STATUS_CREATED
from armonik.protogen.worker.agent_service_pb2_grpc import AgentServicer, add_AgentServicer_to_server

from armonik_agent.elements import Element
from armonik_agent.inputs import plain_name
from armonik_sdk.api.kinds import Application, Dependency, Payload, TaskOptions
from armonik_sdk.api.messages import ManifestItem

MAX_CREATED = 100_000
"""Results and sub-tasks that one execution may make."""


@dataclass
class Execution:
    """One call of the worker, and what it made so far."""

    token: str
    session: str
    element: Element
    folder: Path
    written: dict[str, Path] = field(default_factory=dict)
    """Results whose bytes are complete, by id."""
    created: set[str] = field(default_factory=set)
    """Ids made by this execution."""
    children: list[ManifestItem] = field(default_factory=list)
    delegated: set[str] = field(default_factory=set)
    """Ids whose production was handed to a sub-task."""

    @property
    def missing(self) -> list[str]:
        """Expected results that were neither written nor handed over."""
        return [i for i in self.element.expected if i not in self.written and i not in self.delegated]


class AgentService(AgentServicer):  # type: ignore[misc]  # generated without types
    """Finds the execution by its token; a wrong token is INVALID_ARGUMENT, none running UNAVAILABLE."""

    def __init__(self) -> None:
        self.executions: dict[str, Execution] = {}

    async def serve(self, socket: Path) -> grpc.aio.Server:
        """Listen on a unix socket that any user of the pod may call: the token is the key."""
        await asyncio.to_thread(socket.unlink, missing_ok=True)
        server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
        add_AgentServicer_to_server(self, server)
        server.add_insecure_port(f"unix://{socket}")
        await server.start()
        # The worker has a uid of its own; the volume is this pod's alone.
        await asyncio.to_thread(socket.chmod, 0o777)
        return server

    async def CreateResultsMetaData(self, request: Any, context: Any) -> Any:  # noqa: N802 - the service's name
        """Ids for results whose bytes follow."""
        execution = await self._execution(request, context)
        results = [await self._create(execution, r.name, context) for r in request.results]
        return wire.CreateResultsMetaDataResponse(results=results, communication_token=execution.token)

    async def CreateResults(self, request: Any, context: Any) -> Any:  # noqa: N802 - the service's name
        """Results with their bytes."""
        execution = await self._execution(request, context)
        results = []
        for asked in request.results:
            made = await self._create(execution, asked.name, context)
            path = execution.folder / made.result_id
            await asyncio.to_thread(path.write_bytes, asked.data)
            execution.written[made.result_id] = path
            results.append(made)
        return wire.CreateResultsResponse(results=results, communication_token=execution.token)

    async def NotifyResultData(self, request: Any, context: Any) -> Any:  # noqa: N802 - the service's name
        """The bytes of these results are complete in the data folder."""
        execution = await self._execution(request, context)
        ids = [identifier.result_id for identifier in request.ids]
        for name in ids:
            if name not in execution.element.expected and name not in execution.created:
                await _refuse(context, grpc.StatusCode.NOT_FOUND, f"{name} is no result of this task")
            path = execution.folder / name
            if not plain_name(name) or not path.exists() or not stat.S_ISREG(path.lstat().st_mode):
                await _refuse(context, grpc.StatusCode.NOT_FOUND, f"{name} is no file of the data folder")
            execution.written[name] = path
        return wire.NotifyResultDataResponse(result_ids=ids)

    async def SubmitTasks(self, request: Any, context: Any) -> Any:  # noqa: N802 - the service's name
        """Sub-tasks; they exist once this task has succeeded."""
        execution = await self._execution(request, context)
        infos = []
        for creation in request.task_creations:
            outputs = list(creation.expected_output_keys)
            for name in outputs:
                if name in execution.delegated:
                    text = f"{name} is handed to another sub-task already"
                    await _refuse(context, grpc.StatusCode.INVALID_ARGUMENT, text)
            if len(execution.children) >= MAX_CREATED:
                await _refuse(
                    context, grpc.StatusCode.RESOURCE_EXHAUSTED, f"more than {MAX_CREATED} sub-tasks"
                )
            options = creation.task_options if creation.HasField("task_options") else request.task_options
            try:
                item = ManifestItem(
                    payload=Payload(result=creation.payload_id),
                    depends_on=[Dependency(result=name) for name in creation.data_dependencies],
                    options=_options(options),
                    output_ids=outputs,
                )
            except ValueError as error:
                await _refuse(context, grpc.StatusCode.INVALID_ARGUMENT, f"sub-task refused: {error}")
            execution.children.append(item)
            execution.delegated |= set(outputs)
            infos.append(
                wire.SubmitTasksResponse.TaskInfo(
                    task_id=f"{execution.element.task_id}.child.{len(execution.children) - 1}",
                    expected_output_ids=outputs,
                    data_dependencies=creation.data_dependencies,
                    payload_id=creation.payload_id,
                )
            )
        return wire.SubmitTasksResponse(task_infos=infos, communication_token=execution.token)

    async def GetResourceData(self, request: Any, context: Any) -> Any:  # noqa: N802 - the service's name
        """A result lies in the data folder; the inputs do from the start."""
        execution = await self._execution(request, context)
        name = request.result_id
        if not plain_name(name) or not (execution.folder / name).is_file():
            await _refuse(context, grpc.StatusCode.NOT_FOUND, f"{name} is no input of this task")
        return wire.DataResponse(result_id=name)

    async def _execution(self, request: Any, context: Any) -> Execution:
        if not self.executions:
            await _refuse(context, grpc.StatusCode.UNAVAILABLE, "No task is accepting request")
        execution = self.executions.get(request.communication_token)
        if execution is None:
            await _refuse(context, grpc.StatusCode.INVALID_ARGUMENT, "unknown communication token")
        return execution

    async def _create(self, execution: Execution, name: str, context: Any) -> Any:
        if len(execution.created) >= MAX_CREATED:
            await _refuse(context, grpc.StatusCode.RESOURCE_EXHAUSTED, f"more than {MAX_CREATED} results")
        made = str(uuid.uuid4())
        execution.created.add(made)
        return wire.ResultMetaData(
            session_id=execution.session, result_id=made, name=name, status=RESULT_STATUS_CREATED
        )


async def _refuse(context: Any, code: grpc.StatusCode, text: str) -> NoReturn:
    await context.abort(code, text)
    raise AssertionError("abort always raises")


def _options(message: Any) -> TaskOptions:
    """Only what the worker set: zero means unset in its messages."""
    application = Application(
        name=message.application_name or None,
        version=message.application_version or None,
        namespace=message.application_namespace or None,
        service=message.application_service or None,
    )
    given: dict[str, object] = {
        "partition": message.partition_id,
        "priority": message.priority,
        "max_retries": message.max_retries,
        "max_duration_seconds": message.max_duration.seconds,
        "engine_type": message.engine_type,
        "options": dict(message.options),
        "application": application if any(application.model_dump().values()) else None,
    }
    return TaskOptions.model_validate({name: value for name, value in given.items() if value})
