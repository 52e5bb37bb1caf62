"""Circles of Tasks that wait for each other: which are found, what is said, and who is woken."""

import asyncio
import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from armonik_operator.dependencies.cycles import (
    OWN,
    SLICE,
    WHOLE,
    CycleDetector,
    Node,
    Waiter,
    search,
    shortest,
    strongly_connected_components,
)


class Looked:
    """Circles, with a clock and the Tasks that were woken."""

    def __init__(self) -> None:
        self.now = 0.0
        self.woken: set[str] = set()
        self.edges: dict[str, dict[int, set[Node]]] = {}
        self.stamp = 0
        self.circles = CycleDetector(lambda: self.now, self.woken.add)

    def waits(self, task: str, *targets: Node, element: int = OWN) -> None:
        edges = self.edges.setdefault(task, {})
        edges[element] = {(f"uid-{uid}", at) for uid, at in targets}
        self.put(task)

    def put(self, task: str) -> None:
        self.stamp += 1
        edges = [(element, node) for element, nodes in self.edges[task].items() for node in nodes]
        targets = {uid for _, (uid, _) in edges}
        waiter = Waiter(task, targets, self.stamp, lambda: len(edges), lambda: iter(edges))
        self.circles.waits(f"uid-{task}", waiter)

    def of(self, task: str) -> str:
        self.now += 10
        return self.at_once(task)

    def at_once(self, task: str) -> str:
        asyncio.run(self.circles.look())
        return self.circles.of(f"uid-{task}")


@pytest.mark.parametrize("seed", range(6))
def test_a_circle_is_found_in_any_order_and_all_on_it_are_woken(seed: int) -> None:
    looked = Looked()
    steps = [("a", "b"), ("b", "c"), ("c", "a"), ("behind", "a")]
    random.Random(seed).shuffle(steps)
    for task, other in steps:
        looked.waits(task, (other, WHOLE))
    said = "task a waits for task b, which waits for task c, which waits for task a: a dependency cycle;"
    for task in "abc":
        assert looked.of(task) == f"{said} cancel or delete one of them"
    assert looked.of("behind") == ""
    assert looked.woken == {"uid-a", "uid-b", "uid-c"}
    looked.woken.clear()
    looked.waits("c")
    assert [looked.of(task) for task in "abc"] == ["", "", ""]
    assert looked.woken == {"uid-a", "uid-b", "uid-c"}


def test_a_circle_of_elements_is_distinguished_from_tasks_that_use_each_other() -> None:
    looked = Looked()
    looked.waits("a", ("b", 0), element=1)
    looked.waits("b", ("a", 0), element=1)
    assert looked.of("a") == looked.of("b") == ""
    looked.waits("b", ("a", 1), element=0)
    assert looked.of("b").startswith(
        "element 1 of task a waits for element 0 of task b, which waits for element"
    )


def test_what_holds_back_all_elements_closes_a_circle_too() -> None:
    looked = Looked()
    looked.waits("a", ("b", 3))
    looked.waits("b", ("a", 7))
    assert looked.of("a").startswith("element 7 of task a waits for element 3 of task b")


def test_an_element_may_wait_for_its_own_task() -> None:
    looked = Looked()
    looked.waits("a", ("a", WHOLE), element=2)
    assert looked.of("a").startswith("element 2 of task a waits for element 2 of task a: a dependency cycle")


def test_passes_are_at_least_a_second_apart_and_a_due_one_is_reported() -> None:
    looked = Looked()
    assert looked.circles.due() is None
    looked.waits("a", ("b", WHOLE))
    assert looked.at_once("a") == ""
    assert looked.circles.due() is None
    looked.waits("b", ("a", WHOLE))
    assert looked.at_once("a") == ""
    assert looked.circles.due() == 1.0
    assert looked.of("a")


GRAPHS = st.dictionaries(
    st.sampled_from("abcdef"),
    st.sets(st.tuples(st.sampled_from("abcdef"), st.sampled_from([WHOLE, 0, 1]))),
)


@given(GRAPHS)
def test_exactly_those_that_reach_themselves_are_on_a_circle(graph: dict[str, set[Node]]) -> None:
    edges = {uid: {OWN: targets} for uid, targets in graph.items() if targets}
    found = list(strongly_connected_components(edges))
    on = {uid for knot in found for uid, _ in knot}
    for uid in graph:
        seen, waiting = set[str](), [uid]
        while waiting:
            for other, _ in graph.get(waiting.pop(), ()):
                if other not in seen:
                    seen.add(other)
                    waiting.append(other)
        assert (uid in seen) == (uid in on)
    for knot in found:
        for node in knot:
            circle = shortest(edges, knot, node)
            assert circle[0] == node
            assert len(circle) == len(set(circle))


def test_elements_of_tasks_that_do_not_wait_for_each_other_are_not_looked_through() -> None:
    looked = Looked()
    waiter = Waiter("a", {"uid-b"}, 1, lambda: 10_000_000, lambda: pytest.fail("it was looked through"))
    looked.circles.waits("uid-a", waiter)
    looked.circles.waits("uid-b", waiter._replace(name="b", targets={"uid-c"}))
    assert looked.of("a") == ""
    looked.circles.waits("uid-c", waiter._replace(name="c", targets={"uid-a"}, stamp=2))
    assert looked.of("a") == "", "they are too many to be searched"


def test_others_get_their_turn_while_circles_are_looked_for() -> None:
    many = 3 * SLICE
    chain: dict[str, dict[int, set[Node]]] = {"a": {i: {("a", i + 1)} for i in range(many)}}
    found = list(search(chain))
    assert found.count(None) >= 2 * many // SLICE - 1
    assert [knot for knot in found if knot is not None] == []


def test_what_has_changed_while_it_was_looked_for_is_no_circle() -> None:
    looked = Looked()
    looked.waits("a", ("b", WHOLE))

    def edges() -> Iterator[tuple[int, Node]]:
        looked.waits("a", ("c", WHOLE))
        yield OWN, ("uid-a", WHOLE)

    looked.circles.waits("uid-b", Waiter("b", {"uid-a"}, 1, lambda: 1, edges))
    assert looked.of("a") == ""
    assert looked.of("b") == ""
