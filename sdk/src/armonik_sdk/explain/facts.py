"""What explanations are made of: objects as the apiserver has them, and how many are looked at."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from armonik_sdk.api.const import ConditionStatus, ConditionType, Reason
from armonik_sdk.api.kinds import Condition, Dependency, Partition, Session, Task, find_condition

MOST_DEPTH: Final = 8
"""Tasks that wait for each other, one behind the other, that are followed."""
MOST_NEEDS: Final = 16
"""Dependencies of a Task that are looked at."""
_NAMED: Final = re.compile(r"\btask ([a-z0-9](?:[a-z0-9-]*[a-z0-9])?)\b")

Object = Mapping[str, Any]


@dataclass(frozen=True)
class Pod:
    """A pod of a Partition, as far as it matters why it does not serve."""

    name: str
    ready: bool = False
    created: datetime | None = None
    unschedulable: str = ""
    """The scheduler's words."""
    container: str = ""
    """The one that waits or crashes."""
    image: str = ""
    """Of that container."""
    waits: str = ""
    """Kubernetes' reason why it waits, such as `ImagePullBackOff`."""
    message: str = ""
    """And its words."""
    restarts: int = 0
    exit_code: int | None = None
    """With which it ended last."""
    killed: str = ""
    """Kubernetes' reason of its end where it is not `Error`, such as `OOMKilled`."""
    warning: str = ""
    """Newest Warning event that says more."""
    last_words: str = ""
    """What the container printed last before it ended."""

    @classmethod
    def of(cls, obj: Object, events: Iterable[Object] = (), last_words: str = "") -> "Pod":
        """What its object says, with its Warning events and the end of a crashed container's log."""
        meta, status = _part(obj, "metadata"), _part(obj, "status")
        facts = {str(fact.get("type")): fact for fact in _parts(status, "conditions")}
        entry = _troubled([*_parts(status, "initContainerStatuses"), *_parts(status, "containerStatuses")])
        waiting = _part(_part(entry, "state"), "waiting")
        ended = _part(_part(entry, "lastState"), "terminated") or _part(_part(entry, "state"), "terminated")
        scheduled = facts.get("PodScheduled", {})
        no_node = scheduled.get("reason") == "Unschedulable"
        code, killed = ended.get("exitCode"), str(ended.get("reason") or "")
        return cls(
            name=str(meta.get("name") or ""),
            ready=facts.get("Ready", {}).get("status") == "True",
            created=_time(meta.get("creationTimestamp")),
            unschedulable=str(scheduled.get("message") or "no node takes it") if no_node else "",
            container=str(entry.get("name") or ""),
            image=str(entry.get("image") or ""),
            waits=str(waiting.get("reason") or ""),
            message=str(waiting.get("message") or ""),
            restarts=_number(entry.get("restartCount")) or 0,
            exit_code=_number(code),
            killed="" if killed in ("Error", "Completed") else killed,
            warning=_newest(events),
            last_words=last_words or str(ended.get("message") or ""),
        )


@dataclass(frozen=True)
class Facts:
    """An object, what belongs to it, and what it waits for."""

    subject: Task | Session | Partition
    now: datetime
    index: int | None = None
    """The element in question; None: all of a Task."""
    session: Session | None = None
    partition: Partition | None = None
    pods: Sequence[Pod] = ()
    """Of the Partition, where it has none ready."""
    tasks: Mapping[str, "Facts"] = field(default_factory=dict)
    """Tasks that it depends on, by name, as far as they were read."""
    missing: frozenset[str] = frozenset()
    """Names of those that do not exist."""
    names: Sequence[str] = ()
    """Names of Tasks of the Session, where one is missing; of those that exist, perhaps not all."""
    partitions: Sequence[str] = ()
    """Names of the Partitions that exist, where one is missing."""
    waiting: Sequence["Facts"] = ()
    """Of a Session: some of its Tasks that have not ended."""
    unread: Sequence[str] = ()
    """What could not be read, each with the reason."""

    @property
    def task(self) -> Task:
        """The subject, where it is a Task."""
        assert isinstance(self.subject, Task)
        return self.subject


@dataclass(frozen=True)
class Need:
    """Something that a Task, or one of its elements, depends on."""

    task: str = ""
    """Name of a Task; empty for a result."""
    index: int | None = None
    output: str | None = None
    result: str = ""
    """Id of a result; empty for a Task."""


def needs(task: Task, index: int | None = None) -> list[Need]:
    """What a Task depends on, those first that its conditions name; at most 16, of one element or of all."""
    named = [name for c in held_by(task) for name in named_tasks(c.message)]
    found = dict.fromkeys(_need(dependency) for dependency in _dependencies(task, index))
    order = sorted(found, key=lambda need: need.task not in named)
    return order[:MOST_NEEDS]


def named_tasks(message: str) -> list[str]:
    """Names of Tasks in a condition's message."""
    return _NAMED.findall(message)


def held_by(task: Task) -> list[Condition]:
    """The conditions that say why work is not done, the most serious one first."""
    conditions = task.status.conditions if task.status is not None else []
    ready = find_condition(conditions, ConditionType.READY)
    found = [ready] if ready is not None and ready.status is not ConditionStatus.TRUE else []
    for type_ in (ConditionType.QUEUE_FULL, ConditionType.CHILDREN_BLOCKED, ConditionType.WAITING):
        held = find_condition(conditions, type_)
        found += [held] if held is not None and held.status is ConditionStatus.TRUE else []
    return found


def partition_of(task: Task, session: Session | None) -> str:
    """Name of the Partition that a Task runs in; empty where it is not known."""
    status, own = task.status, task.spec.options
    options = status.options if status is not None else None
    named = (options.partition if options else None) or (own.partition if own else None)
    if named or (status is not None and status.partition):
        return named or (status.partition if status is not None else "")
    if session is None:
        return ""
    defaults = session.spec.task_defaults
    return (defaults.partition if defaults else None) or session.spec.partitions[0]


def waits_for_data(task: Task) -> bool:
    """Whether its conditions say so, or that something it depends on is wrong."""
    return any(
        c.reason
        in (
            Reason.WAITING_FOR_DATA,
            Reason.DEPENDENCY_NOT_FOUND,
            Reason.DEPENDENCY_INVALID,
            Reason.DEPENDENCY_CYCLE,
        )
        for c in held_by(task)
    )


def _dependencies(task: Task, index: int | None) -> Iterator[Dependency]:
    yield from task.spec.depends_on or ()
    items = task.spec.items or ()
    for item in items if index is None else items[index : index + 1]:
        yield from item.depends_on or ()
        if item.payload is not None and item.payload.result is not None:
            yield Dependency(result=item.payload.result)


def _need(dependency: Dependency) -> Need:
    return Need(dependency.task or "", dependency.index, dependency.output, dependency.result or "")


def _troubled(entries: Iterable[Object]) -> Object:
    """The container that waits for a reason, else the one that crashed most often."""
    found = list(entries)
    waiting = [entry for entry in found if _part(_part(entry, "state"), "waiting").get("message")]
    crashed = [entry for entry in found if _number(entry.get("restartCount"))]
    crashed.sort(key=lambda entry: -(_number(entry.get("restartCount")) or 0))
    return next(iter([*waiting, *crashed]), {})


def _newest(events: Iterable[Object]) -> str:
    """The newest event's message; events without a time come first."""
    found = [
        (_seen(event), str(event.get("message") or "")) for event in events if isinstance(event, Mapping)
    ]
    return max(found, default=("", ""))[1]


def _seen(event: Object) -> str:
    last = _part(event, "series").get("lastObservedTime") or event.get("lastTimestamp")
    return str(last or event.get("eventTime") or "")[:19]


def _part(obj: Object, name: str) -> Object:
    part = obj.get(name)
    return part if isinstance(part, Mapping) else {}


def _parts(obj: Object, name: str) -> list[Object]:
    parts = obj.get(name)
    return [part for part in parts if isinstance(part, Mapping)] if isinstance(parts, list) else []


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _time(text: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo is not None else None
