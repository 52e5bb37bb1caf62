"""What all handles of objects in the cluster have in common."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from armonik_sdk.api.kinds import Resource
from armonik_sdk.client.connection import Connection
from armonik_sdk.client.errors import WaitTimeout
from armonik_sdk.client.kube import Kind

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

    async def _until(self, done: Callable[[R], bool], timeout: float | None = None, what: str = "") -> R:
        model = self._model
        try:
            async with asyncio.timeout(timeout):
                found = await self._connection.kube.until(
                    self._kind, self.namespace, self.name, self.uid, lambda obj: done(model.from_object(obj))
                )
        except TimeoutError as error:
            raise WaitTimeout(f"{self!r} is not {what} after {timeout} s") from error
        return model.from_object(found)

    async def _patch(self, spec: dict[str, object], version: str | None = None) -> None:
        """Change the spec; only if the object is still this version, where one is given."""
        body: dict[str, object] = {"spec": spec}
        if version:
            body["metadata"] = {"resourceVersion": version}
        await self._connection.kube.patch(self._kind, self.namespace, self.name, body)
