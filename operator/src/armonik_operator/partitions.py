"""Carries out what a Partition asks for: pods that follow the queue, their replacement, and its status."""

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from armonik_operator.adapters.kube import PARTITIONS, PODS
from armonik_operator.bands import Bands
from armonik_operator.errors import KubeError, Refused
from armonik_operator.load import Place
from armonik_operator.reconcile import pods as read
from armonik_operator.reconcile.partition import Observed, partition_plan, partition_share, partition_status
from armonik_operator.reconcile.partition import Refused as RefusedPod
from armonik_operator.reconcile.pods import Pod, uid_of
from armonik_operator.reconcile.preempt import Concession, Share, concessions
from armonik_operator.resources.pod import PodSettings, build_pod, template_hash
from armonik_operator.state import Key, Named, Servers, State
from armonik_operator.writing import write_status
from armonik_sdk.api.const import PARTITION_LABEL, Reason
from armonik_sdk.api.kinds import Partition
from armonik_sdk.api.messages import PodEvent
from armonik_sdk.api.names import pod_key
from armonik_sdk.api.records import Control, DesiredState
from armonik_sdk.dataplane.kv import put_control

log = logging.getLogger(__name__)

REFRESH = 10.0
"""Seconds between looks at a Partition when nothing happens."""
INTERVAL = 1.0
"""Seconds between two looks, however much happens."""
AT_ONCE = 10
"""Pods made in one go."""
YOUNG = 60.0
"""Age in seconds below which a failing pod counts against its Partition."""
MAX_BACK_OFF = 60.0
PATIENCE = 20.0
"""Seconds that an agent without work has to say that it is drained."""
SETTLE = 5.0
"""Seconds that others get to take the room of a pod that went, before another is asked for."""
DOWN_FOR = 45.0
"""Seconds that `worker-down` holds; agents repeat it more often while it does."""


@dataclass
class Memory:
    """What is remembered of one Partition between two looks; all of it can be found out again."""

    uid: str
    verified: str = ""
    """Hash of the last template that the apiserver accepted."""
    draining: dict[str, float] = field(default_factory=dict)
    """Pods told to drain, and since when."""
    known: set[str] = field(default_factory=set)
    """Pods whose entry in CONTROL was read."""
    strikes: int = 0
    retry_at: float = 0.0
    looked: float = 0.0
    left: list[float] = field(default_factory=list)
    """When pods that were told to drain went."""


class PartitionWorker:
    """Handles the keys of Partitions and pods."""

    def __init__(
        self,
        servers: Servers,
        state: State,
        enqueue: Callable[[Key], None],
        furnish: Callable[[str], Awaitable[None]],
        bands: Bands,
    ) -> None:
        self._servers = servers
        self._state = state
        self._enqueue = enqueue
        self._furnish = furnish
        self._bands = bands
        self._consumers: set[Named] = set()
        self._memory: dict[Named, Memory] = {}
        self._down: dict[str, float] = {}
        self._shares: dict[Named, Share] = {}
        settings = state.settings
        self._pods = PodSettings(
            settings.agent_image, settings.agent_pull_policy, settings.openshift, settings.log_level
        )

    async def handle(self, key: Key) -> float | None:
        """Bring one Partition forward; returns the seconds after which to look again."""
        name = Named(key.namespace, key.name)
        partition = self._state.partitions.get(name)
        if partition is None or partition.metadata.deletion_timestamp is not None:
            await self._forget(name)
            return None
        memory = self._remember(name, partition)
        wait = memory.looked + INTERVAL - time.monotonic()
        if wait > 0:
            return wait
        memory.looked = time.monotonic()
        await self._furnish(key.namespace)
        if name not in self._consumers:
            await self._bands.restore(Place(*name))
            self._consumers.add(name)
        pods = await self._list(name)
        await self._compare(name, memory, pods)
        refused = await self._verify(partition, key.namespace, memory)
        seen = self._observe(partition, name, memory, pods, refused)
        made = partition_plan(partition, pods, seen)
        for pod in made.delete:
            self._count_strike(memory, pod)
            await self._delete(pod)
        for pod in made.drain:
            await self._drain(name, memory, pod)
        refused = await self._create(partition, key.namespace, made.create) or refused
        if made.create or made.delete:
            pods = await self._list(name)
        seen = self._observe(partition, name, memory, pods, refused)
        status = partition_status(partition, pods, seen, datetime.now(UTC))
        await write_status(self._servers, PARTITIONS, partition, status)
        share = partition_share(partition, pods, seen)
        self._tell_share(name, replace(share, leaving=share.leaving + len(memory.left)))
        refresh = SETTLE if seen.gives_way.to or share.asks else REFRESH
        return min(made.again if made.again is not None else refresh, refresh)

    def _tell_share(self, name: Named, share: Share | None) -> None:
        """Who shares the room with it looks again when one of them asks for more, or no longer does."""
        before = self._shares.pop(name, None)
        if share is not None:
            self._shares[name] = share
        others = [other for other in self._shares if other.namespace == name.namespace and other != name]
        asked = any(self._shares[other].asks for other in others)
        if before != share and (asked or any(one is not None and one.asks for one in (before, share))):
            for other in others:
                self._enqueue(Key("partition", *other))

    def _gives_way(self, name: Named) -> Concession:
        shares = {n.name: share for n, share in self._shares.items() if n.namespace == name.namespace}
        return concessions(shares).get(name.name, Concession())

    async def mark_gone(self, key: Key) -> float | None:
        """Tell the agents that a pod's processes have ended; they cannot see pods."""
        wanted = Control(state=DesiredState.GONE, at=time.time())
        await put_control(self._servers.control, pod_key(key.namespace, key.name), wanted)
        self._state.loads.forget_pod(key.name)
        self._down.pop(key.name, None)
        return None

    async def worker_down(self, namespace: str, event: PodEvent) -> None:
        """An agent wants its pod replaced."""
        log.info("pod %s/%s shall be replaced: %s", namespace, event.name, event.reason)
        self._down[event.pod] = time.monotonic()
        for name in self._state.partitions:
            if name.namespace == namespace:
                self._enqueue(Key("partition", *name))

    def reconnected(self) -> None:
        """NATS is back, perhaps without its newest consumers."""
        self._consumers.clear()
        self._bands.reconnected()

    def _remember(self, name: Named, partition: Partition) -> Memory:
        memory = self._memory.get(name)
        if memory is None or memory.uid != partition.metadata.uid:
            memory = self._memory[name] = Memory(partition.metadata.uid)
        return memory

    async def _forget(self, name: Named) -> None:
        """The garbage collector takes the pods; what is queued waits for another Partition of this name."""
        if await self._servers.kube.list(PARTITIONS, name.namespace, fields=f"metadata.name={name.name}"):
            return  # the watch has yet to tell of it
        await self._bands.remove(Place(*name))
        self._consumers.discard(name)
        self._tell_share(name, None)
        self._memory.pop(name, None)
        owners = list(self._state.loads.of(Place(*name)).owners)
        there = {uid_of(pod) for pod in await self._list(name)} if owners else set()
        for uid in owners:
            if uid not in there:
                await self.mark_gone(Key("pod", name.namespace, uid))

    async def _list(self, name: Named) -> list[Pod]:
        labels = f"{PARTITION_LABEL}={name.name}"
        return await self._servers.kube.list(PODS, name.namespace, labels=labels)

    async def _compare(self, name: Named, memory: Memory, pods: list[Pod]) -> None:
        """Learn which pods drain since before this process, and which vanished while nobody watched."""
        there, now = {uid_of(pod) for pod in pods}, time.monotonic()
        for uid in there - memory.known:
            entry = await self._servers.control.get(pod_key(name.namespace, uid))
            if entry is not None and entry[0].state is DesiredState.DRAIN:
                memory.draining[uid] = now
            memory.known.add(uid)
        memory.known &= there
        memory.left = [at for at in memory.left if now - at < SETTLE]
        memory.left += [now for uid in memory.draining if uid not in there]
        memory.draining = {uid: since for uid, since in memory.draining.items() if uid in there}
        for uid in list(self._state.loads.of(Place(*name)).owners):
            if uid not in there:
                await self.mark_gone(Key("pod", name.namespace, uid))

    async def _verify(self, partition: Partition, namespace: str, memory: Memory) -> RefusedPod | None:
        """Ask the apiserver for a pod of a new template without making it."""
        wanted = template_hash(partition, self._pods)
        if memory.verified == wanted:
            return None
        try:
            await self._servers.kube.create(PODS, build_pod(partition, self._pods), namespace, dry_run=True)
        except KubeError as error:
            return _refusal(error)
        memory.verified = wanted
        memory.strikes, memory.retry_at = 0, 0.0
        return None

    def _observe(
        self, partition: Partition, name: Named, memory: Memory, pods: list[Pod], refused: RefusedPod | None
    ) -> Observed:
        load, now = self._state.loads.of(Place(*name)), datetime.now(UTC)
        wanted = template_hash(partition, self._pods)
        if any(read.made_from(pod) == wanted and read.ready_for(pod, now) >= YOUNG for pod in pods):
            memory.strikes, memory.retry_at = 0, 0.0
        idle = {
            uid_of(pod): min(read.age(pod, now), self._state.loads.idle(uid_of(pod)))
            for pod in pods
            if uid_of(pod) not in load.owners
        }
        down = {uid for uid, told in self._down.items() if time.monotonic() - told < DOWN_FOR}
        # An agent that holds nothing and does not say so will not be waited for.
        lost = {
            uid
            for uid, since in memory.draining.items()
            if uid not in load.owners and time.monotonic() - since > PATIENCE
        }
        return Observed(
            wanted_hash=wanted,
            load=load,
            idle=idle,
            draining=frozenset(memory.draining),
            down=frozenset(down),
            lost=frozenset(lost),
            refused=refused,
            strikes=memory.strikes,
            back_off=max(0.0, memory.retry_at - time.monotonic()),
            gives_way=self._gives_way(name),
        )

    def _count_strike(self, memory: Memory, pod: Pod) -> None:
        if not read.crashed(pod):
            return
        young = read.age(pod, datetime.now(UTC)) < YOUNG
        memory.strikes = memory.strikes + 1 if young else 1
        delay = min(MAX_BACK_OFF, 2.0 ** (memory.strikes - 1)) if memory.strikes > 1 else 0.0
        memory.retry_at = time.monotonic() + delay

    async def _delete(self, pod: Pod) -> None:
        meta = pod["metadata"]
        log.info("deleting pod %s/%s", meta["namespace"], meta["name"])
        await self._servers.kube.delete(PODS, meta["name"], meta["namespace"], uid=meta["uid"])

    async def _drain(self, name: Named, memory: Memory, pod: Pod) -> None:
        """Its agent says `drained` once it holds nothing; then the pod is deleted."""
        uid = uid_of(pod)
        log.info("draining pod %s/%s", name.namespace, pod["metadata"]["name"])
        wanted = Control(state=DesiredState.DRAIN, at=time.time())
        await put_control(self._servers.control, pod_key(name.namespace, uid), wanted)
        memory.draining[uid] = time.monotonic()

    async def _create(self, partition: Partition, namespace: str, count: int) -> RefusedPod | None:
        for _ in range(min(count, AT_ONCE)):
            try:
                await self._servers.kube.create(PODS, build_pod(partition, self._pods), namespace)
            except KubeError as error:
                log.warning("partition %s/%s: %s", namespace, partition.metadata.name, error)
                return _refusal(error)
        return None


def _refusal(error: KubeError) -> RefusedPod:
    """Why the apiserver takes no such pod.

    Raises:
        KubeError: it is not about the pod.
    """
    message = error.message or str(error)
    if error.status == 403 and "exceeded quota" in message:
        return RefusedPod(Reason.QUOTA_EXCEEDED, message)
    if isinstance(error, Refused) or error.status == 403:
        return RefusedPod(Reason.TEMPLATE_INVALID, message)
    raise error
