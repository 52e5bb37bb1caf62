"""Carries out what a Partition asks for: pods, their replacement, and its status."""

import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from armonik_operator.adapters.kube import PARTITIONS, PODS
from armonik_operator.errors import KubeError, NotFound
from armonik_operator.reconcile.partition import partition_plan, partition_status
from armonik_operator.resources.pod import PodSettings, build_pod, template_hash
from armonik_operator.state import Key, Named, Servers, State
from armonik_sdk.api.const import PARTITION_LABEL
from armonik_sdk.api.kinds import Partition
from armonik_sdk.api.names import pod_key
from armonik_sdk.api.records import Control, DesiredState
from armonik_sdk.dataplane.kv import put_control
from armonik_sdk.dataplane.topology import ensure_consumer

log = logging.getLogger(__name__)

REFRESH = 10.0
"""Seconds between looks at a Partition when nothing happens."""
AT_ONCE = 10
"""Pods made in one go."""


class PartitionWorker:
    """Handles the keys of Partitions and pods."""

    def __init__(self, servers: Servers, state: State, furnish: Callable[[str], Awaitable[None]]) -> None:
        self._servers = servers
        self._state = state
        self._furnish = furnish
        self._consumers: set[Named] = set()
        settings = state.settings
        self._pods = PodSettings(
            settings.agent_image, settings.agent_pull_policy, settings.openshift, settings.log_level
        )

    async def handle(self, key: Key) -> float | None:
        """Bring one Partition forward; returns the seconds after which to look again."""
        name = Named(key.namespace, key.name)
        partition = self._state.partitions.get(name)
        if partition is None or partition.metadata.deletion_timestamp is not None:
            return None
        await self._furnish(key.namespace)
        if name not in self._consumers:
            await ensure_consumer(self._servers.client, key.namespace, key.name)
            self._consumers.add(name)
        selector = f"{PARTITION_LABEL}={key.name}"
        pods = await self._servers.kube.list(PODS, key.namespace, labels=selector)
        made = partition_plan(partition, pods, template_hash(partition, self._pods))
        for pod, uid in made.delete:
            await self._servers.kube.delete(PODS, pod, key.namespace, uid=uid)
        refused = await self._create(partition, key.namespace, made.create)
        if made.create or made.delete:
            pods = await self._servers.kube.list(PODS, key.namespace, labels=selector)
        await self._write_status(partition, key, pods, refused)
        return REFRESH

    async def mark_gone(self, key: Key) -> float | None:
        """Tell the agents that a pod's processes have ended; they cannot see pods."""
        wanted = Control(state=DesiredState.GONE, at=time.time())
        await put_control(self._servers.control, pod_key(key.namespace, key.name), wanted)
        return None

    async def _create(self, partition: Partition, namespace: str, count: int) -> str:
        for _ in range(min(count, AT_ONCE)):
            try:
                await self._servers.kube.create(PODS, build_pod(partition, self._pods), namespace)
            except KubeError as error:
                log.warning("partition %s/%s: %s", namespace, partition.metadata.name, error)
                return error.message or str(error)
        return ""

    async def _write_status(
        self, partition: Partition, key: Key, pods: list[dict[str, object]], refused: str
    ) -> None:
        queued, busy = 0, set()
        for uid, fold in self._state.folds.items():
            task = self._state.tasks.get(uid)
            if task is None or task.metadata.namespace != key.namespace:
                continue
            for run in fold.open_runs:
                if run.partition == key.name:
                    busy |= {run.owner_pod} if run.owner_pod else set()
                    queued += 0 if run.owner_pod else run.remaining
        status = partition_status(
            partition, pods, busy=len(busy), queued=queued, refused=refused, now=datetime.now(UTC)
        )
        body = status.model_dump(mode="json", by_alias=True, exclude_none=True)
        old = partition.status
        if old is not None and old.model_dump(mode="json", by_alias=True, exclude_none=True) == body:
            return
        try:
            await self._servers.kube.patch(PARTITIONS, key.name, {"status": body}, key.namespace, status=True)
        except NotFound:
            log.debug("partition %s/%s was deleted meanwhile", key.namespace, key.name)
