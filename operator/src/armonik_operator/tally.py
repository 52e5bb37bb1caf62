"""Counts of elements by Session, kept as Tasks change: a summary never looks through all Tasks. Pure."""

from typing import NamedTuple

from armonik_operator.fold import TaskFold, pinned_to
from armonik_sdk.api.const import ConditionType
from armonik_sdk.api.kinds import ElementCounts, Session, Task, is_true

_Vector = tuple[int, ...]
_FIELDS = tuple(ElementCounts.model_fields)
_NONE: _Vector = (0,) * len(_FIELDS)


class _Owner(NamedTuple):
    """Session that a Task counts for: by name, and by UID once it is pinned to one."""

    namespace: str
    name: str
    uid: str


class Tally:
    """Sums of the counts of the living Tasks."""

    def __init__(self) -> None:
        self._sums: dict[_Owner, _Vector] = {}
        self._shares: dict[str, tuple[_Owner, _Vector]] = {}

    def put(self, task: Task, fold: TaskFold | None) -> bool:
        """A Task as it is now; whether its counts changed."""
        owner = _Owner(task.metadata.namespace or "", task.spec.session, pinned_to(task, fold))
        share = (owner, _vector(_counts(task, fold)))
        if self._shares.get(task.metadata.uid) == share:
            return False
        self.drop(task.metadata.uid)
        self._shares[task.metadata.uid] = share
        self._add(owner, share[1])
        return True

    def drop(self, uid: str) -> None:
        """A Task is gone."""
        if (share := self._shares.pop(uid, None)) is not None:
            owner, vector = share
            self._add(owner, tuple(-number for number in vector))

    def of(self, session: Session) -> ElementCounts:
        """Of the Tasks pinned to a Session, and of those not pinned yet that name it."""
        meta = session.metadata
        owners = [_Owner(meta.namespace or "", meta.name, uid) for uid in ("", meta.uid)]
        vectors = zip(*(self._sums.get(owner, _NONE) for owner in owners), strict=True)
        return ElementCounts(**dict(zip(_FIELDS, map(sum, vectors), strict=True)))

    def _add(self, owner: _Owner, vector: _Vector) -> None:
        new = tuple(map(sum, zip(self._sums.get(owner, _NONE), vector, strict=True)))
        if any(new):
            self._sums[owner] = new
        else:
            self._sums.pop(owner, None)


def _vector(counts: ElementCounts) -> _Vector:
    return tuple(getattr(counts, name) for name in _FIELDS)


def _counts(task: Task, fold: TaskFold | None) -> ElementCounts:
    """By the fold; by the status where there is none yet, or where the Task is over for good."""
    status = task.status
    if status is None or status.elements is None:
        return (fold or TaskFold()).counts(task.spec.total)
    if fold is None or not fold.runs or is_true(status.conditions, ConditionType.FINISHED):
        return status.elements
    return fold.counts(task.spec.total)
