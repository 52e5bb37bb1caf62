"""A Task of a cluster."""

import json
import logging
import math
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from typing import Final

from armonik_sdk.api.const import DEFAULT_OUTPUT, ERROR_OUTPUT, ConditionStatus, ConditionType, FailureReason
from armonik_sdk.api.kinds import Dependency, Item, ObjectRef, Task, is_true
from armonik_sdk.api.records import carried
from armonik_sdk.client.deadline import Deadline
from armonik_sdk.client.errors import ClientError, ResultAborted, ResultDamaged, ResultDeleted, ResultError
from armonik_sdk.client.facts import explain_model
from armonik_sdk.client.handles.session import SessionHandle
from armonik_sdk.client.handles.task import TaskHandle
from armonik_sdk.client.manifest import Element
from armonik_sdk.client.results.location import Found, Undecided
from armonik_sdk.client.results.output import ResultHandle
from armonik_sdk.client.results.printed import printed_by
from armonik_sdk.client.results.stream import Located, located_outputs, read_located
from armonik_sdk.client.results.task_source import TaskSource
from armonik_sdk.client.transport.connection import Connection
from armonik_sdk.explain import Explanation
from armonik_sdk.grid.protocol import ElementInfo, Ended, Failure, LogLine, Order, TaskInfo, Why, phase_of

log = logging.getLogger("armonik_sdk")

READ_BYTES: Final = 4 * 1024 * 1024
"""Bytes of a list of items that are read in one request."""
_EXECUTED: Final = (
    FailureReason.WORKER_ERROR,
    FailureReason.ATTEMPTS_EXHAUSTED,
    FailureReason.MAX_DURATION_EXCEEDED,
)
"""How an element ends that was executed and has left something beside the reason."""
_SAID: Final = (ConditionType.READY, ConditionType.WAITING, ConditionType.QUEUE_FULL)


class ClusterTask:
    """A Task of a cluster."""

    def __init__(self, connection: Connection, session: SessionHandle, handle: TaskHandle) -> None:
        self._connection, self._session, self._handle = connection, session, handle
        self.name, self.uid, self.total = handle.name, handle.uid, handle.total

    async def outcomes(self, order: Order = "completion") -> AsyncIterator[list[Ended]]:
        """How its elements end, each once."""
        seen = bytearray(self.total)
        source = self._handle.source()
        try:
            async for located in located_outputs(source, DEFAULT_OUTPUT, order, Deadline(None)):
                for index, _ in located:
                    seen[index] = 1
                if located:
                    yield [ended_of(one) for one in located]
        except ResultAborted as aborted:
            # It has finished, and some elements have no entry of their own: they never ran.
            failure = Failure(aborted.reason, aborted.detail)
            yield [Ended(index, failure=failure) for index in range(self.total) if not seen[index]]

    async def handed(self, index: int) -> Ended:
        """How the output ends that this element left to a sub-task."""
        return await self.element(index)

    async def element(self, index: int) -> Ended:
        """How this one element ended; waits for it."""
        try:
            found = await self._handle.output(index).wait()
        except ResultAborted as aborted:
            return Ended(index, failure=await self._explained(index, aborted))
        except ResultDeleted as error:
            return Ended(index, failure=Failure("Deleted", str(error)))
        except ResultDamaged as error:
            return Ended(index, failure=Failure("Damaged", str(error)))
        return Ended(index, found.place, size=found.length)

    async def _explained(self, index: int, aborted: ResultAborted) -> Failure:
        """Why, with the exception if the worker brought one."""
        source, index, aborted = await self._owed(index, aborted)
        if aborted.reason not in _EXECUTED:
            return _failure(aborted)
        try:
            error = (await ResultHandle(source, source.id(index, ERROR_OUTPUT)).wait()).place
        except ResultError:  # it brought none
            return replace(_failure(aborted), printed=await self._printed(source, index))
        return Failure(aborted.reason, aborted.detail, error=error)

    async def _owed(self, index: int, aborted: ResultAborted) -> tuple[TaskSource, int, ResultAborted]:
        """The element that failed to make it, a sub-task's where the output was handed over, and why."""
        source, owner = self._handle.source(), aborted.owner
        if owner is None or owner == (self.uid, index):
            return source, index, aborted
        # Its number of elements is not known; of several, runs are looked for.
        source = replace(source, task=owner[0], total=2, submitted=-math.inf)
        try:
            await ResultHandle(source, source.id(owner[1], DEFAULT_OUTPUT)).found()
        except ResultAborted as own:
            if own.reason in set(FailureReason):
                return source, owner[1], own
        except ClientError as error:  # the chain of reasons is there already
            log.debug("why element %s of %s failed is not read: %s", owner[1], owner[0], error)
        return source, owner[1], aborted

    async def _printed(self, source: TaskSource, index: int) -> bytes | None:
        try:
            return (await printed_by(source, index) or "").encode() or None
        except ClientError as error:  # the failure itself is what counts
            log.debug("what element %s of task %s printed is not shown: %s", index, self.name, error)
            return None

    async def read(self, ended: Sequence[Ended]) -> dict[int, bytes]:
        """The bytes of these outputs, by index; neighbours in one request."""
        found = [(one.index, Found(one.place)) for one in ended if one.place is not None]
        return await read_located(await self._connection.link(), found)

    async def again(self, name: str, indexes: Sequence[int]) -> "ClusterTask":
        """Make a Task of these elements once more."""
        task = await self._handle.read()
        spec = task.spec
        items = await self._items(task, indexes)
        made = await self._session.submit(
            name=name,
            items=[_element(item) for item in items],
            payload=spec.payload,
            depends_on=spec.depends_on or (),
            outputs=spec.outputs,
            options=spec.options,
            labels=task.metadata.labels or {},
        )
        return ClusterTask(self._connection, self._session, made)

    async def _items(self, task: Task, indexes: Sequence[int]) -> list[Item]:
        """These items, of the manifest or of the object that lists them."""
        spec = task.spec
        if spec.items is not None:
            return [spec.items[index] for index in indexes]
        if spec.items_ref is None:
            return [Item() for _ in indexes]
        wanted, found, number = set(indexes), list[Item](), 0
        async for line in self._lines(spec.items_ref.object):
            if number in wanted:
                found.append(Item.model_validate(json.loads(line)))
            number += 1
        return found

    async def _lines(self, key: str) -> AsyncIterator[bytes]:
        link, at, rest = await self._connection.link(), 0, b""
        while True:
            piece = await link.get(ObjectRef(key=key, offset=at, length=READ_BYTES))
            at += len(piece)
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                yield line
            if len(piece) < READ_BYTES:
                break
        if rest:
            yield rest

    async def info(self) -> TaskInfo:
        """Its state now."""
        return task_info(await self._handle.read())

    async def why(self, index: int | None = None) -> Why:
        """Why it is not further, or this element of it; empty when all has ended."""
        task = await self._handle.read()
        if is_true(task.status.conditions if task.status is not None else (), ConditionType.FINISHED):
            return Why()
        one = index if self.total > 1 else None
        return why_of(await explain_model(self._connection.kube, task, one))

    async def logs(self, index: int | None = None) -> AsyncIterator[LogLine]:
        """The lines that are kept of this element, or of all."""
        if index is not None:
            for line in lines_of(await self._handle.printed(index) or ""):
                yield LogLine(self.name, index, line)
            return
        async for number, text in self._handle.printed_by_all():
            for line in lines_of(text):
                yield LogLine(self.name, number, line)

    async def element_info(self, index: int) -> ElementInfo:
        """An element's state now."""
        task = await self._handle.read()
        failed = next((f for f in (task.status.failures if task.status else ()) if f.index == index), None)
        if failed is not None:
            return ElementInfo(phase_of(failed.reason), failed.attempt, failed.reason)
        attempts = task.status.attempts if task.status is not None and self.total == 1 else 0
        try:
            found = await self._handle.output(index).found()
        except ResultAborted as aborted:
            _, _, failure = await self._owed(index, aborted)
            return ElementInfo(phase_of(failure.reason), failure.attempts or attempts, failure.reason)
        except ResultDeleted:
            return ElementInfo("Completed", attempts)
        if found is not None:
            return ElementInfo("Completed", attempts, size=found.length)
        counts = task.status.elements if task.status is not None else None
        running = counts is not None and counts.running and not counts.pending + counts.queued
        return ElementInfo("Running" if running else "Waiting", attempts)

    async def wait(self, timeout: float | None = None) -> TaskInfo:
        """Until every element has ended."""
        await self._handle.wait(timeout)
        return await self.info()

    async def cancel(self, indexes: Iterable[int] | None = None) -> None:
        """End these elements, or all that have not ended."""
        await self._handle.cancel(indexes)


def ended_of(located: Located) -> Ended:
    """How an element ended, by where its output is."""
    index, place = located
    if isinstance(place, Found):
        return Ended(index, place.place, size=place.length)
    if isinstance(place, ResultAborted):
        return Ended(index, failure=_failure(place))
    assert place in (Undecided.DELEGATED, Undecided.AWAITED)
    return Ended(index, handed_over=True)


def _failure(aborted: ResultAborted) -> Failure:
    return Failure(
        aborted.reason,
        aborted.detail,
        aborted.attempts,
        place_of(aborted.error),
        place_of(aborted.printed),
    )


def lines_of(text: str) -> list[str]:
    """Its lines: a line feed alone ends one."""
    return text.removesuffix("\n").split("\n") if text else []


def why_of(explanation: Explanation) -> Why:
    """An explanation as users of futures get it; without a condition nothing holds it back."""
    return Why(explanation.text, explanation.gist if explanation.reason else "")


def place_of(ref: ObjectRef | None) -> bytes | ObjectRef | None:
    """A place that `ClusterSession.read` takes."""
    return None if ref is None else carried(ref) or ref


def _element(item: Item) -> Element:
    needed: list[Dependency] = list(item.depends_on or ())
    return Element(payload=item.payload, depends_on=needed, outputs=item.outputs, options=item.options)


def task_info(task: Task) -> TaskInfo:
    """What a Task says of itself."""
    status = task.status
    counts = status.elements if status is not None else None
    options = task.spec.options
    service = options.application.service if options and options.application else None
    return TaskInfo(
        name=task.metadata.name,
        function=service or "",
        phase=status.phase if status is not None else "Creating",
        total=task.spec.total,
        pending=counts.pending if counts else task.spec.total,
        queued=counts.queued if counts else 0,
        running=counts.running if counts else 0,
        succeeded=counts.succeeded if counts else 0,
        failed=counts.failed + counts.timed_out if counts else 0,
        cancelled=counts.cancelled if counts else 0,
        created=task.metadata.creation_timestamp,
        why=_why(task),
    )


def _why(task: Task) -> str:
    """Why it waits, in the operator's words."""
    for said in task.status.conditions if task.status is not None else ():
        true = said.status is ConditionStatus.TRUE
        if said.type in _SAID and true == (said.type != ConditionType.READY):
            return f"{said.reason}: {said.message}"
    return ""
