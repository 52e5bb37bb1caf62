"""The work queue: at most one message a submission of a run, pulled by the agents of a Partition."""

import asyncio
import json
import logging
from collections.abc import Iterable

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from armonik_sdk.api.messages import RunMessage
from armonik_sdk.api.names import ALL_QUEUED, DEFAULT_BAND, QUEUE, RunId, consumer
from armonik_sdk.dataplane.errors import QueueFull, QueueUnavailable
from armonik_sdk.dataplane.nats.requests import (
    REQUEST_TIMEOUT,
    UNREACHABLE,
    bounded,
    unreachable,
    write_error,
)
from armonik_sdk.dataplane.nats.subjects import subjects

log = logging.getLogger(__name__)

ALREADY_QUEUED = 10077
"""The server's error code when a subject holds its one message already, or the queue has no room."""
_LATE = 1.0
"""Seconds that an answer may take beyond the pull's own time."""
_NOTHING_THERE = ("404", "408")


async def publish_run(
    client: Client, run: RunId, partition: str, message: RunMessage, band: int = DEFAULT_BAND
) -> bool:
    """Queue a submission in a band of priority; False when it is queued already, which is as good.

    Raises:
        QueueFull: there is no room in the queue.
        QueueUnavailable: no answer; the sweep publishes it later.
        TooLarge: the message is longer than one may be.
    """
    js = client.jetstream(timeout=REQUEST_TIMEOUT)
    data = bounded(f"the message of run {run.journal}", message)
    try:
        await js.publish(run.queue(partition, message.n, band), data, stream=QUEUE)
    except nats.js.errors.APIError as error:
        refusal = write_error(f"run {run.journal} could not be queued", error)
        if error.err_code == ALREADY_QUEUED and not isinstance(refusal, QueueFull):
            return False
        raise refusal from error
    except UNREACHABLE as error:
        raise unreachable(f"run {run.journal} could not be queued", error) from error
    return True


async def queued(client: Client, pattern: str = ALL_QUEUED) -> set[str]:
    """Subjects that hold a message, delivered or not.

    Raises:
        QueueUnavailable: no usable answer.
    """
    return await subjects(client, QUEUE, pattern)


async def purge(client: Client, pattern: str) -> None:
    """Remove the messages whose subjects match; nothing to remove is fine."""
    await client.jetstream(timeout=REQUEST_TIMEOUT * 4).purge_stream(QUEUE, subject=pattern)


class Puller:
    """Pulls one message at a time for one Partition, of the highest priority that there is.

    Each band of priority has a consumer of its own, so who is idle keeps a pull open in each band in use
    (protocol rule 18). What such a pull brings when another message was taken is given back at once.
    """

    def __init__(self, client: Client, namespace: str, partition: str) -> None:
        self._client = client
        self._place = (namespace, partition)
        self._bands: tuple[int, ...] = (DEFAULT_BAND,)
        self._open: dict[int, asyncio.Task[Msg | None]] = {}
        self._asked = False
        """Whether somebody waits for what the open pulls bring."""
        self._changed = asyncio.Event()
        self._giving_back: set[asyncio.Task[None]] = set()

    def use(self, bands: Iterable[int]) -> None:
        """These bands are in use, beside the lowest."""
        wanted = tuple(sorted({DEFAULT_BAND, *bands}, reverse=True))
        if wanted != self._bands:
            self._bands = wanted
            self._changed.set()

    async def next(self, timeout: float = 2.0) -> Msg | None:
        """The next message, or None after `timeout` seconds at the latest.

        Short time-outs are wanted: a pull in flight stays deaf after a reconnect until it runs out.

        Raises:
            QueueUnavailable: a consumer cannot be reached, and no other one has a message.
        """
        if len(self._bands) > 1 and (waits := await self.backlog()) is not None:
            return waits
        self._changed.clear()
        for band in self._bands:
            if band not in self._open:
                self._begin(band, timeout)
        changed = asyncio.create_task(self._changed.wait())
        self._asked = True
        try:
            pulls = (changed, *self._open.values())
            await asyncio.wait(pulls, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._asked = False
            changed.cancel()
        return self._arrived()

    async def backlog(self) -> Msg | None:
        """A message that waits already, because nobody who is idle has taken it; None when none does.

        Raises:
            QueueUnavailable: a consumer cannot be reached, and no other one has a message.
        """
        failed: QueueUnavailable | None = None
        for band in self._bands:
            try:
                message = await self._pull(band, {"batch": 1, "no_wait": True}, REQUEST_TIMEOUT)
            except QueueUnavailable as error:
                failed = failed or error
            else:
                if message is not None:
                    return message
        if failed is not None:
            raise failed
        return None

    async def close(self) -> None:
        """Wait for the pulls that are open, seconds at most; what they bring is given back."""
        if self._open:
            await asyncio.wait(list(self._open.values()))
        try:
            message = self._arrived()
        except QueueUnavailable as error:
            log.debug("at the end: %s", error)
        else:
            if message is not None:
                self._give_back(message)
        if self._giving_back:
            await asyncio.wait(list(self._giving_back))

    def _begin(self, band: int, timeout: float) -> None:
        request: dict[str, object] = {"batch": 1, "expires": int(timeout * 1e9)}
        pull = asyncio.create_task(self._pull(band, request, timeout + _LATE))
        self._open[band] = pull
        pull.add_done_callback(lambda pull: self._ended(band, pull))

    def _ended(self, band: int, pull: "asyncio.Task[Msg | None]") -> None:
        """A pull has ended while nobody waited for it."""
        if self._asked or self._open.get(band) is not pull:
            return
        del self._open[band]
        if pull.cancelled():
            return
        if (error := pull.exception()) is not None:
            log.debug("a pull that nobody waited for: %s", error)
        elif (message := pull.result()) is not None:
            self._give_back(message)

    def _arrived(self) -> Msg | None:
        """Of what the open pulls brought the highest; the rest is given back."""
        best: Msg | None = None
        failed: QueueUnavailable | None = None
        for band in sorted(self._open, reverse=True):
            if not self._open[band].done():
                continue
            try:
                message = self._open.pop(band).result()
            except QueueUnavailable as error:
                failed = failed or error
                continue
            if best is not None and message is not None:
                self._give_back(message)
            best = best or message
        if best is None and failed is not None:
            raise failed
        return best

    def _give_back(self, message: Msg) -> None:
        async def give_back() -> None:
            try:
                await message.nak()
            except (nats.errors.Error, OSError) as error:
                log.info("nak of %s not sent: %s", message.subject, error)

        work = asyncio.create_task(give_back())
        self._giving_back.add(work)
        work.add_done_callback(self._giving_back.discard)

    async def _pull(self, band: int, request: dict[str, object], timeout: float) -> Msg | None:
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{QUEUE}.{consumer(*self._place, band)}"
        # A plain request, not a pull subscription: that would keep what comes too late where nobody looks.
        try:
            # Of the old style, with an inbox of its own: a queued message keeps its subject, by which the
            # shared inbox would not find who waits for it.
            message = await self._client.request(
                subject, json.dumps(request).encode(), timeout=timeout, old_style=True
            )
        except UNREACHABLE as error:
            raise QueueUnavailable(f"{subject} gives no answer: {error!r}") from error
        status = (message.headers or {}).get("Status")
        if status is None:
            return message
        if status in _NOTHING_THERE:
            return None
        raise QueueUnavailable(f"{subject} refused a pull: {message.headers}")
