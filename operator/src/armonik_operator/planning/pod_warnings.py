"""Interprets Kubernetes' Warning events of a pod that does not start. Pure."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from armonik_operator.planning.pod_facts import Pod, ready

Event = dict[str, Any]
_KNOWN_OTHERWISE = frozenset({"BackOff", "Failed", "FailedScheduling", "InspectFailed", "Unhealthy"})
"""Reported better by the pod's own status, or, of a probe that fails while a worker starts, by the agent."""
_STOPS = ("Failed", "Error")
"""How the reasons of those begin or end that keep a pod from starting: FailedMount, FailedAttachVolume,
FailedCreatePodSandBox, FailedCreatePodContainer, NetworkPluginError …"""


class Warned(NamedTuple):
    """One Warning event."""

    reason: str
    message: str

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"

    @property
    def stops(self) -> bool:
        """Whether the pod does not start while it holds; others only may explain why it takes long."""
        return self.reason.startswith(_STOPS[0]) or self.reason.endswith(_STOPS[1])


def newest_warning(pod: Pod, events: Iterable[Event]) -> Warned | None:
    """The newest relevant event; those that stop the pod come before those that may not.

    Once a container was started, what kept it from starting before is over.
    """
    if ready(pod):
        return None
    since = max(_starts(pod), default="")
    found = [
        (warned.stops, at, warned)
        for event in events
        if (warned := Warned(str(event.get("reason", "")), str(event.get("message", "")).strip()))
        and warned.reason not in _KNOWN_OTHERWISE
        and (at := _time(event)) >= since
    ]
    return max(found)[2] if found else None


def _starts(pod: Pod) -> list[str]:
    """When containers were started last; times of the API compare as text."""
    status = pod.get("status", {})
    entries = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    states = [state for entry in entries for state in entry.get("state", {}).values()]
    return [str(state["startedAt"]) for state in states if state.get("startedAt")]


def _time(event: Event) -> str:
    """When it was seen last, to the second."""
    series = event.get("series") or {}
    at = series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime") or ""
    return f"{at[:19]}Z" if at else ""
