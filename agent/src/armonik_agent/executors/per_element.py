"""Executes elements one by one, as ArmoniK's own workers take them."""

import asyncio
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import grpc
import grpc.aio

from armonik_agent.data.elements import Element
from armonik_agent.data.shared_folder import Folder
from armonik_agent.executors.executor import Batch, ElementEnd, Produced
from armonik_agent.executors.verdict import Disposition, ExecutionResult, of_failure, of_reply
from armonik_agent.worker.agent_service import AgentService, Execution
from armonik_agent.worker.client import Call, Worker
from armonik_sdk.api.names import RunId

INTERRUPTED = ExecutionResult(Disposition.INTERRUPTED, worker_busy=True)
"""The worker does not notice that its call was cancelled."""


@dataclass
class InFlight:
    """An execution that the worker was given."""

    execution: Execution
    call: Call
    started: float = field(default_factory=lambda: time.monotonic())
    ended: float = 0.0
    """When the worker answered, which may be long before anybody looks; 0 when nobody has noted it."""
    interrupted: bool = False

    @property
    def seconds(self) -> float:
        """How long it took; or so far."""
        return (self.ended or time.monotonic()) - self.started


class PerElementExecutor:
    """One `Process` call for each element."""

    def __init__(self, worker: Worker, service: AgentService, run: RunId, folder: Folder) -> None:
        self._worker, self._service, self._run, self._folder = worker, service, run, folder
        self._in_flight: InFlight | None = None

    @property
    def busy(self) -> bool:
        """Whether an element is executed, or has been and was not waited for."""
        return self._in_flight is not None

    @property
    def current(self) -> Element | None:
        """The element that the worker has."""
        return self._in_flight.execution.element if self._in_flight is not None else None

    @property
    def in_flight(self) -> Sequence[int]:
        """The same, as a list."""
        return [self.current.index] if self.current is not None else []

    def room(self, most: int) -> int:
        """One while the worker has none."""
        return 0 if self.busy else min(1, most)

    async def give(self, elements: Sequence[Element], held: Mapping[str, bytes]) -> None:
        """Begin the call for the one element; its inputs are all in the folder."""
        (element,) = elements
        execution = Execution(secrets.token_hex(16), self._run, element, self._folder)
        call = self._worker.process(element, self._run.session, execution.token, self._folder.path)
        self._service.begin(execution)
        self._in_flight = begun = InFlight(execution, call)

        def note(_: object) -> None:
            begun.ended = time.monotonic()

        call.add_done_callback(note)

    async def wait(self) -> Batch:
        """Wait for the answer: exactly one element has ended then."""
        begun = self._in_flight
        assert begun is not None  # it is busy
        execution = begun.execution
        try:
            result = await self._answer(begun)
        finally:
            self._in_flight = None
            self._service.end(execution)
        if result.ending is Disposition.FAILED:
            self._worker.doubt()
        produced = Produced(
            files={name: name for name in execution.written},
            subtasks=execution.children,
            delegated=frozenset(execution.delegated.intersection(execution.element.expected)),
        )
        return Batch([ElementEnd(execution.element, result, begun.seconds, produced, execution.files)])

    async def _answer(self, begun: InFlight) -> ExecutionResult:
        execution = begun.execution
        try:
            reply = await begun.call
        except grpc.aio.AioRpcError as error:
            if execution.beyond:
                return ExecutionResult(Disposition.FINAL, execution.beyond)
            limit = execution.element.max_duration
            return of_failure(error.code(), error.details(), begun.seconds, limit)
        except asyncio.CancelledError:
            if not begun.interrupted:
                raise  # this very task is being cancelled
            return INTERRUPTED
        self._worker.answered()
        return of_reply(reply, execution.missing)

    async def recall(self, indexes: Sequence[int]) -> None:
        """Nothing: what the worker has, it has begun."""

    async def stop(self, indexes: Sequence[int]) -> bool:
        """Interrupt the element if it is one of these."""
        if self.current is None or self.current.index not in indexes:
            return False
        self.interrupt()
        return True

    def interrupt(self) -> None:
        """Cancel the call, if there is one."""
        if self._in_flight is not None:
            self._in_flight.interrupted = True
            self._in_flight.call.cancel()

    def abandon(self) -> None:
        """Nothing: the worker continues whoever listens, so its answer is waited for."""
