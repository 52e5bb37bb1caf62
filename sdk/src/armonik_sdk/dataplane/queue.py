"""The work queue: at most one message a submission of a run, pulled by the agents of a Partition."""

import json

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from armonik_sdk.api.messages import RunMessage
from armonik_sdk.api.names import ALL_QUEUED, QUEUE, RunId, consumer
from armonik_sdk.dataplane.errors import QueueUnavailable
from armonik_sdk.dataplane.journal import REQUEST_TIMEOUT, UNREACHABLE
from armonik_sdk.dataplane.listing import subjects

ALREADY_QUEUED = 10077
"""The server's error code when a subject holds its one message already."""
_LATE = 1.0
"""Seconds that an answer may take beyond the pull's own time."""
_NOTHING_THERE = ("404", "408")


async def publish_run(client: Client, run: RunId, partition: str, message: RunMessage) -> bool:
    """Queue a submission; False when it is queued already, which is as good.

    Raises:
        QueueUnavailable: no answer, or the store is full; the sweep publishes it later.
    """
    js = client.jetstream(timeout=REQUEST_TIMEOUT)
    try:
        await js.publish(run.queue(partition, message.n), message.encode(), stream=QUEUE)
    except nats.js.errors.APIError as error:
        if error.err_code == ALREADY_QUEUED:
            return False
        raise QueueUnavailable(f"run {run.journal} could not be queued: {error}") from error
    except UNREACHABLE as error:
        raise QueueUnavailable(f"run {run.journal} could not be queued: {error}") from error
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
    """Pulls one message at a time for one Partition."""

    def __init__(self, client: Client, namespace: str, partition: str) -> None:
        self._client = client
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{QUEUE}.{consumer(namespace, partition)}"

    async def next(self, timeout: float = 2.0) -> Msg | None:
        """The next message, or None after `timeout` seconds.

        Short time-outs are wanted: a pull in flight stays deaf after a reconnect until it runs out.

        Raises:
            QueueUnavailable: the consumer cannot be reached.
        """
        return await self._pull({"batch": 1, "expires": int(timeout * 1e9)}, timeout + _LATE)

    async def backlog(self) -> Msg | None:
        """A message that waits already, because nobody who is idle has taken it; None when none does.

        Raises:
            QueueUnavailable: the consumer cannot be reached.
        """
        return await self._pull({"batch": 1, "no_wait": True}, REQUEST_TIMEOUT)

    async def _pull(self, request: dict[str, object], timeout: float) -> Msg | None:
        # A plain request, not a pull subscription: that would keep what comes too late where nobody looks.
        try:
            # Of the old style, with an inbox of its own: a queued message keeps its subject, by which the
            # shared inbox would not find who waits for it.
            message = await self._client.request(
                self._subject, json.dumps(request).encode(), timeout=timeout, old_style=True
            )
        except UNREACHABLE as error:
            raise QueueUnavailable(f"{self._subject} gives no answer: {error!r}") from error
        status = (message.headers or {}).get("Status")
        if status is None:
            return message
        if status in _NOTHING_THERE:
            return None
        raise QueueUnavailable(f"{self._subject} refused a pull: {message.headers}")
