"""Base of all handles of objects in the cluster."""

import asyncio
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from armonik_sdk.api.const import ConditionStatus, ConditionType
from armonik_sdk.api.kinds import Resource, is_true
from armonik_sdk.api.kinds.status import Status
from armonik_sdk.client.errors import WaitTimeout
from armonik_sdk.client.transport.connection import Connection
from armonik_sdk.client.transport.kube import Kind

_HELD = (ConditionType.WAITING, ConditionType.QUEUE_FULL, ConditionType.CHILDREN_BLOCKED)
"""Conditions that say, while they are True, why work is not done."""

R = TypeVar("R", bound=Resource)


class Handle(Generic[R]):
    """An object in the cluster, by name and UID: one deleted and made again is another one."""

    _kind: Kind
    _model: type[R]

    def __init__(self, connection: Connection, resource: R) -> None:
        self._connection = connection
        self.name = resource.metadata.name
        self.uid = resource.metadata.uid
        self.namespace = resource.metadata.namespace or connection.namespace

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.namespace}/{self.name})"

    async def read(self) -> R:
        """The whole object.

        Raises:
            NotFound: it is gone.
        """
        return await self._until(lambda _: True)

    async def delete(self) -> None:
        """Delete it; one that is gone already is fine."""
        await self._connection.kube.delete(self._kind, self.namespace, self.name, self.uid)

    async def until(self, done: Callable[[R], bool], timeout: float | None = None, what: str = "") -> R:
        """The object once `done` accepts it.

        Raises:
            WaitTimeout: the time, in seconds, is over; says that it is not `what`.
            NotFound: it is gone.
        """
        return await self._until(done, timeout, what)

    async def _until(self, done: Callable[[R], bool], timeout: float | None = None, what: str = "") -> R:
        last: R | None = None

        def is_done(obj: dict[str, Any]) -> bool:
            nonlocal last
            last = self._model.from_object(obj)
            return done(last)

        try:
            async with asyncio.timeout(timeout):
                found = await self._connection.kube.until(
                    self._kind, self.namespace, self.name, self.uid, is_done
                )
        except TimeoutError as error:
            raise WaitTimeout(f"{self!r} is not {what} after {timeout} s{_why(last)}") from error
        return self._model.from_object(found)

    async def _patch(self, spec: dict[str, object], version: str | None = None) -> None:
        """Change the spec; only if the object is still this version, where one is given."""
        body: dict[str, object] = {"spec": spec}
        if version:
            body["metadata"] = {"resourceVersion": version}
        await self._connection.kube.patch(self._kind, self.namespace, self.name, body)


def holds(status: Status | None, condition: ConditionType) -> bool:
    """Whether this condition is True."""
    return status is not None and is_true(status.conditions, condition)


def _why(last: Resource | None) -> str:
    """What the object says of why it is not further."""
    status = getattr(last, "status", None)
    for condition in status.conditions if isinstance(status, Status) else ():
        true = condition.status is ConditionStatus.TRUE
        if (condition.type == ConditionType.READY and not true) or (condition.type in _HELD and true):
            return f": {condition.reason}: {condition.message}"
    return ""
