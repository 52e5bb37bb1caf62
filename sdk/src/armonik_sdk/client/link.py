"""The client's way to the data plane: results in NATS, bytes in the object store."""

import asyncio
import base64
import contextlib
import dataclasses
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Final, Self, TypeVar
from urllib.parse import urlsplit
from weakref import WeakSet

import nats.errors
from nats.aio.client import Client as NatsClient
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from armonik_sdk.api.const import CLIENT_SECRET
from armonik_sdk.api.kinds import ObjectRef
from armonik_sdk.api.names import RESULTS, bucket_subject
from armonik_sdk.api.records import ResultEntry, ResultRecord, RunResults
from armonik_sdk.client.errors import NotConnected, NotFound, Refused, ResultDamaged, Unavailable
from armonik_sdk.client.forward import Forward, Service
from armonik_sdk.client.kube import SECRETS, Kube
from armonik_sdk.dataplane.connect import Credentials, close_nats, connect_nats
from armonik_sdk.dataplane.errors import (
    ChecksumMismatch,
    Conflict,
    InvalidCredentials,
    ObjectMissing,
    QueueUnavailable,
    StoreUnavailable,
)
from armonik_sdk.dataplane.journal import Log
from armonik_sdk.dataplane.kv import Bucket
from armonik_sdk.dataplane.objects import S3Store

log = logging.getLogger(__name__)

CONNECT_SECONDS: Final = 30.0
"""How long to wait for the namespace's credentials, and for NATS."""
HELD_BYTES: Final = 4 * 1024 * 1024
"""Most bytes of news that wait for their reader; of what comes beyond, only the keys are kept."""
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
        self._log = Log(client, ResultRecord)
        self._listening: WeakSet[News] = WeakSet()

    @classmethod
    async def open(cls, kube: Kube, namespace: str, kubeconfig: str | None, context: str | None) -> Self:
        """Read the namespace's credentials and connect.

        Outside the cluster by the addresses that are told for it, else by forwarded ports.

        Raises:
            NotConnected: no credentials, or NATS cannot be reached.
        """
        credentials = await _credentials(kube, namespace)
        forwards: list[Forward] = []
        links: list[Self] = []

        async def reconnected() -> None:
            for link in links:
                for news in link._listening:
                    news.wake()

        try:
            if not kube.in_cluster:
                credentials = await _forwarded(credentials, forwards, kubeconfig, context)
            async with asyncio.timeout(CONNECT_SECONDS):
                client = await connect_nats(credentials, "armonik-client", on_reconnected=reconnected)
        except BaseException as error:
            for forward in forwards:
                await forward.close()
            if isinstance(error, TimeoutError):
                raise NotConnected(f"NATS at {credentials.nats_url} does not answer") from error
            raise
        links.append(cls(client, S3Store(credentials), forwards))
        return links[0]

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

    async def result_head(self, subject: str) -> tuple[ResultRecord, int] | None:
        """A client's last record of a result, and its sequence."""
        found = await _answered(lambda: self._log.head(subject))
        return (found.record, found.sequence) if found else None

    async def append_result(self, subject: str, record: ResultRecord, expected: int) -> int:
        """Append a record of a result.

        Raises:
            Refused: somebody else has said something of it meanwhile.
            Unavailable: NATS does not answer; the record may or may not stand.
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
        return found[0] if found else None

    async def entries(self, keys: Iterable[str]) -> dict[str, ResultEntry]:
        """The entries of those results that have one."""
        wanted = list(keys)
        return await _answered(lambda: self._entries.get_many(wanted))

    async def result_keys(self, pattern: str) -> set[str]:
        """The keys of all results that match and have an entry of their own."""
        return await _answered(lambda: self._entries.keys(pattern))

    async def runs(self, keys: Mapping[str, bytes | None]) -> dict[str, RunResults]:
        """The entries of those runs that have one; those given with their content are only parsed."""
        told = {key: RunResults.model_validate_json(data) for key, data in keys.items() if data is not None}
        wanted = [key for key, data in keys.items() if data is None]
        return told | await _answered(lambda: self._runs.get_many(wanted))

    async def run_keys(self, pattern: str) -> set[str]:
        """The keys of all runs that match and have an entry."""
        return await _answered(lambda: self._runs.keys(pattern))

    @contextlib.asynccontextmanager
    async def news(self, *patterns: str) -> AsyncIterator["News"]:
        """What changes in RESULTS from now on. Some may be lost, so read again now and then."""
        news = News()
        self._listening.add(news)
        async with contextlib.AsyncExitStack() as subscriptions:
            for pattern in patterns:
                subscription = await self._client.subscribe(_PREFIX + pattern, cb=news.take)
                subscriptions.push_async_callback(_end, subscription)
            yield news


class News:
    """Changed keys of RESULTS since the last look, with their content as long as that is small.

    The content is the operator's word, which it took from the journal. The key is not: it is told before the
    bucket has it, so reading a key just told may find the value before.
    """

    def __init__(self) -> None:
        self._changed: dict[str, bytes | None] = {}
        self._held = 0
        self._look = asyncio.Event()

    async def take(self, message: Msg) -> None:
        """Take in what was published."""
        key = message.subject.removeprefix(_PREFIX)
        self._held -= len(self._changed.pop(key, None) or b"")
        content = message.data or None
        if content is not None and self._held + len(content) > HELD_BYTES:
            content = None
        self._changed[key] = content
        self._held += len(content or b"")
        self._look.set()

    def wake(self) -> None:
        """Have the listener look by itself: something may have been lost."""
        self._look.set()

    async def next(self, seconds: float) -> dict[str, bytes | None]:
        """Keys that changed, with their content or None; empty when it is time to look oneself."""
        try:
            async with asyncio.timeout(seconds):
                await self._look.wait()
        except TimeoutError:
            return {}
        self._look.clear()
        changed, self._changed, self._held = self._changed, {}, 0
        return changed


async def _end(subscription: Subscription) -> None:
    with contextlib.suppress(nats.errors.Error):  # a closed connection has ended it already
        await subscription.unsubscribe()


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
