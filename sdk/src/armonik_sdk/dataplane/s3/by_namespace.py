"""The operator's view of the object store: the first part of a key is a namespace, which says the bucket."""

from collections.abc import Callable
from datetime import datetime
from itertools import groupby
from typing import Protocol

from minio import Minio

from armonik_sdk.circuit import Circuit
from armonik_sdk.dataplane.credentials import Credentials
from armonik_sdk.dataplane.errors import ObjectMissing
from armonik_sdk.dataplane.s3.client import make_client
from armonik_sdk.dataplane.s3.listing import Stored
from armonik_sdk.dataplane.s3.store import THREADS, Keep, S3Store


class Places(Protocol):
    """Where the objects of namespaces are."""

    shared: bool
    """Namespaces without a bucket of their own share one."""

    def of(self, namespace: str) -> Credentials:
        """The bucket of a namespace, and the operator's key for it."""

    def namespaces(self) -> set[str]:
        """Those that have a bucket of their own. May block."""


class NamespaceStore(S3Store):
    """An S3Store over the buckets of all namespaces. A bucket that is not there (yet) is an empty one."""

    def __init__(
        self,
        credentials: Credentials,
        places: Places,
        *,
        circuit: Circuit | None = None,
        admit: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(credentials, circuit=circuit, admit=admit)
        self._places = places
        self._clients = {credentials.s3_access_key: self._client}

    async def ensure_bucket(self) -> None:
        """Make the bucket that namespaces share; where each has its own, see that the store answers."""
        if self._places.shared:
            await super().ensure_bucket()
        else:
            await self._run("buckets", self._places.namespaces)

    async def folders(self, prefix: str) -> set[str]:
        """See `S3Store`; of the empty prefix, the namespaces."""
        own = set() if prefix else await self._run("buckets", self._places.namespaces)
        if not prefix and not self._places.shared:
            return own
        try:
            return own | await super().folders(prefix)
        except ObjectMissing:
            return own

    async def page(self, prefix: str, after: str, most: int, now: float) -> list[Stored]:
        """See `S3Store`."""
        try:
            return await super().page(prefix, after, most, now)
        except ObjectMissing:
            return []

    async def give_up(self, prefix: str, before: datetime) -> int:
        """See `S3Store`."""
        try:
            return await super().give_up(prefix, before)
        except ObjectMissing:
            return 0

    async def delete_many(self, prefix: str, keep: Keep | None = None) -> int:
        """See `S3Store`."""
        try:
            return await super().delete_many(prefix, keep)
        except ObjectMissing:
            return 0

    def _at(self, key: str) -> tuple[Minio, str]:
        place = self._places.of(_namespace(key))
        client = self._clients.get(place.s3_access_key)
        if client is None:
            client = self._clients[place.s3_access_key] = make_client(place, THREADS, retries=False)
        return client, place.s3_bucket

    def _remove(self, names: list[str]) -> None:
        for _, some in groupby(sorted(names, key=_namespace), _namespace):
            super()._remove(list(some))


def _namespace(key: str) -> str:
    return key.partition("/")[0]
