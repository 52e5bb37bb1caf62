"""A connection for one command: requests with a time limit, and the client when it is needed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from armonik_sdk.apiserver import PARTITIONS, PODS, SESSIONS, TASKS, Kind
from armonik_sdk.cli.errors import Missing
from armonik_sdk.cli.frame.settings import Settings
from armonik_sdk.cli.views.reading import Object, name_of, text
from armonik_sdk.client.errors import Unavailable
from armonik_sdk.client.transport.kube import Kube

if TYPE_CHECKING:
    from armonik_sdk.client import Client

KINDS: Final = {"session": SESSIONS, "task": TASKS, "partition": PARTITIONS, "pod": PODS}
"""By the word of the command line."""
LATEST: Final = "@latest"
"""The newest object of its kind, where a name is expected."""

T = TypeVar("T")


class Cluster:
    """One connection, as the global options ask for it."""

    def __init__(self, kube: Kube, settings: Settings) -> None:
        self.kube = kube
        self.settings = settings
        self.namespace = settings.namespace or kube.namespace
        self._client: Client | None = None

    @classmethod
    async def connect(cls, settings: Settings) -> Self:
        """Read the kubeconfig, or what a pod has; nothing is sent yet.

        Raises:
            NotConnected: there is no usable kubeconfig.
        """
        return cls(await Kube.connect(settings.kubeconfig, settings.context), settings)

    async def close(self) -> None:
        """Give the connections back."""
        if self._client is not None:
            await self._client.close()
        else:
            await self.kube.close()

    @property
    def client(self) -> "Client":
        """The client over the same connection, for results and waits."""
        if self._client is None:
            from armonik_sdk.client import Client
            from armonik_sdk.client.transport.connection import Connection

            given = self.settings
            self._client = Client(Connection(self.kube, self.namespace, given.kubeconfig, given.context), {})
        return self._client

    async def get(self, kind: Kind, name: str) -> Object:
        """The object of this name, or the newest for `@latest`.

        Raises:
            NotFound: there is none of this name.
            Missing: there is none at all.
        """
        if name == LATEST:
            return await self._latest(kind)
        return await self.bounded(self.kube.get(kind, self.namespace, name))

    async def name(self, kind: Kind, name: str) -> str:
        """The name that is meant: itself, or that of the newest for `@latest`."""
        return name_of(await self._latest(kind)) if name == LATEST else name

    async def pages(
        self, kind: Kind, *, everywhere: bool = False, labels: str = "", fields: str = ""
    ) -> AsyncIterator[Object]:
        """The pages of a list; each has `items`."""
        namespace = "" if everywhere else self.namespace
        pages = self.kube.pages(kind, namespace, labels=labels, fields=fields)
        while True:
            try:
                page = await self.bounded(anext(pages))
            except StopAsyncIteration:
                return
            yield page

    async def patch(self, kind: Kind, name: str, body: dict[str, Any]) -> Object:
        """Merge-patch an object."""
        return await self.bounded(self.kube.patch(kind, self.namespace, name, body))

    async def bounded(self, request: Awaitable[T]) -> T:
        """Wait for an answer as long as `--request-timeout` allows.

        Raises:
            Unavailable: there was none in time.
        """
        limit = self.settings.request_timeout
        try:
            async with asyncio.timeout(limit):
                return await request
        except TimeoutError as error:
            raise Unavailable(f"the cluster's API server does not answer within {limit:g} s") from error

    async def _latest(self, kind: Kind) -> Object:
        newest: Object | None = None
        async for page in self.pages(kind):
            for found in page.get("items", ()):
                if newest is None or _made(found) > _made(newest):
                    newest = found
        if newest is None:
            raise Missing(f"there are no {kind.plural} in namespace {self.namespace}")
        return newest


def _made(obj: Object) -> tuple[str, str]:
    """When it was made: in the apiserver's form, times are in the order of their texts."""
    return text(obj, "metadata", "creationTimestamp"), name_of(obj)
