"""The journal loses its newest records while no operator runs, and agents fill their places meanwhile."""

from armonik_sdk.api.names import JOURNAL
from armonik_sdk.api.ranges import Ranges
from simulation.invariants import check_quiet
from simulation.world import World


def test_a_loss_whose_places_are_taken_is_seen_by_what_statuses_know() -> None:
    with World(seed=5, pods=2) as world:
        world.create_session("session")
        world.passes(5.0)
        options = {"maxRetries": 9, "options": {"mode": "flaky", "seconds": "0.6"}}
        world.create_task("work", "session", count=40, options=options)
        world.until("some have ended", lambda: len(_ended(world)) >= 4)
        gone = world.operator
        world.run(world.kill_operator(back_after=300.0))
        known, epoch = _ended(world), _status(world)["journalEpoch"]
        journal = world.nats.streams[JOURNAL]
        lost = journal.last - _status(world)["journalSequence"] + 6
        end = journal.last
        world.nats.stop({JOURNAL: lost})
        world.passes(12.0)
        world.nats.start()
        world.until("the places are taken", lambda: world.nats.streams[JOURNAL].last > end)

        assert world.operator is gone, "it is back too early"
        world.until("it is seen", lambda: _status(world)["journalEpoch"] > epoch)
        assert _ended(world) >= known
        world.until("all have ended", lambda: len(_ended(world)) == 40)
        world.until("it is said", lambda: _status(world)["phase"] in ("Completed", "Error"))
        assert _ended(world) >= known
        world.passes(60.0)
        check_quiet(world, set(), lossy=True)


def _status(world: World) -> dict[str, object]:
    found: dict[str, object] = world.tasks()["work"].get("status", {})
    return found


def _ended(world: World) -> set[tuple[str, int]]:
    """Elements, and how they ended."""
    fields = ("succeededIndexes", "failedIndexes", "timedOutIndexes", "cancelledIndexes")
    return {(f, index) for f in fields for index in Ranges.parse(str(_status(world).get(f, "")))}
