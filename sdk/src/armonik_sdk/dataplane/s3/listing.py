"""What a bucket holds: folders, pages of objects and unfinished uploads. Calls that block, for a thread."""

from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import NamedTuple

from minio import Minio
from minio.datatypes import ListMultipartUploadsResult


class Stored(NamedTuple):
    """An object in the store."""

    key: str
    age: float
    """Seconds since it was written."""
    size: int = 0
    """Bytes."""


def folders(client: Minio, bucket: str, prefix: str) -> set[str]:
    """Names one level below a prefix (empty, or ending with a slash) that have more below them."""
    listed = client.list_objects(bucket, prefix=prefix, recursive=False)
    names = (str(entry.object_name) for entry in listed if entry.is_dir)
    return {name.removeprefix(prefix).rstrip("/") for name in names}


def page(client: Minio, bucket: str, prefix: str, after: str, most: int, now: float) -> list[Stored]:
    """The first `most` objects below a prefix whose keys come after this one (empty: all), by key."""
    listed = client.list_objects(bucket, prefix=prefix, recursive=True, start_after=after or None)
    found = ((str(o.object_name), o.last_modified, o.size) for o in listed if not o.is_dir)
    aged = (Stored(k, now - t.timestamp(), s or 0) for k, t, s in found if t is not None and k > after)
    return list(islice(aged, most))


def names(client: Minio, bucket: str, prefix: str, after: str, most: int) -> list[str]:
    """The first `most` keys below a prefix that come after this one, with the folders that a server shows."""
    listed = client.list_objects(bucket, prefix=prefix, recursive=True, start_after=after or None)
    return list(islice((name for entry in listed if (name := str(entry.object_name)) > after), most))


def abort_uploads(client: Minio, bucket: str, prefix: str, before: datetime) -> int:
    """Remove the parts of multipart uploads below a prefix begun before this time; the number of uploads."""
    aborted = 0
    for listed in _upload_pages(client, bucket, prefix):
        for upload in listed.uploads:
            if upload.initiated_time is None or upload.initiated_time < before:
                client._abort_multipart_upload(bucket, str(upload.object_name), str(upload.upload_id))
                aborted += 1
    return aborted


def _upload_pages(client: Minio, bucket: str, prefix: str) -> Iterator[ListMultipartUploadsResult]:
    """The library has no public name for this plain call and for the one that aborts."""
    key, upload_id = None, None
    while True:
        listed = client._list_multipart_uploads(
            bucket, prefix=prefix, key_marker=key, upload_id_marker=upload_id
        )
        yield listed
        place, key, upload_id = (key, upload_id), listed.next_key_marker, listed.next_upload_id_marker
        if not listed.is_truncated or place == (key, upload_id):  # a server that repeats itself would loop
            return
