"""Who waits for thousands of others is checked few times, and misses nothing."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.unit.operator.dependency_world import ITEM, STEP, World, look, meta, said, take

from armonik_operator.dependencies import checker, item_waits, readiness
from armonik_operator.planning.task import DependencyState
from armonik_sdk.api.kinds import Task
from armonik_sdk.api.records import OutcomeKind
from armonik_sdk.api.results import ResultState

MUCH = 300


def line(needs: list[dict[str, Any]]) -> bytes:
    return json.dumps({"dependsOn": needs}).encode() + b"\n"


async def wait_for(world: World, ready: int) -> int:
    """What a Task of one item does until it is ready; how often it was looked at."""
    rounds = 0
    for number in range(ready):
        world.end("a", number, OutcomeKind.COMPLETED)
        if world.woken:
            world.woken.clear()
            await world.looks.at(world.task, world.fold)
            rounds += 1
    return rounds


async def test_an_item_is_checked_when_all_that_it_needs_is_there() -> None:
    """It was checked for each of them: 16,000,000 looks at a dependency for the largest one."""
    world = World(line([{"task": "a", "index": index} for index in range(MUCH)]))
    world.create("a", MUCH)
    await world.looks.at(world.task, world.fold)
    before = world.looks.looked
    await wait_for(world, MUCH - 1)
    assert world.looks.looked - before <= 5
    waiting = await world.looks.at(world.task, world.fold)
    assert (waiting.waiting, waiting.held.spans) == (1, ((0, 1),))
    world.end("a", MUCH - 1, OutcomeKind.COMPLETED)
    assert world.woken
    assert not (await world.looks.at(world.task, world.fold)).held


async def test_an_item_that_needs_many_results_is_checked_when_they_are_written() -> None:
    world = World(line([{"result": f"r{number}"} for number in range(MUCH)]))
    for number in range(MUCH):
        world.result(f"r{number}", ResultState.CREATED)
    await world.looks.at(world.task, world.fold)
    before = world.looks.looked
    for number in range(MUCH):
        world.result(f"r{number}", ResultState.COMPLETED)
        await world.looks.at(world.task, world.fold)
    assert world.looks.looked - before <= 5
    assert not (await world.looks.at(world.task, world.fold)).held


async def test_a_task_that_needs_many_is_woken_when_all_have_ended() -> None:
    world = World([{}])
    needs = [{"task": f"n{number}"} for number in range(MUCH)]
    reduce = Task.from_object({"metadata": meta("reduce"), "spec": {"session": "s", "dependsOn": needs}})
    world.state.put_task(reduce)
    fold = world.state.fold("reduce")
    for number in range(MUCH):
        world.create(f"n{number}", 1)
    await world.looks.at(reduce, fold)
    world.woken.clear()
    rounds = 0
    for number in range(MUCH):
        world.end(f"n{number}", 0, OutcomeKind.COMPLETED)
        if "reduce" in world.woken:
            world.woken.clear()
            rounds += 1
            await world.looks.at(reduce, fold)
    assert rounds <= 5
    assert (await world.looks.at(reduce, fold)).own.state is DependencyState.READY


@pytest.mark.parametrize("failing", [0, MUCH // 2])
async def test_a_failure_among_many_is_noticed_at_once(failing: int) -> None:
    world = World(line([{"task": "a", "index": index} for index in range(MUCH)]))
    world.create("a", MUCH)
    await world.looks.at(world.task, world.fold)
    await wait_for(world, failing)
    world.end("a", failing, OutcomeKind.ERROR)
    assert world.woken
    assert (await world.looks.at(world.task, world.fold)).aborted


@example(
    items=[{"dependsOn": [{"task": "a"}, {"task": "a", "index": 0}]}],
    steps=[("create", "a"), ("end", ("a", 1), OutcomeKind.COMPLETED)],
)
@given(items=st.lists(ITEM, min_size=1, max_size=8), steps=st.lists(STEP, max_size=25))
def test_after_a_while_nothing_of_what_happened_is_missed(
    items: list[dict[str, Any]], steps: list[tuple[Any, ...]]
) -> None:
    async def history() -> None:
        world = World(items)
        found = await look(world, world.looks)
        for step in steps:
            if take(world, step, found):
                found = await look(world, world.looks)
                assert said(found, world) == said(await look(world, world.fresh()), world)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checker, "RESULTS_POLL", 0.0)
        for module in (item_waits, readiness):
            patch.setattr(module, "MANY", 1)
        asyncio.run(history())
