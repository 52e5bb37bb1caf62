"""What is deleted while nobody watches is dropped by the next comparison, and nothing else."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from armonik_operator.cache.keys import WorkKey
from armonik_operator.cache.partition_load import PartitionLoads
from armonik_operator.cache.state import ClusterState
from armonik_operator.clients.kube import PARTITIONS, SESSIONS, TASKS, Kind
from armonik_operator.errors import KubeError
from armonik_operator.gc import inventory, revived_data
from armonik_operator.gc.inventory import InventoryCheck
from armonik_operator.settings import Settings
from armonik_operator.sources.intake import Intake
from armonik_sdk.api.names import NamespacedName
from armonik_sdk.api.records import Inventory
from simulation.kube import SimulatedKube

SPECS: dict[Kind, tuple[str, dict[str, Any]]] = {
    TASKS: ("Task", {"session": "s"}),
    SESSIONS: ("Session", {"partitions": ["p"]}),
    PARTITIONS: ("Partition", {"podMax": 1, "template": {"spec": {"worker": {"image": "w"}}}}),
}


@pytest.fixture(autouse=True)
def _no_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    """NATS holds nothing; what a crash brings back is tried in tests/integration/test_revived.py."""

    async def none(_: object) -> revived_data.Traces:
        return revived_data.Traces()

    monkeypatch.setattr(revived_data, "read_traces", none)


class Entries:
    """The inventory."""

    def __init__(self) -> None:
        self.entries: dict[str, Inventory] = {}

    def key_pages(self, _: str) -> Any:
        left = [list(self.entries), []]

        async def following() -> list[str]:
            return left.pop(0)

        return SimpleNamespace(next=following)

    async def get(self, key: str) -> tuple[Inventory, int] | None:
        return (self.entries[key], 1) if key in self.entries else None

    async def create(self, key: str, entry: Inventory) -> int | None:
        return None if self.entries.setdefault(key, entry) is not entry else 1


class Orphans:
    """Takes what lives."""

    def __init__(self) -> None:
        self.living: list[set[str]] = []

    async def abort_orphans(self, living: set[str]) -> int:
        self.living.append(living)
        return 0


class Bench:
    """A state that follows an apiserver, and a comparison of the two."""

    def __init__(self) -> None:
        settings = Settings(
            namespace="armonik", nats_url="nats://n:4222", s3_endpoint="s:8333", agent_image="agent"
        )
        clock: Any = SimpleNamespace(wall=lambda: 0.0)
        self.kube = SimulatedKube(clock)
        self.state = ClusterState(settings, PartitionLoads(lambda: 0.0, lambda _: None))
        self.keys: list[WorkKey] = []
        self.intake = Intake(self.state, self.keys.append)
        self.kube.listeners.append(self._event)
        self.inventory, self.orphans = Entries(), Orphans()
        servers: Any = SimpleNamespace(kube=self.kube, inventory=self.inventory)
        self.comparison = InventoryCheck(servers, self.state, settings, self.intake)

    def _event(self, plural: str, type_: str | None, obj: dict[str, Any]) -> None:
        self.intake.event(plural, obj, deleted=type_ == "DELETED")

    async def make(self, kind: Kind, name: str) -> str:
        word, spec = SPECS[kind]
        body = {"apiVersion": "armonik.io/v1alpha1", "kind": word, "metadata": {"name": name}, "spec": spec}
        return str((await self.kube.create(kind, body, "team"))["metadata"]["uid"])

    async def compare(self) -> None:
        self.keys.clear()
        await self.comparison.compare(cast("Any", self.orphans))


@pytest.fixture(autouse=True)
def found(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Subjects of the journal."""
    subjects: list[str] = []

    async def read(_: object) -> revived_data.Traces:
        traces = revived_data.Traces()
        traces.journal(subjects)
        return traces

    monkeypatch.setattr(revived_data, "read_traces", read)
    return subjects


async def test_a_task_that_is_gone_and_has_records_is_removed_again(found: list[str]) -> None:
    bench = Bench()
    living, session = await bench.make(TASKS, "living"), await bench.make(SESSIONS, "s")
    found += [f"armonik.journal.team.{session}.{task}.0" for task in ("gone", living)]
    await bench.compare()
    assert set(bench.state.deleted) == {"gone"}
    assert (bench.state.deleted["gone"].namespace, bench.state.deleted["gone"].session) == ("team", session)
    assert WorkKey("task", "team", "gone") in bench.keys


async def test_ghosts_of_all_kinds_are_dropped() -> None:
    bench = Bench()
    kept = [await bench.make(kind, "kept") for kind in SPECS]
    ghosts = [await bench.make(kind, "ghost") for kind in SPECS]
    bench.kube.listeners.clear()  # the watch is away
    for kind in SPECS:
        await bench.kube.delete(kind, "ghost", "team")

    await bench.compare()
    assert set(bench.state.tasks) == {kept[0]}
    assert set(bench.state.sessions) == {NamespacedName("team", "kept")}
    assert set(bench.state.partitions) == {NamespacedName("team", "kept")}
    gone = bench.state.deleted[ghosts[0]]
    assert (gone.namespace, gone.name) == ("team", "ghost")
    assert gone.task is not None
    assert WorkKey("task", "team", ghosts[0]) in bench.keys
    assert {WorkKey("session", "team", "ghost"), WorkKey("partition", "team", "ghost")} <= set(bench.keys)
    assert bench.orphans.living == [{kept[0]}]


async def test_what_came_since_is_no_ghost() -> None:
    bench = Bench()
    original = bench.kube.list

    async def slow(*arguments: Any, **named: Any) -> Any:
        listed = await original(*arguments, **named)
        for kind in SPECS:
            if (kind.plural, "team", "new") not in bench.kube.objects:
                await bench.make(kind, "new")
        return listed

    bench.kube.list = slow  # type: ignore[method-assign]  # the list is read, then everything is made
    await bench.compare()
    assert len(bench.state.tasks) == len(bench.state.sessions) == len(bench.state.partitions) == 1


async def test_a_task_that_was_never_known_leaves_its_traces_to_be_removed() -> None:
    bench = Bench()
    bench.inventory.entries["team.u"] = Inventory(uid="u", name="t", session="s", parent="p")
    await bench.compare()
    assert bench.state.deleted["u"].session == "s"
    assert bench.keys == [WorkKey("task", "team", "u")]


async def test_a_refusal_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    bench, calls, again = Bench(), 0, asyncio.Event()

    async def refused(*_: Any, **__: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            again.set()
        raise KubeError(410, {"reason": "Expired"}, "GET tasks")

    bench.kube.list = refused  # type: ignore[method-assign]
    monkeypatch.setattr(inventory, "INTERVAL", 0.0)
    running = asyncio.create_task(bench.comparison.run(cast("Any", bench.orphans)))
    await again.wait()
    assert not running.done()
    running.cancel()
    await asyncio.wait({running})


async def test_entries_that_the_inventory_has_lost_are_written_again() -> None:
    """Of Tasks with records: of others there is nothing to be found."""
    bench = Bench()
    session = await bench.make(SESSIONS, "s")
    lost, fresh = await bench.make(TASKS, "lost"), await bench.make(TASKS, "fresh")
    status = {"sessionUid": session, "journalEpoch": 1, "journalSequence": 7}
    await bench.kube.patch(TASKS, "lost", {"status": status}, "team", status=True)
    await bench.compare()
    assert bench.inventory.entries == {f"team.{lost}": Inventory(uid=lost, name="lost", session=session)}
    assert fresh != lost
    await bench.compare()
    assert not bench.state.deleted
