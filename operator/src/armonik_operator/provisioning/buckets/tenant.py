"""What a namespace has on the object store: its bucket, its keys, and what each may do. Pure."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from armonik_sdk.api.names import environments

ROLES: Final = ("agent", "client")
MAX_BUCKET: Final = 63
"""Characters of a bucket's name, by S3's rules."""
_DIGEST: Final = 10
_ROOM: Final = MAX_BUCKET - _DIGEST - 1


class Key(NamedTuple):
    """An S3 key."""

    access: str
    secret: str


class Grant(NamedTuple):
    """Actions of S3 that a role may do on resources, which are a bucket or patterns of objects."""

    actions: tuple[str, ...]
    resources: tuple[str, ...]


@dataclass(frozen=True)
class Tenant:
    """One namespace on the object store."""

    namespace: str
    uid: str
    """Of the Namespace: one that is made again under the same name has other keys."""
    bucket: str
    keys: Mapping[str, Key]
    """By role."""

    @classmethod
    def of(cls, prefix: str, namespace: str, uid: str, master: str) -> "Tenant":
        """The same each time, so that nothing has to be kept but `master`, from which all secrets follow."""
        bucket = bucket_name(prefix, namespace)

        def secret(role: str) -> str:
            words = f"{role}/{namespace}/{uid}".encode()
            return hmac.new(master.encode(), words, hashlib.sha256).hexdigest()[:40]

        keys = {role: Key(access_key(bucket, role), secret(role)) for role in ROLES}
        return cls(namespace, uid, bucket, keys)

    def values(self) -> dict[str, str]:
        """What the Secrets of the namespace are made from."""
        values = {"bucket": self.bucket}
        for role, key in self.keys.items():
            values |= {f"{role}-access-key": key.access, f"{role}-secret-key": key.secret}
        return values


def bucket_name(prefix: str, namespace: str) -> str:
    """The bucket of a namespace; two namespaces never share one.

    A name that would be too long ends with a digest, and has the full length, which no other has.
    """
    plain = f"{prefix}-{namespace}"
    if len(plain) < MAX_BUCKET:
        return plain
    digest = hashlib.sha256(namespace.encode()).hexdigest()[:_DIGEST]
    return f"{plain[:_ROOM]}-{digest}"


def may_be_of(prefix: str, bucket: str) -> bool:
    """Whether a bucket can be a namespace's of this prefix, by its name."""
    return bucket.startswith(f"{prefix}-"[:_ROOM])


def access_key(bucket: str, role: str) -> str:
    """Name of the user for a role: what is before its last dot is the bucket, so it is no other bucket's."""
    return f"{bucket}.{role}"


def grants(tenant: Tenant, role: str) -> tuple[Grant, ...]:
    """What a role may do in its bucket: of Sessions' data nobody but the operator deletes.

    Agents write everywhere below the namespace, clients where clients write alone. Clients also keep and
    delete environments, which are named after their content (ADR 32). To who may not list,
    S3 answers that a missing object is forbidden, so both may list.
    """
    inside = f"{tenant.bucket}/{tenant.namespace}/*"
    kept = f"{tenant.bucket}/{environments(tenant.namespace)}*"
    client = role == "client"
    written = (f"{inside}/client/*", f"{inside}/results/*", kept) if client else (inside,)
    return (
        Grant(("s3:ListBucket", "s3:GetBucketLocation"), (tenant.bucket,)),
        Grant(("s3:GetObject",), (f"{tenant.bucket}/*",)),
        Grant(("s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"), written),
        *((Grant(("s3:DeleteObject",), (kept,)),) if client else ()),
    )


def statements(granted: tuple[Grant, ...], principal: str = "") -> list[dict[str, object]]:
    """The same as statements of a policy; with the access key that they are for in a policy of a bucket."""
    who: dict[str, object] = {"Principal": {"AWS": [principal]}} if principal else {}
    return [
        who
        | {
            "Effect": "Allow",
            "Action": list(grant.actions),
            "Resource": [f"arn:aws:s3:::{resource}" for resource in grant.resources],
        }
        for grant in granted
    ]


def policy(listed: list[dict[str, object]]) -> dict[str, object]:
    """A policy document."""
    return {"Version": "2012-10-17", "Statement": listed}
