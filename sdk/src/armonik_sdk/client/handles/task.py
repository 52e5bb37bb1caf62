"""The handle of a Task."""

import logging
import math
from collections.abc import AsyncIterator, Iterable
from typing import NamedTuple

from armonik_sdk.api.const import DEFAULT_OUTPUT, ConditionType
from armonik_sdk.api.kinds import (
    ObjectRef,
    Task,
    TaskState,
    TaskStatus,
)
from armonik_sdk.api.ranges import Ranges
from armonik_sdk.client.deadline import Deadline
from armonik_sdk.client.errors import AlreadyExists
from armonik_sdk.client.handles.base import Handle, holds
from armonik_sdk.client.results.output import ResultHandle
from armonik_sdk.client.results.printed import printed_by, printed_by_all
from armonik_sdk.client.results.stream import Order, collect
from armonik_sdk.client.results.task_source import TaskSource
from armonik_sdk.client.transport.connection import Connection
from armonik_sdk.client.transport.kube import TASKS

log = logging.getLogger(__name__)


class Unsuccessful(NamedTuple):
    """Elements that ended without success."""

    failed: Ranges
    timed_out: Ranges
    cancelled: Ranges


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
            WaitTimeout: the time, in seconds, is over; the task continues.
            NotFound: it was deleted.
        """
        found = await self._until(lambda t: holds(t.status, ConditionType.FINISHED), timeout, "finished")
        return found.status or TaskStatus()

    async def cancel(self, indexes: Iterable[int] | None = None) -> None:
        """End what has not ended, or these elements alone. It cannot be undone.

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

    async def unsuccessful(self) -> Unsuccessful:
        """Which elements have ended without success, and how; also where they are too many for the status.

        Raises:
            NotFound: the task was deleted.
            Unavailable, ResultError: they are in an object, which cannot be read.
        """
        status = await self.status()
        if not status.detail_ref:
            texts = (status.failed_indexes, status.timed_out_indexes, status.cancelled_indexes)
            return Unsuccessful(*map(Ranges.parse, texts))
        link = await self._connection.link()
        lines = (await link.get(ObjectRef(key=status.detail_ref))).decode().splitlines()
        said = {name: text.strip() for name, _, text in (line.partition(":") for line in lines)}
        return Unsuccessful(*(Ranges.parse(said.get(f"{how}_indexes", "")) for how in Unsuccessful._fields))

    def output(self, index: int = 0, name: str = DEFAULT_OUTPUT) -> ResultHandle:
        """The handle of one output of one element."""
        source = self.source()
        return ResultHandle(source, source.id(index, name))

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

        async def handed(index: int) -> bytes:
            return await self.result(output, index=index, timeout=deadline.rest())

        async for item in collect(self.source(), output, order, deadline, handed):
            yield item

    async def printed(self, index: int = 0) -> str | None:
        """What the last execution of an element printed: its beginning and its end, if that is much.

        It is kept with the outcome, also when the pod is gone, of elements that our own workers executed.

        Returns:
            The text, empty where nothing is kept; None if the element has not ended.

        Raises:
            ResultDamaged: the text is missing or altered.
            Unavailable: NATS or the object store do not answer.
        """
        return await printed_by(self.source(), index)

    async def printed_by_all(self) -> AsyncIterator[tuple[int, str]]:
        """The same of each element that has ended and printed something, as (index, text), ascending.

        Raises:
            as `printed`.
        """
        async for one in printed_by_all(self.source()):
            yield one

    async def finished(self) -> bool:
        """Whether every element has ended."""
        return await self.source().finished()

    async def session_uid(self) -> str:
        """UID of the session that admitted the task."""
        if not self._session:
            found = await self._until(lambda t: t.status is not None and bool(t.status.session_uid))
            self._session = found.status.session_uid if found.status else ""
        return self._session

    def source(self) -> TaskSource:
        """The task as the source of its results."""
        return TaskSource(
            connection=self._connection,
            namespace=self.namespace,
            task=self.uid,
            total=self.total,
            submitted=self._sent,
            session_uid=self.session_uid,
            status=self.status,
        )
