"""Reconciles Partitions: observes their pods and load, plans, creates and removes pods, writes the status."""

import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime

from armonik_operator.cache.keys import WorkKey
from armonik_operator.cache.state import ClusterState
from armonik_operator.clients.kube import PARTITIONS
from armonik_operator.clients.servers import Clients
from armonik_operator.controllers.partition_pods import PartitionPods
from armonik_operator.controllers.partition_runtime import SETTLE, YOUNG, PartitionRuntime
from armonik_operator.planning import pod_facts as read
from armonik_operator.planning.partition import (
    Observed,
    PartitionPlan,
    partition_plan,
    partition_share,
    partition_status,
)
from armonik_operator.planning.partition import Refused as RefusedPod
from armonik_operator.planning.pod_facts import Pod, uid_of
from armonik_operator.planning.pod_warnings import Warned
from armonik_operator.planning.preemption import Footprint, Preemption, concessions
from armonik_operator.queueing.priority_bands import PriorityBands
from armonik_operator.status.pending_reason import pods_said
from armonik_operator.status.writer import write_status
from armonik_operator.util.text import shorten
from armonik_sdk.api.kinds import Partition, WorkerInfo
from armonik_sdk.api.messages import PodEvent
from armonik_sdk.api.names import NamespacedName, pod_key
from armonik_sdk.api.records import Control, DesiredState
from armonik_sdk.dataplane.nats.buckets import put_control
from armonik_sdk.dataplane.nats.requests import fitting

log = logging.getLogger(__name__)

REFRESH = 10.0
"""Seconds between looks at a Partition when nothing happens."""
INTERVAL = 1.0
"""Seconds between two looks, however much happens."""
WOKEN = 100
"""Tasks that are woken in one look, once what keeps pods away has changed."""
DOWN_FOR = 45.0
"""Seconds that `worker-down` and `worker-silent` hold; agents repeat it more often while it does."""


class PartitionReconciler:
    """Handles the keys of Partitions and pods."""

    def __init__(
        self,
        servers: Clients,
        state: ClusterState,
        enqueue: Callable[[WorkKey], None],
        furnish: Callable[[str, str], Awaitable[None]],
        bands: PriorityBands,
    ) -> None:
        self._servers = servers
        self._state = state
        self._enqueue = enqueue
        self._furnish = furnish
        self._bands = bands
        self._consumers: set[NamespacedName] = set()
        self._memory: dict[NamespacedName, PartitionRuntime] = {}
        self._down: dict[str, float] = {}
        self._silent: dict[str, tuple[float, str]] = {}
        self._about: dict[str, WorkerInfo] = {}
        """What the worker of each pod is, by the UID of the pod."""
        self._shares: dict[NamespacedName, Footprint] = {}
        self._pods = PartitionPods(servers, state.settings)

    async def handle(self, key: WorkKey) -> float | None:
        """Bring one Partition forward; returns the seconds after which to look again."""
        name = NamespacedName(key.namespace, key.name)
        partition = self._state.partitions.get(name)
        if partition is None or partition.metadata.deletion_timestamp is not None:
            await self._forget(name)
            return None
        memory = self._remember(name, partition)
        wait = memory.looked + INTERVAL - time.monotonic()
        if wait > 0:
            return wait
        memory.looked = time.monotonic()
        await self._prepare(name, partition)
        pods = await self._compare(name, memory)
        refused = await self._verify(name, partition, memory)
        plan = partition_plan(partition, pods, self._observe(partition, name, memory, pods, refused))
        refused = await self._act(name, partition, memory, plan) or refused
        if plan.create or plan.delete:
            pods = await self._pods.list(name)
        seen = self._observe(partition, name, memory, pods, refused)
        refresh = await self._report(name, partition, memory, pods, seen)
        return min(plan.again if plan.again is not None else refresh, refresh)

    async def _prepare(self, name: NamespacedName, partition: Partition) -> None:
        """Credentials for the pods' agents, and consumers of the queue."""
        await self._furnish(name.namespace, partition.metadata.uid)
        if name not in self._consumers:
            await self._bands.restore(name)
            self._consumers.add(name)

    async def _act(
        self, name: NamespacedName, partition: Partition, memory: PartitionRuntime, plan: PartitionPlan
    ) -> RefusedPod | None:
        """Carry out a plan; why the apiserver refuses a pod, or None."""
        for pod in plan.delete:
            memory.count_strike(pod, datetime.now(UTC), time.monotonic())
            await self._pods.delete(pod)
        for pod in plan.drain:
            await self._pods.drain(name, pod)
            memory.draining[uid_of(pod)] = time.monotonic()
        return await self._pods.create(name, partition, plan.create)

    async def _report(
        self,
        name: NamespacedName,
        partition: Partition,
        memory: PartitionRuntime,
        pods: list[Pod],
        seen: Observed,
    ) -> float:
        """Write the status, and wake whom it concerns; seconds after which to look again."""
        status = partition_status(partition, pods, seen, datetime.now(UTC))
        await write_status(self._servers, PARTITIONS, partition, status)
        share = partition_share(partition, pods, seen)
        self._put_share(name, replace(share, leaving=share.leaving + len(memory.left)))
        if self._wake_tasks(name, memory, partition):
            return INTERVAL
        return SETTLE if seen.gives_way.to or share.asks else REFRESH

    def _wake_tasks(self, name: NamespacedName, memory: PartitionRuntime, partition: Partition) -> bool:
        """Tasks that wait say why there are no pods: they look again when that changes, some at a time.

        Returns:
            Whether others have to be woken.
        """
        message = pods_said(partition)  # of the watch: that is what they will read
        if message != memory.pods_message:
            memory.pods_message = message
            folds, uids = self._state.folds, self._state.by_partition.get(name, ())
            waiting = [uid for uid in uids if uid in folds and folds[uid].queued]
            memory.unaware = deque(dict.fromkeys([*memory.unaware, *waiting]))  # those first that wait since
        for _ in range(min(WOKEN, len(memory.unaware))):
            self._enqueue(WorkKey("task", name.namespace, memory.unaware.popleft()))
        return bool(memory.unaware)

    def _put_share(self, name: NamespacedName, share: Footprint | None) -> None:
        """Who shares the room with it looks again when one of them asks for more, or no longer does."""
        before = self._shares.pop(name, None)
        if share is not None:
            self._shares[name] = share
        others = [other for other in self._shares if other.namespace == name.namespace and other != name]
        asked = any(self._shares[other].asks for other in others)
        if before != share and (asked or any(one is not None and one.asks for one in (before, share))):
            for other in others:
                self._enqueue(WorkKey("partition", *other))

    def _gives_way(self, name: NamespacedName) -> Preemption:
        shares = {n.name: share for n, share in self._shares.items() if n.namespace == name.namespace}
        return concessions(shares).get(name.name, Preemption())

    async def mark_gone(self, key: WorkKey) -> float | None:
        """Write into CONTROL that a pod's processes have ended: agents cannot see pods."""
        words = self._state.evicted.get(key.name, "")
        wanted = fitting(Control(state=DesiredState.GONE, at=time.time(), reason=words), "reason")
        await put_control(self._servers.control, pod_key(key.namespace, key.name), wanted)
        self._state.evicted.pop(key.name, None)
        self._state.loads.forget_pod(key.name)
        self._down.pop(key.name, None)
        self._silent.pop(key.name, None)
        self._about.pop(key.name, None)
        return None

    async def worker_down(self, namespace: str, event: PodEvent) -> None:
        """An agent wants its pod replaced."""
        log.info("pod %s/%s will be replaced: %s", namespace, event.name, event.reason)
        now = time.monotonic()
        self._down = {uid: since for uid, since in self._down.items() if now - since < DOWN_FOR}
        self._down[event.pod] = now
        for name in self._state.partitions:
            if name.namespace == namespace:
                self._enqueue(WorkKey("partition", *name))

    async def worker_about(self, namespace: str, event: PodEvent) -> None:
        """An agent says what its worker is; the Partition's status repeats it."""
        if event.worker is None or self._about.get(event.pod) == event.worker:
            return
        self._about[event.pod] = event.worker
        for name in self._state.partitions:
            if name.namespace == namespace:
                self._enqueue(WorkKey("partition", *name))

    async def worker_silent(self, _namespace: str, event: PodEvent) -> None:
        """An agent says why it waits for its worker; the Partition's condition repeats it."""
        now = time.monotonic()
        self._silent = {uid: since for uid, since in self._silent.items() if now - since[0] < DOWN_FOR}
        self._silent[event.pod] = now, event.reason

    def _silent_workers(self, pods: list[Pod]) -> dict[str, Warned]:
        now, waiting = time.monotonic(), {uid_of(pod) for pod in pods if not read.ready(pod)}
        return {
            uid: Warned("WorkerSilent", shorten(why))
            for uid, (at, why) in self._silent.items()
            if uid in waiting and now - at < DOWN_FOR
        }

    def reconnected(self) -> None:
        """NATS is back, perhaps without its newest consumers."""
        self._consumers.clear()
        self._bands.reconnected()

    def _remember(self, name: NamespacedName, partition: Partition) -> PartitionRuntime:
        memory = self._memory.get(name)
        if memory is None or memory.uid != partition.metadata.uid:
            memory = self._memory[name] = PartitionRuntime(partition.metadata.uid)
        return memory

    async def _forget(self, name: NamespacedName) -> None:
        """The garbage collector takes the pods; what is queued waits for another Partition of this name."""
        if await self._servers.kube.list(PARTITIONS, name.namespace, fields=f"metadata.name={name.name}"):
            return  # the watch has not shown it yet
        await self._bands.remove(name)
        self._consumers.discard(name)
        self._put_share(name, None)
        self._memory.pop(name, None)
        self._state.loads.rates.forget(name)
        if self._state.loads.of(name).owners:
            await self._mark_all_gone(name, {uid_of(pod) for pod in await self._pods.list(name)})

    async def _compare(self, name: NamespacedName, memory: PartitionRuntime) -> list[Pod]:
        """List the pods; learn which drain since before this process, and which vanished unobserved."""
        pods = await self._pods.list(name)
        there, now = {uid_of(pod) for pod in pods}, time.monotonic()
        for uid in there - memory.known:
            if await self._pods.is_draining(name, uid):
                memory.draining[uid] = now
            memory.known.add(uid)
        memory.compare(there, now)
        await self._mark_all_gone(name, there)
        memory.warned = self._silent_workers(pods) | await memory.warnings.of(self._servers.kube, pods)
        return pods

    async def _mark_all_gone(self, name: NamespacedName, there: Collection[str]) -> None:
        """Pods that own runs and are not there."""
        for uid in list(self._state.loads.of(name).owners):
            if uid not in there:
                await self.mark_gone(WorkKey("pod", name.namespace, uid))

    async def _verify(
        self, name: NamespacedName, partition: Partition, memory: PartitionRuntime
    ) -> RefusedPod | None:
        """Have the apiserver check a new template."""
        wanted = self._pods.template_hash(partition)
        if memory.verified == wanted:
            return None
        refused = await self._pods.verify(name, partition)
        if refused is None:
            memory.accept(wanted)
        return refused

    def _observe(
        self,
        partition: Partition,
        name: NamespacedName,
        memory: PartitionRuntime,
        pods: list[Pod],
        refused: RefusedPod | None,
    ) -> Observed:
        load, now = self._state.loads.of(name), datetime.now(UTC)
        wanted = self._pods.template_hash(partition)
        if any(read.template_hash_of(pod) == wanted and read.ready_for(pod, now) >= YOUNG for pod in pods):
            memory.reset_strikes()
        idle = {
            uid_of(pod): min(read.age(pod, now), self._state.loads.idle(uid_of(pod)))
            for pod in pods
            if uid_of(pod) not in load.owners
        }
        down = {uid for uid, since in self._down.items() if time.monotonic() - since < DOWN_FOR}
        return Observed(
            wanted_hash=wanted,
            load=load,
            rate=self._state.loads.rates.per_minute(name),
            idle=idle,
            draining=frozenset(memory.draining),
            down=frozenset(down),
            lost=memory.lost(load.owners, time.monotonic()),
            warned=memory.warned,
            refused=refused,
            shared=self._state.isolation(name.namespace),
            strikes=memory.strikes,
            back_off=max(0.0, memory.retry_at - time.monotonic()),
            gives_way=self._gives_way(name),
            about={uid: about for pod in pods if (about := self._about.get(uid := uid_of(pod))) is not None},
        )
