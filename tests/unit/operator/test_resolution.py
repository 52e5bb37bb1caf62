"""What a dependency names: for the one who judges it, and for the one who gives its results to an agent."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from armonik_operator.cache.state import ClusterState
from armonik_operator.dependencies import resolution
from armonik_operator.dependencies.resolution import (
    DeletedTask,
    DependencyResolver,
    LivingTask,
    NamedResult,
    NoTask,
    Selection,
    TwoTasks,
)
from armonik_operator.errors import Parked
from armonik_sdk.api.kinds import Dependency, Task
from armonik_sdk.api.names import TaskRef, result_id
from armonik_sdk.api.records import Outcome, OutcomeKind, Piece, Pin, Unexecuted
from armonik_sdk.api.results import RunResults
from armonik_sdk.dataplane.result_lookup import outcome_of

PIECE = Piece(length=0, sha256="")


def task(name: str, uid: str, **spec: Any) -> Task:
    metadata = {"name": name, "namespace": "ns", "uid": uid, "resourceVersion": "1"}
    return Task.from_object({"metadata": metadata, "spec": {"session": "s", **spec}})


class World:
    """One Task that depends on others; it is also the names that were resolved, and what RESULTS has."""

    def __init__(self) -> None:
        unused: Any = None
        itself: Any = self
        self.state = ClusterState(settings=unused, loads=unused)
        self.task = task("w", "w")
        self.state.put_task(self.task)
        self.pins: dict[str, Pin] = {}
        self.kept: list[RunResults] = []
        self.resolver = DependencyResolver(self.state, itself, itself, itself)

    async def of(self, asked: Task) -> Any:
        """Names of the waiting Task; items of another one: all are equal."""
        return self.pins if asked is self.task else None

    async def each_of_task(self, asked: TaskRef) -> AsyncIterator[RunResults]:
        assert asked == TaskRef("ns", "", "a1")
        for run in self.kept:
            yield run

    async def run_with(self, asked: TaskRef, index: int) -> RunResults | None:
        assert asked == TaskRef("ns", "", "a1")
        return next((run for run in self.kept if outcome_of(run, index) is not None), None)

    async def resolve(self, **dependency: Any) -> Any:
        return await self.resolver.resolve(self.task, Dependency(**dependency))

    async def ids(self, **dependency: Any) -> list[str]:
        return await self.resolver.result_ids(self.task, Dependency(**dependency))


@pytest.fixture
def world() -> World:
    return World()


async def test_a_result_is_itself(world: World) -> None:
    assert await world.resolve(result="r") == NamedResult("r")
    assert await world.ids(result="r") == ["r"]


async def test_a_name_is_the_living_task_and_is_to_be_pinned(world: World) -> None:
    world.state.put_task(task("a", "a1", count=3))
    found = await world.resolve(task="a", index=1)
    assert isinstance(found, LivingTask)
    assert (found.pin, found.pinned) == (Pin("a1", 3), False)
    assert found.selected == Selection("a1", 1)


async def test_a_pinned_name_stays_the_same_task_whatever_bears_the_name_now(world: World) -> None:
    world.state.put_task(task("a", "a2"))
    world.pins["a"] = Pin("a1", 3)
    found = await world.resolve(task="a")
    assert isinstance(found, DeletedTask)
    assert (found.pin, found.pinned) == (Pin("a1", 3), True)


async def test_a_uid_of_another_name_is_a_deleted_task(world: World) -> None:
    world.state.put_task(task("b", "b1"))
    found = await world.resolve(task="a", uid="b1")
    assert isinstance(found, DeletedTask)
    assert not found.pinned


async def test_a_name_that_nobody_bears_is_no_task(world: World) -> None:
    assert await world.resolve(task="a") == NoTask("a")
    with pytest.raises(Parked, match="task a was deleted; create it"):
        await world.ids(task="a")


async def test_two_tasks_of_one_name_are_refused(world: World) -> None:
    world.pins["a"] = Pin("a1", 1)
    assert await world.resolve(task="a", uid="a2") == TwoTasks("a")
    with pytest.raises(Parked, match="two tasks of the name a"):
        await world.ids(task="a", uid="a2")


async def test_results_of_a_living_task_are_those_that_are_selected(world: World) -> None:
    world.state.put_task(task("a", "a1", count=2, outputs=["x", "y"]))
    everything = [result_id("a1", index, name) for index in range(2) for name in ("x", "y")]
    assert await world.ids(task="a") == everything
    assert await world.ids(task="a", index=1) == everything[2:]
    assert await world.ids(task="a", output="y") == everything[1::2]
    assert await world.ids(task="a", index=0, output="x") == everything[:1]


async def test_results_of_a_deleted_task_are_those_of_them_that_are_kept(world: World) -> None:
    delegated = result_id("a1", 0, "y")
    world.pins["a"] = Pin("a1", 2)
    world.kept = [
        RunResults(start=1, end=2, sequence=1, outcomes=(completed(1, "x"),)),
        RunResults(start=0, end=1, sequence=1, outcomes=(completed(0, "x", delegated, "given-by-id"),)),
    ]
    first, last = result_id("a1", 0, "x"), result_id("a1", 1, "x")
    assert await world.ids(task="a") == [first, delegated, last]
    assert await world.ids(task="a", index=1) == [last]
    assert await world.ids(task="a", output="y") == [delegated]


async def test_a_deleted_task_of_more_results_than_one_element_may_need_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolution, "MAX_NEEDED", 2)
    world.pins["a"] = Pin("a1", 3)
    done = tuple(completed(index, "x") for index in range(3))
    world.kept = [RunResults(end=3, sequence=1, outcomes=done)]
    assert len(await world.ids(task="a", index=1)) == 1
    with pytest.raises(Parked, match="more than 2 results"):
        await world.ids(task="a")


async def test_how_a_deleted_task_ended_is_kept_as_ranges(world: World) -> None:
    """Of a million elements, and of those that nobody executed."""
    failed = Outcome(index=4, kind=OutcomeKind.ERROR, message="why")
    rest = Unexecuted(start=10, kind=OutcomeKind.ERROR, message="all of them")
    delegated = result_id("a1", 0, "y")
    world.kept = [
        RunResults(end=1_000_000, sequence=3, rest=rest, outcomes=(completed(10, "x"),), done=True),
        RunResults(end=5, sequence=1, outcomes=(completed(0, "x", delegated), completed(3, "x"), failed)),
    ]
    ended = await world.resolver.ended(world.task, Selection("a1"))
    assert ended.completed.ranges.spans == ((0, 1), (3, 4), (10, 11))
    assert (ended.failed, ended.delegated) == (failed, {delegated})
    world.kept.pop()
    assert (await world.resolver.ended(world.task, Selection("a1"))).failed == rest.outcome(11)
    one = await world.resolver.ended(world.task, Selection("a1", index=500_000))
    assert one.failed == rest.outcome(500_000)


def completed(index: int, output: str, *delegated: str) -> Outcome:
    outputs = {output: PIECE}
    return Outcome(index=index, kind=OutcomeKind.COMPLETED, outputs=outputs, delegated=delegated)


def test_a_selection_is_of_its_own_task_alone() -> None:
    own, others = result_id("a", 0, "x"), result_id("b", 0, "x")
    assert list(Selection("a").of([own, others, "given-by-id"])) == [own]
    assert list(Selection("a", index=1).of([own])) == []
    assert list(Selection("a", output="y").of([own])) == []
    assert list(Selection("a", 0, "x").of([own])) == [own]
