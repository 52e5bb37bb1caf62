"""Handles: what a caller holds of a Session, a Task, a Partition, a result."""

import logging
import math
import secrets
import time
from collections.abc import AsyncIterator, Iterable, Sequence

from armonik_sdk.api.const import DEFAULT_OUTPUT, ConditionType
from armonik_sdk.api.kinds import (
    Dependency,
    Partition,
    PartitionStatus,
    Payload,
    Session,
    SessionState,
    SessionStatus,
    Task,
    TaskOptions,
    TaskState,
    TaskStatus,
    find_condition,
    is_true,
)
from armonik_sdk.api.kinds.status import Status
from armonik_sdk.api.names import result_id
from armonik_sdk.api.ranges import Ranges
from armonik_sdk.client.collect import FRESH_LOOK_SECONDS, Order, Owner, Wanted, collect
from armonik_sdk.client.connection import Connection
from armonik_sdk.client.deadline import Deadline
from armonik_sdk.client.errors import AlreadyExists, ResultAborted
from armonik_sdk.client.handle import Handle
from armonik_sdk.client.kube import PARTITIONS, SESSIONS, TASKS
from armonik_sdk.client.manifest import Data, Draft, Element, dependencies, plan
from armonik_sdk.client.readable import Readable, ResultInfo
from armonik_sdk.client.results import ClientResult, ResultHandle, create_results, listing

log = logging.getLogger(__name__)


class PartitionHandle(Handle[Partition]):
    """Worker pods of one kind."""

    _kind = PARTITIONS
    _model = Partition

    async def status(self) -> PartitionStatus:
        """What the operator last observed."""
        return (await self.read()).status or PartitionStatus()

    async def wait(self, timeout: float | None = None) -> PartitionStatus:
        """Until its pods serve.

        Raises:
            WaitTimeout: the time, in seconds, is over.
        """
        found = await self._until(lambda p: _holds(p.status, ConditionType.READY), timeout, "ready")
        return found.status or PartitionStatus()


class SessionHandle(Handle[Session]):
    """A session: submit tasks to it, give it data."""

    _kind = SESSIONS
    _model = Session

    async def status(self) -> SessionStatus:
        """What the operator last observed."""
        return (await self.read()).status or SessionStatus()

    async def ready(self, timeout: float | None = None) -> SessionStatus:
        """Until the operator accepted it.

        Raises:
            WaitTimeout: the time, in seconds, is over.
        """
        found = await self._until(lambda s: _holds(s.status, ConditionType.READY), timeout, "ready")
        return found.status or SessionStatus()

    async def wait(self, timeout: float | None = None) -> SessionStatus:
        """Until it is finished: closed or cancelled, with all its work ended.

        Raises:
            WaitTimeout: the time, in seconds, is over.
        """
        found = await self._until(lambda s: _holds(s.status, ConditionType.FINISHED), timeout, "finished")
        return found.status or SessionStatus()

    async def set_state(self, state: SessionState) -> None:
        """Pause, resume, close, cancel or purge it.

        Raises:
            Refused: it cannot go from its state to this one.
        """
        await self._patch({"desiredState": str(state)})

    async def submit(
        self,
        payload: Data | Payload | None = None,
        *,
        name: str | None = None,
        count: int | None = None,
        items: Sequence[Data | Element] | None = None,
        depends_on: Sequence["TaskHandle | Readable | Dependency"] = (),
        outputs: Sequence[str] | None = None,
        options: TaskOptions | None = None,
        ttl_seconds_after_finished: int | None = None,
    ) -> "TaskHandle":
        """Submit a task: one element, `count` equal ones, or one for each of `items`.

        Args:
            payload: input of every element that has none of its own.
            name: DNS label; made up when left out.
            count: number of equal elements.
            items: inputs, or whole elements, of those that differ. Any number: what does not fit into a
                manifest goes to the object store first.
            depends_on: what must be complete first; the worker gets its data.
            outputs: names of the outputs of each element; unset means one, `result`.
            options: what differs from the session's defaults.
            ttl_seconds_after_finished: when to delete the finished task; its results stay.

        Raises:
            Refused: it breaks a rule; the message names the field.
            AlreadyExists: another task has this name.
            Unavailable: object store or apiserver do not answer.
        """
        nonce = secrets.token_hex(8)
        planned = plan(
            Draft(
                namespace=self.namespace,
                session=self.name,
                session_uid=self.uid,
                name=name or f"task-{nonce}",
                nonce=nonce,
                payload=payload,
                count=count,
                items=items,
                depends_on=dependencies(_dependency(needed) for needed in depends_on),
                outputs=outputs,
                options=options,
                ttl_seconds_after_finished=ttl_seconds_after_finished,
            )
        )
        if planned.uploads:
            link = await self._connection.link()
            for key, data in planned.uploads:
                await link.put(key, data)
        sent = time.monotonic()
        made = await self._connection.kube.create(TASKS, self.namespace, planned.task.to_object())
        return TaskHandle(self._connection, Task.from_object(made), session_uid=self.uid, sent=sent)

    async def create_results(
        self, names: Sequence[str] = ("",), *, manual_deletion: bool = False
    ) -> list[ClientResult]:
        """Make results that have no data yet, one for each name; names are for people and need not differ.

        Tasks may depend on them at once, and wait until they are uploaded.

        Args:
            names: at most 253 characters each.
            manual_deletion: a purge of the session leaves them alone; its deletion does not.

        Raises:
            Refused: a name is too long.
            Unavailable: NATS does not answer.
        """
        return await create_results(self._connection, self.namespace, self.uid, names, manual_deletion)

    def result(self, result: str) -> ClientResult:
        """The result with this id, which a client or a worker made."""
        return ClientResult(self._connection, self.namespace, self.uid, result)

    async def results(self) -> AsyncIterator[ResultInfo]:
        """All results that there are: those of clients and workers, then the outputs of tasks.

        Outputs are listed once they are committed. Memory stays small, whatever their number.
        """
        link = await self._connection.link()
        async for info in listing(link, self.namespace, self.uid):
            yield info


class TaskHandle(Handle[Task]):
    """A task of one or many elements."""

    _kind = TASKS
    _model = Task

    def __init__(
        self, connection: Connection, resource: Task, session_uid: str = "", sent: float = -math.inf
    ) -> None:
        super().__init__(connection, resource)
        self._sent = sent
        self.total = resource.spec.total
        """Number of elements."""
        self._session = session_uid or (resource.status.session_uid if resource.status else "")

    async def status(self) -> TaskStatus:
        """What the operator last observed."""
        return (await self.read()).status or TaskStatus()

    async def wait(self, timeout: float | None = None) -> TaskStatus:
        """Until every element has ended, well or not; `status.conditions` say how.

        Raises:
            WaitTimeout: the time, in seconds, is over; the task goes on.
            NotFound: it was deleted.
        """
        found = await self._until(lambda t: _holds(t.status, ConditionType.FINISHED), timeout, "finished")
        return found.status or TaskStatus()

    async def cancel(self, indexes: Iterable[int] | None = None) -> None:
        """End what has not ended, or these elements alone. For good.

        Raises:
            Refused: there is no such element, or more than 1,000 intervals of them would be named.
            NotFound: the task was deleted.
        """
        if indexes is None:
            await self._patch({"desiredState": str(TaskState.CANCELLED)})
            return
        wanted = Ranges.indexes(indexes)
        while True:
            task = await self.read()
            more = wanted - task.spec.cancelled
            if not more:
                return
            intervals = [*(task.spec.cancelled_indexes or ()), *str(more).split(",")]
            try:
                await self._patch({"cancelledIndexes": intervals}, task.metadata.resource_version)
            except AlreadyExists as changed:  # somebody else's change must not get lost
                log.debug("cancelling elements of %r again: %s", self, changed)
            else:
                return

    def output(self, index: int = 0, name: str = DEFAULT_OUTPUT) -> "ResultHandle":
        """The handle of one output of one element."""
        return ResultHandle(self, result_id(self.uid, index, name))

    async def result(
        self, output: str = DEFAULT_OUTPUT, *, index: int = 0, timeout: float | None = None
    ) -> bytes:
        """Wait for one output and return its bytes; raises as `ResultHandle.result` does."""
        return await self.output(index, output).result(timeout)

    async def results(
        self, output: str = DEFAULT_OUTPUT, *, order: Order = "completion", timeout: float | None = None
    ) -> AsyncIterator[tuple[int, bytes]]:
        """An output of all elements, as (index, bytes), each as soon as it is there.

        Memory stays small in both orders, whatever the number of elements.

        Args:
            output: which one.
            order: `completion`, or `index`: then an element waits for all before it.
            timeout: seconds for all of them.

        Raises:
            ResultAborted: an element ended without it; the others can be read one by one.
            WaitTimeout: the time is over.
        """
        deadline = Deadline(timeout)
        link = await self._connection.link()
        wanted = Wanted(self.uid, await self.runs_prefix(), self.total, output)

        async def handed(index: int) -> bytes:
            return await self.result(output, index=index, timeout=deadline.rest())

        owner = Owner(self.finished, self.aborted, handed)
        async for item in collect(link, wanted, owner, order, deadline, fresh=self.fresh):
            yield item

    async def finished(self) -> bool:
        """Whether every element has ended."""
        return _holds(await self.status(), ConditionType.FINISHED)

    @property
    def fresh(self) -> bool:
        """Whether it was submitted from here a moment ago, so that its results can hardly be there."""
        return time.monotonic() - self._sent < FRESH_LOOK_SECONDS

    async def runs_prefix(self) -> str:
        """Of the keys of its runs in RESULTS; what follows is the index of a run's first element."""
        return f"{self.namespace}.{await self.session_uid()}.{self.uid}."

    async def session_uid(self) -> str:
        """UID of the session that admitted the task."""
        if not self._session:
            found = await self._until(lambda t: t.status is not None and bool(t.status.session_uid))
            self._session = found.status.session_uid if found.status else ""
        return self._session

    async def aborted(self, result: str) -> ResultAborted:
        """Why a finished task has no such result."""
        finished = find_condition((await self.status()).conditions, ConditionType.FINISHED)
        reason, message = (finished.reason, finished.message) if finished else ("Aborted", "")
        return ResultAborted(result, reason, message or f"the task ended as {reason} without it")

    @property
    def connection(self) -> Connection:
        """The connection it was made with."""
        return self._connection


def _dependency(needed: "TaskHandle | Readable | Dependency") -> Dependency:
    match needed:
        case TaskHandle():
            return Dependency(task=needed.name)
        case Readable():
            return Dependency(result=needed.id)
        case _:
            return needed


def _holds(status: Status | None, condition: ConditionType) -> bool:
    return status is not None and is_true(status.conditions, condition)
