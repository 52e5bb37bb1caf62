"""Who waits for what: the reverse of the Tasks' dependencies, in memory, rebuilt from the Tasks (step S5).

A Task registers what holds it back whenever it is looked at, and is worked on again when one of these
things happens. So a record costs as much as there are Tasks that wait for it.
"""

from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass

from armonik_operator.fold import TaskFold


@dataclass(frozen=True, slots=True)
class OfName:
    """That a Task of this name appears."""

    namespace: str
    task: str


@dataclass(frozen=True, slots=True)
class OfTask:
    """That all elements of a Task have ended, or that one has failed."""

    uid: str


@dataclass(frozen=True, slots=True)
class OfElement:
    """That one element has ended."""

    uid: str
    element: int


@dataclass(frozen=True, slots=True)
class OfResult:
    """That a result with an entry of its own is completed or aborted."""

    namespace: str
    session: str
    result: str


@dataclass(frozen=True, slots=True)
class OfUse:
    """Never happens: holds back nothing but the expiry of a Task that others still need."""

    uid: str


Blocker = OfName | OfTask | OfElement | OfResult | OfUse


class Dependents:
    """The index; `wake` is called with the UID of each Task that has to be looked at again."""

    def __init__(self, wake: Callable[[str], None]) -> None:
        self._wake = wake
        self._waiters: defaultdict[Blocker, set[str]] = defaultdict(set)
        self._blockers: defaultdict[str, set[Blocker]] = defaultdict(set)
        self._elements: defaultdict[str, set[int]] = defaultdict(set)

    def block(self, waiter: str, blocker: Blocker) -> None:
        """Say what holds a Task back. To be said right after looking, so that nothing happens in between."""
        self._blockers[waiter].add(blocker)
        self._waiters[blocker].add(waiter)
        if isinstance(blocker, OfElement):
            self._elements[blocker.uid].add(blocker.element)

    def keep(self, waiter: str, blockers: Collection[Blocker]) -> None:
        """A Task was looked at as a whole: nothing but these hold it back."""
        for gone in self._blockers[waiter].difference(blockers):
            self._remove(waiter, gone)
        if not self._blockers[waiter]:
            del self._blockers[waiter]

    def blocked(self, waiter: str) -> Collection[Blocker]:
        """What holds a Task back."""
        return self._blockers.get(waiter, ())

    def waited_for(self, blocker: Blocker) -> bool:
        """Whether anybody waits for this."""
        return blocker in self._waiters

    def happened(self, blocker: Blocker) -> None:
        """Wake all who wait for it."""
        for waiter in list(self._waiters.get(blocker, ())):
            self._wake(waiter)

    def ended(self, uid: str, fold: TaskFold, total: int) -> None:
        """Elements of a Task have ended."""
        for index in self._elements.get(uid, ()):
            if fold.has_ended(index):
                self.happened(OfElement(uid, index))
        if fold.finished(total) or fold.failures:
            self.happened(OfTask(uid))

    def gone(self, uid: str) -> None:
        """A Task was deleted: it waits for nothing, and who waits for it has to look elsewhere."""
        self.keep(uid, ())
        for index in list(self._elements.get(uid, ())):
            self.happened(OfElement(uid, index))
        self.happened(OfTask(uid))

    def _remove(self, waiter: str, blocker: Blocker) -> None:
        self._blockers[waiter].discard(blocker)
        waiters = self._waiters[blocker]
        waiters.discard(waiter)
        if waiters:
            return
        del self._waiters[blocker]
        if isinstance(blocker, OfElement):
            left = self._elements[blocker.uid]
            left.discard(blocker.element)
            if not left:
                del self._elements[blocker.uid]
