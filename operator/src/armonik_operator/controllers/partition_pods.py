"""Requests about the pods of a Partition: list, verify, create, drain, delete. Remembers nothing."""

import logging
import time

from armonik_operator.clients.kube import PODS
from armonik_operator.clients.servers import Clients
from armonik_operator.errors import KubeError, Refused
from armonik_operator.manifests.pod import PodSettings, build_pod, template_hash
from armonik_operator.planning.partition import Refused as RefusedPod
from armonik_operator.planning.pod_facts import Pod, uid_of
from armonik_operator.settings import Settings
from armonik_sdk.api.const import PARTITION_LABEL, Reason
from armonik_sdk.api.kinds import Partition
from armonik_sdk.api.names import NamespacedName, pod_key
from armonik_sdk.api.records import Control, DesiredState
from armonik_sdk.dataplane.nats.buckets import put_control

log = logging.getLogger(__name__)

AT_ONCE = 10
"""Pods created in one go."""
_ABOUT_RESOURCES = (
    "must specify",
    "usage per Container",
    "usage per Pod",
    "limit to request ratio",
    "limit of",
)
"""What quotas and LimitRanges refuse pods with."""


class PartitionPods:
    """The pods of Partitions at the apiserver, and their entries in CONTROL."""

    def __init__(self, servers: Clients, settings: Settings) -> None:
        self._servers = servers
        self._settings = PodSettings(
            settings.agent_image,
            settings.agent_pull_policy,
            settings.openshift,
            settings.log_level,
            settings.agent_resources,
            settings.agent_printed_bytes,
            settings.tls_servers,
        )

    def template_hash(self, partition: Partition) -> str:
        """Hash of the template that new pods of a Partition have."""
        return template_hash(partition, self._settings)

    async def list(self, name: NamespacedName) -> list[Pod]:
        """The pods of a Partition."""
        labels = f"{PARTITION_LABEL}={name.name}"
        return await self._servers.kube.list(PODS, name.namespace, labels=labels)

    async def is_draining(self, name: NamespacedName, uid: str) -> bool:
        """Whether a pod was asked to drain, by this process or by one before it."""
        entry = await self._servers.control.get(pod_key(name.namespace, uid))
        return entry is not None and entry[0].state is DesiredState.DRAIN

    async def verify(self, name: NamespacedName, partition: Partition) -> RefusedPod | None:
        """Ask the apiserver for a pod without creating it; why it is refused, or None."""
        pod = build_pod(partition, self._settings)
        try:
            await self._servers.kube.create(PODS, pod, name.namespace, dry_run=True)
        except KubeError as error:
            return refusal(error)
        return None

    async def create(self, name: NamespacedName, partition: Partition, count: int) -> RefusedPod | None:
        """Create pods, at most `AT_ONCE`; why the first that is refused is, or None."""
        for _ in range(min(count, AT_ONCE)):
            try:
                await self._servers.kube.create(PODS, build_pod(partition, self._settings), name.namespace)
            except KubeError as error:
                log.warning("partition %s/%s: a pod is not created: %s", name.namespace, name.name, error)
                return refusal(error)
        return None

    async def drain(self, name: NamespacedName, pod: Pod) -> None:
        """Ask the agent to take no more runs. It says `drained` once it holds nothing; then the pod goes."""
        log.info("draining pod %s/%s", name.namespace, pod["metadata"]["name"])
        wanted = Control(state=DesiredState.DRAIN, at=time.time())
        await put_control(self._servers.control, pod_key(name.namespace, uid_of(pod)), wanted)

    async def delete(self, pod: Pod) -> None:
        """Delete a pod."""
        meta = pod["metadata"]
        log.info("deleting pod %s/%s", meta["namespace"], meta["name"])
        await self._servers.kube.delete(PODS, meta["name"], meta["namespace"], uid=meta["uid"])


def _way_out(message: str) -> str:
    """A quota or LimitRange may be about the agent, which the user has not written."""
    if not any(words in message for words in _ABOUT_RESOURCES):
        return ""
    return (
        "; resources of the worker are spec.template.spec.worker.resources, those of the agent beside it"
        " spec.template.spec.agent.resources, else the chart's agent.resources"
    )


def refusal(error: KubeError) -> RefusedPod:
    """Why the apiserver takes no such pod.

    Raises:
        KubeError: it is not about the pod.
    """
    message = error.message or str(error)
    if error.status == 403 and "exceeded quota" in message:
        return RefusedPod(Reason.QUOTA_EXCEEDED, message)
    if isinstance(error, Refused) or error.status == 403:
        return RefusedPod(Reason.TEMPLATE_INVALID, f"{message}{_way_out(message)}")
    raise error
