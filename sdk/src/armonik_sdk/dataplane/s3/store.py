"""Payloads and results in any S3, by plain calls: no administration, no extensions of a server."""

import asyncio
import contextlib
import hashlib
import io
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import urllib3
from minio import Minio
from minio.deleteobjects import DeleteObject
from minio.error import InvalidResponseError, S3Error, ServerError

from armonik_sdk.api.kinds.data import ObjectRef
from armonik_sdk.api.records import carried
from armonik_sdk.circuit import Circuit
from armonik_sdk.dataplane.credentials import Credentials
from armonik_sdk.dataplane.errors import ChecksumMismatch, DataPlaneError, ObjectMissing, StoreUnavailable
from armonik_sdk.dataplane.s3 import listing
from armonik_sdk.dataplane.s3.chunk_reader import ChunkReader
from armonik_sdk.dataplane.s3.client import (
    BULK_TIMEOUT,
    READ_TIMEOUT,
    allow,
    ask,
    make_client,
    patience,
    throttled,
    timed,
    usable,
)
from armonik_sdk.dataplane.s3.listing import Stored

log = logging.getLogger(__name__)

T = TypeVar("T")
Data = TypeVar("Data", bytes, memoryview)

THREADS = 16
"""Transfers at once; also the size of the connection pool."""
ATTEMPTS = 4
UPLOADS = 4
"""Uploads of streams at once. They have threads of their own: what they send may come from a download."""
PART_BYTES = 8 * 1024 * 1024
"""Bytes of a stream that are sent in one request; about two of them are in memory."""
CHUNK = 1024 * 1024
"""Bytes of a download that are in memory at once."""
_MISSING = frozenset({"NoSuchKey", "NoSuchObject", "NoSuchBucket", "InvalidRange"})
_RETRIED = (OSError, urllib3.exceptions.HTTPError, InvalidResponseError, ServerError, DataPlaneError)
_FINAL = frozenset({"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidBucketName"})


Keep = Callable[[Sequence[str]], Awaitable[Collection[str]]]
"""Those of some keys that stay."""
DELETED_AT_ONCE = 1_000
"""Objects of one listing, and of one deletion."""


class ObjectStore(Protocol):
    """What operator, agent and client need of an object store."""

    async def ensure_bucket(self) -> None:
        """Make the bucket if it is absent."""

    async def put(self, key: str, data: bytes | Path) -> ObjectRef:
        """Store bytes or a file; the reference carries length and SHA-256."""

    async def get(self, ref: ObjectRef) -> bytes:
        """The bytes, checked when the reference has a checksum."""

    async def download(self, ref: ObjectRef, path: Path) -> None:
        """The same into a new file, never as a whole in memory."""

    async def stat(self, key: str) -> int:
        """Size of the object in bytes."""

    async def delete_many(self, prefix: str, keep: Keep | None = None) -> int:
        """Delete all objects below a prefix but those to keep; how many they were."""


class _HereError(Exception):
    """A file of this host could not be written."""

    def __init__(self, error: OSError) -> None:
        self.error = error
        super().__init__(str(error))


@contextlib.contextmanager
def _here() -> Iterator[None]:
    """Mark errors of this host's files: those of the connection are tried again, these are not."""
    try:
        yield
    except OSError as error:
        raise _HereError(error) from error


class S3Store:
    """An ObjectStore over the `minio` client, which blocks, in a bounded pool of threads.

    Every method raises `StoreUnavailable` when there was no usable answer within the retries; with a circuit
    at once when the store is known to be down. `admit` is called before each request and may raise.
    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        circuit: Circuit | None = None,
        admit: Callable[[], None] | None = None,
    ) -> None:
        self._bucket = credentials.s3_bucket
        self._circuit = circuit
        self._admit = admit
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="s3")
        self._uploads = ThreadPoolExecutor(UPLOADS, thread_name_prefix="s3-upload")
        self._client = make_client(credentials, THREADS, retries=False)
        # A stream cannot be read twice, so its parts are sent again one by one.
        patient = urllib3.Retry(total=6, backoff_factor=0.4, status_forcelist=(500, 502, 503, 504))
        self._streams = make_client(credentials, UPLOADS, retries=patient)

    async def ensure_bucket(self) -> None:
        """Make the bucket if it is absent."""

        def work() -> None:
            if not self._client.bucket_exists(self._bucket):
                self._client.make_bucket(self._bucket)

        await self._run(f"bucket {self._bucket}", work)

    async def probe(self) -> None:
        """Ask once whether the store answers, also while the circuit says that it does not.

        Raises:
            StoreUnavailable: it does not.
        """
        circuit = self._circuit or Circuit("store")
        begun = circuit.now()
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(None, timed(partial(ask, self._client, self._bucket)))
        except S3Error as error:
            if error.code not in _MISSING | _FINAL and not throttled(error):
                circuit.failed(begun, error)
                raise StoreUnavailable(f"the object store refuses: {error.code}") from error
        except _RETRIED as error:
            circuit.failed(begun, error)
            raise StoreUnavailable(f"the object store does not answer: {error}") from error
        circuit.answered()

    async def put(self, key: str, data: bytes | Path) -> ObjectRef:
        """Store bytes or a file under a key that must never be used again.

        Raises:
            InvalidKey: no object can have this key.
        """
        usable(key)
        client, bucket = self._at(key)

        def work() -> ObjectRef:
            if isinstance(data, Path):
                with data.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
                length = data.stat().st_size
                client.fput_object(bucket, key, str(data))
            else:
                digest, length = hashlib.sha256(data).hexdigest(), len(data)
                client.put_object(bucket, key, io.BytesIO(data), length)
            return ObjectRef(key=key, offset=0, length=length, sha256=digest)

        length = len(data) if isinstance(data, bytes) else (await asyncio.to_thread(data.stat)).st_size
        try:
            return await self._run(f"put {key}", work, patience(length))
        except ObjectMissing as error:  # the bucket, which is about to be made
            raise StoreUnavailable(str(error)) from error

    async def put_stream(self, key: str, chunks: AsyncIterator[bytes]) -> ObjectRef:
        """Store what comes piece by piece, of any length, never as a whole in memory.

        The object appears when the last piece is sent, or not at all.

        Raises:
            whatever `chunks` raises.
        """
        usable(key)
        if self._admit is not None:
            self._admit()
        loop = asyncio.get_running_loop()
        reader = ChunkReader(chunks, loop)

        def work() -> None:
            allow(patience(PART_BYTES))
            self._streams.put_object(
                self._bucket,
                key,
                reader,  # type: ignore[arg-type]  # all that is asked of it is read()
                length=-1,
                part_size=PART_BYTES,
                num_parallel_uploads=1,
            )

        try:
            await loop.run_in_executor(self._uploads, work)
        except Exception as error:
            if reader.error is not None:
                raise reader.error from None
            if not isinstance(error, (*_RETRIED, S3Error)):
                raise
            raise StoreUnavailable(f"put {key}: {error}") from error
        finally:
            reader.close()
        return ObjectRef(key=key, offset=0, length=reader.length, sha256=reader.sha256)

    async def get(self, ref: ObjectRef) -> bytes:
        """The bytes the reference names.

        Raises:
            ObjectMissing: there is no such object.
            ChecksumMismatch: the bytes are not those that were committed.
        """
        if (here := carried(ref)) is not None:
            return checked(ref, here)
        usable(ref.key)
        client, bucket = self._at(ref.key)

        def work() -> bytes:
            if ref.length == 0:
                return b""
            response = client.get_object(bucket, ref.key, offset=ref.offset or 0, length=ref.length or 0)
            try:
                return bytes(response.read())
            finally:
                response.close()
                response.release_conn()

        return checked(ref, await self._run(f"get {ref.key}", work, patience(ref.length or CHUNK)))

    async def download(self, ref: ObjectRef, path: Path) -> None:
        """The bytes the reference names, streamed into a file that appears complete or not at all.

        Raises:
            ObjectMissing: there is no such object.
            ChecksumMismatch: the bytes are not those that were committed.
            OSError: the file cannot be written; that is no matter of the store's, and not tried again.
        """
        part = path.with_name(f"{path.name}.part")
        here = carried(ref)
        if here is None:
            usable(ref.key)
        client, bucket = self._at(ref.key)

        def work() -> str:
            digest = hashlib.sha256(here or b"")
            if here is not None:
                with _here():
                    part.write_bytes(here)
                return digest.hexdigest()
            with _here():
                file = part.open("wb")
            with file:
                if ref.length == 0:
                    return digest.hexdigest()
                response = client.get_object(bucket, ref.key, offset=ref.offset or 0, length=ref.length or 0)
                try:
                    for chunk in response.stream(CHUNK):
                        digest.update(chunk)
                        with _here():
                            file.write(chunk)
                    with _here():
                        file.flush()
                finally:
                    response.close()
                    response.release_conn()
            return digest.hexdigest()

        try:
            found = await self._run(f"download {ref.key}", work, patience(ref.length or CHUNK))
            if ref.sha256 is not None and found != ref.sha256:
                raise ChecksumMismatch(f"object {ref.key} [{ref.offset or 0}, {ref.length}] was altered")
            await asyncio.to_thread(part.rename, path)
        except _HereError as error:
            raise error.error from error
        finally:
            await asyncio.to_thread(part.unlink, missing_ok=True)

    async def stat(self, key: str) -> int:
        """Size of the object in bytes.

        Raises:
            ObjectMissing: there is no such object.
        """
        usable(key)
        client, bucket = self._at(key)
        return await self._run(f"stat {key}", lambda: int(client.stat_object(bucket, key).size or 0))

    async def folders(self, prefix: str) -> set[str]:
        """Names one level below a prefix (empty, or ending with a slash) that have more below them."""
        work = partial(listing.folders, *self._at(prefix), prefix)
        return await self._run(f"list {prefix or 'the bucket'}", work, BULK_TIMEOUT)

    async def page(self, prefix: str, after: str, most: int, now: float) -> list[Stored]:
        """The first objects below a prefix whose keys come after this one (empty: all), ascending by key."""
        work = partial(listing.page, *self._at(prefix), prefix, after, most, now)
        return await self._run(f"list {prefix}", work, BULK_TIMEOUT)

    async def give_up(self, prefix: str, before: datetime) -> int:
        """Remove the parts of uploads below a prefix that were begun before; the number of uploads.

        A process that was killed during an upload left them: no listing shows them, but they take room.
        """
        work = partial(listing.abort_uploads, *self._at(prefix), prefix, before)
        return await self._run(f"list unfinished uploads below {prefix}", work, BULK_TIMEOUT)

    async def delete(self, keys: Iterable[str]) -> None:
        """Delete these objects; absent ones are fine."""
        names = list(keys)
        await self._run(f"delete {len(names)} objects", lambda: self._remove(names), BULK_TIMEOUT)

    async def delete_many(self, prefix: str, keep: Keep | None = None) -> int:
        """Delete all objects below a prefix, page by page; how many they were.

        `keep` is given keys and says which of them stay.
        """
        if not prefix.strip("/"):
            raise ValueError("delete_many needs a prefix: it would delete everything")
        count, after = 0, ""
        while names := await self._names(prefix, after):
            after = names[-1]
            if keep is not None:  # an empty folder that some servers show may hold what is kept
                files = [name for name in names if not name.endswith("/")]
                kept = await keep(files)
                names = [name for name in files if name not in kept]
            await self.delete(names)
            count += len(names)
        return count

    async def _names(self, prefix: str, after: str) -> list[str]:
        work = partial(listing.names, *self._at(prefix), prefix, after, DELETED_AT_ONCE)
        return await self._run(f"list {prefix}", work, BULK_TIMEOUT)

    def _at(self, key: str) -> tuple[Minio, str]:
        """The client for an object, or for a prefix, and its bucket."""
        del key
        return self._client, self._bucket

    def _remove(self, names: list[str]) -> None:
        if not names:
            return
        client, bucket = self._at(names[0])
        errors = list(client.remove_objects(bucket, (DeleteObject(n) for n in names)))
        if errors:
            raise StoreUnavailable(f"{len(errors)} of {len(names)} objects were not deleted: {errors[0]}")

    async def _run(self, what: str, work: Callable[[], T], seconds: float = READ_TIMEOUT) -> T:
        loop, circuit = asyncio.get_running_loop(), self._circuit or Circuit("store")
        last: Exception | None = None
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(0.2 * 2**attempt)
            if self._circuit is not None and not circuit.up:
                raise StoreUnavailable(f"{what}: {last or circuit.error}")
            if self._admit is not None:
                self._admit()
            begun = circuit.now()
            try:
                answer = await loop.run_in_executor(self._pool, timed(work, seconds))
            except S3Error as error:
                if error.code in _MISSING | _FINAL or throttled(error):
                    circuit.answered()
                if error.code in _MISSING:
                    raise ObjectMissing(f"{what}: {error.code}") from error
                if error.code in _FINAL:
                    raise StoreUnavailable(f"{what}: {error.code}: {error.message}") from error
                last = error
            except _RETRIED as error:
                last = error
            else:
                circuit.answered()
                return answer
            if not throttled(last):
                circuit.failed(begun, last)
            log.info("%s failed (%s), attempt %d of %d", what, last, attempt + 1, ATTEMPTS)
        raise StoreUnavailable(f"{what}: no usable answer in {ATTEMPTS} attempts; the last: {last}")


def checked(ref: ObjectRef, data: Data) -> Data:
    """The bytes themselves, when they are those that the reference names.

    Raises:
        ChecksumMismatch: they are not.
    """
    if ref.sha256 is not None and hashlib.sha256(data).hexdigest() != ref.sha256:
        raise ChecksumMismatch(f"object {ref.key} [{ref.offset or 0}, {len(data)} bytes] was altered")
    return data
