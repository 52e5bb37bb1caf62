"""What makes buckets and users on an object store, and what is equal on all of them: the bucket itself."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Protocol

from minio import Minio
from minio.commonconfig import Tags
from minio.deleteobjects import DeleteObject
from minio.error import S3Error

from armonik_operator.errors import BucketRefused
from armonik_operator.provisioning.buckets.tenant import Tenant, may_be_of
from armonik_sdk.dataplane.credentials import Credentials
from armonik_sdk.dataplane.s3.client import make_client
from armonik_sdk.dataplane.s3.listing import abort_uploads

INSTALLATION_TAG = "armonik.io/installation"
NAMESPACE_TAG = "armonik.io/namespace"
UID_TAG = "armonik.io/uid"
_GONE = frozenset({"NoSuchBucket", "NoSuchTagSet"})


class Provisioner(Protocol):
    """Makes buckets and users. Calls block, for a thread; each may be repeated, also when it broke off."""

    def ensure(self, tenant: Tenant) -> None:
        """Make the bucket and the users of a namespace, with exactly the rights of their roles.

        Raises:
            BucketRefused: a bucket of this name belongs to somebody else.
        """

    def remove(self, tenant: Tenant) -> None:
        """Remove users, objects and bucket."""

    def tenants(self) -> dict[str, str]:
        """Namespaces that have a bucket of this installation, each with the UID it was made for."""


class OwnedBuckets:
    """The buckets of one installation: they carry its name, and no other is touched."""

    def __init__(self, root: Credentials, installation: str) -> None:
        """`installation`: namespace and release of the Helm chart."""
        self.client: Minio = make_client(root, 2, retries=False)
        self._prefix = root.s3_bucket
        self._installation = installation
        self._known: dict[str, tuple[str, str]] = {}
        """Namespace and UID by bucket."""

    def ensure(self, tenant: Tenant) -> None:
        """Make the bucket. One that an earlier namespace of this name left is emptied first."""
        if not self.client.bucket_exists(tenant.bucket):
            self.client.make_bucket(tenant.bucket)
        tags = self._tags(tenant.bucket)
        ours = {INSTALLATION_TAG: self._installation, NAMESPACE_TAG: tenant.namespace, UID_TAG: tenant.uid}
        if tags == ours:
            return
        if tags.get(INSTALLATION_TAG) != self._installation:
            if tags or next(iter(self.client.list_objects(tenant.bucket)), None) is not None:
                raise BucketRefused(
                    f"bucket {tenant.bucket} was not made by this installation: choose another "
                    "objectStore.bucket, from which the names of buckets are made, or delete that bucket"
                )
        elif tags.get(UID_TAG) != tenant.uid:
            self.empty(tenant.bucket)
        made = Tags.new_bucket_tags()
        made.update(ours)
        self.client.set_bucket_tags(tenant.bucket, made)

    def tenants(self) -> dict[str, str]:
        """See `Provisioner`. Tags are read anew for buckets that were not known."""
        names = {b.name for b in self.client.list_buckets() if may_be_of(self._prefix, b.name)}
        self._known = {name: found for name, found in self._known.items() if name in names}
        for name in names - self._known.keys():
            tags = self._tags(name)
            if tags.get(INSTALLATION_TAG) == self._installation:
                self._known[name] = (tags[NAMESPACE_TAG], tags[UID_TAG])
        return dict(self._known.values())

    def remove(self, tenant: Tenant) -> None:
        """Delete the bucket and what is in it, if it is ours."""
        if self._tags(tenant.bucket).get(INSTALLATION_TAG) != self._installation:
            return
        self.empty(tenant.bucket)
        self.client.remove_bucket(tenant.bucket)
        self._known.pop(tenant.bucket, None)

    def empty(self, bucket: str) -> None:
        """Delete all objects and unfinished uploads."""
        abort_uploads(self.client, bucket, "", datetime.max.replace(tzinfo=UTC))
        names = (str(o.object_name) for o in self.client.list_objects(bucket, recursive=True))
        self._delete(bucket, names)

    def _delete(self, bucket: str, names: Iterable[str]) -> None:
        errors = list(self.client.remove_objects(bucket, (DeleteObject(name) for name in names)))
        if errors:
            raise BucketRefused(f"{len(errors)} objects of bucket {bucket} were not deleted: {errors[0]}")

    def _tags(self, bucket: str) -> dict[str, str]:
        try:
            return dict(self.client.get_bucket_tags(bucket) or {})
        except S3Error as error:
            if error.code in _GONE:
                return {}
            raise
