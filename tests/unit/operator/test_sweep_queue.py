"""Open runs whose message is missing from the queue, found page by page."""

import asyncio
import json
import tracemalloc
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

from armonik_operator.journal.fold import TaskFold
from armonik_operator.queueing.sweep import Sweep
from armonik_sdk.api.names import NamespacedName, RunId
from armonik_sdk.api.records import Owner, Record, RecordKind
from armonik_sdk.dataplane.nats import streams

PAGE = 1_000
SIZE = 3
"""Elements of a run."""
WHEN = datetime(2026, 1, 1, tzinfo=UTC)


class Nats:
    """Answers requests for the subjects of QUEUE, a page each."""

    def __init__(self, subjects: list[str]) -> None:
        self.subjects = sorted(subjects)
        self.requests = 0

    async def request(self, subject: str, payload: bytes, timeout: float) -> Any:
        assert subject.endswith("STREAM.INFO.QUEUE")
        assert timeout
        self.requests += 1
        offset = json.loads(payload)["offset"]
        page = dict.fromkeys(self.subjects[offset : offset + PAGE], 1)
        answer = {"state": {"subjects": page}, "total": len(self.subjects)}
        return SimpleNamespace(data=json.dumps(answer).encode())

    def jetstream(self, timeout: float) -> Any:
        async def purge_stream(stream: str, subject: str) -> None:
            assert stream == "QUEUE"
            self.subjects.remove(subject)

        assert timeout
        return SimpleNamespace(purge_stream=purge_stream)


class Bands:
    def __init__(self) -> None:
        self.opened: list[tuple[NamespacedName, int]] = []

    async def open(self, place: NamespacedName, band: int) -> None:
        self.opened.append((place, band))


class World:
    """Tasks with open runs, and a sweep."""

    def __init__(self) -> None:
        self.state = SimpleNamespace(
            folds={},
            tasks={},
            ended={},
            republish={},
            partitions={NamespacedName("ns", "p")},
        )
        self.keys: list[str] = []
        self.bands = Bands()
        self.sweep = Sweep(
            cast("Any", self.state), lambda key: self.keys.append(key.name), lambda _: None, asyncio.Event()
        )

    def task(self, uid: str, runs: int = 1, kind: RecordKind = RecordKind.SUBMITTED, n: int = 1) -> None:
        fold = self.state.folds[uid] = TaskFold()
        for at in range(runs):
            owner = Owner(pod="u", process="1") if kind.owned else None
            record = Record(
                record_id=f"r{at}", kind=kind, start=at * SIZE, end=(at + 1) * SIZE, n=n, owner=owner
            )
            fold.add(record, at + 1, WHEN)
        self.state.tasks[uid] = SimpleNamespace(namespace="ns")

    async def look(self, nats: Nats) -> None:
        await self.sweep._queue_missing(cast("Any", nats), cast("Any", self.bands))


def subject(uid: str, run: int = 0, n: int = 1, band: int = 0) -> str:
    return RunId("ns", "s", uid, run * SIZE).queue("p", n, band)


async def test_what_is_in_no_page_is_queued_again() -> None:
    world, runs = World(), 5 * PAGE
    world.task("many", runs)
    world.task("there")
    world.task("missing")
    world.task("older", n=2)
    nats = Nats([*(subject("many", run) for run in range(runs) if run not in (7, 4_321)), subject("there")])
    nats.subjects = sorted([*nats.subjects, subject("older", n=1)])
    await world.look(nats)
    assert world.state.republish == {"many": {7 * SIZE, 4_321 * SIZE}, "missing": {0}, "older": {0}}
    assert sorted(world.keys) == ["many", "missing", "older"]
    assert nats.requests > runs // PAGE


async def test_a_run_with_an_owner_is_missed_only_after_a_while(monkeypatch: Any) -> None:
    world, now = World(), [100.0]
    monkeypatch.setattr("armonik_operator.queueing.sweep.time", SimpleNamespace(monotonic=lambda: now[0]))
    world.task("owned", kind=RecordKind.DISPATCHED)
    world.task("paused", kind=RecordKind.PAUSED)
    await world.look(Nats([]))
    assert world.state.republish == {}
    now[0] += 2 * streams.ACK_WAIT
    await world.look(Nats([]))
    assert world.state.republish == {"owned": {0}}


async def test_a_task_that_goes_while_the_queue_is_read_is_left_alone() -> None:
    world = World()
    world.task("gone")
    nats = Nats([])
    answer = nats.request

    async def request(*args: Any, **kwargs: Any) -> Any:
        world.state.folds.clear()
        world.state.tasks.clear()
        return await answer(*args, **kwargs)

    nats.request = request  # type: ignore[method-assign]
    await world.look(nats)
    assert world.state.republish == {}
    assert world.keys == []


async def test_bands_with_messages_are_open_whatever_page_names_them() -> None:
    world = World()
    world.task("t", 3 * PAGE)
    await world.look(Nats([subject("t", run, band=0 if run else 4) for run in range(3 * PAGE)]))
    place = NamespacedName("ns", "p")
    assert sorted(world.bands.opened) == [(place, 0), (place, 4)]


async def test_memory_follows_the_page_and_not_the_queue() -> None:
    world, runs = World(), 40 * PAGE
    world.task("t", runs)
    nats = Nats([subject("t", run) for run in range(runs)])
    tracemalloc.start()
    try:
        await world.look(nats)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert world.state.republish == {}
    assert peak < runs * 60, f"{peak / runs:.0f} bytes for each run: less than a subject takes"


async def test_subjects_that_are_no_run_are_passed_over() -> None:
    world = World()
    world.task("missing")
    odd = ["armonik.queue.ns", "armonik.queue.ns.p.x.s.missing.0.1", "armonik.queue.ns.p.0.s.missing.².1"]
    await world.look(Nats(odd))
    assert world.state.republish == {"missing": {0}}


async def test_messages_of_ended_runs_are_removed_when_they_are_seen_again() -> None:
    world = World()
    world.task("open")
    world.task("done", kind=RecordKind.DONE)
    world.task("again", n=2)
    world.state.ended["finished"] = object()
    stays = [subject("open"), subject("again", n=2), subject("unknown")]
    nats = Nats([*stays, subject("done"), subject("again", n=1), subject("finished")])
    await world.look(nats)
    assert len(nats.subjects) == 6, "an agent may be about to drop them"
    nats.subjects = sorted([*nats.subjects, subject("done", run=0, band=3)])
    await world.look(nats)
    assert nats.subjects == sorted([*stays, subject("done", run=0, band=3)])
    await world.look(nats)
    assert nats.subjects == sorted(stays)
    assert world.state.republish == {}


async def test_of_very_many_such_messages_some_are_removed_each_time(monkeypatch: Any) -> None:
    monkeypatch.setattr("armonik_operator.queueing.sweep.MOST_VOID", 10)
    world = World()
    world.state.ended["finished"] = object()
    nats = Nats([subject("finished", run) for run in range(25)])
    for _ in range(8):
        await world.look(nats)
    assert nats.subjects == []
