"""NATS is away for longer than a lease, and shorter than an agent waits for it: work goes on meanwhile."""

import pytest

from armonik_agent.work import AWAY_SECONDS
from armonik_sdk.api.names import JOURNAL, split_result_journal
from armonik_sdk.api.records import Record, RecordKind
from armonik_sdk.dataplane.topology import ACK_WAIT
from simulation.invariants import Watcher, check_quiet
from simulation.stream import Stored
from simulation.world import World

COUNT = 60
AWAY = (ACK_WAIT + AWAY_SECONDS) / 2


@pytest.mark.timeout(120)  # virtual time stands still where an agent is busy with nothing
@pytest.mark.parametrize("seed", range(6))
def test_a_run_outlives_the_end_of_its_lease_while_nats_is_away(seed: int) -> None:
    with World(seed, 2, whole=True) as world:
        Watcher(world)
        struck: list[str] = []

        def stored(stream: str, message: Stored) -> None:
            if stream != JOURNAL or split_result_journal(message.subject) is not None or struck:
                return
            if Record.model_validate_json(message.data).kind is RecordKind.DISPATCHED:
                struck.append(message.subject)
                world.loop.call_later(1.0, world.nats.stop)
                world.loop.call_later(1.0 + AWAY, world.nats.start)

        world.nats.stored.append(stored)
        world.create_session("session")
        world.passes(5.0)
        world.create_task("long", "session", count=COUNT, options={"options": {"seconds": "1"}})

        def ended() -> bool:
            status = world.tasks()["long"].get("status", {})
            return status.get("succeededIndexes") == f"0-{COUNT - 1}" and status["phase"] == "Completed"

        world.until("the task has ended", ended)
        assert struck
        world.passes(30.0)  # what comes late: messages that were delivered again
        check_quiet(world, set())
