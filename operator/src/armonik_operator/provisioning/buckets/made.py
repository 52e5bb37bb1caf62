"""Buckets and keys that the operator makes: one bucket a namespace, removed when the namespace goes."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TypeVar

from minio.error import MinioException
from urllib3.exceptions import HTTPError

from armonik_operator.clients.kube import NAMESPACES, Kube
from armonik_operator.errors import BucketRefused, KubeError, KubeUnavailable, NotFound
from armonik_operator.provisioning.buckets.provisioner import Provisioner
from armonik_operator.provisioning.buckets.tenant import Tenant, bucket_name
from armonik_sdk.dataplane.credentials import Credentials
from armonik_sdk.dataplane.s3.client import BULK_TIMEOUT, timed

T = TypeVar("T")

log = logging.getLogger(__name__)

PATIENCE = 5.0
"""Seconds that a namespace waits for its bucket; work that needs no object store does not wait longer."""
RETRY, RETRY_MOST = 1.0, 60.0
"""Seconds between attempts to make a bucket, the first and the longest."""
CHECK = 60.0
"""Seconds between looks for buckets that are lost, and for those whose namespace is gone."""
AT_ONCE = 4
"""Namespaces that are provisioned at a time."""
STORE_ERRORS = (MinioException, HTTPError, OSError, BucketRefused)


class MadeBuckets:
    """See `Buckets`. All secrets follow from one, so Secrets of namespaces need no answer of the store."""

    shared = False

    def __init__(
        self,
        kube: Kube,
        root: Credentials,
        master: str,
        provisioner: Provisioner,
        serves: Callable[[str], bool],
    ) -> None:
        """`root` has the prefix of all buckets; `serves` says which namespaces are of this installation."""
        self._kube = kube
        self._root = root
        self._master = master
        self._provisioner = provisioner
        self._serves = serves
        self._tenants: dict[str, Tenant] = {}
        self._making: dict[str, asyncio.Task[None]] = {}
        self._gate = asyncio.Semaphore(AT_ONCE)

    def of(self, namespace: str) -> Credentials:
        """See `Places`: the operator's key opens every bucket."""
        return replace(self._root, s3_bucket=bucket_name(self._root.s3_bucket, namespace))

    def namespaces(self) -> set[str]:
        """See `Places`."""
        return {namespace for namespace in self._provisioner.tenants() if self._serves(namespace)}

    def isolation(self, namespace: str) -> str:
        """See `Buckets`."""
        del namespace
        return ""

    async def values(self, namespace: str) -> Mapping[str, str]:
        """See `Buckets`. While the store does not answer, the bucket is made later.

        Raises:
            NotFound: there is no such namespace (any more).
        """
        uid = (await self._kube.get(NAMESPACES, namespace))["metadata"]["uid"]
        tenant = self._tenant(namespace, uid)
        if self._tenants.get(namespace) != tenant:
            self._make(tenant)
        await asyncio.wait({self._making[namespace]}, timeout=PATIENCE)
        return tenant.values()

    async def run(self, used: Callable[[], set[str]]) -> None:
        """Make lost buckets again, and remove those whose namespace is gone.

        `used` says which namespaces have Sessions or Partitions: these are there.
        """
        while True:
            await asyncio.sleep(CHECK)
            try:
                await self.check(used())
            except (*STORE_ERRORS, KubeError, KubeUnavailable) as error:
                log.info("buckets are not checked now: %s", error)

    async def check(self, used: set[str]) -> None:
        """One look; the servers' errors end it."""
        there = await self._call(self._provisioner.tenants)
        for namespace, tenant in list(self._tenants.items()):
            if namespace in used and namespace not in there and self._making[namespace].done():
                log.warning("bucket %s of namespace %s is lost; making it again", tenant.bucket, namespace)
                self._make(tenant)
        for namespace, uid in there.items():
            if self._serves(namespace) and namespace not in used and await self._is_gone(namespace, uid):
                await self._remove(self._tenant(namespace, uid))

    async def close(self) -> None:
        """Give up what is being made."""
        for task in self._making.values():
            task.cancel()
        await asyncio.gather(*self._making.values(), return_exceptions=True)

    def _tenant(self, namespace: str, uid: str) -> Tenant:
        return Tenant.of(self._root.s3_bucket, namespace, uid, self._master)

    def _make(self, tenant: Tenant) -> None:
        if (before := self._making.get(tenant.namespace)) is not None:
            before.cancel()
        self._tenants[tenant.namespace] = tenant
        self._making[tenant.namespace] = asyncio.create_task(self._keep_making(tenant))

    async def _keep_making(self, tenant: Tenant) -> None:
        wait = RETRY
        while True:
            try:
                async with self._gate:
                    await self._call(partial(self._provisioner.ensure, tenant))
            except STORE_ERRORS as error:
                text = "bucket %s of namespace %s is not ready: %s; trying again in %.0f s"
                log.warning(text, tenant.bucket, tenant.namespace, error, wait)
            else:
                return
            await asyncio.sleep(wait)
            wait = min(wait * 2, RETRY_MOST)

    async def _is_gone(self, namespace: str, uid: str) -> bool:
        try:
            found = await self._kube.get(NAMESPACES, namespace)
        except NotFound:
            return True
        return bool(found["metadata"]["uid"] != uid)

    async def _remove(self, tenant: Tenant) -> None:
        """Remove what a namespace left, unless one of its name came meanwhile."""
        known = self._tenants.get(tenant.namespace)
        if known is not None and known.uid != tenant.uid:
            return
        if (making := self._making.pop(tenant.namespace, None)) is not None:
            making.cancel()
        self._tenants.pop(tenant.namespace, None)
        await self._call(partial(self._provisioner.remove, tenant))
        log.info("removed bucket and keys of namespace %s, which is gone", tenant.namespace)

    async def _call(self, work: Callable[[], T]) -> T:
        return await asyncio.to_thread(timed(work, BULK_TIMEOUT))
