"""Detects Tasks that wait for each other in a cycle. Pure but for a clock.

All waits are searched together, for at most a small share of the time, and other coroutines run meanwhile:
first the Tasks, then the elements of those that wait for each other. A cycle is found whichever of its Tasks
came last, and every Task on it is woken to report it.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Set
from typing import NamedTuple

log = logging.getLogger(__name__)

OWN = -1
"""All elements of a Task: what its own `dependsOn` holds back."""
WHOLE = -2
"""A Task as a dependency: each of its elements."""
INTERVAL = 1.0
"""Least seconds between two passes."""
SHARE = 50
"""A pass waits for the duration of the one before it, multiplied by this."""

Node = tuple[str, int]
"""UID of a Task; an element of it, or `OWN`, or `WHOLE`."""
Edges = Mapping[int, Set[Node]]
SLICE = 5_000
"""Steps after which others get a turn."""
MAX_EDGES = 500_000
"""Most waits of elements that are searched together; where there are more, no cycle is searched."""


class Waiter(NamedTuple):
    """A Task that waits."""

    name: str
    targets: Set[str]
    """UIDs of the Tasks that it, or one of its elements, waits for."""
    stamp: object
    """Another one whenever it waits for something else."""
    size: Callable[[], int]
    """How many edges it has."""
    edges: Callable[[], Iterator[tuple[int, Node]]]
    """Its elements with what they wait for, as it is when this is called."""


class CycleDetector:
    """Detects cycles; `wake` is called with the UID of each Task that joined or left one."""

    def __init__(self, clock: Callable[[], float], wake: Callable[[str], None]) -> None:
        self._clock = clock
        self._wake = wake
        self._waiters: dict[str, Waiter] = {}
        self._found: dict[str, str] = {}
        self._changed = False
        self._searching = False
        self._next = 0.0

    def waits(self, uid: str, waiter: Waiter) -> None:
        """Replace the waits of a Task as a whole by these."""
        old = self._waiters.get(uid)
        if old is not None and old.stamp == waiter.stamp and old.targets == waiter.targets:
            return
        if waiter.targets:
            self._waiters[uid] = waiter
        else:
            self._waiters.pop(uid, None)
        self._changed = self._changed or bool(waiter.targets) or uid in self._found

    def over(self, uid: str) -> None:
        """Drop the waits of a Task."""
        if self._waiters.pop(uid, None) is not None and uid in self._found:
            self._changed = True

    def of(self, uid: str) -> str:
        """The cycle that a Task is on, as text; empty when no cycle through it is known."""
        return self._found.get(uid, "")

    def due(self) -> float | None:
        """Seconds until the next pass; None when nothing has changed."""
        return max(0.01, self._next - self._clock()) if self._changed else None

    async def look(self) -> None:
        """Search for cycles, if a search is due and none runs."""
        if self._searching or not self._changed or self._clock() < self._next:
            return
        self._searching, self._changed = True, False
        started = self._clock()
        found: dict[str, str] | None = None
        try:
            found = await self._search()
        finally:
            self._searching = False
            self._changed = self._changed or found is None
            now = self._clock()
            self._next = now + max(INTERVAL, SHARE * (now - started))
        before, self._found = self._found, found
        for uid in before.keys() | found.keys():
            if before.get(uid) != found.get(uid):
                self._wake(uid)

    async def _search(self) -> dict[str, str]:
        found: dict[str, str] = {}
        tasks = {uid: {OWN: {(other, OWN) for other in w.targets}} for uid, w in self._waiters.items()}
        for knot in search(tasks):
            if knot is None:
                await asyncio.sleep(0)
            else:
                found |= await self._within(sorted({uid for uid, _ in knot}))
        return found

    async def _within(self, uids: list[str]) -> dict[str, str]:
        """Cycles among the elements of Tasks that wait for each other; there may be none."""
        waiters = {uid: self._waiters[uid] for uid in uids if uid in self._waiters}
        if (size := sum(waiter.size() for waiter in waiters.values())) > MAX_EDGES:
            log.warning("cycles are not searched: %d waits among %d tasks are too many", size, len(waiters))
            return {}
        edges: dict[str, dict[int, set[Node]]] = {}
        for uid, waiter in waiters.items():
            own = edges.setdefault(uid, {})
            for step, (element, target) in enumerate(waiter.edges()):
                if step % SLICE == SLICE - 1:
                    await asyncio.sleep(0)
                if target[0] in waiters:
                    own.setdefault(element, set()).add(target)
        found: dict[str, str] = {}
        names = {uid: waiter.name for uid, waiter in waiters.items()}
        for knot in search(edges):
            await asyncio.sleep(0)
            for node in sorted(knot or (), key=lambda each: (names[each[0]], each[1])):
                if knot is not None and node[0] not in found:
                    circle = shortest(edges, knot, node)
                    if any(self._waiters.get(uid) is not waiters[uid] for uid, _ in circle):
                        self._changed = True  # while others had their turn: perhaps it is none
                        continue
                    message = _say(circle, names)
                    found |= {uid: message for uid, _ in circle if uid not in found}
                    await asyncio.sleep(0)
        return found


def _say(circle: list[Node], names: Mapping[str, str]) -> str:
    steps: list[tuple[str, str]] = []
    for uid, element in circle:
        name = f"task {names[uid]}"
        label = f"element {element} of {name}" if element >= 0 else name
        if steps and steps[-1][0] == uid:
            steps[-1] = (uid, max(steps[-1][1], label, key=len))
        else:
            steps.append((uid, label))
    if len(steps) > 1 and steps[-1][0] == steps[0][0]:
        steps[0] = (steps[0][0], max(steps[0][1], steps.pop()[1], key=len))
    labels = [label for _, label in steps]
    way = ", which waits for ".join([*labels[1:], labels[0]])
    return f"{labels[0]} waits for {way}: a dependency cycle; cancel or delete one of them"


def strongly_connected_components(edges: Mapping[str, Edges]) -> Iterator[set[Node]]:
    """Sets of nodes each of which waits, directly or not, for all others of its set."""
    return (knot for knot in search(edges) if knot is not None)


def search(edges: Mapping[str, Edges]) -> Iterator[set[Node] | None]:
    """Strongly connected components (Tarjan, without recursion), and None every `SLICE` steps."""
    steps = 0
    order: dict[Node, int] = {}
    low: dict[Node, int] = {}
    stack: list[Node] = []
    standing: set[Node] = set()
    for start in [(uid, element) for uid, own in edges.items() for element in own]:
        if start in order:
            continue
        work = [(start, _after(edges, start))]
        order[start] = low[start] = len(order)
        stack.append(start)
        standing.add(start)
        while work:
            steps += 1
            if steps % SLICE == 0:
                yield None
            node, rest = work[-1]
            target = next(rest, None)
            if target is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == order[node]:
                    knot = set[Node]()
                    while node not in knot:
                        knot.add(stack.pop())
                    standing -= knot
                    if len(knot) > 1 or node in _after(edges, node):
                        yield knot
            elif target not in order:
                order[target] = low[target] = len(order)
                stack.append(target)
                standing.add(target)
                work.append((target, _after(edges, target)))
            elif target in standing:
                low[node] = min(low[node], order[target])


def shortest(edges: Mapping[str, Edges], knot: set[Node], start: Node) -> list[Node]:
    """The shortest cycle through a node of a component, the node first."""
    came: dict[Node, Node] = {}
    waiting = deque([start])
    while start not in came:
        node = waiting.popleft()
        for target in _after(edges, node):
            if target in knot and target not in came:
                came[target] = node
                waiting.append(target)
    way = [came[start]]
    while way[-1] != start:
        way.append(came[way[-1]])
    return way[::-1]


def _after(edges: Mapping[str, Edges], node: Node) -> Iterator[Node]:
    """What a node waits for; nodes of Tasks that wait for nothing are left out."""
    uid, element = node
    own = edges.get(uid, {})
    if element == WHOLE:
        yield from ((uid, each) for each in own)
        return
    for target in own.get(element, ()):
        if target[0] in edges:
            yield target
    if element >= 0 and OWN in own:
        yield (uid, OWN)
