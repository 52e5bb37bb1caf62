"""Notifies those who work on a session, task or pod of changes to its entry in CONTROL.

For speed only (protocol rule 14): a subscription may miss changes around a reconnect, so everybody reads the
key again after a reconnect and every `POLL_SECONDS`.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterator

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from armonik_sdk.api.names import CONTROL, bucket_subject

log = logging.getLogger(__name__)

POLL_SECONDS = 5.0
"""Between two looks at a desired state without a notification of a change."""


class ControlWatch:
    """A plain subscription to the namespace's part of the bucket; it needs no consumer on the server."""

    def __init__(self, namespace: str) -> None:
        self._subject = bucket_subject(CONTROL, f"{namespace}.>")
        self._waiting: dict[str, set[asyncio.Event]] = {}

    async def serve(self, client: Client) -> None:
        """Begin; the client subscribes again by itself after a reconnect."""

        async def changed(message: Msg) -> None:
            self._notify(message.subject.removeprefix(bucket_subject(CONTROL, "")))

        await client.subscribe(self._subject, cb=changed)
        try:
            # The first flush may overtake the subscription in the client's buffer.
            await client.flush()
            await client.flush()
        except nats.errors.FlushTimeoutError as error:
            log.info("NATS is away: changes of CONTROL are received once it is back (%s)", error)

    def notify_all(self) -> None:
        """Something may have been missed: everybody reads again."""
        for key in self._waiting:
            self._notify(key)

    @contextlib.contextmanager
    def of(self, *keys: str) -> Iterator[asyncio.Event]:
        """An event that is set when one of the keys may have changed; who waits for it clears it."""
        event = asyncio.Event()
        for key in keys:
            self._waiting.setdefault(key, set()).add(event)
        try:
            yield event
        finally:
            for key in keys:
                waiting = self._waiting[key]
                waiting.discard(event)
                if not waiting:
                    del self._waiting[key]

    def _notify(self, key: str) -> None:
        for event in self._waiting.get(key, ()):
            event.set()


async def changed(event: asyncio.Event, seconds: float = POLL_SECONDS) -> None:
    """Wait for a change, or until it is time to look anyway."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    event.clear()
