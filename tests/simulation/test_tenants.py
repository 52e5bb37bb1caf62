"""Two namespaces with accounts of their own share nothing but the operator."""

import pytest

from armonik_sdk.api.names import CONTROL, JOURNAL, RESULTS, TASKS, bucket_stream
from simulation.world import NAMESPACE, World

OTHER = "other"
COUNT = 40


def work(world: World, namespace: str) -> None:
    """A Task of about ten seconds, under the same names in each namespace."""
    options = {"options": {"seconds": "0.5"}}
    world.create_session("session", namespace)
    world.create_task("work", "session", namespace, count=COUNT, options=options)


def status(world: World, namespace: str) -> dict[str, object]:
    found: dict[str, object] = world.tasks(namespace)["work"].get("status", {})
    return found


def all_work(world: World) -> bool:
    """Each namespace has ended some of its elements."""
    return all(status(world, each).get("succeededIndexes") for each in world.accounts)


def done(world: World, namespace: str) -> bool:
    return status(world, namespace).get("phase") == "Completed"


def subjects(world: World, namespace: str) -> set[str]:
    """All subjects that an account has."""
    streams = world.accounts[namespace].streams.values()
    return {message.subject for stream in streams for message in stream.messages.values()}


@pytest.fixture
def world() -> World:
    return World(seed=11, pods=2, tenants=True)


def test_each_has_streams_of_its_own_and_sees_nothing_of_the_other(world: World) -> None:
    with world:
        world.add_namespace(OTHER)
        for namespace in (NAMESPACE, OTHER):
            work(world, namespace)
        world.until("both are done", lambda: done(world, NAMESPACE) and done(world, OTHER))
        for namespace, foreign in ((NAMESPACE, OTHER), (OTHER, NAMESPACE)):
            assert {JOURNAL, bucket_stream(RESULTS)} <= world.accounts[namespace].streams.keys()
            own = subjects(world, namespace)
            assert any(f".{namespace}." in subject for subject in own)
            assert not [subject for subject in own if f".{foreign}." in subject]


@pytest.mark.parametrize(
    "stream", [JOURNAL, bucket_stream(RESULTS), bucket_stream(CONTROL), bucket_stream(TASKS)]
)
def test_the_death_of_one_account_leaves_the_others_work_untouched(world: World, stream: str) -> None:
    with world:
        world.add_namespace(OTHER)
        for namespace in (NAMESPACE, OTHER):
            work(world, namespace)
        world.until("both work", lambda: all_work(world))
        other = world.accounts[OTHER]
        before = {name: kept.last for name, kept in other.streams.items()}
        epoch = status(world, OTHER)["journalEpoch"]
        connections = len(other.links)
        del world.accounts[NAMESPACE].streams[stream]
        world.until("the other is done", lambda: done(world, OTHER))
        assert status(world, OTHER)["journalEpoch"] == epoch
        assert len(other.links) == connections
        assert all(other.streams[name].last >= last for name, last in before.items())
        world.until("it has started again and is done", lambda: done(world, NAMESPACE))
        assert world.crashes == []


def test_a_namespace_whose_nats_is_away_holds_up_no_other(world: World) -> None:
    with world:
        world.add_namespace(OTHER)
        world.until("both are there", lambda: len(world.accounts) == 2)
        world.accounts[NAMESPACE].stop()
        for namespace in (NAMESPACE, OTHER):
            work(world, namespace)
        world.until("the other is done", lambda: done(world, OTHER))
        assert not done(world, NAMESPACE)
        world.accounts[NAMESPACE].start()
        world.until("both are done", lambda: done(world, NAMESPACE))


def test_both_continue_after_a_restart_of_the_operator(world: World) -> None:
    with world:
        world.add_namespace(OTHER)
        for namespace in (NAMESPACE, OTHER):
            work(world, namespace)
        world.until("both work", lambda: all_work(world))
        world.run(world.kill_operator())
        world.until("both are done", lambda: done(world, NAMESPACE) and done(world, OTHER))
