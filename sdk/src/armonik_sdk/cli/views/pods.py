"""How a pod is, in few words."""

from collections.abc import Iterator

from armonik_sdk.cli.views.reading import Object, number, part, text


def state(pod: Object) -> str:
    """One word: why a container waits or ended, else the pod's phase."""
    if part(pod, "metadata", "deletionTimestamp"):
        return "Terminating"
    for container in _containers(pod):
        for kind in ("waiting", "terminated"):
            reason = text(container, "state", kind, "reason")
            if reason and reason != "Completed":
                return reason
    return text(pod, "status", "reason") or text(pod, "status", "phase") or "Unknown"


def ready(pod: Object) -> str:
    """Containers that are ready, of all: `2/2`."""
    total = len(part(pod, "spec", "containers") or ()) + sum(1 for _ in _sidecars(pod))
    return f"{sum(bool(part(c, 'ready')) for c in _lasting(pod))}/{total}"


def restarts(pod: Object) -> int:
    """Restarts of all containers."""
    return sum(number(container, "restartCount") for container in _containers(pod))


def why(pod: Object) -> str:
    """What keeps it from serving, in the words of Kubernetes; empty when nothing does."""
    for container in _containers(pod):
        if message := text(container, "state", "waiting", "message"):
            return message
    for said in part(pod, "status", "conditions") or ():
        if text(said, "status") == "False" and (message := text(said, "message")):
            return message
    return text(pod, "status", "message")


def _containers(pod: Object) -> Iterator[Object]:
    yield from part(pod, "status", "initContainerStatuses") or ()
    yield from part(pod, "status", "containerStatuses") or ()


def _sidecars(pod: Object) -> Iterator[str]:
    """Containers that start before the others and run beside them."""
    for container in part(pod, "spec", "initContainers") or ():
        if container.get("restartPolicy") == "Always":
            yield container["name"]


def _lasting(pod: Object) -> Iterator[Object]:
    """Those that run as long as the pod."""
    sidecars = set(_sidecars(pod))
    yield from (c for c in part(pod, "status", "initContainerStatuses") or () if c.get("name") in sidecars)
    yield from part(pod, "status", "containerStatuses") or ()
