"""Requests to JetStream: time-outs, errors, and atomic batches of writes."""

import bisect
import secrets
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js.api import Header
from pydantic import ValidationError

from armonik_sdk.api.bounds import MAX_BATCH as MAX_BATCH
from armonik_sdk.api.bounds import MAX_PAYLOAD_BYTES, MAX_SUBJECT_BYTES
from armonik_sdk.api.errors import explain
from armonik_sdk.api.records import Wire
from armonik_sdk.dataplane.errors import (
    Conflict,
    DataPlaneError,
    QueueFull,
    QueueUnavailable,
    TooLarge,
    Unreadable,
)

W = TypeVar("W", bound=Wire)
REQUEST_TIMEOUT = 3.0
"""Seconds that one request waits for its answer."""
WRONG_LAST_SEQUENCE = 10071
"""The server's error code for a refused compare-and-set."""
_ATOMIC_SINCE = (2, 12)
"""Version of nats-server that knows such batches. An older one would store the messages one by one."""
_EXPIRING_SINCE = (2, 11)
"""Version of nats-server that knows a time to live of single messages."""

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
_ACCOUNT_FULL = 10002
"""The server's error code when the limit of the account would be exceeded."""


def bounded(what: str, value: Wire) -> bytes:
    """The bytes of what is to be sent.

    Raises:
        TooLarge: they are more than its bound.
    """
    data = value.encode()
    if len(data) > value.most_bytes:
        raise TooLarge(f"{what} has {len(data)} bytes, more than {value.most_bytes}")
    return data


def fitting(value: W, field: str) -> W:
    """The same with this text of it cut, when it is longer than its bound otherwise."""
    text: str = getattr(value, field)

    def size(length: int) -> int:
        return len(value.model_copy(update={field: text[:length]}).encode())

    if size(len(text)) <= value.most_bytes:
        return value
    longest = bisect.bisect_right(range(len(text)), value.most_bytes, key=size)
    return value.model_copy(update={field: text[: longest - 1]})


def received(what: str, model: type[W], data: bytes) -> W:
    """A message that anybody may have written.

    Raises:
        Unreadable: it is longer than its bound, or not understood.
    """
    if len(data) > model.most_bytes:
        raise Unreadable(f"{what} has {len(data)} bytes, more than {model.most_bytes}")
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        raise Unreadable(f"{what} is not understood: {explain(error)}") from error


def unreachable(what: str, error: BaseException) -> DataPlaneError:
    """The error for a request without a usable answer: an outage, but for what NATS never takes."""
    if isinstance(error, nats.errors.MaxPayloadError):
        return TooLarge(
            f"{what}: it is longer than NATS takes; set its max_payload to {MAX_PAYLOAD_BYTES} or more"
        )
    if isinstance(error, nats.errors.BadSubjectError):
        return TooLarge(
            f"{what}: no message can have its subject, which is at most {MAX_SUBJECT_BYTES} bytes long"
        )
    return QueueUnavailable(f"{what}: {type(error).__name__}: {error}")


def write_error(what: str, error: nats.js.errors.APIError) -> QueueUnavailable:
    """The error for a write that the server refused, other than by compare-and-set."""
    if error.err_code == _ACCOUNT_FULL:
        return QueueFull(f"{what}: the namespace has reached its limit in NATS ({error.description})")
    full = error.err_code == _STREAM_REFUSED and "bytes" in (error.description or "")
    if full or error.err_code in _NO_ROOM:
        return QueueFull(f"{what}: NATS has no room left ({error.description})")
    return QueueUnavailable(f"{what}: {error}")


def expected_sequence(sequence: int) -> dict[str, str]:
    """Headers of a message that is refused unless this is its subject's last sequence; 0: it has none."""
    return {str(Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value): str(sequence)}


def expiring(client: Client) -> bool:
    """Whether the server that is connected removes single messages when their time is over."""
    version = client.connected_server_version
    return (version.major, version.minor) >= _EXPIRING_SINCE


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
        QueueUnavailable: refused; or no answer, then all of them are stored, or none, or will be soon.
    """
    if not atomic(client):
        raise QueueUnavailable("the server is too old to store several messages all or none")
    js = client.jetstream(timeout=timeout)
    batch, last = secrets.token_hex(16), len(writes)
    try:
        for number, (subject, data, expected) in enumerate(writes, start=1):
            headers = expected_sequence(expected) | {
                "Nats-Batch-Id": batch,
                "Nats-Batch-Sequence": str(number),
            }
            if number < last:
                await client.publish(subject, data, headers=headers)
            else:
                headers["Nats-Batch-Commit"] = "1"
                ack = await js.publish(subject, data, stream=stream, headers=headers)
    except nats.js.errors.APIError as error:
        if error.err_code == WRONG_LAST_SEQUENCE:
            raise Conflict("a subject of the batch has another head") from error
        raise write_error("batch refused", error) from error
    except UNREACHABLE as error:
        raise unreachable("batch unanswered", error) from error
    return int(ack.seq)
