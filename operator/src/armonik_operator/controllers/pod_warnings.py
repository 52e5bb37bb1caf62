"""Reads the Warning events of pods that do not become ready, seldom and few of them."""

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from armonik_operator.clients.kube import EVENTS, Kube
from armonik_operator.errors import KubeError
from armonik_operator.planning.pod_facts import Pod, leaving, not_ready_reason, ready, uid_of
from armonik_operator.planning.pod_warnings import Event, Warned, newest_warning

log = logging.getLogger(__name__)

PODS_READ: Final = 3
"""Pods of a Partition whose events are read: what keeps one from starting mostly keeps all."""
EVENTS_READ: Final = 20
"""Events read of a pod: Kubernetes counts equal ones up, so that there are few."""
AGAIN: Final = 10.0
"""Seconds between two reads of a pod's events."""


@dataclass
class _Known:
    """The events of a pod, as they were read."""

    at: float
    events: list[Event]


class PodWarnings:
    """Of the pods of one Partition."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}

    async def of(self, kube: Kube, pods: Iterable[Pod]) -> dict[str, Warned]:
        """By pod's UID; of pods whose own status says nothing of why they do not start."""
        silent = [pod for pod in pods if not (ready(pod) or leaving(pod) or not_ready_reason(pod))]
        silent.sort(key=lambda pod: str(pod["metadata"].get("creationTimestamp")))
        chosen = {uid_of(pod): pod for pod in silent[:PODS_READ]}
        self._known = {uid: known for uid, known in self._known.items() if uid in chosen}
        found: dict[str, Warned] = {}
        for uid, pod in chosen.items():
            warned = newest_warning(pod, await self._events(kube, pod))
            if warned is not None:
                found[uid] = warned
        return found

    async def _events(self, kube: Kube, pod: Pod) -> list[Event]:
        uid, now = uid_of(pod), time.monotonic()
        known = self._known.get(uid)
        if known is not None and now - known.at < AGAIN:
            return known.events
        fields = f"involvedObject.kind=Pod,involvedObject.uid={uid},type=Warning"
        try:
            events = await kube.list(EVENTS, pod["metadata"]["namespace"], fields=fields, most=EVENTS_READ)
        except KubeError as error:  # rights that somebody else gives, without this one; pods come first
            log.warning("the events of pod %s are not read: %s", pod["metadata"]["name"], error)
            events = []
        self._known[uid] = _Known(now, events)
        return events
