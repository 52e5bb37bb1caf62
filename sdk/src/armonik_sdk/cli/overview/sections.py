"""Entries of `top` as rows of text."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from armonik_sdk.cli.forms.top import Top, TopPartition, TopPod, TopSession
from armonik_sdk.cli.views.reading import span


@dataclass(frozen=True)
class Section:
    """One table."""

    name: str
    """partitions, sessions or pods."""
    titles: Sequence[str]
    right: frozenset[int]
    """Columns of numbers."""
    rows: Sequence[Sequence[str]]


_PARTITIONS: Final = ("PARTITION", "STATUS", "READY", "MAX", "BUSY", "QUEUED", "PER MIN", "LEFT")
_SESSIONS: Final = ("SESSION", "STATUS", "PROGRESS", "FAILED", "RUNNING", "PER MIN", "LEFT", "AGE")
_PODS: Final = ("POD", "PARTITION", "STATUS", "READY", "RESTARTS", "AGE", "NODE")


def sections(top: Top) -> list[Section]:
    """Those that were asked for."""
    found = []
    if top.partitions is not None:
        rows = [_partition(one) for one in top.partitions]
        found.append(Section("partitions", _PARTITIONS, frozenset(range(2, 8)), rows))
    if top.sessions is not None:
        rows = [_session(one, top.time) for one in top.sessions]
        found.append(Section("sessions", _SESSIONS, frozenset(range(3, 7)), rows))
    if top.pods is not None:
        rows = [_pod(one, top.time) for one in top.pods]
        found.append(Section("pods", _PODS, frozenset({4}), rows))
    return found


def _partition(one: TopPartition) -> list[str]:
    numbers = (one.ready, one.max, one.busy, one.queued)
    rate = one.elements_per_minute
    return [one.name, one.status, *map(str, numbers), str(rate) if rate else "", _left(one.queued, rate)]


def _session(one: TopSession, now: datetime) -> list[str]:
    rate = one.elements_per_minute
    return [
        one.name,
        one.status,
        f"{one.succeeded}/{one.total}",
        str(one.failed),
        str(one.running),
        "" if rate is None else str(rate),
        _left(one.running + one.waiting, rate or 0),
        _age(one.created, now),
    ]


def _pod(one: TopPod, now: datetime) -> list[str]:
    return [
        one.name, one.partition, one.status, one.ready, str(one.restarts), _age(one.created, now), one.node
    ]  # fmt: skip


def _left(elements: int, rate: int) -> str:
    """How long they take at this rate."""
    return span(timedelta(minutes=elements / rate)) if elements and rate else ""


def _age(created: datetime | None, now: datetime) -> str:
    return "" if created is None else span(now - created)
