"""Results that clients make, while processes die and NATS restarts: what is said of them is what is shown."""

from simulation.invariants import Watcher, check_quiet, entry_of, left_behind, unsettled_results
from simulation.world import World

"""Virtual seconds."""


def test_who_waits_for_a_clients_result_starts_or_falls_whatever_dies_meanwhile() -> None:
    with World(seed=11, pods=2) as world:
        watcher = Watcher(world)
        world.create_session("session")
        world.passes(5.0)
        session = world.sessions()["session"]["metadata"]["uid"]
        for name in ("uploaded", "aborted", "deleted", "awaited"):
            world.create_task(f"after-{name}", "session", dependsOn=[{"result": name}])
            world.client.make(session, name)
        world.passes(3.0)
        assert {_phase(world, name) for name in ("uploaded", "aborted", "deleted", "awaited")} == {"Pending"}
        world.nats.lost_answers = 0.3
        world.client.upload(session, "uploaded", b"by a client")
        world.client.abort(session, "aborted")
        world.client.delete(session, "deleted")
        world.passes(0.05)
        world.run(world.kill_operator())
        world.nats.stop()
        world.passes(2.0)
        world.nats.start()
        world.nats.lost_answers = 0.0
        world.until("the client has ended", lambda: not world.client_busy)
        for again in (world.client.upload, world.client.upload):  # of what an outage swallowed
            again(session, "uploaded", b"by a client, again")
        world.client.abort(session, "aborted")
        world.client.delete(session, "deleted")
        ended = {"uploaded": "Completed", "aborted": "Error", "deleted": "Error"}
        world.until("all have ended", lambda: {n: _phase(world, n) for n in ended} == ended)
        world.until("the client has ended", lambda: not world.client_busy)
        assert _phase(world, "awaited") == "Pending"
        assert unsettled_results(world) == []
        check_quiet(world, {"after-awaited"})
        world.want("Session", "session", "Cancelled")
        world.until("it is given up", lambda: _state(world, session, "awaited") == "Aborted")
        assert watcher.heads
        world.delete("Session", "session")
        world.until("nothing is left", lambda: left_behind(world) == [])


def _phase(world: World, name: str) -> str:
    return str(world.tasks()[f"after-{name}"].get("status", {}).get("phase"))


def _state(world: World, session: str, result: str) -> str:
    entry = entry_of(world, session, result)
    return str(entry.state) if entry is not None else ""
