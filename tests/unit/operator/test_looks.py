"""What the items of a Task wait for: as if all were looked at each time, though few are."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.operator.dependency_world import (
    ITEM,
    STEP,
    World,
    look,
    said,
    take,
)

from armonik_operator.dependencies.blockers import ResultSettled
from armonik_operator.dependencies.waiters import WaitIndex
from armonik_operator.errors import Parked
from armonik_operator.util.index_set import first
from armonik_sdk.api.ranges import Ranges
from armonik_sdk.api.records import OutcomeKind
from armonik_sdk.api.results import ResultState


@given(
    items=st.lists(ITEM, min_size=1, max_size=8), steps=st.lists(STEP, max_size=25), lazy=st.integers(0, 3)
)
def test_looking_at_what_has_changed_says_what_looking_at_all_says(
    items: list[dict[str, Any]], steps: list[tuple[Any, ...]], lazy: int
) -> None:
    async def history() -> None:
        world = World(items)
        readiness = await look(world, world.looks)
        for number, step in enumerate(steps):
            done = take(world, step, readiness)
            if not done or number % (lazy + 1):
                continue
            if world.woken:
                world.woken.clear()
                readiness = await look(world, world.looks)
                assert said(readiness, world) == said(await look(world, world.fresh()), world)
            else:
                everything = await look(world, world.fresh())
                assert said(readiness, world, brief=True) == said(everything, world, brief=True)

    asyncio.run(history())


async def test_each_item_of_a_long_task_is_looked_at_a_few_times_whatever_the_order() -> None:
    """Item i waits for element i, and 4,000 elements end one by one, each followed by a look."""
    many = 4_000
    world = World(b"".join(b'{"dependsOn":[{"task":"a","index":%d}]}\n' % i for i in range(many)))
    world.create("a", many)
    assert len(await held(world)) == many
    for at in range(many):
        index = at * 7 % many
        world.end("a", index, OutcomeKind.COMPLETED)
        if at % 2:
            assert world.woken == {"w"}
            world.woken.clear()
            assert len(await held(world)) == many - at - 1
    assert world.looks.looked <= 4 * many
    assert world.looks.dependents.held.total() == 1, "that the other Task is used"


async def test_items_that_wait_in_no_order_are_found_by_element() -> None:
    many = 2_000
    order = [i * 7 % many for i in range(many)]
    world = World(b"".join(b'{"dependsOn":[{"task":"a","index":%d}]}\n' % i for i in order))
    world.create("a", many)
    await held(world)
    assert many - 100 < world.looks.dependents.held.total() <= many + 1
    for index in range(many):
        world.end("a", index, OutcomeKind.COMPLETED)
        await held(world)
    assert world.looks.looked <= 4 * many
    assert (len(await held(world)), world.looks.dependents.held.total()) == (0, 1)


async def test_many_that_are_aborted_end_some_at_a_time() -> None:
    many = 2_500
    world = World(b'{"dependsOn":[{"task":"a"}]}\n' * many)
    world.create("a", 2)
    assert (await world.looks.at(world.task, world.fold)).waiting == many
    world.end("a", 1, OutcomeKind.ERROR)
    numbers = []
    while True:
        readiness = await world.looks.at(world.task, world.fold)
        numbers.append(len(readiness.aborted))
        for (start, end), message in readiness.aborted:
            assert message == "element 1 of task a ended as Error: because"
            for index in range(start, end):
                world.submit(index)
        if not readiness.more:
            break
    assert numbers == [1_000, 1_000, 500]


async def test_what_was_ready_and_is_doubted_is_looked_at_again() -> None:
    world = World([{"dependsOn": [{"result": "r1"}]}])
    world.result("r1", ResultState.COMPLETED)
    assert not await held(world)
    world.result("r1", ResultState.DELETED)
    assert not await held(world), "nothing is said of what was ready"
    world.looks.doubt("w", 0)
    assert (await world.looks.at(world.task, world.fold)).aborted


async def test_items_over_the_bound_are_parked_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("armonik_operator.dependencies.readiness.MAX_WAITS", 10)
    items = [{"dependsOn": [{"task": "a", "index": i * 7 % 50}]} for i in range(50)]
    world = World(items)
    world.create("a", 50)
    with pytest.raises(Parked, match="10 elements wait each for something else"):
        await held(world)
    for index in range(50):
        world.end("a", index, OutcomeKind.COMPLETED)
    assert not await held(world), "what was not looked at is not forgotten"


async def held(world: World) -> Ranges:
    return (await look(world, world.looks)).held - world.fold.submitted


@given(spans=st.lists(st.tuples(st.integers(0, 50), st.integers(1, 5))), many=st.integers(1, 30))
def test_the_first_of_some_indexes(spans: list[tuple[int, int]], many: int) -> None:
    indexes = Ranges.of((start, start + length) for start, length in spans)
    assert [i for span in first(indexes, many) for i in range(*span)] == list(indexes)[:many]


def test_one_namespace_does_not_use_up_what_others_may_wait_for() -> None:
    dependents = WaitIndex(lambda _: None)

    def block(namespace: str, count: int) -> int:
        for number in range(count):
            if not dependents.room(namespace, 100, 10):
                return number
            blocker = ResultSettled(namespace, "s", f"{number}")
            dependents.block_item(f"task-of-{namespace}", number, blocker, namespace=namespace)
        return count

    assert block("greedy", 1_000) == 100
    assert block("other", 1_000) == 10
    assert block("third", 5) == 5
    dependents.over("task-of-greedy")
    assert block("other", 1_000) > 10
    dependents.over("task-of-other")
    dependents.over("task-of-third")
    assert not dependents.held
