"""What a namespace tries on the bucket of another, in integration tests and on a real cluster."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

from minio import Minio
from minio.commonconfig import CopySource
from minio.deleteobjects import DeleteObject
from minio.error import S3Error

from armonik_operator.provisioning.buckets.tenant import Tenant, grants, policy, statements

REFUSALS = {"AccessDenied", "XAdminAccessDenied", "AllAccessDisabled", "MethodNotAllowed"}


def agents_object(tenant: Tenant) -> str:
    """An object that an agent wrote."""
    return f"{tenant.namespace}/session/task/0/1-abc/pack-1"


def clients_object(tenant: Tenant) -> str:
    """An object that a client uploaded."""
    return f"{tenant.namespace}/session/results/r/1"


def attempts(mine: Minio, ours: Tenant, theirs: Tenant, prefix: str) -> dict[str, Callable[[], Any]]:
    """What is tried on another namespace's bucket, by what it is called.

    Args:
        mine: with a key of the own namespace.
        ours: the own namespace, which has an `agents_object`.
        theirs: the other one, which has one too.
        prefix: of the names of all buckets.
    """
    bucket, key = theirs.bucket, agents_object(theirs)
    new = f"{theirs.namespace}/session/client/forged"
    own = ours.bucket

    def put(where: str, name: str, **more: Any) -> Any:
        return mine.put_object(where, name, io.BytesIO(b"forged"), 6, **more)

    def copy(to: str, name: str, of: str, what: str) -> Any:
        return mine.copy_object(to, name, CopySource(of, what))

    def upload() -> Any:
        pieces = io.BytesIO(b"f" * (6 << 20))
        return mine.put_object(bucket, new, pieces, -1, part_size=5 << 20)

    def opened() -> str:
        anyone: dict[str, object] = {"Principal": {"AWS": ["*"]}}
        allowing = [anyone | each for each in statements(grants(theirs, "agent"))]
        return json.dumps(policy(allowing))

    return {
        "read": lambda: mine.get_object(bucket, key).read(),
        "read a part": lambda: mine.get_object(bucket, key, offset=1, length=2).read(),
        "stat": lambda: mine.stat_object(bucket, key),
        "probe for a missing object": lambda: mine.stat_object(bucket, f"{key}-none"),
        "list": lambda: list(mine.list_objects(bucket, recursive=True)),
        "list uploads": lambda: mine._list_multipart_uploads(bucket),
        "overwrite": lambda: put(bucket, key),
        "forge an upload of a client": lambda: put(bucket, new),
        "forge in parts": upload,
        "copy from it": lambda: copy(own, f"{ours.namespace}/s/client/stolen", bucket, key),
        "copy into it": lambda: copy(bucket, new, own, agents_object(ours)),
        "delete": lambda: mine.remove_object(bucket, key),
        "delete many": lambda: _remove_many(mine, bucket, key),
        "delete the bucket": lambda: mine.remove_bucket(bucket),
        "open the bucket": lambda: mine.set_bucket_policy(bucket, opened()),
        "drop its policy": lambda: mine.delete_bucket_policy(bucket),
        "read its policy": lambda: mine.get_bucket_policy(bucket),
        "read its tags": lambda: mine.get_bucket_tags(bucket),
        "open the own bucket": lambda: mine.set_bucket_policy(own, opened().replace(bucket, own)),
        "delete the own bucket": lambda: mine.remove_bucket(own),
        "make a bucket": lambda: mine.make_bucket(f"{prefix}-team-c"),
    }


def _remove_many(client: Minio, bucket: str, *keys: str) -> None:
    for error in client.remove_objects(bucket, [DeleteObject(key) for key in keys]):
        raise _RefusedError(error.code)


class _RefusedError(Exception):
    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


def outcome(attempt: Callable[[], Any]) -> str:
    """`done`, or the code of the refusal."""
    try:
        attempt()
    except (S3Error, _RefusedError) as error:
        return str(error.code)
    return "done"
