"""Dependency state of a Task's items that have dependencies of their own, kept between checks. Pure.

Each is looked at once, and again only when something happened that it waits for. All of it is held as ranges.
"""

from collections.abc import Iterator
from itertools import islice

from armonik_operator.dependencies.blockers import Blocker, ElementFinished, ResultSettled, TaskFinished
from armonik_operator.dependencies.cycles import WHOLE, Node
from armonik_operator.dependencies.item_ranges import AwaitedRanges
from armonik_operator.planning.task import DependencyState, DependencyStatus
from armonik_operator.util.index_set import IndexSet
from armonik_sdk.api.ranges import Ranges, Span

MANY = 64
"""What waits for more than this is not checked each time that some of it happens."""
CATCH_UP = 10_000
"""Dependencies that are checked of such items in between."""


class ItemWaits:
    """The items of one Task, and what they wait for."""

    def __init__(self) -> None:
        self.namespace = ""
        """That of the Task."""
        self.known = False
        """Whether the items were read."""
        self.open = IndexSet()
        """Items that are not known to be ready: those below, and those in none of the states."""
        self.due = IndexSet()
        """Items to be looked at."""
        self.states: dict[DependencyState, IndexSet] = {
            state: IndexSet() for state in DependencyState if state is not DependencyState.READY
        }
        self.elements: dict[str, AwaitedRanges] = {}
        """Waits for elements, by the UID of their Task."""
        self.others: dict[Blocker, IndexSet] = {}
        """Items by what else they wait for."""
        self.results: dict[Blocker, IndexSet] = {}
        """Items by the results that they wait for; those that were looked for longest ago come first."""
        self.polled = 0.0
        """When results were looked for though nothing was said of them, by the monotonic clock."""
        self.events = 0
        """Changes whenever something happened that items wait for."""
        self.makers: dict[Blocker, Node] = {}
        """Who owes a result that is waited for."""
        self.held = 0
        """Waits that follow no rule, about: what memory they take."""
        self.stamp = 0
        """Changes whenever it waits for something else."""
        self.own = 0
        """What still has to happen for the Task as a whole, if that is much; else 0."""
        self._many: dict[int, int] = {}
        """The same of items."""
        self.said: dict[int, DependencyStatus] = {}
        """What the last check of these items found."""
        self._late = IndexSet()
        """Those of these items for which something has happened."""

    def begin(self, dependent: Ranges) -> None:
        """Start: all of these items are due for a check."""
        self.known = True
        self.open, self.due = IndexSet(dependent.spans), IndexSet(dependent.spans)

    def put(self, item: int, state: DependencyState) -> None:
        """Record the outcome of a check of an item."""
        for each, spans in self.states.items():
            if each is state:
                spans.add(item, item + 1)
            elif spans and item in spans:
                spans.discard(item, item + 1)
        if state is DependencyState.READY:
            self.open.discard(item, item + 1)
        else:
            self.open.add(item, item + 1)

    @property
    def many(self) -> bool:
        """Whether the Task, or one of its items, waits for much."""
        return bool(self.own or self._many)

    def begin_check(self, item: int) -> None:
        """An item is checked from now on: what happens meanwhile makes it due again."""
        self.due.discard(item, item + 1)
        self._late.discard(item, item + 1)
        self._many.pop(item, None)
        self.said.pop(item, None)

    def put_many(self, item: int, left: int, said: DependencyStatus) -> None:
        """Note how much has to happen before an item is ready, and what its check found.

        If it is much, the item is checked when all of it has happened, or after a while: each check costs
        as much as there is to wait for.
        """
        if left > MANY:
            self._many[item], self.said[item] = left, said

    def catch_up(self) -> None:
        """Mark items for another check for which something has happened, though not all: the first ones.

        What was found before is not said again: how many elements have not ended is counted anew.
        """
        self.said.clear()
        left = CATCH_UP
        for item in list(islice(self._late.ranges, CATCH_UP)):
            if left <= 0:
                return
            left -= self._many.pop(item, 0) + 1
            self._late.discard(item, item + 1)
            if item in self.open:
                self.due.add(item, item + 1)

    def again(self, start: int, end: int) -> None:
        """Something happened: mark these items for another check, except those that are ready."""
        for span in self.open.common(start, end):
            self.due.add(*span)
        if not self._many:
            return
        few = range(start, end) if end - start < len(self._many) else list(self._many)
        for item in few:
            if not start <= item < end or item not in self._many:
                continue
            self._many[item] -= 1
            if self._many[item] > 0:
                self.due.discard(item, item + 1)
                self._late.add(item, item + 1)
            else:
                del self._many[item]

    def doubt(self, start: int, end: int) -> None:
        """Mark these items for another check, also those that are ready."""
        self.open.add(start, end)
        self.due.add(start, end)

    def left(self, taken: Ranges, state: DependencyState | None = None) -> Ranges:
        """Items in this state, or due for a check, without those already handled."""
        return (self.due if state is None else self.states[state]).ranges - taken

    def wait(self, item: int, blocker: Blocker, maker: Node | None) -> None:
        """Add a wait of an item."""
        if maker is not None:
            self.makers[blocker] = maker
        if isinstance(blocker, ElementFinished):
            awaited = self.elements.setdefault(blocker.uid, AwaitedRanges())
            before = awaited.loose
            new = awaited.add(item, blocker.element)
            self.held += awaited.loose - before
        else:
            place = self._place(blocker)
            self.held += blocker not in place
            spans = place.setdefault(blocker, IndexSet())
            new = item not in spans
            spans.add(item, item + 1)
        self.stamp += new

    def happened(self, blocker: Blocker) -> None:
        """Mark these items for another check: an event that they wait for happened."""
        self.makers.pop(blocker, None)
        spans = self._place(blocker).pop(blocker, None)
        self.held -= spans is not None
        for span in spans.ranges.spans if spans is not None else ():
            self.again(*span)
        self.stamp += 1
        self.events += 1

    def ended(self, uid: str, spans: tuple[Span, ...]) -> bool:
        """Elements of a Task have ended; returns whether items wait for one of them."""
        awaited, any_hit = self.elements.get(uid), False
        if awaited is None:
            return False
        self.held -= awaited.loose
        for start, end in spans:
            for span in awaited.ended(start, end):
                self.again(*span)
                any_hit = True
        self.held += awaited.loose
        if not awaited:
            del self.elements[uid]
        self.stamp += any_hit
        self.events += any_hit
        return any_hit

    def targets(self) -> set[str]:
        """UIDs of the Tasks that items wait for."""
        tasks = {blocker.uid for blocker in self.others if isinstance(blocker, TaskFinished)}
        return tasks | self.elements.keys() | {uid for uid, _ in self.makers.values()}

    def __len__(self) -> int:
        """Number of waits."""
        others = sum(map(len, self.others.values())) + sum(map(len, self.results.values()))
        return others + sum(map(len, self.elements.values()))

    def edges(self) -> Iterator[tuple[int, Node]]:
        """Each item with what it waits for, as it was when this was called."""
        elements = [(uid, awaited.edges()) for uid, awaited in self.elements.items()]
        others: list[tuple[Node, tuple[Span, ...]]] = []
        for blocker, spans in (*self.others.items(), *self.results.items()):
            node = (blocker.uid, WHOLE) if isinstance(blocker, TaskFinished) else self.makers.get(blocker)
            if node is not None:
                others.append((node, spans.ranges.spans))
        return _each(elements, others)

    def _place(self, blocker: Blocker) -> dict[Blocker, IndexSet]:
        return self.results if isinstance(blocker, ResultSettled) else self.others


def _each(
    elements: list[tuple[str, Iterator[tuple[int, int]]]], others: list[tuple[Node, tuple[Span, ...]]]
) -> Iterator[tuple[int, Node]]:
    for uid, pairs in elements:
        yield from ((item, (uid, element)) for item, element in pairs)
    for node, spans in others:
        yield from ((item, node) for span in spans for item in range(*span))
