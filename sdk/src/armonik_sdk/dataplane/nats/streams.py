"""Streams, buckets and consumers with their settings; only the operator creates them."""

import contextlib
from datetime import datetime
from typing import Any, NamedTuple

import nats.js.errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    KeyValueConfig,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)

from armonik_sdk.api.names import (
    ALL_QUEUED,
    ALL_RECORDS,
    BANDS,
    CONTROL,
    DEFAULT_BAND,
    JOURNAL,
    QUEUE,
    RESULTS,
    TASKS,
    bucket_stream,
    consumer,
    consumer_filter,
)
from armonik_sdk.dataplane.nats.requests import UNREACHABLE, expiring, unreachable

SHARES = {QUEUE: 0.40, RESULTS: 0.30, TASKS: 0.09, CONTROL: 0.01}
"""Of NATS' store, at most. The rest is the journal's alone: commits find room where submissions do not."""
ACK_WAIT = 10.0
"""Seconds without renewal after which a run is delivered again."""
MAX_WAITING = 100_000
"""Pulls that may wait at once; the server's default refuses the 513th idle agent."""
_REQUEST_TIMEOUT = 10.0


async def ensure(client: Client, *, replicas: int = 1, store_bytes: int = 0) -> None:
    """Create or update the streams QUEUE and JOURNAL and the three buckets.

    `store_bytes`: what NATS may keep in all, divided by `SHARES`; 0: unknown, nobody has a share of his own.
    """
    shares = {name: int(store_bytes * share) or -1 for name, share in SHARES.items()}
    js = client.jetstream(timeout=_REQUEST_TIMEOUT)
    await _ensure_stream(
        js,
        StreamConfig(
            name=QUEUE,
            subjects=[ALL_QUEUED],
            retention=RetentionPolicy.WORK_QUEUE,
            storage=StorageType.FILE,
            discard=DiscardPolicy.NEW,
            discard_new_per_subject=True,
            max_msgs_per_subject=1,
            max_bytes=shares[QUEUE],
            num_replicas=replicas,
        ),
    )
    await _ensure_stream(
        js,
        StreamConfig(
            name=JOURNAL,
            subjects=[ALL_RECORDS],
            retention=RetentionPolicy.LIMITS,
            storage=StorageType.FILE,
            discard=DiscardPolicy.NEW,
            allow_direct=True,
            allow_atomic=True,
            num_replicas=replicas,
        ),
    )
    for bucket in (TASKS, CONTROL, RESULTS):
        try:
            info = await js.stream_info(bucket_stream(bucket))
        except nats.js.errors.NotFoundError:
            config = KeyValueConfig(bucket=bucket, history=1, storage=StorageType.FILE, replicas=replicas)
            await js.create_key_value(config)
            info = await js.stream_info(bucket_stream(bucket))
        wanted = info.config.evolve(
            max_bytes=shares[bucket],
            allow_atomic=bucket == RESULTS or None,
            allow_msg_ttl=(bucket == CONTROL and expiring(client)) or info.config.allow_msg_ttl or None,
        )
        if wanted != info.config:
            await js.update_stream(wanted)


async def ensure_consumer(client: Client, namespace: str, partition: str, band: int = DEFAULT_BAND) -> None:
    """Create or update the durable consumer that a Partition's agents pull one band from."""
    js = client.jetstream(timeout=_REQUEST_TIMEOUT)
    await js.add_consumer(
        QUEUE,
        ConsumerConfig(
            durable_name=consumer(namespace, partition, band),
            filter_subject=consumer_filter(namespace, partition, band),
            deliver_policy=DeliverPolicy.ALL,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ACK_WAIT,
            max_deliver=-1,
            max_ack_pending=-1,
            max_waiting=MAX_WAITING,
        ),
    )


async def delete_consumers(client: Client, namespace: str, partition: str) -> None:
    """Delete the consumers of all bands; absent ones are fine. What is queued stays."""
    js = client.jetstream(timeout=_REQUEST_TIMEOUT)
    for band in range(BANDS):
        with contextlib.suppress(nats.js.errors.NotFoundError):
            await js.delete_consumer(QUEUE, consumer(namespace, partition, band))


async def consumers(client: Client, stream: str) -> set[tuple[str, str]]:
    """Namespace and Partition of every durable consumer of a stream."""
    js = client.jetstream(timeout=_REQUEST_TIMEOUT)
    found: set[tuple[str, str]] = set()
    offset = 0
    while page := await js.consumers_info(stream, offset=offset):
        for info in page:
            namespace, _, rest = str(info.name).partition("_")
            if partition := rest.rpartition("_")[0]:
                found.add((namespace, partition))
        offset += len(page)
    return found


class StoredBytes(NamedTuple):
    """How much a stream holds."""

    used: int
    most: int
    """0 or less: it has no bound of its own."""


async def stored_bytes(client: Client, stream: str) -> StoredBytes:
    """Bytes that a stream holds, and may hold.

    Raises:
        QueueUnavailable: no usable answer.
    """
    try:
        info = await client.jetstream(timeout=_REQUEST_TIMEOUT).stream_info(stream)
    except (*UNREACHABLE, nats.js.errors.Error) as error:
        raise unreachable(f"the size of stream {stream} is not known", error) from error
    return StoredBytes(int(info.state.bytes), int(info.config.max_bytes or 0))


async def account_bytes(client: Client) -> StoredBytes:
    """Bytes that all streams of this connection's account hold, and may hold.

    Raises:
        QueueUnavailable: no usable answer.
    """
    try:
        info = await client.jetstream(timeout=_REQUEST_TIMEOUT).account_info()
    except (*UNREACHABLE, nats.js.errors.Error) as error:
        raise unreachable("the size of the account on NATS is not known", error) from error
    return StoredBytes(int(info.storage), int(info.limits.max_storage))


class Snapshot(NamedTuple):
    """A stream, also that behind a bucket."""

    created: datetime
    first: int
    """Sequence of its first message; above the last one when it is empty."""
    messages: int


async def take_snapshots(client: Client) -> dict[str, Snapshot]:
    """The existing ones of the streams that `ensure` creates, by name.

    Raises:
        QueueUnavailable: no usable answer.
    """
    js, found = client.jetstream(timeout=_REQUEST_TIMEOUT), {}
    for name in (QUEUE, JOURNAL, *(bucket_stream(bucket) for bucket in (TASKS, CONTROL, RESULTS))):
        try:
            info: Any = await js.stream_info(name)
        except nats.js.errors.NotFoundError:
            continue
        except (*UNREACHABLE, nats.js.errors.Error) as error:
            raise unreachable(f"stream {name} is not known", error) from error
        found[name] = Snapshot(info.created, int(info.state.first_seq), int(info.state.messages))
    return found


async def journal_state(client: Client) -> tuple[datetime, int]:
    """When the stream JOURNAL was made (another time: it was lost and made again), and its last sequence."""
    info: Any = await client.jetstream(timeout=_REQUEST_TIMEOUT).stream_info(JOURNAL)
    created: datetime = info.created
    return created, int(info.state.last_seq)


async def _ensure_stream(js: JetStreamContext, wanted: StreamConfig) -> None:
    try:
        await js.stream_info(str(wanted.name))
    except nats.js.errors.NotFoundError:
        await js.add_stream(wanted)
    else:
        await js.update_stream(wanted)
