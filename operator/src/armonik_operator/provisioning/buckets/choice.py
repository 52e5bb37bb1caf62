"""Which way namespaces get their buckets, by the settings."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from armonik_operator.clients.kube import Kube
from armonik_operator.provisioning.buckets.given import GivenBuckets
from armonik_operator.provisioning.buckets.made import MadeBuckets
from armonik_operator.provisioning.buckets.minio_server import MinioServer
from armonik_operator.provisioning.buckets.provisioner import Provisioner
from armonik_operator.provisioning.buckets.versitygw import Versitygw
from armonik_operator.settings import Settings
from armonik_sdk.dataplane.credentials import Credentials
from armonik_sdk.dataplane.s3.by_namespace import Places

_SERVERS: Mapping[str, Callable[[Credentials, str], Provisioner]] = {
    "versitygw": Versitygw,
    "minio": MinioServer,
}


class Buckets(Places, Protocol):
    """What namespaces have on the object store."""

    def isolation(self, namespace: str) -> str:
        """Why other namespaces can reach the objects of this one; empty when they cannot."""

    async def values(self, namespace: str) -> Mapping[str, str]:
        """Bucket and keys for the Secrets of a namespace; they are made if the store answers."""

    async def run(self, used: Callable[[], set[str]]) -> None:
        """Keep them, until cancelled; `used` says which namespaces have Sessions or Partitions."""

    async def close(self) -> None:
        """Give up what is being made."""


def root_of(settings: Settings, values: Mapping[str, str]) -> Credentials:
    """The operator's credentials for the object store alone.

    Raises:
        KeyError: the Secret lacks a key; it names the key.
    """
    return Credentials(
        nats_url=settings.nats_url,
        nats_user="operator",
        s3_endpoint=settings.s3_endpoint,
        s3_secure=settings.s3_secure,
        s3_region=settings.s3_region,
        s3_bucket=settings.s3_bucket,
        s3_access_key=values.get("operator-access-key") or values["access-key"],
        s3_secret_key=values.get("operator-secret-key") or values["secret-key"],
        tls_ca=settings.tls_ca,
    )


def choose(
    kube: Kube,
    settings: Settings,
    root: Credentials,
    values: Mapping[str, str],
    read: Callable[[], Awaitable[Mapping[str, str]]],
) -> Buckets:
    """By `settings.s3_provisioner`.

    Args:
        kube: to see whether namespaces are there.
        settings: of the operator.
        root: the operator's credentials.
        values: of the Secret of the object store.
        read: reads that Secret again.
    """
    if settings.s3_provisioner == "static":
        return GivenBuckets(root, values, read)
    master = values.get("namespace-key") or root.s3_secret_key
    installation = f"{settings.namespace}.{settings.release}"
    server = _SERVERS[settings.s3_provisioner](root, installation)
    return MadeBuckets(kube, root, master, server, settings.serves)
