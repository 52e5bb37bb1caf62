"""Each promise with a time is kept within its bound, whatever events of the watch were skipped.

The operator takes in the answer to a write of its own and skips the event of it. So what is to happen later
must not need that event; here it never comes.
"""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulation.world import World

BOUND = 20
"""Seconds by which a promise may be late: a poll, and the second to which times are written."""
MODES = {"ok": "Completed", "error": "Error"}

tasks = st.lists(
    st.tuples(st.sampled_from([0, 1, 3, 10, 60]), st.sampled_from([1, 1, 5]), st.sampled_from(sorted(MODES))),
    min_size=1,
    max_size=24,
)


@given(seed=st.integers(0, 2**16), wanted=tasks, skips=st.booleans())
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
def test_finished_tasks_go_after_their_time(
    seed: int, wanted: list[tuple[int, int, str]], skips: bool
) -> None:
    with World(seed=seed) as world:
        world.kube.skips_own = skips
        world.create_session("session")
        due: dict[str, int] = {}
        for number, (ttl, count, mode) in enumerate(wanted):
            due[f"t{number}"] = ttl
            options = {"options": {"mode": mode}}
            world.create_task(
                f"t{number}", "session", count=count, options=options, ttlSecondsAfterFinished=ttl
            )
        left: dict[str, float] = {}
        for second in range(600):
            world.passes(1.0)
            for name, task in world.tasks().items():
                if _finished(task):
                    left.setdefault(name, second)
                    late = second - left[name] - due[name]
                    assert late <= BOUND, f"{name} should have gone {late} s ago"
            if not world.tasks():
                return
        raise AssertionError(f"never over: {sorted(world.tasks())}")


@pytest.mark.parametrize("ending", ["submitted", "cancelled", "deleted"])
@pytest.mark.parametrize("per_item", [False, True])
def test_a_task_that_others_needed_goes_when_nobody_does(ending: str, per_item: bool) -> None:
    """It is not asked again and again whether somebody does: there may be thousands."""
    with World(seed=5) as world:
        world.create_session("session")
        world.create_task("needed", "session", ttlSecondsAfterFinished=0)
        if ending == "submitted":
            world.create_task("other", "session", options={"options": {"seconds": "40"}})
        needs = [{"task": "needed"}, {"task": "other"}]
        world.create_task(
            "waiting", "session", **({"items": [{"dependsOn": needs}]} if per_item else {"dependsOn": needs})
        )
        world.until("it has ended", lambda: _finished(world.tasks()["needed"]), 60)
        world.passes(5.0)
        assert "needed" in world.tasks(), "its data may be asked for"
        if ending == "cancelled":
            world.want("Task", "waiting", "Cancelled")
        elif ending == "deleted":
            world.delete("Task", "waiting")
        else:
            world.until("the other has ended", lambda: _finished(world.tasks()["other"]), 200)
        world.until("it has gone", lambda: "needed" not in world.tasks(), BOUND)


@pytest.mark.parametrize("skips", [False, True])
@pytest.mark.parametrize("ttl", [0, 3, 30])
def test_a_finished_session_goes_after_its_time(ttl: int, skips: bool) -> None:
    with World(seed=ttl) as world:
        world.kube.skips_own = skips
        world.create_session("session")
        world.create_task("work", "session")
        world.change("Session", "session", {"ttlSecondsAfterFinished": ttl})
        world.passes(10.0)
        world.want("Session", "session", "Closed")
        world.until("it is over", lambda: not world.sessions() or _finished(world.sessions()["session"]), 60)
        world.until("it has gone", lambda: not world.sessions() and not world.tasks(), ttl + BOUND)


@pytest.mark.parametrize("skips", [False, True])
def test_a_deleted_session_goes_with_all_its_tasks(skips: bool) -> None:
    with World(seed=1) as world:
        world.kube.skips_own = skips
        world.create_session("session")
        for number in range(5):
            options = {"options": {"seconds": "60"}}
            world.create_task(f"t{number}", "session", count=3, options=options)
        world.passes(10.0)
        world.delete("Session", "session")
        world.until("all have gone", lambda: not world.sessions() and not world.tasks(), 60)


@pytest.mark.parametrize("skips", [False, True])
def test_a_failed_execution_is_tried_again_after_its_back_off(skips: bool) -> None:
    with World(seed=2) as world:
        world.kube.skips_own = skips
        world.create_session("session")
        world.create_task("work", "session", options={"maxRetries": 2, "options": {"mode": "crash"}})
        world.until("it has ended", lambda: _finished(world.tasks()["work"]), 120)


def _finished(obj: dict[str, Any]) -> bool:
    conditions = obj.get("status", {}).get("conditions", [])
    return any(c["type"] == "Finished" and c["status"] == "True" for c in conditions)
