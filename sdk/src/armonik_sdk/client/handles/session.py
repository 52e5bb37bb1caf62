"""The handle of a Session: it submits Tasks and creates results."""

import asyncio
import math
import secrets
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Final

from armonik_sdk.api.const import ConditionType
from armonik_sdk.api.kinds import (
    Dependency,
    Payload,
    Session,
    SessionState,
    SessionStatus,
    Task,
    TaskOptions,
)
from armonik_sdk.client.handles.base import Handle, holds
from armonik_sdk.client.handles.task import TaskHandle
from armonik_sdk.client.manifest import Data, Draft, Element, dependencies, plan
from armonik_sdk.client.results.base import BaseResult, ResultInfo
from armonik_sdk.client.results.client_result import ClientResult, create_results
from armonik_sdk.client.results.listing import listing
from armonik_sdk.client.transport.kube import SESSIONS, TASKS

LOOK_AGAIN: Final = 5.0
"""Seconds for which a session that was read is taken to be there when tasks are submitted."""


class SessionHandle(Handle[Session]):
    """A session: submit tasks to it, give it data."""

    _kind = SESSIONS
    _model = Session
    _seen: float = -math.inf
    """When it was known to be there last."""

    async def status(self) -> SessionStatus:
        """What the operator last observed."""
        return (await self.read()).status or SessionStatus()

    async def ready(self, timeout: float | None = None) -> SessionStatus:
        """Until the operator accepted it.

        Raises:
            WaitTimeout: the time, in seconds, is over.
        """
        found = await self._until(lambda s: holds(s.status, ConditionType.READY), timeout, "ready")
        return found.status or SessionStatus()

    async def wait(self, timeout: float | None = None) -> SessionStatus:
        """Until it is finished: closed or cancelled, with all its work ended.

        Raises:
            WaitTimeout: the time, in seconds, is over.
        """
        found = await self._until(lambda s: holds(s.status, ConditionType.FINISHED), timeout, "finished")
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
        depends_on: Sequence[TaskHandle | BaseResult | Dependency] = (),
        outputs: Sequence[str] | None = None,
        options: TaskOptions | None = None,
        ttl_seconds_after_finished: int | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> TaskHandle:
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
            labels: of the object, for `kubectl get -l`.

        Raises:
            Refused: it breaks a rule; the message names the field.
            NotFound: the session was deleted.
            AlreadyExists: another task has this name.
            Unavailable: object store or apiserver do not answer.
        """
        await self._there()
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
                labels=labels or {},
            )
        )
        if planned.uploads or planned.streams:
            link = await self._connection.link()
            for key, data in planned.uploads:
                await link.put(key, data)
            for key, pieces in planned.streams:
                await link.put_stream(key, _in_turns(pieces()))
        sent = time.monotonic()
        created = await self._connection.kube.create(TASKS, self.namespace, planned.task.to_object())
        return TaskHandle(self._connection, Task.from_object(created), session_uid=self.uid, sent=sent)

    async def _there(self) -> None:
        """Read the session at intervals; in between a task for one that is gone says so in its status.

        Raises:
            NotFound: it was deleted, or another one has its name.
        """
        if time.monotonic() - self._seen >= LOOK_AGAIN:
            await self.read()
            self._seen = time.monotonic()

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

        Outputs are listed once they are committed. Memory holds the keys of one page (at most 100,000), and
        the ids of outputs that were handed to sub-tasks.
        """
        link = await self._connection.link()
        async for info in listing(link, self.namespace, self.uid):
            yield info


def _dependency(needed: TaskHandle | BaseResult | Dependency) -> Dependency:
    match needed:
        case TaskHandle():
            return Dependency(task=needed.name, uid=needed.uid)
        case BaseResult():
            return Dependency(result=needed.id)
        case _:
            return needed


async def _in_turns(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Others get their turn between the pieces."""
    for piece in pieces:
        yield piece
        await asyncio.sleep(0)
