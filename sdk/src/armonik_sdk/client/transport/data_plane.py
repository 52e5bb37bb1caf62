"""The client's access to the data plane: results in NATS, bytes in the object store."""

import asyncio
import base64
import dataclasses
import logging
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Final, Self, TypeVar
from urllib.parse import urlsplit

import nats.errors
from nats.aio.client import Client as NatsClient
from nats.aio.subscription import Subscription

from armonik_sdk.api.const import CLIENT_SECRET
from armonik_sdk.api.keys import confined_entry
from armonik_sdk.api.kinds import ObjectRef
from armonik_sdk.api.names import RESULTS, client_object_key
from armonik_sdk.api.results import ResultEntry, ResultRecord, RunResults
from armonik_sdk.backoff import Backoff
from armonik_sdk.client.errors import ClientError, NotConnected, NotFound, Refused, ResultDamaged, Unavailable
from armonik_sdk.client.transport.kube import SECRETS, Kube
from armonik_sdk.client.transport.port_forward import Forward, Service
from armonik_sdk.client.transport.result_updates import ResultUpdates, SharedUpdates, Take
from armonik_sdk.dataplane.credentials import Credentials
from armonik_sdk.dataplane.errors import (
    ChecksumMismatch,
    Conflict,
    InvalidCredentials,
    ObjectMissing,
    QueueUnavailable,
    StoreUnavailable,
    Unreadable,
)
from armonik_sdk.dataplane.nats.buckets import Bucket
from armonik_sdk.dataplane.nats.connection import Renewal, close_nats, connect_nats
from armonik_sdk.dataplane.nats.journal import Log
from armonik_sdk.dataplane.run_entries import RunEntries
from armonik_sdk.dataplane.s3.listing import Stored
from armonik_sdk.dataplane.s3.store import S3Store

log = logging.getLogger(__name__)

CONNECT_SECONDS: Final = 30.0
"""How long to wait for the namespace's credentials, and for NATS."""
READ_DELAY: Final = 10.0
"""Longest delay between reads that get no answer: they are given up then."""
LISTED_AT_ONCE: Final = 1_000
"""Objects that are in memory at a time."""

T = TypeVar("T")


class DataPlane:
    """An open connection to NATS and the object store."""

    def __init__(self, client: NatsClient, store: S3Store, forwards: list[Forward]) -> None:
        self._client = client
        self._store = store
        self._forwards = forwards
        self._runs = RunEntries(client, store)
        self._entries = Bucket(client, RESULTS, ResultEntry)
        self._log = Log(client, ResultRecord)
        self._updates = SharedUpdates(self._subscribe)

    @classmethod
    async def open(cls, kube: Kube, namespace: str, kubeconfig: str | None, context: str | None) -> Self:
        """Read the namespace's credentials and connect.

        Outside the cluster by the addresses that are configured for it, else by forwarded ports.

        Raises:
            NotConnected: no credentials, or NATS cannot be reached.
        """
        credentials = await _credentials(kube, namespace)
        forwards: list[Forward] = []
        links: list[Self] = []
        errors: deque[str] = deque(maxlen=1)
        now = [credentials]

        async def reconnected() -> None:
            for link in links:
                link._updates.wake()

        async def refused() -> None:
            """They may have been revoked; the operator has written others by then."""
            try:
                now[0] = await _credentials(kube, namespace)
            except ClientError as error:
                log.info("the credentials are not read again: %s", error)

        try:
            if not kube.in_cluster:
                credentials = await _forwarded(credentials, forwards, kubeconfig, context)
            async with asyncio.timeout(CONNECT_SECONDS):
                client = await connect_nats(
                    credentials,
                    "armonik-client",
                    on_reconnected=reconnected,
                    on_error=errors.append,
                    renewal=Renewal(lambda: now[0], refused),
                )
        except BaseException as error:
            for forward in forwards:
                await forward.close()
            if isinstance(error, TimeoutError):
                why = f": {errors[0]}" if errors else ""
                raise NotConnected(f"NATS at {credentials.nats_url} does not answer{why}") from error
            if isinstance(error, InvalidCredentials):
                raise NotConnected(f"Secret {namespace}/{CLIENT_SECRET}: {error}") from error
            raise
        links.append(cls(client, S3Store(credentials), forwards))
        return links[0]

    async def _subscribe(self, subject: str, take: Take) -> Subscription:
        return await self._client.subscribe(subject, cb=take)

    async def close(self) -> None:
        """Close the connections and end the port-forwards."""
        await close_nats(self._client)
        for forward in self._forwards:
            await forward.close()

    async def put(self, key: str, data: bytes) -> ObjectRef:
        """Upload an object under a key that was never used.

        Raises:
            Unavailable: the object store does not answer.
        """
        try:
            return await self._store.put(key, data)
        except StoreUnavailable as error:
            raise Unavailable(str(error)) from error

    async def put_stream(self, key: str, pieces: AsyncIterator[bytes]) -> ObjectRef:
        """Upload an object piece by piece under a key that was never used; it appears with the last one.

        Raises:
            Unavailable: the object store does not answer.
        """
        try:
            return await self._store.put_stream(key, pieces)
        except StoreUnavailable as error:
            raise Unavailable(str(error)) from error

    async def size(self, key: str) -> int | None:
        """Bytes of an object; None where there is none.

        Raises:
            Unavailable: the object store does not answer, or does not say it.
        """
        try:
            return await self._store.stat(key)
        except ObjectMissing:
            return None
        except StoreUnavailable as error:
            raise Unavailable(str(error)) from error

    async def stored(self, prefix: str) -> AsyncIterator[Stored]:
        """All objects below a prefix, ascending by key.

        Raises:
            Unavailable: the object store does not answer.
        """
        after, now = "", time.time()
        try:
            while page := await self._store.page(prefix, after, LISTED_AT_ONCE, now):
                after = page[-1].key
                for each in page:
                    yield each
        except ObjectMissing:
            return  # the bucket is not made yet
        except StoreUnavailable as error:
            raise Unavailable(str(error)) from error

    async def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; clients may delete environments alone.

        Raises:
            Unavailable: the object store does not answer, or does not let it happen.
        """
        try:
            await self._store.delete(keys)
        except StoreUnavailable as error:
            raise Unavailable(str(error)) from error

    @property
    def forwarded(self) -> bool:
        """Whether `kubectl port-forward` leads to a server."""
        return bool(self._forwards)

    async def probe_store(self, namespace: str, data: bytes) -> None:
        """Write an object and read it. Clients may remove none: the operator collects it, as of no Session.

        Raises:
            ResultDamaged: other bytes come back.
            Unavailable: the object store does not answer, or does not accept the keys.
        """
        key = client_object_key(namespace, "probe", secrets.token_hex(8))
        ref = await self.put(key, data)
        if await self.get(ref) != data:
            raise ResultDamaged("the object store returned other bytes than were written")

    async def result_head(self, subject: str) -> tuple[ResultRecord, int] | None:
        """A client's last record of a result, and its sequence."""
        found = await _answered(lambda: self._log.head(subject))
        return (found.record, found.sequence) if found else None

    async def append_result(self, subject: str, record: ResultRecord, expected: int) -> int:
        """Append a record of a result.

        Raises:
            Refused: somebody else has said something of it meanwhile.
            Unavailable: NATS does not answer; the record may or may not be written.
        """
        try:
            return await self._log.append(subject, record, expected)
        except Conflict as error:
            raise Refused(f"the result changed meanwhile: {error}") from error
        except (QueueUnavailable, nats.errors.Error, TimeoutError) as error:
            raise Unavailable(f"NATS does not answer: {error}") from error

    async def get(self, ref: ObjectRef) -> bytes:
        """The bytes of an object, or a part of it.

        Raises:
            ResultDamaged: they are missing or altered.
            Unavailable: the object store does not answer.
        """
        try:
            return await self._store.get(ref)
        except (ObjectMissing, ChecksumMismatch) as error:
            raise ResultDamaged(str(error)) from error
        except StoreUnavailable as error:
            raise Unavailable(str(error)) from error

    async def entry(self, key: str) -> ResultEntry | None:
        """The entry of a result that no run implies."""
        found = await _answered(lambda: self._entries.get(key))
        return _confined(key, found[0]) if found else None

    def parse_entry(self, key: str, content: bytes) -> ResultEntry:
        """The same, as it was published."""
        return _confined(key, ResultEntry.model_validate_json(content))

    async def entries(self, keys: Iterable[str]) -> dict[str, ResultEntry]:
        """The entries of those results that have one."""
        wanted = list(keys)
        found = await _answered(lambda: self._entries.get_many(wanted))
        return {key: _confined(key, entry) for key, entry in found.items()}

    async def key_pages(self, pattern: str) -> AsyncIterator[list[str]]:
        """The keys of all entries that match, ascending, a page at a time."""
        left = self._entries.key_pages(pattern)
        while page := await _answered(left.next):
            yield page

    async def runs(self, keys: Mapping[str, bytes | None]) -> dict[str, RunResults]:
        """The entries of those runs that have one; those given with their content are not read again.

        Raises:
            ResultDamaged: what an entry names is missing or altered.
            Unavailable: NATS or the object store do not answer.
        """
        read = {
            key: await _answered(partial(self._runs.read, key, data))
            for key, data in keys.items()
            if data is not None
        }
        wanted = [key for key, data in keys.items() if data is None]
        return read | await _answered(lambda: self._runs.get_many(wanted))

    async def run_keys(self, pattern: str) -> set[str]:
        """The keys of all runs that match and have an entry."""
        return await _answered(lambda: self._runs.keys(pattern))

    def news(self, *patterns: str) -> AbstractAsyncContextManager[ResultUpdates]:
        """Changes in RESULTS from now on. Some may be lost, so read again from time to time."""
        return self._updates.listen(*patterns)


def _confined(key: str, entry: ResultEntry) -> ResultEntry:
    namespace, session = key.split(".")[:2]
    return confined_entry(entry, namespace, session)


async def _answered(read: Callable[[], Awaitable[T]]) -> T:
    """Read, again with back-off while a server does not answer."""
    backoff = Backoff(0.2, READ_DELAY)
    while True:
        try:
            return await read()
        except (ObjectMissing, ChecksumMismatch, Unreadable) as error:
            raise ResultDamaged(str(error)) from error
        except (QueueUnavailable, StoreUnavailable, nats.errors.Error, TimeoutError) as error:
            if backoff.seconds >= READ_DELAY:
                raise Unavailable(f"results cannot be read: {error}") from error
            log.info("results cannot be read (%s); trying again", error)
        await asyncio.sleep(backoff.failed())


async def _credentials(kube: Kube, namespace: str) -> Credentials:
    """The operator makes them as soon as the namespace has a Session or Partition."""
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            while True:
                try:
                    secret = await kube.get(SECRETS, namespace, CLIENT_SECRET)
                    break
                except NotFound:
                    await asyncio.sleep(0.5)
    except TimeoutError as error:
        raise NotConnected(
            f"namespace {namespace} has no Secret {CLIENT_SECRET}: the operator makes it where a Session or"
            " Partition is; does the operator run?"
        ) from error
    data = {key: base64.b64decode(value).decode() for key, value in (secret.get("data") or {}).items()}
    try:
        return Credentials.from_mapping(data, outside=not kube.in_cluster)
    except InvalidCredentials as error:
        raise NotConnected(f"Secret {namespace}/{CLIENT_SECRET}: {error}") from error


async def _forwarded(
    credentials: Credentials, forwards: list[Forward], kubeconfig: str | None, context: str | None
) -> Credentials:
    """The credentials with addresses on this machine; what is no service of the cluster stays."""

    async def local(host: str, port: int) -> int | None:
        service = Service.from_address(host, port)
        if service is None:
            return None
        forward = Forward(service, kubeconfig, context)
        forwards.append(forward)
        return await forward.start()

    url = urlsplit(credentials.nats_url)
    if port := await local(url.hostname or "", url.port or 4222):
        credentials = dataclasses.replace(credentials, nats_url=f"{url.scheme}://127.0.0.1:{port}")
    host, _, number = credentials.s3_endpoint.partition(":")
    if port := await local(host, int(number or (443 if credentials.s3_secure else 80))):
        credentials = dataclasses.replace(credentials, s3_endpoint=f"127.0.0.1:{port}")
    return credentials
