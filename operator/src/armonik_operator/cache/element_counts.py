"""Counts of elements by Session and by namespace, kept as Tasks change: no look walks all Tasks. Pure."""

import sys
from collections.abc import Callable
from functools import lru_cache
from operator import add, attrgetter, neg
from typing import NamedTuple

from armonik_operator.journal.fold import COUNTED, TaskFold, pinned_to
from armonik_sdk.api.const import ConditionType
from armonik_sdk.api.kinds import ElementCounts, Session, Task, is_true

_Vector = tuple[int, ...]
_PENDING, _QUEUED, _SUCCEEDED, _CANCELLED = map(
    COUNTED.index, ("pending", "queued", "succeeded", "cancelled")
)
"""Unfinished: from pending up to succeeded. Worked on: from queued up to cancelled."""
_NONE: _Vector = (0,) * len(COUNTED)
_of: Callable[[ElementCounts], _Vector] = attrgetter(*COUNTED)


class _Owner(NamedTuple):
    """Session that a Task counts for: by name, and by UID once it is pinned to one."""

    namespace: str
    name: str
    uid: str


class _Share(NamedTuple):
    """What one Task adds to the sums."""

    owner: _Owner
    vector: _Vector
    inside: bool
    """Whether it counts for the bound of its namespace: it was admitted once, and stays so until it ends."""

    @property
    def unfinished(self) -> int:
        return sum(self.vector[_PENDING:_SUCCEEDED]) if self.inside else 0


class SessionCounts:
    """Sums of the counts of the living Tasks."""

    def __init__(self) -> None:
        self._sums: dict[_Owner, _Vector] = {}
        self._shares: dict[str, _Share] = {}
        self._owners: dict[_Owner, _Owner] = {}
        self._unfinished: dict[str, int] = {}
        """By namespace, of the Tasks that are inside."""
        self.freed: Callable[[str], None] = lambda _: None
        """Called with a namespace when fewer of its elements are unfinished."""

    def put(self, task: Task, fold: TaskFold | None, *, admit: bool = False) -> bool:
        """A Task as it is now, admitted now if `admit`; whether its counts changed."""
        owner = _Owner(task.namespace, task.spec.session, pinned_to(task, fold))
        vector = _same(_counts(task, fold))
        known = self._shares.get(task.metadata.uid)
        inside = admit or (known is not None and known.inside) or _inside(fold, vector)
        share = _Share(owner, vector, inside)
        if known == share:
            return False
        before = self._drop(task.metadata.uid)
        owner = self._owners.setdefault(owner, owner)  # one object for all Tasks of a Session
        share = share._replace(owner=owner)
        self._shares[sys.intern(task.metadata.uid)] = share
        self._add(owner, vector)
        self._change(owner.namespace, share.unfinished - before)
        return known is None or known[:2] != share[:2]

    def drop(self, uid: str) -> None:
        """A Task is gone."""
        share = self._shares.get(uid)
        if (before := self._drop(uid)) and share is not None:
            self._change(share.owner.namespace, -before)

    def admitted(self, uid: str) -> bool:
        """Whether the Task counts for the bound of its namespace."""
        share = self._shares.get(uid)
        return share is not None and share.inside

    def unfinished(self, namespace: str) -> int:
        """Unfinished elements of the admitted Tasks of a namespace."""
        return self._unfinished.get(namespace, 0)

    def of(self, session: Session) -> ElementCounts:
        """Of the Tasks pinned to a Session, and of those not pinned yet that name it."""
        meta = session.metadata
        owners = [_Owner(meta.namespace or "", meta.name, uid) for uid in ("", meta.uid)]
        vectors = zip(*(self._sums.get(owner, _NONE) for owner in owners), strict=True)
        return ElementCounts(**dict(zip(COUNTED, map(sum, vectors), strict=True)))

    def _add(self, owner: _Owner, vector: _Vector) -> None:
        new = tuple(map(add, self._sums.get(owner, _NONE), vector))
        if any(new):
            self._sums[owner] = new
        else:
            self._sums.pop(owner, None)
            self._owners.pop(owner, None)

    def _drop(self, uid: str) -> int:
        """Take a Task out of the sums by Session; what it counts in the one of its namespace."""
        share = self._shares.pop(uid, None)
        if share is None:
            return 0
        self._add(share.owner, tuple(map(neg, share.vector)))
        return share.unfinished

    def _change(self, namespace: str, by: int) -> None:
        new = self._unfinished.get(namespace, 0) + by
        if new:
            self._unfinished[namespace] = new
        else:
            self._unfinished.pop(namespace, None)
        if by < 0:
            self.freed(namespace)


def _inside(fold: TaskFold | None, vector: _Vector) -> bool:
    """By its records; by its status where they are not folded yet, as after a restart."""
    return (fold is not None and fold.admitted) or any(vector[_QUEUED:_CANCELLED])


@lru_cache(maxsize=4096)
def _same(vector: _Vector) -> _Vector:
    """One object for all that are equal."""
    return vector


def _counts(task: Task, fold: TaskFold | None) -> _Vector:
    """By the fold; by the status where there is none yet, or where the Task has finished."""
    status = task.status
    if status is None or status.elements is None:
        return (fold or _EMPTY).numbers(task.spec.total)
    if fold is None or not fold.runs or is_true(status.conditions, ConditionType.FINISHED):
        return _of(status.elements)
    return fold.numbers(task.spec.total)


_EMPTY = TaskFold()
"""Of a Task without records; never changed."""
