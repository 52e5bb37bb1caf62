"""Circles of Tasks that wait for each other: which are found, what is said, and who is woken."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from armonik_operator.circles import OWN, WHOLE, Circles, Node, knots, shortest


class Looked:
    """Circles, with a clock and the Tasks that were woken."""

    def __init__(self) -> None:
        self.now = 0.0
        self.woken: set[str] = set()
        self.circles = Circles(lambda: self.now, self.woken.add)

    def waits(self, task: str, *targets: Node, element: int = OWN) -> None:
        self.circles.waits(f"uid-{task}", task, {element: {(f"uid-{uid}", at) for uid, at in targets}})

    def of(self, task: str) -> str:
        self.now += 10
        return self.circles.of(f"uid-{task}")


@pytest.mark.parametrize("seed", range(6))
def test_a_circle_is_found_in_any_order_and_all_on_it_are_woken(seed: int) -> None:
    looked = Looked()
    steps = [("a", "b"), ("b", "c"), ("c", "a"), ("behind", "a")]
    random.Random(seed).shuffle(steps)
    for task, other in steps:
        looked.waits(task, (other, WHOLE))
    said = "task a waits for task b, which waits for task c, which waits for task a: a circle;"
    for task in "abc":
        assert looked.of(task) == f"{said} cancel or delete one of them"
    assert looked.of("behind") == ""
    assert looked.woken == {"uid-a", "uid-b", "uid-c"}
    looked.woken.clear()
    looked.circles.waits("uid-c", "c", {})
    assert [looked.of(task) for task in "abc"] == ["", "", ""]
    assert looked.woken == {"uid-a", "uid-b", "uid-c"}


def test_a_circle_of_elements_is_told_from_tasks_that_merely_use_each_other() -> None:
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
    assert looked.of("a").startswith("element 2 of task a waits for element 2 of task a: a circle")


def test_passes_are_at_least_a_second_apart_and_a_due_one_is_told() -> None:
    looked = Looked()
    assert looked.circles.due() is None
    looked.waits("a", ("b", WHOLE))
    assert looked.circles.of("uid-a") == ""
    assert looked.circles.due() is None
    looked.waits("b", ("a", WHOLE))
    assert looked.circles.of("uid-a") == ""
    assert looked.circles.due() == 1.0
    assert looked.of("a")


GRAPHS = st.dictionaries(
    st.sampled_from("abcdef"),
    st.sets(st.tuples(st.sampled_from("abcdef"), st.sampled_from([WHOLE, 0, 1]))),
)


@given(GRAPHS)
def test_exactly_those_that_reach_themselves_are_on_a_circle(graph: dict[str, set[Node]]) -> None:
    edges = {uid: {OWN: targets} for uid, targets in graph.items() if targets}
    found = list(knots(edges))
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
