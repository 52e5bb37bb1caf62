"""What is urgent starts after two elements' time at most, however long the runs are that others hold."""

from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any
from unittest.mock import patch

import pytest

from armonik_sdk.api.records import Record, RecordKind
from simulation.invariants import Watcher, check_quiet, completed, each_record
from simulation.process import Process
from simulation.runworker import SimulatedChannel
from simulation.worker import SimulatedWorker
from simulation.world import World

COUNT = 200
ELEMENT = 2.0
LONGEST = ELEMENT * 1.8
"""Simulated workers take up to so much longer than they are asked to."""
MOMENT = 1.5
"""Beside two elements: a look may come just before the urgent one, and the next element begin after it.
For the look at the queue, the commit of what has ended, and the pull."""
URGENT = 4


@pytest.fixture(params=[False, True], ids=["element by element", "whole runs"])
def takes_runs(request: pytest.FixtureRequest) -> Iterator[bool]:
    with patch.object(SimulatedChannel, "takes_runs", request.param):
        yield request.param
    SimulatedWorker.begun = SimulatedChannel.begun = None


class Starts:
    """When runs of each Task were submitted and first dispatched."""

    def __init__(self, world: World) -> None:
        self.submitted: dict[str, float] = {}
        self.dispatched: dict[str, float] = {}
        self.kinds: dict[str, list[RecordKind]] = {}
        self._world = world
        self.executed: Counter[str] = Counter()
        SimulatedWorker.begun = SimulatedChannel.begun = self._begun
        each_record(world, self._heed)

    def _begun(self, process: Process, mode: str, task: str) -> None:
        self.executed[task] += 1

    def _heed(self, subject: str, record: Record) -> None:
        task = subject.split(".")[4]
        now = self._world.loop.time()
        self.kinds.setdefault(task, []).append(record.kind)
        if record.kind is RecordKind.SUBMITTED:
            self.submitted.setdefault(task, now)
        if record.kind is RecordKind.DISPATCHED:
            self.dispatched.setdefault(task, now)


def uid(world: World, name: str) -> str:
    found: str = world.tasks()[name]["metadata"]["uid"]
    return found


def done(world: World, name: str) -> bool:
    return bool(world.tasks()[name].get("status", {}).get("phase") == "Completed")


def create(world: World, name: str, priority: int, **spec: Any) -> None:
    options = {"priority": priority, "maxRetries": 3, "options": {"seconds": str(ELEMENT)}}
    world.create_task(name, "session", options=options, **spec)


@pytest.mark.parametrize("seed", range(3))
def test_an_urgent_element_starts_after_two_elements_time_at_most(seed: int, takes_runs: bool) -> None:
    with World(seed, 2, whole=True) as world:
        Watcher(world)
        starts = Starts(world)
        world.create_session("session")
        world.passes(8.0)
        create(world, "long", 1, count=COUNT)
        world.passes(6.0)
        for number in range(URGENT):
            name = f"urgent-{number}"
            create(world, name, 90)
            world.until(f"{name} has ended", partial(done, world, name))
            world.passes(1.0 + number)
        waits = [
            starts.dispatched[uid(world, f"urgent-{number}")]
            - starts.submitted[uid(world, f"urgent-{number}")]
            for number in range(URGENT)
        ]
        assert max(waits) <= 2 * LONGEST + MOMENT, waits
        world.until("the long task has ended", lambda: completed(world, "long", COUNT))
        assert starts.executed == dict.fromkeys(starts.executed, 1)  # giving way breaks nothing off
        world.passes(30.0)
        check_quiet(world, set())


@pytest.mark.parametrize("seed", range(2))
def test_a_run_that_was_cut_much_too_long_goes_back_also_where_nobody_is_idle(
    seed: int, takes_runs: bool
) -> None:
    with World(seed, 1, whole=True) as world:
        watcher = Watcher(world)
        starts = Starts(world)
        world.create_session("session")
        world.passes(8.0)
        create(world, "long", 1, count=COUNT)
        world.passes(5.0)
        create(world, "other", 1)
        world.until("the other task has ended", lambda: done(world, "other"))
        assert watcher.splits
        other = uid(world, "other")
        assert starts.dispatched[other] - starts.submitted[other] < COUNT * ELEMENT / 4
        assert not completed(world, "long", COUNT)
