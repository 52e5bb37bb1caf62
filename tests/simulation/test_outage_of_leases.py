"""NATS is away for longer than a lease, and shorter than an agent waits for it: work continues meanwhile."""

import pytest

from armonik_agent.execution.active_run import AWAY_SECONDS
from armonik_sdk.api.records import Record, RecordKind
from armonik_sdk.dataplane.nats.streams import ACK_WAIT
from simulation.invariants import Watcher, check_quiet, completed, each_record
from simulation.world import World

COUNT = 60
AWAY = (ACK_WAIT + AWAY_SECONDS) / 2


@pytest.mark.timeout(120)  # virtual time stops where an agent is busy with nothing
@pytest.mark.parametrize("seed", range(6))
def test_a_run_outlives_the_end_of_its_lease_while_nats_is_away(seed: int) -> None:
    with World(seed, 2, whole=True) as world:
        Watcher(world)
        struck: list[str] = []

        def heed(subject: str, record: Record) -> None:
            if record.kind is RecordKind.DISPATCHED and not struck:
                struck.append(subject)
                world.loop.call_later(1.0, world.nats.stop)
                world.loop.call_later(1.0 + AWAY, world.nats.start)

        each_record(world, heed)
        world.create_session("session")
        world.passes(5.0)
        world.create_task("long", "session", count=COUNT, options={"options": {"seconds": "1"}})

        world.until("the task has ended", lambda: completed(world, "long", COUNT))
        assert struck
        world.passes(30.0)  # what comes late: messages that were delivered again
        check_quiet(world, set())
