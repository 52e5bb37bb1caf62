"""The handle of a Partition."""

from armonik_sdk.api.const import ConditionType
from armonik_sdk.api.kinds import Partition, PartitionStatus
from armonik_sdk.client.handles.base import Handle, holds
from armonik_sdk.client.transport.kube import PARTITIONS


class PartitionHandle(Handle[Partition]):
    """Worker pods of one kind."""

    _kind = PARTITIONS
    _model = Partition

    async def status(self) -> PartitionStatus:
        """What the operator last observed."""
        return (await self.read()).status or PartitionStatus()

    async def wait(self, timeout: float | None = None) -> PartitionStatus:
        """Until its pods serve.

        Raises:
            WaitTimeout: the time, in seconds, is over.
        """
        found = await self._until(lambda p: holds(p.status, ConditionType.READY), timeout, "ready")
        return found.status or PartitionStatus()
