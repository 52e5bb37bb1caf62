"""Two operators that cut a Task differently, one of them late: no element comes to be in two runs."""

import random
from unittest.mock import patch

import pytest

import armonik_operator.reconcile.task as task_plan
from armonik_sdk.api.names import JOURNAL, split_result_journal
from armonik_sdk.api.records import Record, RecordKind
from simulation.invariants import Watcher, check_quiet
from simulation.stream import Stored
from simulation.world import World

COUNT = 120


@pytest.mark.parametrize("seed", range(6))
def test_operators_that_cut_differently_put_no_element_into_two_runs(seed: int) -> None:
    chance = random.Random(seed)
    sizes = patch.object(task_plan, "run_size", lambda *_: chance.randint(1, 9))
    with World(seed, 2) as world, sizes:
        Watcher(world)
        first = world.operator
        assert first is not None
        frozen: list[int] = []
        at = chance.randint(1, 20)

        def stored(stream: str, message: Stored) -> None:
            if stream != JOURNAL or split_result_journal(message.subject) is not None:
                return
            record = Record.model_validate_json(message.data)
            frozen.append(record.start)
            if record.kind is RecordKind.SUBMITTED and len(frozen) == at:
                first.freeze(True)
                world.loop.call_soon(world.start_operator)

        world.nats.stored.append(stored)
        world.create_session("session")
        world.passes(5.0)
        world.create_task("long", "session", count=COUNT, options={"options": {"seconds": "0.2"}})
        world.passes(chance.uniform(15.0, 60.0))  # the other one takes over
        assert len(frozen) >= at
        first.freeze(False)

        def ended() -> bool:
            return world.tasks()["long"].get("status", {}).get("phase") == "Completed"

        world.until("the task has ended", ended)
        world.passes(30.0)
        check_quiet(world, set())
