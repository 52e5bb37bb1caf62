"""A tree of a thousand tasks over ten levels, each submitted by the one above, while processes die."""

from typing import Any

from armonik_sdk.api.kinds import Task
from simulation.invariants import Watcher, check_quiet, left_behind, sums_agree
from simulation.world import World

TASKS = 1_000
LEVELS = 10
PATIENCE = 3_600
"""Virtual seconds."""
STEP = 5


def test_a_tree_of_a_thousand_tasks_over_ten_levels() -> None:
    with World(seed=7, pods=3) as world:
        watcher = Watcher(world)
        world.create_session("session")
        options = {"maxRetries": 10, "options": {"mode": "tree", "seconds": "0.01"}}
        world.create_task("root", "session", payload={"inline": f"child {TASKS}"}, options=options)
        world.passes(3.0)
        grown = _elements(world)
        assert 1 < grown < TASKS
        world.run(world.kill_operator())  # children are committed and not created yet
        world.run(world.kill_agent(next(iter(world.pods.values()))))
        _await(world, "a thousand tasks have ended", lambda: _elements(world) == TASKS and _all_ended(world))
        assert watcher.heads
        check_quiet(world, set())
        _await(world, "the session adds up", lambda: sums_agree(world))
        shown = world.sessions()["session"]["status"]
        assert shown["progress"] == f"{TASKS}/{TASKS}"
        assert max(_depths(world).values()) == LEVELS
        world.delete("Session", "session")
        _await(world, "nothing is left", lambda: left_behind(world) == [])


def _await(world: World, what: str, holds: Any) -> None:
    for _ in range(0, PATIENCE, STEP):
        if holds():
            return
        world.passes(STEP)
        assert not world.problems, world.problems
    raise AssertionError(f"not within {PATIENCE} s: {what}; {_elements(world)} tasks")


def _tasks(world: World) -> dict[str, Task]:
    return {obj["metadata"]["uid"]: Task.from_object(obj) for obj in world.tasks().values()}


def _elements(world: World) -> int:
    specs = [obj["spec"] for obj in world.tasks().values()]
    return sum(spec["itemsRef"]["count"] if "itemsRef" in spec else 1 for spec in specs)


def _all_ended(world: World) -> bool:
    phases = {obj.get("status", {}).get("phase") for obj in world.tasks().values()}
    return phases == {"Completed"}


def _depths(world: World) -> dict[str, int]:
    """Level of each Task, the root's being 1, by the parents that their statuses show."""
    tasks = _tasks(world)
    parents = {
        uid: task.status.parent.uid for uid, task in tasks.items() if task.status and task.status.parent
    }

    def depth(uid: str) -> int:
        return 1 + depth(parents[uid]) if uid in parents else 1

    return {uid: depth(uid) for uid in tasks}
