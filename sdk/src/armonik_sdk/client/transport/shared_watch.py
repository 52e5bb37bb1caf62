"""One watch shared by all waiters for objects of a kind in a namespace.

A watch of its own for each wait would hold a connection each: a thousand waits would starve all other
requests.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import aiohttp
from kubernetes.aio import client

from armonik_sdk.apiserver import Object
from armonik_sdk.backoff import Backoff
from armonik_sdk.client.errors import ClientError, Unavailable

log = logging.getLogger(__name__)

LINGER: Final = 5.0
"""Seconds that a watch stays without anybody waiting, for whoever waits next."""
_MAX_DELAY: Final = 5.0

Versioned = Callable[[], Awaitable[str]]
"""The resource version of the collection as it is now."""
Stream = Callable[[str], AsyncIterator[tuple[str, Object]]]
"""Events after a resource version; ends after a while."""


class Expired(Exception):  # noqa: N818 - reads as what happened
    """The resource version is too old to watch from."""


class Subscription:
    """A waiter's subscription to one object: its latest state, or that changes may have been missed."""

    def __init__(self) -> None:
        self._news = asyncio.Event()
        self._latest: tuple[str, Object] | None = None
        self._failure: ClientError | None = None

    def deliver(self, event: str, found: Object) -> None:
        """Take in an event; the one before it is forgotten."""
        self._latest = (event, found)
        self._news.set()

    def wake(self) -> None:
        """Have the object read again."""
        self._latest = None
        self._news.set()

    def fail(self, error: ClientError) -> None:
        """No more changes will come."""
        self._failure = error
        self._news.set()

    async def next(self) -> tuple[str, Object] | None:
        """The next event; None when the object has to be read again.

        Raises:
            ClientError: the watch is refused.
        """
        await self._news.wait()
        self._news.clear()
        if self._failure is not None:
            raise self._failure
        latest, self._latest = self._latest, None
        return latest


class SharedWatch:
    """A watch that runs while there is a waiter."""

    def __init__(self, version: Versioned, stream: Stream) -> None:
        self._version, self._stream = version, stream
        self._subscriptions: dict[str, set[Subscription]] = {}
        self._running: asyncio.Task[None] | None = None
        self._established: asyncio.Future[None] | None = None
        self._leaving: asyncio.TimerHandle | None = None

    @contextlib.asynccontextmanager
    async def subscribe(self, name: str) -> AsyncIterator[Subscription]:
        """Receive every change of the object after this has been entered.

        Raises:
            ClientError: the watch is refused, or the apiserver does not answer.
        """
        subscription = Subscription()
        self._subscriptions.setdefault(name, set()).add(subscription)
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None
        if self._running is None or self._running.done():
            self._established = asyncio.get_running_loop().create_future()
            self._running = asyncio.create_task(self._run(self._established))
        try:
            if self._established is not None:
                await asyncio.shield(self._established)
            yield subscription
        finally:
            self._subscriptions[name].discard(subscription)
            if not self._subscriptions[name]:
                del self._subscriptions[name]
            if not self._subscriptions:
                self._leaving = asyncio.get_running_loop().call_later(LINGER, self._stop)

    async def close(self) -> None:
        """End the watch."""
        running = self._running
        self._stop()
        if running is not None:
            await asyncio.gather(running, return_exceptions=True)

    def _stop(self) -> None:
        if self._leaving is not None:
            self._leaving.cancel()
        if self._running is not None:
            self._running.cancel()
        self._leaving = self._running = None

    async def _run(self, standing: asyncio.Future[None]) -> None:
        version, backoff = "", Backoff(0.2, _MAX_DELAY)
        while True:
            try:
                if not version:
                    version = await self._version()
                    if standing.done():
                        for subscription in self._all():
                            subscription.wake()
                    else:
                        standing.set_result(None)
                async for event, found in self._stream(version):
                    version = found["metadata"]["resourceVersion"]
                    backoff.reset()
                    for subscription in self._subscriptions.get(found["metadata"].get("name", ""), ()):
                        subscription.deliver(event, found)
            except Expired:
                version = ""
            except ClientError as error:
                if not standing.done():
                    standing.set_exception(error)
                    return
                if not isinstance(error, Unavailable):
                    for subscription in self._all():
                        subscription.fail(error)
                    return
                log.info("watch: %s; again in %.1f s", error, backoff.seconds)
                version = ""
                await asyncio.sleep(backoff.failed())
            except (aiohttp.ClientError, TimeoutError, client.ApiException) as error:
                log.info("watch: %s: %s; again in %.1f s", type(error).__name__, error, backoff.seconds)
                version = ""
                await asyncio.sleep(backoff.failed())

    def _all(self) -> list[Subscription]:
        return [
            subscription for subscriptions in self._subscriptions.values() for subscription in subscriptions
        ]
