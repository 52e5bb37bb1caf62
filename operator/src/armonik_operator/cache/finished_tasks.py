"""Compact form of a finished Task: less than 1 KiB, where the whole object has many. Pure.

Who depends on it needs its outcomes, the names of its outputs, and which of these were handed to children.
Items that are in its manifest are read again from the apiserver when somebody asks for them.
"""

import sys
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from armonik_operator.journal.fold import TaskFold
from armonik_sdk.api.const import PARENT_LABEL, ConditionType
from armonik_sdk.api.errors import InvalidIntervals
from armonik_sdk.api.kinds import ItemsRef, ObjectMeta, Task, TaskSpec, TaskStatus, find_condition, is_true
from armonik_sdk.api.ranges import Ranges
from armonik_sdk.api.records import OutcomeKind

_NOTHING: Final[frozenset[str]] = frozenset()
Outcomes = tuple[tuple[OutcomeKind, str], ...]
"""Intervals by kind: as text they are a tenth of what they are as spans."""


class Outline(Task):
    """A finished Task, reduced to what its dependents need."""

    inline_items: bool = False
    """Its items are in its manifest, and not here."""


@dataclass(slots=True)
class FinishedTask:
    """A finished Task, as stored in the apiserver."""

    uid: str
    name: str
    namespace: str
    session: str
    """Name of its Session."""
    session_uid: str
    parent: str
    """UID of the parent, of a child."""
    version: str
    """`metadata.resourceVersion`."""
    unobserved: int
    """Generation that its status does not have yet; 0 when it does."""
    sequence: int
    """Journal sequence up to which all effects are done."""
    at: float
    """When it ended, in seconds since the epoch."""
    ttl: int | None
    total: int
    outputs: tuple[str, ...] | None
    items: str | None
    """Key of the object with its items; empty: they are in the manifest; None: its elements are equal."""
    outcomes: Outcomes
    children: Collection[str] = _NOTHING
    """Names of its children."""
    delegated: Collection[str] = _NOTHING
    """Ids of its outputs that were handed to children."""

    @classmethod
    def of(cls, task: Task) -> "FinishedTask | None":
        """What is kept; None when it has not finished, or its status does not say how all elements ended."""
        status, meta, spec = task.status, task.metadata, task.spec
        if status is None or not is_true(status.conditions, ConditionType.FINISHED):
            return None
        done = find_condition(status.conditions, ConditionType.FINISHED)
        outcomes = _outcomes(status, spec.total)
        if done is None or outcomes is None:
            return None
        return cls(
            uid=sys.intern(meta.uid),
            name=sys.intern(meta.name),
            namespace=sys.intern(meta.namespace or ""),
            session=sys.intern(spec.session),
            session_uid=sys.intern(status.session_uid),
            parent=sys.intern(meta.labels.get(PARENT_LABEL, "")),
            version=meta.resource_version,
            unobserved=meta.generation if status.observed_generation < meta.generation else 0,
            sequence=status.journal_sequence,
            at=done.last_transition_time.timestamp(),
            ttl=spec.ttl_seconds_after_finished,
            total=spec.total,
            outputs=_outputs(tuple(spec.outputs)) if spec.outputs is not None else None,
            items=spec.items_ref.object if spec.items_ref is not None else "" if spec.items else None,
            outcomes=outcomes,
        )

    def fold(self) -> TaskFold:
        """As its records would have made it, as far as anybody asks."""
        fold = TaskFold()
        fold.session, fold.sequence = self.session_uid, self.sequence
        fold.children, fold.delegated = set(self.children), set(self.delegated)
        for kind, text in self.outcomes:
            fold.seed(kind, Ranges.parse(text))
        return fold

    def keep_names(self, children: Collection[str], delegated: Collection[str]) -> None:
        """What its records say and its status does not."""
        self.children = frozenset(children) | frozenset(self.children) or _NOTHING
        self.delegated = frozenset(delegated) | frozenset(self.delegated) or _NOTHING

    def task(self) -> Outline:
        """The Task, for those who depend on it."""
        labels = {PARENT_LABEL: self.parent} if self.parent else {}
        meta = ObjectMeta.model_construct(
            name=self.name, namespace=self.namespace, uid=self.uid, labels=labels
        )
        spec = TaskSpec.model_construct(
            session=self.session,
            count=None if self.items else self.total,
            outputs=list(self.outputs) if self.outputs is not None else None,
            items_ref=ItemsRef.model_construct(object=self.items, count=self.total) if self.items else None,
        )
        return Outline.model_construct(metadata=meta, spec=spec, inline_items=self.items == "")


def _outcomes(status: TaskStatus, total: int) -> Outcomes | None:
    if status.elements is not None and status.elements.succeeded == total:
        return _all_completed(total)
    texts = (
        (OutcomeKind.COMPLETED, status.succeeded_indexes),
        (OutcomeKind.ERROR, status.failed_indexes),
        (OutcomeKind.TIMEOUT, status.timed_out_indexes),
        (OutcomeKind.CANCELLED, status.cancelled_indexes),
    )
    intervals = tuple((kind, text) for kind, text in texts if text)
    try:
        ended = sum(len(Ranges.parse(text)) for _, text in intervals)
    except InvalidIntervals:  # somebody else wrote it
        return None
    return intervals if ended >= total else None


@lru_cache(maxsize=1024)
def _all_completed(total: int) -> Outcomes:
    return ((OutcomeKind.COMPLETED, str(Ranges.of([(0, total)]))),)


@lru_cache(maxsize=1024)
def _outputs(names: tuple[str, ...]) -> tuple[str, ...]:
    """The same tuple for the same names."""
    return names
