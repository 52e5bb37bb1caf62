"""A run that turns out long is shared with who is idle, whatever happens as its tail is given away."""

import asyncio
from collections.abc import Callable

import pytest

from armonik_sdk.api.records import Record, RecordKind
from simulation.invariants import Watcher, check_quiet, completed, each_record
from simulation.world import World

COUNT = 30


def nothing(world: World) -> None:
    """All goes well."""


def the_owner_dies(world: World) -> None:
    """Before it learns that its batch is stored, or right after."""
    for pod in list(world.pods.values()):
        world.background(world.kill_agent(pod))


def the_operator_dies(world: World) -> None:
    """Before it has read that there is another run."""
    world.background(world.kill_operator())


def another_operator_starts(world: World) -> None:
    """Two work for some seconds, and both find the tail."""
    world.start_operator()


def the_answer_is_lost(world: World) -> None:
    """As are all others for two seconds."""
    world.nats.lost_answers = 1.0
    world.loop.call_later(2.0, setattr, world.nats, "lost_answers", 0.0)


def nats_restarts(world: World) -> None:
    """What it has stored, it keeps."""
    world.nats.stop()
    world.loop.call_later(3.0, world.nats.start)


def the_session_is_paused(world: World) -> None:
    """For some seconds."""
    world.background(want(world, "Paused", "Running"))


def leases_run_out(world: World) -> None:
    """Every run is delivered again."""
    world.nats.redeliver()


async def want(world: World, first: str, then: str) -> None:
    """Two desired states, one after the other."""
    await world.wish("Session", "session", first)
    await asyncio.sleep(15.0)
    await world.wish("Session", "session", then)


MISFORTUNES = (
    nothing,
    the_owner_dies,
    the_operator_dies,
    another_operator_starts,
    the_answer_is_lost,
    nats_restarts,
    the_session_is_paused,
    leases_run_out,
)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("misfortune", MISFORTUNES, ids=lambda each: each.__name__)
def test_a_long_run_is_shared(misfortune: Callable[[World], None], seed: int) -> None:
    with World(seed, 3, whole=True) as world:
        watcher, owners = Watcher(world), set[str]()
        struck: list[str] = []

        def heed(subject: str, record: Record) -> None:
            if record.owner is not None:
                owners.add(record.owner.pod)
            if record.kind is RecordKind.SPLIT and not struck:
                struck.append(subject)
                world.loop.call_soon(misfortune, world)

        each_record(world, heed)
        world.create_session("session")
        world.passes(5.0)
        options = {"maxRetries": 10, "options": {"seconds": "2"}}
        world.create_task("long", "session", count=COUNT, options=options)

        world.until("the task has ended", lambda: completed(world, "long", COUNT))
        assert watcher.splits >= 2
        assert len(owners) >= 3
        assert struck
        world.passes(30.0)  # what comes late: messages that were delivered again
        check_quiet(world, set())
