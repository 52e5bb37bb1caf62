"""Index of waits: from an event to the Tasks that depend on it; in memory, rebuilt from the Tasks.

A Task registers what holds it back whenever it is looked at, and is worked on again when one of these
things happens (protocol rule 11). So a record costs as much as there are Tasks, and items, that wait for
what it says.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator

from armonik_operator.dependencies.blockers import (
    Blocker,
    ElementFinished,
    ResultSettled,
    Retained,
    TaskCreated,
    TaskFinished,
)
from armonik_operator.dependencies.cycles import Node
from armonik_operator.dependencies.item_waits import ItemWaits
from armonik_operator.journal.fold import TaskFold
from armonik_operator.util.commons import Commons
from armonik_operator.util.concurrency import in_portions
from armonik_operator.util.sets_by_key import discard
from armonik_sdk.api.const import MAX_ELEMENTS
from armonik_sdk.api.ranges import Ranges, Span
from armonik_sdk.api.records import OutcomeKind

__all__ = [
    "Blocker",
    "ElementFinished",
    "ResultSettled",
    "Retained",
    "TaskCreated",
    "TaskFinished",
    "WaitIndex",
]


class WaitIndex:
    """Index of waits; `wake` is called with the UID of each Task that is due for a check."""

    def __init__(self, wake: Callable[[str], None], commons: Commons | None = None) -> None:
        self._wake = wake
        self._pool = (commons or Commons()).pool("waits of items")
        self._part = self._pool.join()
        self._waiters: defaultdict[Blocker, set[str]] = defaultdict(set)
        self._blockers: defaultdict[str, set[Blocker]] = defaultdict(set)
        self._elements: defaultdict[str, set[int]] = defaultdict(set)
        self._waits: dict[str, ItemWaits] = {}
        self._items: defaultdict[Blocker, set[str]] = defaultdict(set)
        """Tasks of whose items some wait for this."""
        self._awaited: defaultdict[str, set[str]] = defaultdict(set)
        """Tasks of whose items some wait for elements of this one."""
        self.held: Counter[str] = Counter()
        """Waits of items that follow no rule, by namespace, about: what memory they take."""

    def waits(self, waiter: str) -> ItemWaits:
        """State of a Task's items."""
        if (known := self._waits.get(waiter)) is None:  # not `setdefault`: it would make one for each call
            known = self._waits[waiter] = ItemWaits()
        return known

    def block(self, waiter: str, blocker: Blocker) -> None:
        """Register what a Task waits for. To be called right after the check, so that no event is missed."""
        self._blockers[waiter].add(blocker)
        self._waiters[blocker].add(waiter)
        if isinstance(blocker, ElementFinished):
            self._elements[blocker.uid].add(blocker.element)

    def room(self, namespace: str, most: int, assured: int) -> bool:
        """Whether items of a namespace may wait for more: all share `most`, and each is assured of some."""
        return self.held[namespace] < min(most, assured) or not self._pool.reaches(most)

    def block_item(
        self, waiter: str, item: int, blocker: Blocker, maker: Node | None = None, *, namespace: str = ""
    ) -> None:
        """Register what one item waits for; `maker` owes the result."""
        waits = self.waits(waiter)
        waits.namespace = waits.namespace or namespace
        before = waits.held
        waits.wait(item, blocker, maker)
        self._hold(waits.namespace, waits.held - before)
        if isinstance(blocker, ElementFinished):
            self._awaited[blocker.uid].add(waiter)
        else:
            self._items[blocker].add(waiter)

    def keep(self, waiter: str, blockers: Collection[Blocker]) -> None:
        """Replace what a Task waits for as a whole; the waits of its items stay."""
        for gone in self._blockers[waiter].difference(blockers):
            self._remove(waiter, gone)
        if not self._blockers[waiter]:
            del self._blockers[waiter]

    def over(self, waiter: str) -> None:
        """Remove all waits of a Task and of its items."""
        self.keep(waiter, ())
        waits = self._waits.pop(waiter, None)
        if waits is not None:
            self._hold(waits.namespace, -waits.held)
            self.held += Counter()  # drops namespaces without any
            for blocker in (*waits.others, *waits.results):
                discard(self._items, blocker, waiter)
                self._release(blocker)
            for uid in waits.elements:
                discard(self._awaited, uid, waiter)

    def blocked(self, waiter: str) -> Collection[Blocker]:
        """What a Task waits for as a whole."""
        return self._blockers.get(waiter, ())

    def waited_for(self, blocker: Blocker) -> bool:
        """Whether a Task or an item waits for this."""
        return blocker in self._waiters or blocker in self._items

    def happened(self, blocker: Blocker, *, badly: bool = False) -> None:
        """An event happened: wake all that wait for it, the first ones at once.

        Who still waits for much is not woken, unless `badly`: what it needs may never be.
        """
        in_portions(self._events((blocker,), badly=badly))

    def _events(self, blockers: Iterable[Blocker], *, badly: bool) -> Iterator[None]:
        """Each step notifies one waiter, maybe checked since: then it waits for this no more."""
        for blocker in blockers:
            for waiter in list(self._waiters.get(blocker, ())):
                self._notify(waiter, blocker, badly=badly)
                yield
            for waiter in list(self._items.get(blocker, ())):
                discard(self._items, blocker, waiter)
                if waiter in self._waits:
                    self._happened(waiter, blocker)
                    self._wake(waiter)
                yield

    def _notify(self, waiter: str, blocker: Blocker, *, badly: bool) -> None:
        if blocker not in self._blockers.get(waiter, ()):
            return
        waits = self._waits.get(waiter)
        if waits is not None and waits.own > 1 and not badly:
            waits.own -= 1
        else:
            self._wake(waiter)

    def again(self, waiter: str, blockers: Collection[Blocker]) -> None:
        """Mark the items that wait for these for another check, without an event."""
        for blocker in blockers:
            self._happened(waiter, blocker)
            discard(self._items, blocker, waiter)

    def ended(self, uid: str, fold: TaskFold, total: int, fresh: Ranges) -> None:
        """Elements of a Task have ended: wake their waiters. `fresh` may not have been reported before."""
        badly = len(fresh) > BADLY or any(fold.kind_of(i) is not OutcomeKind.COMPLETED for i in fresh)
        waited = self._elements.get(uid, set[int]())
        few, many = (fresh, waited) if len(fresh) < len(waited) else (waited, fresh)
        hit = [ElementFinished(uid, index) for index in few if index in many]
        over = [TaskFinished(uid)] if fold.finished(total) or fold.failures else []
        spans = fresh.spans
        in_portions(
            itertools.chain(
                self._events(hit, badly=badly),
                self._element_events(uid, spans, badly=badly),
                self._events(over, badly=badly),
            )
        )

    def gone(self, uid: str) -> None:
        """A Task was deleted: remove its waits, and wake all that wait for it."""
        self.over(uid)
        elements = [ElementFinished(uid, index) for index in self._elements.get(uid, ())]
        in_portions(
            itertools.chain(
                self._events(elements, badly=True),
                self._element_events(uid, EVERY, badly=True),
                self._events((TaskFinished(uid),), badly=True),
            )
        )

    def _element_events(self, uid: str, spans: tuple[Span, ...], *, badly: bool) -> Iterator[None]:
        """Each step notifies one Task of whose items some wait for elements of this one."""
        for waiter in list(self._awaited.get(uid, ())):
            if waiter in self._waits:
                if self._ended(waiter, uid, spans):
                    if badly:
                        self._waits[waiter].catch_up()
                    self._wake(waiter)
                if uid not in self._waits[waiter].elements:
                    discard(self._awaited, uid, waiter)
            yield

    def _happened(self, waiter: str, blocker: Blocker) -> None:
        waits = self._waits[waiter]
        before = waits.held
        waits.happened(blocker)
        self._hold(waits.namespace, waits.held - before)

    def _ended(self, waiter: str, uid: str, spans: tuple[Span, ...]) -> bool:
        waits = self._waits[waiter]
        before = waits.held
        hit = waits.ended(uid, spans)
        self._hold(waits.namespace, waits.held - before)
        return hit

    def _hold(self, namespace: str, more: int) -> None:
        self.held[namespace] += more
        self._part.add(more)

    def _remove(self, waiter: str, blocker: Blocker) -> None:
        self._blockers[waiter].discard(blocker)
        discard(self._waiters, blocker, waiter)
        if isinstance(blocker, ElementFinished) and blocker not in self._waiters:
            discard(self._elements, blocker.uid, blocker.element)
        self._release(blocker)

    def _release(self, blocker: Blocker) -> None:
        """Wake a Task that is kept for those who need it, once nobody does: its time may be over."""
        if isinstance(blocker, Retained) and not self.waited_for(blocker):
            self._wake(blocker.uid)


BADLY = 1_000
"""Elements that end together are asked one by one whether they completed, up to so many."""
EVERY = ((0, MAX_ELEMENTS),)
"""All elements that a Task may have."""
