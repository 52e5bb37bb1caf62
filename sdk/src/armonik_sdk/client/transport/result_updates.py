"""Changes in RESULTS: one subscription for each session, shared by all who wait for some of its results."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import nats.errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from armonik_sdk.api.names import RESULTS, bucket_subject

HELD_BYTES: Final = 4 * 1024 * 1024
"""Most bytes of news that wait for their reader; of what comes beyond, only the keys are kept."""
_PREFIX: Final = bucket_subject(RESULTS, "")

Take = Callable[[Msg], Awaitable[None]]
Subscribe = Callable[[str, Take], Awaitable[Subscription]]


class ResultUpdates:
    """Changed keys of RESULTS since the last look, with their content as long as that is small.

    The content comes from the operator, which took it from the journal. A change is published before the
    bucket has it, so reading a key that just changed may find the value before.
    """

    def __init__(self) -> None:
        self._changed: dict[str, bytes | None] = {}
        self._held = 0
        self._look = asyncio.Event()

    def take(self, key: str, content: bytes | None) -> None:
        """Take in what was published."""
        self._held -= len(self._changed.pop(key, None) or b"")
        if content is not None and self._held + len(content) > HELD_BYTES:
            content = None
        self._changed[key] = content
        self._held += len(content or b"")
        self._look.set()

    def wake(self) -> None:
        """Have the listener look by itself: something may have been lost."""
        self._look.set()

    async def next(self, seconds: float) -> dict[str, bytes | None]:
        """Keys that changed, with their content or None; empty when it is time to read them."""
        try:
            async with asyncio.timeout(seconds):
                await self._look.wait()
        except TimeoutError:
            return {}
        self._look.clear()
        changed, self._changed, self._held = self._changed, {}, 0
        return changed


class SessionUpdates:
    """What is published of one session, given to those who listen to it."""

    def __init__(self) -> None:
        self._listeners: dict[str, set[ResultUpdates]] = {}
        """By pattern: a key, or all keys of a task."""
        self._subscription: Subscription | None = None
        self._lock = asyncio.Lock()

    @property
    def all(self) -> set[ResultUpdates]:
        """Those who listen."""
        return set().union(*self._listeners.values())

    async def add(self, news: ResultUpdates, pattern: str, subject: str, subscribe: Subscribe) -> None:
        """Listen; the first one subscribes."""
        self._listeners.setdefault(pattern, set()).add(news)
        async with self._lock:
            if self._subscription is None:
                self._subscription = await subscribe(subject, self._take)

    async def remove(self, news: ResultUpdates, pattern: str) -> None:
        """Listen no more; the last one ends the subscription."""
        there = self._listeners.get(pattern, set())
        there.discard(news)
        if not there:
            self._listeners.pop(pattern, None)
        async with self._lock:
            if self._listeners or self._subscription is None:
                return
            subscription, self._subscription = self._subscription, None
            with contextlib.suppress(nats.errors.Error):  # a closed connection has ended it already
                await subscription.unsubscribe()

    async def _take(self, message: Msg) -> None:
        key = message.subject.removeprefix(_PREFIX)
        for pattern in (key, f"{key.rpartition('.')[0]}.*"):
            for news in self._listeners.get(pattern, ()):
                news.take(key, message.data or None)


class SharedUpdates:
    """The listeners of all sessions of a connection."""

    def __init__(self, subscribe: Subscribe) -> None:
        self._subscribe = subscribe
        self._sessions: dict[str, SessionUpdates] = {}

    def wake(self) -> None:
        """Have all look by themselves."""
        for session in self._sessions.values():
            for news in session.all:
                news.wake()

    @contextlib.asynccontextmanager
    async def listen(self, *patterns: str) -> AsyncIterator[ResultUpdates]:
        """Changes of these keys from now on: `<namespace>.<session>.<rest>`, or `….<task>.*`."""
        news = ResultUpdates()
        async with contextlib.AsyncExitStack() as leaving:
            for pattern in patterns:
                name = ".".join(pattern.split(".")[:2])
                session = self._sessions.setdefault(name, SessionUpdates())
                leaving.push_async_callback(self._leave, name, session, news, pattern)
                await session.add(news, pattern, f"{_PREFIX}{name}.>", self._subscribe)
            yield news

    async def _leave(self, name: str, session: SessionUpdates, news: ResultUpdates, pattern: str) -> None:
        await session.remove(news, pattern)
        if not session.all and self._sessions.get(name) is session:
            del self._sessions[name]
