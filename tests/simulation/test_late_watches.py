"""The watch of a kind delivers the objects to an operator that starts long after the journal was replayed."""

import pytest

from armonik_sdk.api.names import JOURNAL
from simulation.invariants import check_quiet
from simulation.world import World

LATE = 60.0
"""Seconds; the operator has the Lease of the one before it long before."""
KINDS = pytest.mark.parametrize("kind", ["sessions", "tasks", "partitions", "pods"])


@KINDS
def test_children_are_made_that_were_committed_while_no_operator_ran(kind: str) -> None:
    with World(seed=3) as world:
        _run_one(world, "parent", 2.0)
        world.run(world.kill_operator(back_after=10.0))
        read = world.nats.streams[JOURNAL].last
        world.until("it has ended", lambda: world.nats.streams[JOURNAL].last > read)
        world.late = {kind: LATE}
        world.until("both are over", lambda: _phases(world) == ["Completed", "Completed"])
        check_quiet(world, set())


@KINDS
def test_a_closed_session_is_not_over_while_its_tasks_are_not_known(kind: str) -> None:
    with World(seed=4) as world:
        _run_one(world, "ok", 30.0)
        world.want("Session", "session", "Closed")
        world.passes(3.0)
        world.run(world.kill_operator())
        world.late = {kind: LATE}
        while _phases(world) != ["Completed"]:
            assert not _finished(world)
            world.passes(0.5)
        world.until("it is over", lambda: _finished(world))


def _run_one(world: World, mode: str, seconds: float) -> None:
    """One task that is being executed."""
    world.create_session("session")
    world.passes(5.0)
    before = world.nats.streams[JOURNAL].last
    world.create_task("work", "session", options={"options": {"mode": mode, "seconds": str(seconds)}})
    world.until("it runs", lambda: world.nats.streams[JOURNAL].last >= before + 2)


def _phases(world: World) -> list[str]:
    return [task.get("status", {}).get("phase", "") for task in world.tasks().values()]


def _finished(world: World) -> bool:
    conditions = world.sessions()["session"]["status"].get("conditions", [])
    return any(c["type"] == "Finished" and c["status"] == "True" for c in conditions)
