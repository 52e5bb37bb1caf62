"""Objects of the cluster as entries of `top`."""

from collections.abc import Iterable
from typing import Final

from armonik_sdk.api.const import PARTITION_LABEL
from armonik_sdk.cli.forms.top import TopPartition, TopPod, TopSession
from armonik_sdk.cli.views import pods
from armonik_sdk.cli.views.reading import (
    STATES,
    Object,
    condition,
    failed,
    left,
    moment,
    name_of,
    number,
    part,
    text,
)

MOST: Final = 500
"""Entries of each kind."""


def partition(obj: Object) -> TopPartition:
    """Of a Partition."""
    return TopPartition(
        name=name_of(obj),
        status=text(condition(obj, "Ready"), "reason") or "Pending",
        ready=number(obj, "status", "readyReplicas"),
        max=number(obj, "spec", "podMax"),
        busy=number(obj, "status", "busyReplicas"),
        queued=number(obj, "status", "queued"),
        elements_per_minute=number(obj, "status", "elementsPerMinute"),
    )


def session(obj: Object, rate: int | None = None) -> TopSession:
    """Of a Session; the rate is known from earlier looks."""
    counts = part(obj, "status", "elements")
    return TopSession(
        name=name_of(obj),
        status=text(obj, "status", "phase") or "Pending",
        total=number(counts, "total"),
        succeeded=number(counts, "succeeded"),
        failed=failed(obj),
        running=number(counts, "running"),
        waiting=left(obj) - number(counts, "running"),
        elements_per_minute=rate,
        created=moment(text(obj, "metadata", "creationTimestamp")),
    )


def pod(obj: Object) -> TopPod:
    """Of a pod."""
    return TopPod(
        name=name_of(obj),
        partition=text(obj, "metadata", "labels", PARTITION_LABEL),
        status=pods.state(obj),
        ready=pods.ready(obj),
        restarts=pods.restarts(obj),
        node=text(obj, "spec", "nodeName"),
        created=moment(text(obj, "metadata", "creationTimestamp")),
    )


def ended(obj: Object) -> int:
    """Elements of a Session or Task that have ended."""
    counts = part(obj, "status", "elements")
    return sum(number(counts, state) for state in STATES[3:])


class FirstSessions:
    """The sessions worth a look, of any number: those with work left first, then the newest."""

    def __init__(self) -> None:
        self._kept: list[Object] = []

    def add(self, page: Iterable[Object]) -> None:
        """A page of a list; what is not among the first is forgotten."""
        kept = sorted([*self._kept, *page], key=name_of)
        kept.sort(key=lambda obj: (left(obj) > 0, text(obj, "metadata", "creationTimestamp")), reverse=True)
        self._kept = kept[:MOST]

    def all(self) -> list[Object]:
        """Those that were kept, in their order."""
        return self._kept
