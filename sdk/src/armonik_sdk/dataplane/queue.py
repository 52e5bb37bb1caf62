"""The work queue: at most one message a submission of a run, pulled by the agents of a Partition."""

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from armonik_sdk.api.messages import RunMessage
from armonik_sdk.api.names import ALL_QUEUED, QUEUE, RunId, consumer, consumer_filter
from armonik_sdk.dataplane.errors import QueueUnavailable
from armonik_sdk.dataplane.journal import REQUEST_TIMEOUT, UNREACHABLE
from armonik_sdk.dataplane.listing import subjects

ALREADY_QUEUED = 10077
"""The server's error code when a subject holds its one message already."""


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
        self._js = client.jetstream(timeout=REQUEST_TIMEOUT)
        self._durable = consumer(namespace, partition)
        self._filter = consumer_filter(namespace, partition)
        self._subscription: object | None = None

    async def next(self, timeout: float = 2.0) -> Msg | None:
        """The next message, or None after `timeout` seconds.

        Short time-outs are wanted: a pull in flight stays deaf after a reconnect until it runs out.
        """
        if self._subscription is None:
            self._subscription = await self._js.pull_subscribe_bind(consumer=self._durable, stream=QUEUE)
        try:
            messages: list[Msg] = await self._subscription.fetch(1, timeout=timeout)  # type: ignore[attr-defined]
        except TimeoutError:
            return None
        except (nats.errors.Error, nats.js.errors.Error) as error:
            raise QueueUnavailable(f"{self._durable} could not be pulled from: {error}") from error
        return messages[0] if messages else None
