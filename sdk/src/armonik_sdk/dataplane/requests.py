"""What requests to JetStream have in common: their time, what they fail with, and several as one batch."""

import secrets
from collections.abc import Sequence
from typing import NamedTuple

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js.api import Header

from armonik_sdk.dataplane.errors import Conflict, QueueFull, QueueUnavailable

REQUEST_TIMEOUT = 3.0
"""Seconds that one request waits for its answer."""
WRONG_LAST_SEQUENCE = 10071
"""The server's error code for a refused compare-and-set."""
MAX_BATCH = 1_000
"""Most messages that the server stores all or none of."""
_ATOMIC_SINCE = (2, 12)
"""Version of nats-server that knows such batches. An older one would store the messages one by one."""

# What a request may fail with when the server is away, restarting or electing a leader.
UNREACHABLE = (
    TimeoutError,
    OSError,
    nats.errors.Error,
    nats.js.errors.ServiceUnavailableError,
    nats.js.errors.NoStreamResponseError,
)


_STREAM_REFUSED = 10077
"""The server's error code when a stream's own limit would be exceeded; the description says which."""
_NO_ROOM = (10023, 10047)
"""The server's error codes when it has no room for anything."""


def refused(what: str, error: nats.js.errors.APIError) -> QueueUnavailable:
    """The error for a write that the server refused, other than by compare-and-set."""
    full = error.err_code == _STREAM_REFUSED and "bytes" in (error.description or "")
    if full or error.err_code in _NO_ROOM:
        return QueueFull(f"{what}: NATS has no room left ({error.description})")
    return QueueUnavailable(f"{what}: {error}")


def expecting(sequence: int) -> dict[str, str]:
    """Headers of a message that is refused unless this is its subject's last sequence; 0: it has none."""
    return {str(Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value): str(sequence)}


class Write(NamedTuple):
    """A message of a batch."""

    subject: str
    data: bytes
    expected: int
    """Sequence of the subject's last message; 0: it has none."""


def atomic(client: Client) -> bool:
    """Whether the server that is connected stores several messages all or none."""
    version = client.connected_server_version
    return (version.major, version.minor) >= _ATOMIC_SINCE


async def write_all(
    client: Client, stream: str, writes: Sequence[Write], timeout: float = REQUEST_TIMEOUT
) -> int:
    """Write all of these or none, as one batch (ADR-50 of NATS); asked once.

    The stream has to allow it (`allow_atomic`), and takes `MAX_BATCH` at once.

    Returns:
        Sequence of the last one. Those before it have the sequences before.

    Raises:
        Conflict: the last message of a subject is not the one expected; the error does not say which.
        QueueUnavailable: refused; or no answer, then all of them stand, or none, or will before long.
    """
    if not atomic(client):
        raise QueueUnavailable("the server is too old to store several messages all or none")
    js = client.jetstream(timeout=timeout)
    batch, last = secrets.token_hex(16), len(writes)
    try:
        for number, (subject, data, expected) in enumerate(writes, start=1):
            headers = expecting(expected) | {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(number)}
            if number < last:
                await client.publish(subject, data, headers=headers)
            else:
                headers["Nats-Batch-Commit"] = "1"
                ack = await js.publish(subject, data, stream=stream, headers=headers)
    except nats.js.errors.APIError as error:
        if error.err_code == WRONG_LAST_SEQUENCE:
            raise Conflict("a subject of the batch has another head") from error
        raise refused("batch refused", error) from error
    except UNREACHABLE as error:
        raise QueueUnavailable(f"batch unanswered ({type(error).__name__}: {error})") from error
    return int(ack.seq)
