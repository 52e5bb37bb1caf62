"""Tasks that wait for each other in a circle. Pure but for a clock.

All who wait are looked through together, at most a small share of the time. A circle is found whichever of
its Tasks came last, and every Task on it is woken to say so.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Set

OWN = -1
"""All elements of a Task: what its own `dependsOn` holds back."""
WHOLE = -2
"""A Task as a dependency: each of its elements."""
INTERVAL = 1.0
"""Least seconds between two passes."""
SHARE = 50
"""A pass waits for so many times as long as the one before it took."""

Node = tuple[str, int]
"""UID of a Task; an element of it, or `OWN`, or `WHOLE`."""
Edges = Mapping[int, Set[Node]]


class Circles:
    """`wake` is called with the UID of each Task that came onto a circle or from one."""

    def __init__(self, clock: Callable[[], float], wake: Callable[[str], None]) -> None:
        self._clock = clock
        self._wake = wake
        self._edges: dict[str, dict[int, Set[Node]]] = {}
        self._names: dict[str, str] = {}
        self._found: dict[str, str] = {}
        self._changed = False
        self._next = 0.0

    def waits(self, uid: str, name: str, edges: Edges) -> None:
        """A Task was looked at as a whole: it waits for these, and for nobody else."""
        new = {element: targets for element, targets in edges.items() if targets}
        old = self._edges.pop(uid, {})
        if new:
            self._edges[uid], self._names[uid] = new, name
        else:
            self._names.pop(uid, None)
        more = any(targets - old.get(element, frozenset()) for element, targets in new.items())
        self._changed = self._changed or more or (uid in self._found and new != old)

    def of(self, uid: str) -> str:
        """The circle that a Task is on, in words; empty when it is on none, as far as is known."""
        if self._changed and self._clock() >= self._next:
            self._pass()
        return self._found.get(uid, "")

    def due(self) -> float | None:
        """Seconds until the next pass; None when nothing has changed."""
        return max(0.01, self._next - self._clock()) if self._changed else None

    def _pass(self) -> None:
        started = self._clock()
        found: dict[str, str] = {}
        for knot in knots(self._edges):
            for node in sorted(knot, key=lambda each: (self._names[each[0]], each[1])):
                if node[0] not in found:
                    circle = shortest(self._edges, knot, node)
                    said = self._say(circle)
                    found |= {uid: said for uid, _ in circle if uid not in found}
        before, self._found, self._changed = self._found, found, False
        now = self._clock()
        self._next = now + max(INTERVAL, SHARE * (now - started))
        for uid in before.keys() | found.keys():
            if before.get(uid) != found.get(uid):
                self._wake(uid)

    def _say(self, circle: list[Node]) -> str:
        steps: list[tuple[str, str]] = []
        for uid, element in circle:
            name = f"task {self._names[uid]}"
            label = f"element {element} of {name}" if element >= 0 else name
            if steps and steps[-1][0] == uid:
                steps[-1] = (uid, max(steps[-1][1], label, key=len))
            else:
                steps.append((uid, label))
        if len(steps) > 1 and steps[-1][0] == steps[0][0]:
            steps[0] = (steps[0][0], max(steps[0][1], steps.pop()[1], key=len))
        labels = [label for _, label in steps]
        way = ", which waits for ".join([*labels[1:], labels[0]])
        return f"{labels[0]} waits for {way}: a circle; cancel or delete one of them"


def knots(edges: Mapping[str, Edges]) -> Iterator[set[Node]]:
    """Nodes each of which waits for all others of its knot, by way of them (Tarjan, without recursion)."""
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
            node, rest = work[-1]
            target = next(rest, None)
            if target is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == order[node]:
                    knot = set(stack[stack.index(node) :]) if stack[-1] != node else {node}
                    del stack[-len(knot) :]
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
    """The shortest way from a node of a knot back to it, the node first."""
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
