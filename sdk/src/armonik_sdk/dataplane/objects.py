"""Payloads and results in any S3. Plain calls only: no administration, no server's own extensions."""

import asyncio
import hashlib
import io
import logging
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Protocol, TypeVar

import urllib3
from minio import Minio
from minio.deleteobjects import DeleteObject
from minio.error import InvalidResponseError, S3Error, ServerError

from armonik_sdk.api.kinds.data import ObjectRef
from armonik_sdk.api.messages import MAX_MESSAGE_BYTES
from armonik_sdk.api.records import Record, carried
from armonik_sdk.dataplane.connect import Credentials
from armonik_sdk.dataplane.errors import ChecksumMismatch, DataPlaneError, ObjectMissing, StoreUnavailable
from armonik_sdk.dataplane.streaming import ChunkReader

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
CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 60.0
_MISSING = frozenset({"NoSuchKey", "NoSuchObject", "NoSuchBucket", "InvalidRange"})
_RETRIED = (OSError, urllib3.exceptions.HTTPError, InvalidResponseError, ServerError, DataPlaneError)
_FINAL = frozenset({"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidBucketName"})


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

    async def delete_many(self, prefix: str, keep: Collection[str] = ()) -> int:
        """Delete all objects below a prefix but those to keep; how many they were."""


class S3Store:
    """An ObjectStore over the `minio` client, which blocks, in a bounded pool of threads.

    Every method raises `StoreUnavailable` when there was no usable answer within the retries.
    """

    def __init__(self, credentials: Credentials) -> None:
        self._bucket = credentials.s3_bucket
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="s3")
        self._uploads = ThreadPoolExecutor(UPLOADS, thread_name_prefix="s3-upload")
        self._client = _client(credentials, THREADS, retries=False)
        # A stream cannot be read twice, so its parts are sent again one by one.
        patient = urllib3.Retry(total=6, backoff_factor=0.4, status_forcelist=(500, 502, 503, 504))
        self._streams = _client(credentials, UPLOADS, retries=patient)

    async def ensure_bucket(self) -> None:
        """Make the bucket if it is absent."""

        def work() -> None:
            if not self._client.bucket_exists(self._bucket):
                self._client.make_bucket(self._bucket)

        await self._run(f"bucket {self._bucket}", work)

    async def put(self, key: str, data: bytes | Path) -> ObjectRef:
        """Store bytes or a file under a key that must never be used again."""

        def work() -> ObjectRef:
            if isinstance(data, Path):
                with data.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
                length = data.stat().st_size
                self._client.fput_object(self._bucket, key, str(data))
            else:
                digest, length = hashlib.sha256(data).hexdigest(), len(data)
                self._client.put_object(self._bucket, key, io.BytesIO(data), length)
            return ObjectRef(key=key, offset=0, length=length, sha256=digest)

        return await self._run(f"put {key}", work)

    async def put_stream(self, key: str, chunks: AsyncIterator[bytes]) -> ObjectRef:
        """Store what comes piece by piece, of any length, never as a whole in memory.

        The object appears when the last piece is sent, or not at all.

        Raises:
            whatever `chunks` raises.
        """
        loop = asyncio.get_running_loop()
        reader = ChunkReader(chunks, loop)

        def work() -> None:
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

        def work() -> bytes:
            if ref.length == 0:
                return b""
            response = self._client.get_object(
                self._bucket, ref.key, offset=ref.offset or 0, length=ref.length or 0
            )
            try:
                return bytes(response.read())
            finally:
                response.close()
                response.release_conn()

        return checked(ref, await self._run(f"get {ref.key}", work))

    async def download(self, ref: ObjectRef, path: Path) -> None:
        """The bytes the reference names, streamed into a file that appears complete or not at all.

        Raises:
            ObjectMissing: there is no such object.
            ChecksumMismatch: the bytes are not those that were committed.
        """
        part = path.with_name(f"{path.name}.part")
        here = carried(ref)

        def work() -> str:
            digest = hashlib.sha256(here or b"")
            if here is not None:
                part.write_bytes(here)
                return digest.hexdigest()
            with part.open("wb") as file:
                if ref.length == 0:
                    return digest.hexdigest()
                response = self._client.get_object(
                    self._bucket, ref.key, offset=ref.offset or 0, length=ref.length or 0
                )
                try:
                    for chunk in response.stream(CHUNK):
                        digest.update(chunk)
                        file.write(chunk)
                finally:
                    response.close()
                    response.release_conn()
            return digest.hexdigest()

        try:
            found = await self._run(f"download {ref.key}", work)
            if ref.sha256 is not None and found != ref.sha256:
                raise ChecksumMismatch(f"object {ref.key} [{ref.offset or 0}, {ref.length}] was altered")
            await asyncio.to_thread(part.rename, path)
        finally:
            await asyncio.to_thread(part.unlink, missing_ok=True)

    async def stat(self, key: str) -> int:
        """Size of the object in bytes.

        Raises:
            ObjectMissing: there is no such object.
        """
        return await self._run(
            f"stat {key}", lambda: int(self._client.stat_object(self._bucket, key).size or 0)
        )

    async def folders(self, prefix: str) -> set[str]:
        """Names one level below a prefix (empty, or ending with a slash) that have more below them."""

        def work() -> set[str]:
            listed = self._client.list_objects(self._bucket, prefix=prefix, recursive=False)
            names = (str(entry.object_name) for entry in listed if entry.is_dir)
            return {name.removeprefix(prefix).rstrip("/") for name in names}

        return await self._run(f"list {prefix or 'the bucket'}", work)

    async def ages(self, prefix: str, now: float) -> dict[str, float]:
        """Seconds since each object below a prefix was written, by key."""

        def work() -> dict[str, float]:
            listed = self._client.list_objects(self._bucket, prefix=prefix, recursive=True)
            found = ((str(o.object_name), o.last_modified) for o in listed if not o.is_dir)
            return {key: now - written.timestamp() for key, written in found if written is not None}

        return await self._run(f"list {prefix}", work)

    async def give_up(self, prefix: str, before: datetime) -> int:
        """Drop the parts of uploads below a prefix that were begun before; how many uploads they were.

        Who was killed in the middle of one left them: no listing shows them, but they take room.
        """

        def work() -> int:
            # The library has no public name for these two plain calls.
            listed = self._client._list_multipart_uploads(self._bucket, prefix=prefix)
            old = [u for u in listed.uploads if u.initiated_time is None or u.initiated_time < before]
            for upload in old:
                self._client._abort_multipart_upload(
                    self._bucket, str(upload.object_name), str(upload.upload_id)
                )
            return len(old)

        return await self._run(f"list unfinished uploads below {prefix}", work)

    async def delete(self, keys: Iterable[str]) -> None:
        """Delete these objects; absent ones are fine."""
        names = list(keys)
        await self._run(f"delete {len(names)} objects", lambda: self._remove(names))

    async def delete_many(self, prefix: str, keep: Collection[str] = ()) -> int:
        """Delete all objects below a prefix but those to keep; how many they were."""
        if not prefix.strip("/"):
            raise ValueError("delete_many needs a prefix: it would delete everything")
        kept = frozenset(keep)

        def work() -> int:
            listed = self._client.list_objects(self._bucket, prefix=prefix, recursive=True)
            names = [name for entry in listed if (name := str(entry.object_name)) not in kept]
            if kept:  # an empty folder that some servers show may hold what is kept
                names = [name for name in names if not name.endswith("/")]
            self._remove(names)
            return len(names)

        return await self._run(f"delete {prefix}", work)

    def _remove(self, names: list[str]) -> None:
        errors = list(self._client.remove_objects(self._bucket, (DeleteObject(n) for n in names)))
        if errors:
            raise StoreUnavailable(f"{len(errors)} of {len(names)} objects stand: {errors[0]}")

    async def _run(self, what: str, work: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        last: Exception | None = None
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(0.2 * 2**attempt)
            try:
                return await loop.run_in_executor(self._pool, work)
            except S3Error as error:
                if error.code in _MISSING:
                    raise ObjectMissing(f"{what}: {error.code}") from error
                if error.code in _FINAL:
                    raise StoreUnavailable(f"{what}: {error.code}: {error.message}") from error
                last = error
            except _RETRIED as error:
                last = error
            log.info("%s failed (%s), attempt %d of %d", what, last, attempt + 1, ATTEMPTS)
        raise StoreUnavailable(f"{what}: no usable answer in {ATTEMPTS} attempts; the last: {last}")


def _client(credentials: Credentials, connections: int, retries: urllib3.Retry | bool) -> Minio:
    return Minio(
        credentials.s3_endpoint,
        access_key=credentials.s3_access_key,
        secret_key=credentials.s3_secret_key,
        secure=credentials.s3_secure,
        region=credentials.s3_region,
        http_client=urllib3.PoolManager(
            maxsize=connections,
            timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT, read=READ_TIMEOUT),
            retries=retries,
        ),
    )


def checked(ref: ObjectRef, data: Data) -> Data:
    """The bytes themselves, when they are those that the reference names.

    Raises:
        ChecksumMismatch: they are not.
    """
    if ref.sha256 is not None and hashlib.sha256(data).hexdigest() != ref.sha256:
        raise ChecksumMismatch(f"object {ref.key} [{ref.offset or 0}, {len(data)} bytes] was altered")
    return data


BULKY = ("outcomes", "objects", "attempts", "children")
"""Fields of a record that stand in its manifest when the record would be too large."""


async def expand(store: ObjectStore, record: Record) -> Record:
    """The whole record, when it was too large for the journal.

    All but the bulky fields are the record's own: an operator's note keeps the manifest of the record it is
    written on.

    Raises:
        StoreUnavailable, ObjectMissing, ChecksumMismatch: its manifest cannot be read.
    """
    if record.manifest is None:
        return record
    whole = Record.model_validate_json(await store.get(record.manifest))
    return record.model_copy(update={name: getattr(whole, name) for name in BULKY} | {"manifest": None})


async def slim(store: ObjectStore, record: Record, prefix: str) -> Record:
    """The record as the journal can hold it: what is too long goes to an object below `prefix` (rule 15).

    Raises:
        StoreUnavailable: its manifest could not be written.
    """
    record = record.model_copy(update={"manifest": None})
    whole = record.encode()
    if len(whole) <= MAX_MESSAGE_BYTES:
        return record
    manifest = await store.put(f"{prefix}/manifest-{record.record_id}", whole)
    return record.model_copy(update=dict.fromkeys(BULKY, ()) | {"manifest": manifest})
