"""The client's way to the data plane: results in NATS, bytes in the object store."""

import asyncio
import base64
import contextlib
import dataclasses
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from types import TracebackType
from typing import Final, Self, TypeVar
from urllib.parse import urlsplit

import nats.errors
from nats.aio.client import Client as NatsClient
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from armonik_sdk.api.const import CLIENT_SECRET
from armonik_sdk.api.kinds import ObjectRef
from armonik_sdk.api.names import RESULTS, bucket_subject
from armonik_sdk.api.records import ResultEntry, RunResults
from armonik_sdk.client.errors import NotConnected, NotFound, ResultDamaged, Unavailable
from armonik_sdk.client.forward import Forward, Service
from armonik_sdk.client.kube import SECRETS, Kube
from armonik_sdk.dataplane.connect import Credentials, connect_nats
from armonik_sdk.dataplane.errors import (
    ChecksumMismatch,
    InvalidCredentials,
    ObjectMissing,
    QueueUnavailable,
    StoreUnavailable,
)
from armonik_sdk.dataplane.kv import Bucket
from armonik_sdk.dataplane.objects import S3Store

log = logging.getLogger(__name__)

CONNECT_SECONDS: Final = 30.0
"""How long to wait for the namespace's credentials, and for NATS."""
_PREFIX: Final = bucket_subject(RESULTS, "")

T = TypeVar("T")


class Link:
    """An open connection to NATS and the object store."""

    def __init__(self, client: NatsClient, store: S3Store, forwards: list[Forward]) -> None:
        self._client = client
        self._store = store
        self._forwards = forwards
        self._runs = Bucket(client, RESULTS, RunResults)
        self._entries = Bucket(client, RESULTS, ResultEntry)

    @classmethod
    async def open(cls, kube: Kube, namespace: str, kubeconfig: str | None, context: str | None) -> Self:
        """Read the namespace's credentials, forward ports when outside the cluster, connect.

        Raises:
            NotConnected: no credentials, or NATS cannot be reached.
        """
        credentials = await _credentials(kube, namespace)
        forwards: list[Forward] = []
        try:
            if not kube.in_cluster:
                credentials = await _forwarded(credentials, forwards, kubeconfig, context)
            async with asyncio.timeout(CONNECT_SECONDS):
                client = await connect_nats(credentials, "armonik-client")
        except BaseException as error:
            for forward in forwards:
                await forward.close()
            if isinstance(error, TimeoutError):
                raise NotConnected(f"NATS at {credentials.nats_url} does not answer") from error
            raise
        return cls(client, S3Store(credentials), forwards)

    async def close(self) -> None:
        """Close the connections and end the port-forwards."""
        await self._client.close()
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
        return found[0] if found else None

    async def runs(self, keys: Iterable[str]) -> dict[str, RunResults]:
        """The entries of those runs that have one."""
        wanted = list(keys)
        return await _answered(lambda: self._runs.get_many(wanted))

    async def run_keys(self, pattern: str) -> set[str]:
        """The keys of all runs that match and have an entry."""
        return await _answered(lambda: self._runs.keys(pattern))

    @contextlib.asynccontextmanager
    async def hints(self, *patterns: str) -> AsyncIterator["Hints"]:
        """Keys of RESULTS that changed, as hints: some may be lost, so read again now and then."""
        async with Hints(self._client, patterns) as hints:
            yield hints


class Hints:
    """Changed keys, collected since the last look."""

    def __init__(self, client: NatsClient, patterns: tuple[str, ...]) -> None:
        self._client = client
        self._patterns = patterns
        self._subscriptions: list[Subscription] = []
        self._changed: set[str] = set()
        self._news = asyncio.Event()

    async def __aenter__(self) -> Self:
        async def changed(message: Msg) -> None:
            self._changed.add(message.subject.removeprefix(_PREFIX))
            self._news.set()

        for pattern in self._patterns:
            self._subscriptions.append(await self._client.subscribe(_PREFIX + pattern, cb=changed))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for subscription in self._subscriptions:
            with contextlib.suppress(nats.errors.Error):  # a closed connection has ended it already
                await subscription.unsubscribe()

    async def next(self, seconds: float) -> set[str]:
        """Keys that changed; empty when none did for so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return set()
        self._news.clear()
        changed, self._changed = self._changed, set()
        return changed


async def _answered(read: Callable[[], Awaitable[T]]) -> T:
    """Read, again with back-off while NATS does not answer."""
    delay = 0.2
    while True:
        try:
            return await read()
        except (QueueUnavailable, nats.errors.Error, TimeoutError) as error:
            if delay > 10:
                raise Unavailable(f"results cannot be read: {error}") from error
            log.info("results cannot be read (%s); trying again", error)
        await asyncio.sleep(delay)
        delay *= 2


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
        return Credentials.from_mapping(data)
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
