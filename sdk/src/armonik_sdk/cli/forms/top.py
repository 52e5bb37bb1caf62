"""Output of `armonikctl top --once`."""

from datetime import datetime
from typing import Literal

from armonik_sdk.cli.forms.base import Count, Form, Part


class TopPartition(Part):
    """A partition, and how much it does."""

    name: str
    """Its name."""
    status: str
    """Reason of its condition Ready; `Pending` before the operator has seen it."""
    ready: Count
    """Pods that are ready."""
    max: Count
    """Most pods that there may be."""
    busy: Count
    """Pods that compute."""
    queued: Count
    """Elements that wait for it."""
    elements_per_minute: Count
    """Elements that ended in a minute, of the last five minutes; 0 while that is not known."""


class TopSession(Part):
    """A session, and how far it is."""

    name: str
    """Its name."""
    status: str
    """Its phase."""
    total: Count
    """All elements of its tasks."""
    succeeded: Count
    """Elements that ended well."""
    failed: Count
    """Elements that ended with an error, or took too long."""
    running: Count
    """Elements that are computed now."""
    waiting: Count
    """Elements that wait for data, in the queue, or for the end of a pause."""
    elements_per_minute: Count | None = None
    """Elements that ended in a minute, between looks; a single look does not know it."""
    created: datetime | None = None
    """When it was made."""


class TopPod(Part):
    """A pod of a partition."""

    name: str
    """Its name."""
    partition: str
    """Its partition."""
    status: str
    """Why a container waits or ended, else the pod's phase."""
    ready: str
    """Containers that are ready, of all: `2/2`."""
    restarts: Count
    """Restarts of all containers."""
    node: str
    """Where it runs; empty before it is placed."""
    created: datetime | None = None
    """When it was made."""


class Top(Form):
    """Partitions, sessions and pods of a namespace at one time; what was not asked for is left out."""

    kind: Literal["Top"] = "Top"
    """Which form it is."""
    namespace: str
    """Where it was looked."""
    time: datetime
    """When."""
    partitions: list[TopPartition] | None = None
    """At most 500, the first by name."""
    sessions: list[TopSession] | None = None
    """At most 500: those with work first, then the newest."""
    pods: list[TopPod] | None = None
    """At most 500, the first by name."""
