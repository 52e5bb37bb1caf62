"""Facts read from a pod's object. Pure."""

from datetime import datetime
from typing import Any

from armonik_operator.util.text import shorten
from armonik_sdk.api.const import AGENT_CONTAINER, TEMPLATE_HASH_LABEL, Reason
from armonik_sdk.api.kinds import Partition

Pod = dict[str, Any]
_PULL = frozenset({"ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull"})
_CONFIG = frozenset({"CreateContainerConfigError", "CreateContainerError"})
_CRASH = frozenset({"CrashLoopBackOff", "RunContainerError"})
_FULL = ("Insufficient", "Too many pods")


def uid_of(pod: Pod) -> str:
    """UID."""
    return str(pod["metadata"]["uid"])


def name_of(pod: Pod) -> str:
    """Name."""
    return str(pod["metadata"]["name"])


def owned(pod: Pod, partition: Partition) -> bool:
    """Whether this very Partition made it."""
    owners = pod["metadata"].get("ownerReferences", [])
    return any(owner["uid"] == partition.metadata.uid for owner in owners)


def template_hash_of(pod: Pod) -> str:
    """Hash of the template."""
    return str(pod["metadata"].get("labels", {}).get(TEMPLATE_HASH_LABEL, ""))


def leaving(pod: Pod) -> bool:
    """Whether it is being deleted."""
    return "deletionTimestamp" in pod["metadata"]


def ended(pod: Pod) -> bool:
    """Whether its containers have ended and are not restarted: evicted, say, or its node is gone."""
    return pod.get("status", {}).get("phase") in ("Failed", "Succeeded")


def evicted(pod: Pod) -> str:
    """The kubelet's message about its eviction; empty when it was not evicted."""
    status = pod.get("status", {})
    if status.get("reason") != "Evicted":
        return ""
    return shorten(f"the pod was evicted: {str(status.get('message') or 'no reason given').strip()}")


def ready(pod: Pod) -> bool:
    """Whether the agent reports that it and the worker are ready."""
    return _fact(pod, "Ready").get("status") == "True"


def started(pod: Pod) -> bool:
    """Whether its agent may have taken work: it runs, or has run."""
    containers = pod.get("status", {}).get("containerStatuses", [])
    agents = [entry for entry in containers if entry.get("name") == AGENT_CONTAINER]
    return any("waiting" not in entry.get("state", {"waiting": {}}) for entry in agents) or ready(pod)


def crashed(pod: Pod) -> bool:
    """Whether it ended, or its worker was started again at least once."""
    workers = pod.get("status", {}).get("initContainerStatuses", [])
    return ended(pod) or any(entry.get("restartCount", 0) > 0 for entry in workers)


def created(pod: Pod) -> str:
    """When it was created, as the apiserver writes it: such texts sort like the times."""
    return str(pod["metadata"].get("creationTimestamp") or "")


def age(pod: Pod, now: datetime) -> float:
    """Seconds since it was created."""
    return _since(pod["metadata"].get("creationTimestamp"), now)


def ready_for(pod: Pod, now: datetime) -> float:
    """Seconds since it became ready; 0 when it is not."""
    return _since(_fact(pod, "Ready").get("lastTransitionTime"), now) if ready(pod) else 0.0


def unschedulable(pod: Pod) -> bool:
    """Whether no node takes it, so that it holds no room."""
    return _fact(pod, "PodScheduled").get("reason") == "Unschedulable"


def insufficient_resources(pod: Pod) -> bool:
    """Whether a node would take it if other pods were deleted."""
    message = str(_fact(pod, "PodScheduled").get("message", ""))
    return unschedulable(pod) and any(words in message for words in _FULL)


def not_ready_reason(pod: Pod) -> tuple[Reason, str] | None:
    """Why it does not become ready, when waiting alone will not help; Kubernetes' own text."""
    if ready(pod):
        return None
    name = pod["metadata"]["name"]
    for container, entry in _waiting(pod):
        text = f"{name}: {container}: {entry.get('message') or entry['reason']}"
        if entry["reason"] in _PULL:
            return Reason.IMAGE_PULL_FAILED, text
        if entry["reason"] in _CONFIG:
            return Reason.POD_START_FAILED, text
        if entry["reason"] in _CRASH:
            return Reason.WORKER_CRASH_LOOPING, text
    if unschedulable(pod):
        return Reason.UNSCHEDULABLE, f"{name}: {_fact(pod, 'PodScheduled').get('message', '')}"
    return None


def _fact(pod: Pod, type_: str) -> dict[str, Any]:
    facts = pod.get("status", {}).get("conditions", [])
    return next((fact for fact in facts if fact["type"] == type_), {})


def _since(stamp: str | None, now: datetime) -> float:
    return max(0.0, (now - datetime.fromisoformat(stamp)).total_seconds()) if stamp else 0.0


def _waiting(pod: Pod) -> list[tuple[str, dict[str, Any]]]:
    status = pod.get("status", {})
    containers = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    found = [(str(entry.get("name")), entry.get("state", {}).get("waiting")) for entry in containers]
    return [(name, state) for name, state in found if state and state.get("reason")]
