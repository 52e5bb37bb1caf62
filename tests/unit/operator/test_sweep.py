"""Entries of buckets that are gone although what they are about lives: the bucket was purged."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from armonik_operator.errors import JournalLost
from armonik_operator.queueing.sweep import Sweep
from armonik_sdk.api.names import CONTROL, TASKS, NamespacedName, bucket_stream, control_key, inventory_key
from armonik_sdk.dataplane.nats.streams import Snapshot


class Bucket:
    def __init__(self, *keys: str) -> None:
        self.entries = set(keys)

    async def get(self, key: str) -> object | None:
        return object() if key in self.entries else None


class World:
    """A Session and a Task, with their entries."""

    def __init__(self) -> None:
        self.state = SimpleNamespace(
            session_names={"s": NamespacedName("ns", "work")},
            leaving={},
            tasks={"t": object()},
            folds={"t": SimpleNamespace(session="s")},
            namespace_of=lambda _: "ns",
        )
        self.control, self.inventory = Bucket(control_key("ns", "s")), Bucket(inventory_key("ns", "t"))
        self._sweep = Sweep(cast("Any", self.state), lambda _: None, lambda _: None, asyncio.Event())

    async def look(self) -> None:
        await self._sweep._see_entries(cast("Any", self))


async def test_entries_that_stay_are_no_loss() -> None:
    world = World()
    for _ in range(3):
        await world.look()


async def test_what_was_never_seen_is_not_missed() -> None:
    world = World()
    world.control.entries.clear()
    world.inventory.entries.clear()
    await world.look()
    await world.look()


@pytest.mark.parametrize(("bucket", "name"), [("control", CONTROL), ("inventory", TASKS)])
async def test_an_entry_that_is_gone_shows_a_purge_also_beside_new_ones(bucket: str, name: str) -> None:
    world = World()
    await world.look()
    entries = getattr(world, bucket).entries
    entries.clear()
    entries.add("another")
    with pytest.raises(JournalLost, match=f"{bucket_stream(name)} was emptied"):
        await world.look()


async def test_the_data_of_a_session_that_is_deleted_is_not_missed() -> None:
    world = World()
    await world.look()
    world.state.leaving = {"s": None}
    world.control.entries.clear()
    world.inventory.entries.clear()
    await world.look()


async def test_the_entries_of_what_has_gone_may_go_too() -> None:
    world = World()
    await world.look()
    world.state.session_names, world.state.tasks = {}, {}
    world.control.entries.clear()
    world.inventory.entries.clear()
    await world.look()


THEN = datetime(2026, 1, 1, tzinfo=UTC)
RUN = SimpleNamespace(sequence=7)


def snapshots(tasks: int, control: int = 1) -> dict[str, Snapshot]:
    counts = {TASKS: tasks, CONTROL: control}
    return {bucket_stream(name): Snapshot(THEN, 1, count) for name, count in counts.items()}


async def _see(world: World, *looks: Mapping[str, Snapshot], monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks in a row. A run is queued after the first of them."""
    left = list(looks)

    async def take(_: object) -> Mapping[str, Snapshot]:
        found = left.pop(0)
        world.state.folds = {"t": SimpleNamespace(session="s", open_runs=[RUN])}
        return found

    monkeypatch.setattr("armonik_operator.queueing.sweep.streams.take_snapshots", take)
    client: Any = None
    world.state.folds = {}
    assert await world._sweep._see_streams(client, snapshots(tasks=1)) == looks[-1]
    assert left == []


async def test_the_first_task_of_an_empty_bucket_is_no_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    await _see(World(), snapshots(tasks=0), snapshots(tasks=1), monkeypatch=monkeypatch)
    with pytest.raises(JournalLost, match=f"{bucket_stream(TASKS)} was emptied"):
        await _see(World(), snapshots(tasks=0), snapshots(tasks=0), monkeypatch=monkeypatch)


async def test_the_entry_of_the_last_session_may_go_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.state.sessions, world.state.leaving = world.state.session_names, {"s": None}
    await _see(world, snapshots(tasks=1, control=0), monkeypatch=monkeypatch)
    world.state.leaving = {}
    with pytest.raises(JournalLost, match=f"{bucket_stream(CONTROL)} was emptied"):
        await _see(world, *[snapshots(tasks=1, control=0)] * 2, monkeypatch=monkeypatch)
