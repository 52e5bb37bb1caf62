"""Columns of lists: those that `kubectl get` has for our kinds, and those of pods."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from armonik_sdk.cli.views import pods
from armonik_sdk.cli.views.reading import Object, condition, name_of, number, part, since, text

Value = Callable[[Object, datetime], str]
"""The text of a cell, of the object and the time now."""


@dataclass(frozen=True)
class Column:
    """A column."""

    title: str
    value: Value
    wide: bool = False
    """Only shown by `-o wide`."""
    right: bool = False
    """Numbers end at the same place."""


@dataclass(frozen=True)
class Noun:
    """A kind of objects, as the command line calls it."""

    word: str
    plural: str
    columns: tuple[Column, ...]
    group: str = "armonik.io"

    @property
    def resource(self) -> str:
        """As `-o name` writes it before the name."""
        return f"{self.word}.{self.group}" if self.group else self.word


def _text(title: str, *path: str, wide: bool = False) -> Column:
    return Column(title, lambda obj, _: text(obj, *path), wide=wide)


def _number(title: str, *path: str, wide: bool = False) -> Column:
    return Column(title, lambda obj, _: str(number(obj, *path)), wide=wide, right=True)


def _phase(title: str, unset: str) -> Column:
    return Column(title, lambda obj, _: text(obj, "status", "phase") or unset)


def _age() -> Column:
    return Column("AGE", lambda obj, now: since(text(obj, "metadata", "creationTimestamp"), now))


def _finished() -> Column:
    return Column("FINISHED", _since_finished, wide=True)


def _since_finished(obj: Object, now: datetime) -> str:
    return since(text(condition(obj, "Finished"), "lastTransitionTime"), now)


def _first_reason(obj: Object, _: datetime) -> str:
    conditions = part(obj, "status", "conditions") or ()
    return text(conditions[0], "reason") if conditions else ""


_NAME: Final = Column("NAME", lambda obj, _: name_of(obj))
NAMESPACE: Final = Column("NAMESPACE", lambda obj, _: text(obj, "metadata", "namespace"))

SESSION: Final = Noun(
    "session",
    "sessions",
    (
        _NAME,
        _phase("STATUS", "Pending"),
        _text("PROGRESS", "status", "progress"),
        _number("FAILED", "status", "elements", "failed"),
        _number("RUNNING", "status", "elements", "running"),
        _age(),
        _text("PARTITION", "spec", "taskDefaults", "partition", wide=True),
        _finished(),
        Column("MESSAGE", lambda obj, _: text(condition(obj, "Ready"), "message"), wide=True),
    ),
)
TASK: Final = Noun(
    "task",
    "tasks",
    (
        _NAME,
        _phase("STATUS", "Creating"),
        _text("PROGRESS", "status", "progress"),
        _number("FAILED", "status", "elements", "failed"),
        _text("PARTITION", "status", "partition"),
        _age(),
        _text("PRIORITY", "status", "options", "priority", wide=True),
        _text("WORKER", "status", "worker", wide=True),
        Column("REASON", _first_reason, wide=True),
        _finished(),
    ),
)
PARTITION: Final = Noun(
    "partition",
    "partitions",
    (
        _NAME,
        Column("STATUS", lambda obj, _: text(condition(obj, "Ready"), "reason") or "Pending"),
        _number("READY", "status", "readyReplicas"),
        _number("MAX", "spec", "podMax"),
        _number("BUSY", "status", "busyReplicas"),
        _number("QUEUED", "status", "queued"),
        _age(),
        _text("IMAGE", "spec", "template", "spec", "worker", "image", wide=True),
        _number("RESERVED", "spec", "podReserved", wide=True),
        Column("MESSAGE", lambda obj, _: text(condition(obj, "Ready"), "message"), wide=True),
    ),
)
POD: Final = Noun(
    "pod",
    "pods",
    (
        _NAME,
        Column("STATUS", lambda obj, _: pods.state(obj)),
        Column("READY", lambda obj, _: pods.ready(obj)),
        Column("RESTARTS", lambda obj, _: str(pods.restarts(obj)), right=True),
        _age(),
        _text("NODE", "spec", "nodeName"),
        _text("TEMPLATE", "metadata", "labels", "armonik.io/template-hash", wide=True),
        Column("WHY", lambda obj, _: pods.why(obj), wide=True),
    ),
    group="",
)
NOUNS: Final = {noun.word: noun for noun in (SESSION, TASK, PARTITION, POD)}
