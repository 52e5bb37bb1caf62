"""Many calls, few Tasks: what is submitted while a Task is being made becomes the next one."""

import asyncio
import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from armonik_sdk.aio.calls.encoding import Call, Template
from armonik_sdk.aio.calls.options import FUNCTION_LABEL, label_of, short_name, stem_of
from armonik_sdk.aio.errors import DependencyFailed
from armonik_sdk.aio.results.future import Future
from armonik_sdk.api.bounds import MAX_DEPENDENCIES, MAX_ITEM_DEPENDENCIES
from armonik_sdk.api.kinds import Dependency
from armonik_sdk.client.errors import NotConnected, Refused
from armonik_sdk.client.manifest import Element
from armonik_sdk.grid.protocol import GridTask, Submission

if TYPE_CHECKING:
    from armonik_sdk.aio.core.session import SessionCore

log = logging.getLogger(__name__)

MOST_ELEMENTS: Final = 5_000
"""Calls in one Task."""
MOST_WAITING_BYTES: Final = 256 * 1024 * 1024
"""Payloads that wait to be sent; whoever submits more waits until some are."""
AT_ONCE: Final = 16
"""Tasks that are made at the same time."""
ROOM_SECONDS: Final = 60.0
LOOK_SECONDS: Final = 0.05
"""Between two looks at calls that wait for others which are not sent yet, or for another session's; ten times
what a look takes if that is more. Most are of this session, and their sending leads to a look at once."""

Pending = tuple[Call, Future[Any]]


class Batches:
    """The calls of a session that are not sent yet. `add` may be called in any thread."""

    def __init__(self, session: "SessionCore") -> None:
        self._session = session
        self._lock = threading.Condition()
        self._waiting: dict[tuple[object, ...], deque[Pending]] = {}
        self._templates: dict[tuple[object, ...], Template] = {}
        self._bytes = 0
        self._woken = False
        self._sending: dict[tuple[object, ...], asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._closed: BaseException | None = None
        self._look: asyncio.TimerHandle | None = None

    def add(self, template: Template, call: Call, future: Future[Any]) -> None:
        """Take one call.

        Raises:
            Refused: too many bytes wait, and this thread may not wait for them to be sent.
        """
        key = template.key
        with self._lock:
            self._wait_for_room(len(call.payload))
            if self._closed is not None:
                raise self._closed
            self._templates.setdefault(key, template)
            self._waiting.setdefault(key, deque()).append((call, future))
            self._bytes += len(call.payload)
            wake, self._woken = not self._woken, True
        if wake:
            self._session.loop.call_soon_threadsafe(self.wake)

    def wake(self) -> None:
        """Send what can be sent."""
        with self._lock:
            self._woken = False
            keys = [key for key, calls in self._waiting.items() if calls and key not in self._sending]
        for key in keys:
            task = self._session.spawn(self._send(key))
            self._sending[key] = task

    @property
    def empty(self) -> bool:
        """Whether all calls are sent."""
        with self._lock:
            return not any(self._waiting.values()) and not self._sending

    def close(self, error: BaseException) -> None:
        """Take no more, and give up what waits."""
        with self._lock:
            self._closed = error
        self.drop(error)

    def drop(self, error: BaseException) -> None:
        """Give up what waits; what is being sent is sent."""
        with self._lock:
            left = [future for calls in self._waiting.values() for _, future in calls]
            self._waiting.clear()
            self._bytes = 0
            self._lock.notify_all()
        for future in left:
            future.fail(error)

    def _wait_for_room(self, size: int) -> None:
        """The lock is held."""
        if not self._bytes or self._bytes + size <= MOST_WAITING_BYTES:
            return
        if self._session.on_loop():
            raise Refused(f"{self._bytes} bytes of arguments wait to be sent: await some futures first")
        room = self._lock.wait_for(
            lambda: self._closed is not None or self._bytes + size <= MOST_WAITING_BYTES, ROOM_SECONDS
        )
        if not room:
            raise Refused(f"{self._bytes} bytes of arguments are not sent after {ROOM_SECONDS} s")

    async def _send(self, key: tuple[object, ...]) -> None:
        """Make Tasks of the calls of this key until none waits that can be sent."""
        template, made, begun = self._templates[key], False, time.monotonic()
        try:
            while batch := self._take(key):
                made = True
                try:
                    await self._make(template, batch)
                except asyncio.CancelledError:  # the client is closed in the middle of it
                    for _, future in batch:
                        future.fail(self._closed or NotConnected("the client was closed"))
                    raise
                self.wake()  # calls may have waited for one of these
                begun = time.monotonic()
        finally:
            self._sending.pop(key, None)
            with self._lock:
                left = bool(self._waiting.get(key))
                if not left:
                    self._waiting.pop(key, None)
                    self._templates.pop(key, None)
            if made or not left:
                self._session.sent_some()
        if left and self._look is None:
            wait = max(LOOK_SECONDS, 10 * (time.monotonic() - begun))
            self._look = self._session.loop.call_later(wait, self._look_again)

    def _look_again(self) -> None:
        """What calls wait for may have been sent by another session, or have failed."""
        self._look = None
        self.wake()

    def _take(self, key: tuple[object, ...]) -> list[Pending]:
        """The calls that can be sent now."""
        with self._lock:
            waiting = self._waiting.get(key, deque())
            batch: list[Pending] = []
            later: deque[Pending] = deque()
            while waiting and len(batch) < MOST_ELEMENTS:
                call, future = waiting.popleft()
                lost = next((thing for thing in call.needs if isinstance(thing, Future) and thing.lost), None)
                if lost is not None:
                    future.fail(dependency_failed(future, lost))
                if future.done():
                    self._bytes -= len(call.payload)
                elif not all(self._ready(thing) for thing in call.needs):
                    later.append((call, future))
                elif len(call.needs) > MAX_ITEM_DEPENDENCIES:
                    if batch:
                        later.append((call, future))
                        break
                    batch = [(call, future)]
                    break
                else:
                    batch.append((call, future))
            waiting.extendleft(reversed(later))
            self._bytes -= sum(len(call.payload) for call, _ in batch)
            self._lock.notify_all()
        return batch

    def _ready(self, thing: object) -> bool:
        """Whether the id of what a call needs is known; of another session's future its value has to be."""
        if isinstance(thing, Future) and thing.session is not self._session and not thing.done():
            return False
        return bool(getattr(thing, "placed", True))

    async def _make(self, template: Template, batch: Sequence[Pending]) -> None:
        session, calls, futures = self._session, list[Call](), list[Future[Any]]()
        own: list[list[Dependency]] = []
        for call, future in batch:
            try:
                own.append([needed for thing in call.needs for needed in await session.dependencies(thing)])
            except Exception as error:  # noqa: BLE001 - whatever it is, it is of this call alone
                future.fail(error)
            else:
                calls.append(call)
                futures.append(future)
        if not calls:
            return
        try:
            async with self._slots:
                task = await self._submit(template, calls, own)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the caller's: in the futures
            for future in futures:
                future.fail(error)
            return
        for index, future in enumerate(futures):
            future.place(task, index)
            if future.cancelled():  # while the Task was made
                session.cancel_future(future)
        session.follow(task, futures)

    async def _submit(
        self, template: Template, calls: Sequence[Call], own: list[list[Dependency]]
    ) -> GridTask:
        session = self._session
        common = [needed for blob in template.needs for needed in await session.dependencies(blob)]
        if len(calls) == 1:
            common, own = [*common, *own[0]], [[]]
        if len(common) > MAX_DEPENDENCIES:
            raise Refused(
                f"the call of {short_name(template.function)} names {len(common)} results, at most"
                f" {MAX_DEPENDENCIES} can be: give it the result of a map as one argument, or build a tree"
            )
        items = [
            Element(payload=call.payload, depends_on=needs) for call, needs in zip(calls, own, strict=True)
        ]
        return await make_task(session, template, items, common)


async def make_task(
    session: "SessionCore",
    template: Template,
    items: Sequence[Element],
    depends_on: Sequence[Dependency],
    name: str | None = None,
) -> GridTask:
    """Make a Task of calls."""
    function = template.function
    options = template.options.of_task(function)
    if template.env is not None:
        options = options.model_copy(update={"environment": await session.environment(template.env)})
    return await session.grid.submit(
        Submission(
            name=name or name_for(short_name(function)),
            items=items,
            depends_on=depends_on,
            options=options,
            labels={FUNCTION_LABEL: label_of(function)},
        )
    )


def name_for(function: str) -> str:
    """A new name of a Task."""
    return f"{stem_of(function)}-{secrets.token_hex(4)}"


def dependency_failed(future: Future[Any], lost: Future[Any]) -> DependencyFailed:
    """Why a call cannot be sent."""
    error = DependencyFailed(f"{future.function}: {lost!r}, which it needs, was never sent")
    error.__cause__ = None if lost.cancelled() else lost.exception()
    return error
