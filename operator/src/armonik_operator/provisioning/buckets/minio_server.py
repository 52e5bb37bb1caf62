"""MinIO: users and their policies are made by its admin API."""

import threading

from minio import MinioAdmin
from minio.credentials.providers import StaticProvider
from minio.error import MinioAdminException

from armonik_operator.errors import BucketRefused
from armonik_operator.provisioning.buckets.provisioner import OwnedBuckets
from armonik_operator.provisioning.buckets.tenant import Tenant, grants, policy, statements
from armonik_sdk.dataplane.credentials import Credentials
from armonik_sdk.dataplane.s3.client import make_pool

_GONE = ("XMinioAdminNoSuchUser", "XMinioAdminNoSuchPolicy")
_DERIVING = threading.Lock()
"""The library derives a key from the administrator's for each user, which takes 64 MiB: one at a time."""


class MinioServer:
    """A `Provisioner`. The policy of a user has the user's name."""

    def __init__(self, root: Credentials, installation: str) -> None:
        self._admin = MinioAdmin(
            endpoint=root.s3_endpoint,
            credentials=StaticProvider(root.s3_access_key, root.s3_secret_key),
            region=root.s3_region,
            secure=root.s3_secure,
            http_client=make_pool(2, retries=False, ca=root.tls_ca),
        )
        self._buckets = OwnedBuckets(root, installation)

    def ensure(self, tenant: Tenant) -> None:
        """See `Provisioner`."""
        self._buckets.ensure(tenant)
        try:
            for role, (access, secret) in tenant.keys.items():
                self._admin.policy_add(access, policy=policy(statements(grants(tenant, role))))
                with _DERIVING:
                    self._admin.user_add(access, secret)
                self._admin.policy_set(access, user=access)
        except MinioAdminException as error:
            raise BucketRefused(f"MinIO refuses the users of {tenant.namespace}: {error}") from error

    def remove(self, tenant: Tenant) -> None:
        """See `Provisioner`. Users go first, so that nobody writes any more."""
        for key in tenant.keys.values():
            for forget in (self._admin.user_remove, self._admin.policy_remove):
                try:
                    forget(key.access)
                except MinioAdminException as error:
                    if not any(code in str(error) for code in _GONE):
                        raise BucketRefused(f"MinIO does not remove {key.access}: {error}") from error
        self._buckets.remove(tenant)

    def tenants(self) -> dict[str, str]:
        """See `Provisioner`."""
        return self._buckets.tenants()
