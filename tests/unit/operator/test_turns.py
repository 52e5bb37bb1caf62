"""No periodic work of the operator holds the event loop for longer when there is more: it takes turns.

What is compared is the number of lines of Python between two turns of the loop, with few objects and with
three times as many. So no clock decides, and a loop without a turn is found on any machine.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest

from armonik_operator.app.composition import Composition
from armonik_operator.cache.partition_load import PartitionLoads
from armonik_operator.cache.state import ClusterState
from armonik_operator.clients.kube import PARTITIONS, SESSIONS, TASKS, Kind
from armonik_operator.dependencies.waiters import Blocker, ElementFinished, TaskFinished, WaitIndex
from armonik_operator.gc import orphans
from armonik_operator.gc.inventory import InventoryCheck
from armonik_operator.gc.orphans import OrphanCollector
from armonik_operator.gc.unnamed_objects import Garbage
from armonik_operator.journal.epoch import JournalEpoch
from armonik_operator.planning.retries import Retries
from armonik_operator.queueing.sweep import Sweep
from armonik_operator.settings import Settings
from armonik_operator.sources.intake import Intake
from armonik_operator.status.outage import OutageReporter
from armonik_operator.util import concurrency
from armonik_operator.util.concurrency import Turns, in_portions, in_turns
from armonik_sdk.api.const import Reason
from armonik_sdk.api.kinds import Partition, Session, Task
from armonik_sdk.api.names import ALL_QUEUED, ALL_RECORDS, RunId
from armonik_sdk.api.ranges import Ranges
from armonik_sdk.dataplane.nats import subjects
from armonik_sdk.dataplane.nats.buckets import KeyPages
from armonik_sdk.dataplane.nats.subjects import pages
from armonik_sdk.dataplane.s3.listing import Stored
from loop_steps import most_lines_in_a_turn

TURN = 100
"""Here; of real turns the counting would take long."""
FEW = 4 * TURN
MANY = 3 * FEW
SETTINGS = Settings(namespace="armonik", nats_url="nats://n:4222", s3_endpoint="s:8333", agent_image="agent")
PAGE = 50
"""Objects that the apiserver lists at once."""


@pytest.fixture(autouse=True)
def _short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concurrency, "TURN", TURN)
    monkeypatch.setattr(subjects, "AT_ONCE", TURN)
    monkeypatch.setattr(orphans, "AT_ONCE", TURN)


async def asked() -> None:
    """A server was asked: others have had their turn."""
    await asyncio.sleep(0)


class Nats:
    """Answers for the subjects of streams, all in one page."""

    def __init__(self, streams: dict[str, list[str]]) -> None:
        self.streams = streams

    async def request(self, subject: str, payload: bytes, timeout: float) -> Any:
        await asked()
        wanted = json.loads(payload)
        there = self.streams.get(wanted["subjects_filter"], [])
        page = dict.fromkeys(there[wanted["offset"] :], 1)
        data = json.dumps({"state": {"subjects": page}, "total": len(there)}).encode()
        return SimpleNamespace(data=data)

    def jetstream(self, timeout: float) -> Any:
        async def consumers_info(_: str, offset: int) -> list[Any]:
            await asked()
            return []

        assert timeout
        return SimpleNamespace(consumers_info=consumers_info)


class Entries:
    """A bucket whose keys are listed; no key has an entry."""

    def __init__(self, keys: list[str]) -> None:
        self.keys_ = keys
        self.client = cast("Any", Nats({">": sorted(keys)}))

    def key_pages(self, _: str = ">") -> KeyPages:
        return KeyPages(pages(self.client, "KV", ">"), "")

    async def keys(self) -> set[str]:
        await asked()
        return set(self.keys_)

    async def get(self, _: str) -> None:
        await asked()

    async def create(self, _: str, __: object) -> None:
        await asked()

    async def get_many(self, _: list[str]) -> dict[str, Any]:
        await asked()
        return {}

    async def delete(self, _: str) -> None:
        await asked()


class Kube:
    """Lists all objects, in pages."""

    def __init__(self, there: dict[Kind, list[dict[str, str]]]) -> None:
        self.there = there

    async def metadata(self, kind: Kind, _: object = None, *, labels: str = "") -> AsyncIterator[Any]:
        for at, meta in enumerate(self.there.get(kind, [])):
            if at % PAGE == 0:
                await asked()
            yield meta


class Store:
    async def folders(self, prefix: str) -> list[str]:
        await asked()
        return [] if prefix else ["team"]

    async def page(self, *_: object) -> list[Stored]:
        await asked()
        return []

    async def give_up(self, *_: object) -> int:
        await asked()
        return 0


class World:
    """A cluster with `size` objects of each kind, each with an open run, a message and entries in buckets."""

    def __init__(self, size: int, *, living: bool = True) -> None:
        """`living`: the apiserver lists them; else all of them were deleted without an event."""
        self.state = ClusterState(SETTINGS, PartitionLoads(lambda: 0.0, lambda _: None))
        for at in range(size):
            self._put(at)
        ids = range(size)
        runs = [RunId("team", f"s{at}", f"t{at}", 0) for at in ids]
        client = Nats(
            {
                ALL_RECORDS: sorted(run.journal for run in runs),
                ALL_QUEUED: sorted(run.queue("p", 1, 0) for run in runs),
            }
        )
        there = {
            kind: [{"uid": f"{kind.plural[0]}{at}", "namespace": "team", "name": f"n{at}"} for at in ids]
            for kind in (TASKS, SESSIONS, PARTITIONS)
        }
        self.store = cast("Any", Store())
        self.servers: Any = SimpleNamespace(
            client=client,
            kube=Kube(there if living else {}),
            inventory=Entries([f"team.t{at}" for at in ids]),
            control=Entries([f"team.s{at}" for at in ids]),
            results=Entries([f"team.s{at}.t{at}.0" for at in ids]),
        )

    def _put(self, at: int) -> None:
        def obj(kind: str, uid: str, spec: dict[str, Any]) -> dict[str, Any]:
            meta = {"name": f"n{at}", "namespace": "team", "uid": uid, "resourceVersion": "1"}
            return {"apiVersion": "armonik.io/v1alpha1", "kind": kind, "metadata": meta, "spec": spec}

        task = Task.from_object(obj("Task", f"t{at}", {"session": f"n{at}"}))
        self.state.put_task(task)
        session = Session.from_object(obj("Session", f"s{at}", {"partitions": ["p"]}))
        self.state.put_session(session)
        pod = {"podMax": 1, "template": {"spec": {"worker": {"image": "w"}}}}
        partition = Partition.from_object(obj("Partition", f"p{at}", pod))
        self.state.partitions[partition.namespaced_name] = partition
        self.state.fold(f"t{at}").session = f"s{at}"


def intake_of(world: World) -> Intake:
    return Intake(world.state, lambda _: None)


async def compare(world: World) -> None:
    async def abort_orphans(_: object) -> int:
        return 0

    check = InventoryCheck(world.servers, world.state, SETTINGS, intake_of(world))
    await check.compare(cast("Any", SimpleNamespace(abort_orphans=abort_orphans)))


async def sweep(world: World) -> None:
    work = Sweep(world.state, lambda _: None, lambda _: None, asyncio.Event())
    await work._oldest_head()
    await work._see_entries(world.servers)
    await work._queue_missing(world.servers.client, cast("Any", None))


async def collect_orphans(world: World) -> None:
    work = OrphanCollector(world.servers, cast("Any", None), world.store, SETTINGS, lambda: 0.0)
    await work.collect()
    await work._forget(await world.servers.control.keys(), set(), await work._living())


async def collect_garbage(world: World) -> None:
    work = object.__new__(Garbage)
    work._servers, work._store, work._state, work._clock = (
        world.servers,
        world.store,
        world.state,
        lambda: 0.0,
    )
    await work.collect()


async def begin_life(world: World) -> None:
    await world.state.begin_life(JournalEpoch(9, 9))


async def report_outage(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    reporter = OutageReporter(world.servers.kube, world.state, cast("Any", None), "nats://n:4222")

    async def known(*_: object) -> bool:
        return False

    monkeypatch.setattr(reporter, "report", known)
    monkeypatch.setattr("armonik_operator.status.outage.PATIENCE", 0.0)
    monkeypatch.setattr("armonik_operator.status.outage.INTERVAL", 60.0)
    work = asyncio.create_task(reporter.report_all())
    for _ in range(20):
        await asyncio.sleep(0)
    work.cancel()


PERIODIC: dict[str, Callable[[World], Awaitable[None]]] = {
    "sweep": sweep,
    "inventory check": compare,
    "collection of orphans": collect_orphans,
    "removal of unnamed objects": collect_garbage,
}
"""By the name that the operator has for it."""


def grows(work: Callable[[World], Awaitable[None]], *, living: bool = True) -> float:
    """How many times longer the longest turn is when there is three times as much."""
    few, many = (most_lines_in_a_turn(partial(work, World(size, living=living))) for size in (FEW, MANY))
    return many / few


@pytest.mark.parametrize("living", [True, False], ids=["living", "deleted"])
@pytest.mark.parametrize("name", PERIODIC)
def test_periodic_work_takes_turns(name: str, living: bool) -> None:
    assert grows(PERIODIC[name], living=living) < 1.5


def test_all_periodic_work_is_tried_here() -> None:
    composition = object.__new__(Composition)
    for part in ("_state", "_enqueue", "mended", "_servers", "_bands", "_children"):
        setattr(composition, part, None)
    composition._comparison = object.__new__(InventoryCheck)
    composition._garbage = object.__new__(Garbage)
    composition._orphans = object.__new__(OrphanCollector)
    assert composition.periodic(asyncio.Event(), {}).keys() == PERIODIC.keys()


def test_a_new_life_of_the_journal_takes_turns() -> None:
    assert grows(begin_life) < 1.5


def test_the_report_of_an_outage_takes_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    assert grows(lambda world: report_outage(world, monkeypatch)) < 1.5


async def others(turns: int = 3 * MANY // TURN) -> None:
    """Let the loop go round."""
    for _ in range(turns):
        await asyncio.sleep(0)


def block_task(index: WaitIndex, waiter: str, blocker: Blocker) -> None:
    index.block(waiter, blocker)


def block_item(index: WaitIndex, waiter: str, blocker: Blocker) -> None:
    index.block_item(waiter, 0, blocker)


def happen(index: WaitIndex, _: World) -> None:
    index.happened(TaskFinished("awaited"))


def delete(index: WaitIndex, _: World) -> None:
    index.gone("awaited")


def end_elements(index: WaitIndex, world: World) -> None:
    index.ended("awaited", world.state.fold("awaited"), 1, Ranges.single(0))


Block = Callable[[WaitIndex, str, Blocker], None]
EVENTS: dict[str, tuple[Block, Blocker, Callable[[WaitIndex, World], None]]] = {
    "finished, for Tasks": (block_task, TaskFinished("awaited"), happen),
    "finished, for items": (block_item, TaskFinished("awaited"), happen),
    "an element, for Tasks": (block_task, ElementFinished("awaited", 0), end_elements),
    "an element, for items": (block_item, ElementFinished("awaited", 0), end_elements),
    "deleted, for Tasks": (block_task, TaskFinished("awaited"), delete),
    "deleted, for items": (block_item, ElementFinished("awaited", 0), delete),
}
"""Who waits, for what, and how that happens."""


@pytest.mark.parametrize("name", EVENTS)
def test_those_who_wait_for_one_event_are_woken_in_turns(name: str) -> None:
    block, blocker, happens = EVENTS[name]

    async def wake_all(world: World) -> None:
        woken = set[str]()
        index = WaitIndex(woken.add)
        for number, uid in enumerate(world.state.tasks):
            block(index, uid, blocker)
            if number % TURN == 0:
                await asyncio.sleep(0)
        await asyncio.sleep(0)
        happens(index, world)
        await others()
        assert woken == world.state.tasks.keys()

    assert grows(wake_all) < 1.5


def test_those_whom_an_outage_held_back_are_woken_in_turns() -> None:
    async def mend(world: World) -> None:
        woken = set[str]()
        retries = Retries(lambda: 0.0, woken.add)
        for number, uid in enumerate(world.state.tasks):
            retries.wait(uid, Reason.STORE_UNAVAILABLE)
            if number % TURN == 0:
                await asyncio.sleep(0)
        await asyncio.sleep(0)
        in_portions(retries.mended(Reason.STORE_UNAVAILABLE))
        await others()
        assert woken == world.state.tasks.keys()

    assert grows(mend) < 1.5


async def test_who_was_checked_meanwhile_is_not_woken_for_what_it_waits_for_no_more() -> None:
    woken: list[str] = []
    index = WaitIndex(woken.append)
    for number in range(2 * TURN):
        index.block(f"{number}", TaskFinished("awaited"))
    index.happened(TaskFinished("awaited"))
    assert len(woken) == TURN
    (late, *rest) = {f"{number}" for number in range(2 * TURN)}.difference(woken)
    index.over(late)
    await others()
    assert set(woken) >= set(rest)
    assert late not in woken


async def test_who_is_held_back_by_something_else_meanwhile_is_not_woken() -> None:
    woken: list[str] = []
    retries = Retries(lambda: 0.0, woken.append)
    for number in range(2 * TURN):
        retries.wait(f"{number}", Reason.STORE_UNAVAILABLE)
    in_portions(retries.mended(Reason.STORE_UNAVAILABLE))
    assert woken == [f"{number}" for number in range(TURN)]
    retries.wait(f"{TURN}", Reason.QUOTA_EXCEEDED)
    await others()
    assert woken == [f"{number}" for number in range(2 * TURN) if number != TURN]


def test_a_loop_without_a_turn_is_found() -> None:
    async def hold(world: World) -> None:
        for _ in world.state.tasks:
            pass

    async def share(world: World) -> None:
        turns = Turns()
        async for _ in in_turns(world.state.tasks):
            await turns.step()

    assert grows(hold) > 2.5
    assert grows(share) < 1.5
