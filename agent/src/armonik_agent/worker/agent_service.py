"""The service that workers call: all is buffered, and committed after the worker's success or dropped."""

import asyncio
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import grpc
from armonik.protogen.common import agent_common_pb2 as wire
from armonik.protogen.common.result_status_pb2 import RESULT_STATUS_CREATED
from armonik.protogen.worker.agent_service_pb2_grpc import AgentServicer, add_AgentServicer_to_server

from armonik_agent.data.elements import Element
from armonik_agent.data.shared_folder import Folder, plain_name
from armonik_agent.data.subtask_lines import Line, Lines, line_of
from armonik_agent.rpc import Server
from armonik_agent.worker.result_lookup import Results
from armonik_sdk.api.bounds import MAX_CREATED, MAX_REQUEST_BYTES
from armonik_sdk.api.errors import explain
from armonik_sdk.api.kinds import Application, Dependency, ObjectRef, Payload, TaskOptions
from armonik_sdk.api.kinds.options import merge_options
from armonik_sdk.api.messages import ManifestItem
from armonik_sdk.api.names import RunId, split_result_id
from armonik_sdk.api.results import ResultState
from armonik_sdk.dataplane.errors import ChecksumMismatch, DataPlaneError, ObjectMissing
from armonik_sdk.dataplane.s3.store import ObjectStore

ITEMS_AT_ONCE = 200
"""Sub-tasks of a request that are read without a pause for other calls."""
_UNSERVED = "is not served; results are read with GetResourceData"


@dataclass
class Execution:
    """One call of the worker, and what it made so far."""

    token: str
    run: RunId
    element: Element
    folder: Folder
    written: dict[str, None] = field(default_factory=dict)
    """Results whose bytes are complete, by id, in this order."""
    created: dict[str, None] = field(default_factory=dict)
    """Ids made by this execution."""
    fetched: set[str] = field(default_factory=set)
    """Results that it asked for."""
    children: Lines = field(default_factory=Lines)
    delegated: set[str] = field(default_factory=set)
    """Ids whose production was handed to a sub-task."""
    claimed: set[str] = field(default_factory=set)
    """Ids that sub-tasks which are still being checked are to produce."""
    submitting: int = 0
    """How many sub-tasks are being checked."""
    beyond: str = ""
    """Which bound it has asked to exceed: that is final, a retry would fail the same way."""
    read: set[str] = field(default_factory=set)
    """Ids that sub-tasks read."""

    @property
    def missing(self) -> list[str]:
        """Results that nobody will ever write: expected ones, and made ones that a sub-task waits for."""
        wanted = (*self.element.expected, *(name for name in self.created if name in self.read))
        return [name for name in wanted if name not in self.written and name not in self.delegated]

    @property
    def files(self) -> Iterable[str]:
        """Files that this execution may have left in the folder, its inputs aside."""
        return {*self.element.expected, *self.created, *self.fetched}.difference(self.element.inputs)

    def owns(self, name: str) -> bool:
        """Whether it may write a result, or hand it to a sub-task."""
        return name in self.created or name in self.element.expected

    def payload(self, name: str) -> Payload:
        """Of a sub-task. Its own may be passed on, even if it is no result that others can name."""
        if name == self.element.payload_id and not self.element.payload_is_result:
            ref = self.element.inputs.get(name)
            if ref is None:
                return Payload(inline="")
            return Payload(data=ref.data) if ref.data is not None else Payload(object=ref)
        return Payload(result=name)


class AgentService(AgentServicer):  # type: ignore[misc]  # generated without types
    """Finds the execution by its token; a wrong token is INVALID_ARGUMENT, none running UNAVAILABLE."""

    def __init__(self, results: Results, store: ObjectStore, spool: Path) -> None:
        self._results, self._store, self._spool = results, store, spool
        self.executions: dict[str, Execution] = {}

    def begin(self, execution: Execution) -> None:
        """Serve a worker's requests for an execution."""
        self.executions[execution.token] = execution

    def end(self, execution: Execution) -> None:
        """Later requests know its token no more."""
        del self.executions[execution.token]

    async def serve(self, socket: Path) -> Server:
        """Listen on a unix socket that any user of the pod may call: the token is the key."""
        await asyncio.to_thread(socket.unlink, missing_ok=True)
        server = Server(MAX_REQUEST_BYTES, self._too_long)
        add_AgentServicer_to_server(self, server)
        await server.start(socket)
        # The worker has a uid of its own; the volume is this pod's alone.
        await asyncio.to_thread(socket.chmod, 0o777)
        return server

    def _too_long(self, text: str) -> None:
        """A request was refused unread. Whose it was is known when there is one execution alone."""
        if len(self.executions) == 1:
            next(iter(self.executions.values())).beyond = text

    def CreateResultsMetaData(self, request: Any, context: Any) -> Any:  # noqa: N802 - the service's name
        """Ids for results whose bytes follow."""
        execution = self._execution(request, context)
        _bounded(execution, context, len(execution.created) + len(request.results), "results")
        results = [_create(execution, asked.name) for asked in request.results]
        return wire.CreateResultsMetaDataResponse(results=results, communication_token=execution.token)

    async def CreateResults(self, request: Any, context: Any) -> Any:  # noqa: N802 - the service's name
        """Results with their bytes."""
        execution = self._execution(request, context)
        _bounded(execution, context, len(execution.created) + len(request.results), "results")
        results = [_create(execution, asked.name) for asked in request.results]
        for created, asked in zip(results, request.results, strict=True):
            await asyncio.to_thread(execution.folder.write, created.result_id, asked.data)
            execution.written[created.result_id] = None
        return wire.CreateResultsResponse(results=results, communication_token=execution.token)

    def NotifyResultData(self, request: Any, context: Any) -> Any:  # noqa: N802 - the service's name
        """The bytes of these results are complete in the data folder."""
        execution = self._execution(request, context)
        ids = [identifier.result_id for identifier in request.ids]
        for name in ids:
            if not execution.owns(name):
                _refuse(context, grpc.StatusCode.NOT_FOUND, f"{name} is no result of this task")
            if name in execution.delegated or name in execution.claimed:
                text = f"{name} is handed to a sub-task already, which alone may write it"
                _refuse(context, grpc.StatusCode.INVALID_ARGUMENT, text)
            if execution.folder.size(name) is None:
                _refuse(context, grpc.StatusCode.NOT_FOUND, f"{name} is no file of the data folder")
        execution.written |= dict.fromkeys(ids)
        return wire.NotifyResultDataResponse(result_ids=ids)

    async def SubmitTasks(self, request: Any, context: Any) -> Any:  # noqa: N802 - the service's name
        """Sub-tasks; they exist once this task has succeeded. All of a request are taken, or none."""
        execution = self._execution(request, context)
        count = len(execution.children) + execution.submitting + len(request.task_creations)
        _bounded(execution, context, count, "sub-tasks")
        claimed = _claim(execution, request.task_creations, context)
        # All of it is taken before anything is waited for: other calls of the worker come between.
        execution.claimed |= claimed
        execution.submitting += len(request.task_creations)
        try:
            items = await self._items(execution, request, context)
        finally:
            execution.claimed -= claimed
            execution.submitting -= len(request.task_creations)
        first = len(execution.children)
        try:
            execution.children.grow(*items)
        except ValueError as error:
            execution.beyond = explain(error)
            _refuse(context, grpc.StatusCode.RESOURCE_EXHAUSTED, execution.beyond)
        execution.delegated |= claimed
        infos = [
            wire.SubmitTasksResponse.TaskInfo(
                task_id=f"{execution.element.task_id}.child.{number}",
                expected_output_ids=creation.expected_output_keys,
                data_dependencies=creation.data_dependencies,
                payload_id=creation.payload_id,
            )
            for number, creation in enumerate(request.task_creations, first)
        ]
        for creation in request.task_creations:
            execution.read |= {creation.payload_id, *creation.data_dependencies}
        return wire.SubmitTasksResponse(task_infos=infos, communication_token=execution.token)

    async def _items(self, execution: Execution, request: Any, context: Any) -> list[Line]:
        """The sub-tasks of a request, whose outputs are claimed already."""
        own = execution.element.payload_id
        items = []
        for number, creation in enumerate(request.task_creations, 1):
            if number % ITEMS_AT_ONCE == 0:
                await asyncio.sleep(0)  # nobody else waits for all of a long request
            for name in (creation.payload_id, *creation.data_dependencies):
                await self._check_readable(execution, name, context)
            if own in creation.data_dependencies and not execution.element.payload_is_result:
                text = f"{own} is no result, so nothing can depend on it; it can be passed on as payload"
                _refuse(context, grpc.StatusCode.INVALID_ARGUMENT, text)
            try:
                given = _options(creation.task_options) if creation.HasField("task_options") else None
                shared = _options(request.task_options) if request.HasField("task_options") else None
                item = ManifestItem(
                    payload=execution.payload(creation.payload_id),
                    depends_on=[Dependency(result=name) for name in creation.data_dependencies],
                    options=merge_options(given, shared, execution.element.options),
                    output_ids=list(creation.expected_output_keys),
                )
            except ValueError as error:
                _refuse(context, grpc.StatusCode.INVALID_ARGUMENT, f"sub-task refused: {explain(error)}")
            items.append(line_of(item))
        return items

    async def GetResourceData(self, request: Any, context: Any) -> Any:  # noqa: N802 - the service's name
        """Lay a result of the session into the data folder; inputs lie there from the start."""
        execution = self._execution(request, context)
        name = request.result_id
        if not plain_name(name):
            _refuse(context, grpc.StatusCode.INVALID_ARGUMENT, f"{name!r} is no id of a result")
        if execution.folder.size(name) is None:
            ref = await self._locate(execution, name, context)
            path = self._spool / uuid.uuid4().hex
            try:
                await self._store.download(ref, path)
                await asyncio.to_thread(execution.folder.adopt, name, path)
            except (ObjectMissing, ChecksumMismatch) as error:
                _refuse(context, grpc.StatusCode.NOT_FOUND, f"the data of {name} is lost: {error}")
            except DataPlaneError as error:
                _refuse(context, grpc.StatusCode.UNAVAILABLE, str(error))
            execution.fetched.add(name)
        return wire.DataResponse(result_id=name)

    async def GetCommonData(self, request: Any, context: Any) -> Any:  # noqa: N802 - the service's name
        """Not served: no ArmoniK ever did."""
        _refuse(context, grpc.StatusCode.UNIMPLEMENTED, f"GetCommonData {_UNSERVED}")

    async def GetDirectData(self, request: Any, context: Any) -> Any:  # noqa: N802 - the service's name
        """Not served: no ArmoniK ever did."""
        _refuse(context, grpc.StatusCode.UNIMPLEMENTED, f"GetDirectData {_UNSERVED}")

    async def CreateTask(self, requests: Any, context: Any) -> Any:  # noqa: N802 - the service's name
        """Not served: deprecated in the API."""
        _refuse(context, grpc.StatusCode.UNIMPLEMENTED, "CreateTask is deprecated; use SubmitTasks")

    def _execution(self, request: Any, context: Any) -> Execution:
        if not self.executions:
            _refuse(context, grpc.StatusCode.UNAVAILABLE, "no task is running that may ask for anything")
        execution = self.executions.get(request.communication_token)
        if execution is None:
            _refuse(context, grpc.StatusCode.INVALID_ARGUMENT, "unknown communication token")
        return execution

    async def _check_readable(self, execution: Execution, name: str, context: Any) -> None:
        """A sub-task may read what this task made or got, and any result of the session."""
        if execution.owns(name) or name in execution.element.inputs or name == execution.element.payload_id:
            return
        state = (await self._find(execution, name, context))[0]
        if state in (ResultState.ABORTED, ResultState.DELETED):
            _refuse(context, grpc.StatusCode.FAILED_PRECONDITION, f"result {name} is {state}")
        if state is None and split_result_id(name) is None:
            _refuse(context, grpc.StatusCode.NOT_FOUND, f"result {name} does not exist in this session")

    async def _locate(self, execution: Execution, name: str, context: Any) -> ObjectRef:
        state, ref = await self._find(execution, name, context)
        if ref is None:
            text = f"result {name} {'is ' + state if state else 'does not exist in this session'}"
            _refuse(context, grpc.StatusCode.NOT_FOUND, text)
        return ref

    async def _find(
        self, execution: Execution, name: str, context: Any
    ) -> tuple[ResultState | None, ObjectRef | None]:
        if not plain_name(name):
            _refuse(context, grpc.StatusCode.INVALID_ARGUMENT, f"{name!r} is no id of a result")
        try:
            return await self._results.find(execution.run, name)
        except DataPlaneError as error:
            _refuse(context, grpc.StatusCode.UNAVAILABLE, str(error))


def _create(execution: Execution, name: str) -> Any:
    created = str(uuid.uuid4())
    execution.created[created] = None
    return wire.ResultMetaData(
        session_id=execution.run.session, result_id=created, name=name, status=RESULT_STATUS_CREATED
    )


def _claim(execution: Execution, creations: Iterable[Any], context: Any) -> set[str]:
    """The results that these sub-tasks are to make, checked."""
    code = grpc.StatusCode.INVALID_ARGUMENT
    claimed: set[str] = set()
    for name in (name for creation in creations for name in creation.expected_output_keys):
        if not execution.owns(name):
            _refuse(context, code, f"{name} is no result of this task, so no sub-task can get it")
        if name in execution.delegated or name in execution.claimed or name in claimed:
            _refuse(context, code, f"{name} is handed to another sub-task already")
        if name in execution.written:
            _refuse(context, code, f"{name} is written already, so no sub-task can get it")
        claimed.add(name)
    return claimed


def _bounded(execution: Execution, context: Any, count: int, what: str) -> None:
    if count > MAX_CREATED:
        execution.beyond = f"more than {MAX_CREATED} {what} of one execution"
        _refuse(context, grpc.StatusCode.RESOURCE_EXHAUSTED, execution.beyond)


def _refuse(context: Any, code: grpc.StatusCode, text: str) -> NoReturn:
    context.refuse(code, text)
    raise AssertionError("refuse always raises")


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
