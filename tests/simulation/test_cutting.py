"""Two operators that cut a Task differently, one of them late: no element comes to be in two runs."""

import random
import uuid
from unittest.mock import patch

import pytest

import armonik_operator.planning.task as task_plan
from armonik_sdk.api.names import JOURNAL, TASKS, RunId, bucket_stream
from armonik_sdk.api.records import Inventory, Record, RecordKind
from simulation.invariants import Watcher, check_quiet, each_record
from simulation.stream import Stored
from simulation.world import NAMESPACE, World

COUNT = 120


def ended(world: World) -> bool:
    """Whether the Task has."""
    return bool(world.tasks()["long"].get("status", {}).get("phase") == "Completed")


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

        def heed(_: str, record: Record) -> None:
            frozen.append(record.start)
            if record.kind is RecordKind.SUBMITTED and len(frozen) == at:
                first.freeze(True)
                world.loop.call_soon(world.start_operator)

        each_record(world, heed)
        world.create_session("session")
        world.passes(5.0)
        world.create_task("long", "session", count=COUNT, options={"options": {"seconds": "0.2"}})
        world.passes(chance.uniform(15.0, 60.0))  # the other one takes over
        assert len(frozen) >= at
        first.freeze(False)
        world.until("the task has ended", lambda: ended(world))
        world.passes(30.0)
        check_quiet(world, set())


@pytest.mark.parametrize("length", [3, 5, 7, 33])
def test_the_next_run_begins_where_anothers_ends(length: int) -> None:
    """Another operator has begun the first run, unseen, just before this one does so."""
    sizes = patch.object(task_plan, "run_size", lambda *_: 5)
    with World(length, 2) as world, sizes:
        Watcher(world)
        planted: list[RunId] = []

        def stored(stream: str, message: Stored) -> None:
            if stream != bucket_stream(TASKS) or planted:
                return
            entry = Inventory.model_validate_json(message.data)
            planted.append(RunId(NAMESPACE, entry.session, entry.uid, 0))
            record = Record(
                record_id=uuid.uuid4().hex,
                kind=RecordKind.SUBMITTED,
                start=0,
                end=length,
                n=1,
                partition="default",
                task_name="long",
            )
            journal = world.nats.streams[JOURNAL]
            journal.publish(planted[0].journal, {}, record.encode(), world.loop.wall())

        world.nats.stored.append(stored)
        world.create_session("session")
        world.passes(5.0)
        world.create_task("long", "session", count=COUNT, options={"options": {"seconds": "0.2"}})
        world.until("the task has ended", lambda: ended(world))
        assert planted
        world.passes(30.0)
        check_quiet(world, set())
