"""The `minio` client, with a time-out for each request that follows from what is asked of the server."""

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import urllib3
from minio import Minio
from minio.error import S3Error, ServerError
from urllib3.exceptions import MaxRetryError, SSLError

from armonik_sdk.api.bounds import MAX_KEY_BYTES
from armonik_sdk.dataplane.credentials import Credentials
from armonik_sdk.dataplane.errors import InvalidKey, StoreUnavailable
from armonik_sdk.dataplane.s3.connections import OPTIONS, POOLS
from armonik_sdk.dataplane.tls import distrust, trusting

T = TypeVar("T")

CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 5.0
"""Seconds that the server may be silent, for each request about little data."""
BULK_TIMEOUT = 30.0
"""The same for lists and for deletions of many."""
BYTES_PER_SECOND = 1024 * 1024
"""Of an upload or download: the server may be silent longer by its length divided by this."""
_local = threading.local()
"""`seconds`: how long the server may be silent in what this thread does."""

BUSY = frozenset(
    {"SlowDown", "SlowDownRead", "SlowDownWrite", "TooManyRequests", "RequestLimitExceeded", "Throttling"}
)
"""Answers of a store that is up and wants fewer requests, often for one bucket alone: others are not held."""
_BUSY_STATUS = (429, 503)
"""The same as a status alone: an answer to HEAD has no body that says why."""


def throttled(error: Exception | None) -> bool:
    """Whether an answer may say that the store is up and wants fewer requests, or refuses a part of one."""
    if isinstance(error, StoreUnavailable):  # raised of an answer that names objects, for some of many
        return True
    if isinstance(error, ServerError):  # raised of answers without a body
        return error.status_code in _BUSY_STATUS
    return isinstance(error, S3Error) and error.code in BUSY


def ask(client: Minio, bucket: str) -> None:
    """Have the store answer: to HEAD, and where it refuses that to GET, for that answer says why."""
    try:
        client.bucket_exists(bucket)
    except ServerError:
        response = client.get_object(bucket, "nothing")
        response.close()
        response.release_conn()


def allow(seconds: float) -> None:
    """Let the server be silent for `seconds` in what this thread does from now on."""
    _local.seconds = seconds


def timed(work: Callable[[], T], seconds: float = READ_TIMEOUT) -> Callable[[], T]:
    """The same work, during which the server may be silent for `seconds`."""

    def within() -> T:
        allow(seconds)
        return work()

    return within


def patience(length: int) -> float:
    """Seconds that the server may be silent over `length` bytes."""
    return READ_TIMEOUT + length / BYTES_PER_SECOND


class _Pool(urllib3.PoolManager):
    """Takes the time-out of each request from what its thread does: `minio` has one for all."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.pool_classes_by_scheme = POOLS

    def urlopen(self, *args: Any, **kwargs: Any) -> urllib3.BaseHTTPResponse:
        body = kwargs.get("body")  # parts of a large file are sent by threads of the library's own
        sent = patience(len(body)) if isinstance(body, bytes) else 0.0
        read = max(sent, getattr(_local, "seconds", READ_TIMEOUT))
        timeout = urllib3.Timeout(connect=CONNECT_TIMEOUT, read=read)
        try:
            return super().urlopen(*args, timeout=timeout, **kwargs)
        except (SSLError, MaxRetryError) as error:
            if words := distrust(error):
                raise SSLError(words) from error
            raise


def make_client(credentials: Credentials, connections: int, retries: urllib3.Retry | bool) -> Minio:
    """The client library, with time-outs by thread."""
    return Minio(
        credentials.s3_endpoint,
        access_key=credentials.s3_access_key,
        secret_key=credentials.s3_secret_key,
        secure=credentials.s3_secure,
        region=credentials.s3_region,
        http_client=make_pool(connections, retries, credentials.tls_ca),
    )


def make_pool(connections: int, retries: urllib3.Retry | bool, ca: str) -> urllib3.PoolManager:
    """Connections with time-outs by thread.

    Raises:
        InvalidCredentials: `ca`, certificates that are trusted beside the system's, is no PEM.
    """
    return _Pool(maxsize=connections, retries=retries, ssl_context=trusting(ca), socket_options=OPTIONS)


def usable(key: str) -> None:
    """See that an object can have this key.

    Raises:
        InvalidKey: none can, in S3 or for the client library.
    """
    long = len(key.encode(errors="replace")) > MAX_KEY_BYTES
    if not key.strip():
        raise InvalidKey(f"the object key {key!r} is empty")
    if long:
        raise InvalidKey(f"the object key {key[:40]}… is longer than {MAX_KEY_BYTES} bytes")
    if any(part in (".", "..") for part in key.split("/")):
        raise InvalidKey(f"the object key {key!r} has a part that is '.' or '..'")
    if not key.isprintable():
        raise InvalidKey(f"the object key {key!r} has characters that cannot be printed")
