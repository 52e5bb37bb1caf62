"""Which pods of a Partition to create and which to delete, and what its status says. Pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from armonik_sdk.api.const import PARTITION_LABEL, TEMPLATE_HASH_LABEL, ConditionType, Reason
from armonik_sdk.api.kinds import Partition, PartitionStatus, condition, set_condition

Pod = dict[str, Any]
_PULL = frozenset({"ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull"})


@dataclass(frozen=True)
class PartitionPlan:
    """Pods to create (a number) and to delete (names and UIDs)."""

    create: int
    delete: tuple[tuple[str, str], ...]


def partition_plan(partition: Partition, pods: list[Pod], wanted_hash: str) -> PartitionPlan:
    """Keep `podReserved` pods of the wanted template; ended pods are replaced, outdated ones one by one."""
    owned = [pod for pod in pods if _owned(pod, partition)]
    living = [pod for pod in owned if not _leaving(pod)]
    ended = [pod for pod in living if _ended(pod)]
    serving = [pod for pod in living if not _ended(pod)]
    current = [pod for pod in serving if pod["metadata"]["labels"].get(TEMPLATE_HASH_LABEL) == wanted_hash]
    outdated = [pod for pod in serving if pod not in current]
    target = min(partition.spec.pod_reserved, partition.spec.pod_max)
    surplus = sorted(current, key=_ready)[: max(0, len(current) - target)]
    replaced: list[Pod] = []
    if outdated and (len(serving) > target or not any(not _ready(pod) for pod in current)):
        replaced = sorted(outdated, key=_ready)[:1]
    gone = [*ended, *surplus, *replaced]
    room = target - (len(serving) - len(surplus) - len(replaced))
    names = tuple((pod["metadata"]["name"], pod["metadata"]["uid"]) for pod in gone)
    return PartitionPlan(max(0, room), names)


def partition_status(
    partition: Partition, pods: list[Pod], *, busy: int, queued: int, refused: str, now: datetime
) -> PartitionStatus:
    """Counts and the condition Ready. `refused` is the apiserver's word against the template, if any."""
    serving = [p for p in pods if _owned(p, partition) and not _leaving(p) and not _ended(p)]
    ready = sum(1 for pod in serving if _ready(pod))
    ok, reason, message = _verdict(partition, serving, ready, refused)
    old = partition.status.conditions if partition.status else []
    new = condition(
        ConditionType.READY, ok, reason, message, generation=partition.metadata.generation, now=now
    )
    return PartitionStatus(
        observed_generation=partition.metadata.generation,
        replicas=len(serving),
        ready_replicas=ready,
        busy_replicas=busy,
        queued=queued,
        selector=f"{PARTITION_LABEL}={partition.metadata.name}",
        conditions=set_condition(old, new),
    )


def _verdict(partition: Partition, pods: list[Pod], ready: int, refused: str) -> tuple[bool, Reason, str]:
    if refused:
        return False, Reason.TEMPLATE_INVALID, refused
    if ready:
        return True, Reason.SERVING, ""
    if min(partition.spec.pod_reserved, partition.spec.pod_max) == 0:
        return True, Reason.SCALED_TO_ZERO, "no pods are asked for (spec.podReserved)"
    for pod in pods:
        for entry in _waiting(pod):
            text = str(entry.get("message") or entry["reason"])
            if entry["reason"] in _PULL:
                return False, Reason.IMAGE_PULL_FAILED, text
            if entry["reason"] == "CrashLoopBackOff":
                return False, Reason.WORKER_CRASH_LOOPING, text
        for fact in pod.get("status", {}).get("conditions", []):
            if fact["type"] == "PodScheduled" and fact.get("reason") == "Unschedulable":
                return False, Reason.UNSCHEDULABLE, str(fact.get("message", ""))
    return False, Reason.STARTING, "pods are starting"


def _waiting(pod: Pod) -> list[dict[str, Any]]:
    status = pod.get("status", {})
    containers = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    states = [container.get("state", {}).get("waiting") for container in containers]
    return [state for state in states if state and state.get("reason")]


def _owned(pod: Pod, partition: Partition) -> bool:
    owners = pod["metadata"].get("ownerReferences", [])
    return any(owner["uid"] == partition.metadata.uid for owner in owners)


def _leaving(pod: Pod) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def _ended(pod: Pod) -> bool:
    return pod.get("status", {}).get("phase") in ("Failed", "Succeeded")


def _ready(pod: Pod) -> bool:
    facts = pod.get("status", {}).get("conditions", [])
    return any(fact["type"] == "Ready" and fact["status"] == "True" for fact in facts)
