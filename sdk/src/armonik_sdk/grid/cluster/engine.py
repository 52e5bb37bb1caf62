"""A namespace of a cluster as a grid."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final, Self

from armonik_sdk.api.const import ConditionType
from armonik_sdk.api.kinds import Partition, PartitionSpec, Session, TaskOptions, find_condition
from armonik_sdk.client import Client
from armonik_sdk.client.errors import NotFound
from armonik_sdk.client.transport.kube import PARTITIONS, SESSIONS
from armonik_sdk.grid.cluster.session import ClusterSession, session_info
from armonik_sdk.grid.protocol import PartitionInfo, SessionInfo

CLOSING_SECONDS: Final = 0.25
"""What aiohttp's connections over TLS need to close before their event loop ends."""


class ClusterGrid:
    """A namespace of a cluster."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.namespace = client.namespace

    @classmethod
    async def connect(
        cls, namespace: str | None = None, *, kubeconfig: str | None = None, context: str | None = None
    ) -> Self:
        """Connect; see `armonik_sdk.client.Client.connect`."""
        return cls(await Client.connect(namespace, kubeconfig=kubeconfig, context=context))

    async def open(
        self,
        name: str | None,
        *,
        partitions: Sequence[str],
        defaults: TaskOptions | None,
        ttl_seconds: int | None,
        attach: bool,
    ) -> ClusterSession:
        """Make a Session, or attach to the one of this name."""
        if name is not None and attach:
            try:
                found = await self._client.session(name)
            except NotFound:
                pass  # it is made
            else:
                return ClusterSession(self._client.connection, found, (await found.read()).spec)
        made = await self._client.create_session(
            name,
            partitions=partitions,
            task_defaults=defaults,
            ttl_seconds_after_finished=ttl_seconds,
        )
        return ClusterSession(self._client.connection, made, (await made.read()).spec)

    async def sessions(self) -> AsyncIterator[SessionInfo]:
        """All Sessions of the namespace."""
        async for found in self._client.connection.kube.list(SESSIONS, self.namespace):
            yield session_info(Session.from_object(found))

    async def partitions(self) -> AsyncIterator[PartitionInfo]:
        """All Partitions of the namespace."""
        async for found in self._client.connection.kube.list(PARTITIONS, self.namespace):
            yield partition_info(Partition.from_object(found))

    async def apply_partition(self, name: str, spec: PartitionSpec) -> PartitionInfo:
        """Make a Partition, or change the one of this name."""
        return partition_info(await (await self._client.apply_partition(name, spec)).read())

    async def worker(self, partition: str) -> Mapping[str, str]:
        """What the workers of a Partition say of themselves; empty when they have said nothing."""
        try:
            found = await self._client.connection.kube.get(PARTITIONS, self.namespace, partition)
        except NotFound:
            return {}
        return {name: str(value) for name, value in (found.get("status", {}).get("worker") or {}).items()}

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()
        await asyncio.sleep(CLOSING_SECONDS)


def partition_info(partition: Partition) -> PartitionInfo:
    """What a Partition says of itself."""
    status = partition.status
    ready = find_condition(status.conditions, ConditionType.READY) if status is not None else None
    serving = ready is not None and str(ready.status) == "True"
    return PartitionInfo(
        name=partition.metadata.name,
        ready=serving,
        pods=(status.replicas or 0) if status is not None else 0,
        why="" if serving or ready is None else f"{ready.reason}: {ready.message}",
    )
