"""Tasks, their folds, and one that waits for the others; without servers."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

from hypothesis import strategies as st

from armonik_operator.cache.state import ClusterState
from armonik_operator.clients.servers import Clients
from armonik_operator.dependencies.blockers import Blocker, ResultSettled, TaskCreated, TaskFinished
from armonik_operator.dependencies.checker import DependencyChecker
from armonik_operator.items.item_cache import ItemCache
from armonik_operator.planning.task import Readiness
from armonik_operator.results.store import ResultName
from armonik_sdk.api.kinds import ObjectRef, Session, Task
from armonik_sdk.api.ranges import Ranges
from armonik_sdk.api.records import Inventory, Outcome, OutcomeKind, Record, RecordKind
from armonik_sdk.api.results import ResultEntry, ResultState
from armonik_sdk.dataplane.errors import ObjectMissing

NOW = datetime(2026, 1, 1, tzinfo=UTC)


OTHERS = {"a": 6, "b": 3}


"""Tasks that are waited for, and how many elements they have."""


class Inventories:
    """The bucket of inventories."""

    def __init__(self) -> None:
        self.kept: dict[str, Inventory] = {}

    async def get(self, key: str) -> tuple[Inventory, int] | None:
        return (self.kept[key], 1) if key in self.kept else None

    async def change(self, key: str, decide: Callable[[Inventory | None], Inventory | None]) -> Any:
        self.kept[key] = decide(self.kept.get(key)) or self.kept[key]
        return (self.kept[key], 1), True


class Store:
    """One object of items."""

    raw = b""

    async def get(self, ref: ObjectRef) -> bytes:
        start = ref.offset or 0
        if start >= len(self.raw):
            raise ObjectMissing("InvalidRange")
        return self.raw[start : start + (ref.length or len(self.raw))]

    async def stat(self, key: str) -> int:
        return len(self.raw)


class Book:
    """Entries of results."""

    def __init__(self) -> None:
        self.entries: dict[str, ResultEntry] = {}

    async def entry(self, name: ResultName) -> ResultEntry | None:
        return self.entries.get(name.result)

    async def run_with(self, *_: object) -> None:
        return None


class World:
    """Tasks, their folds, and one that waits for the others."""

    def __init__(self, items: list[dict[str, Any]] | bytes) -> None:
        self.state = ClusterState(settings=cast("Any", None), loads=cast("Any", None))
        self.book = Book()
        self.servers = object.__new__(Clients)
        self.servers.inventory = cast("Any", Inventories())
        self.servers.objects = cast("Any", Store())
        self.state.put_session(Session.from_object({"metadata": meta("s"), "spec": {"partitions": ["p"]}}))
        spec: dict[str, Any] = {"session": "s"}
        if isinstance(items, bytes):
            cast("Any", self.servers.objects).raw = items
            spec["itemsRef"] = {"object": "ns/s/items", "count": items.count(b"\n")}
        else:
            spec["items"] = items
        self.task = Task.from_object({"metadata": meta("w"), "spec": spec})
        self.state.put_task(self.task)
        self.fold = self.state.fold("w")
        self.woken: set[str] = set()
        self.looks = self.fresh(self.woken.add)
        self.sequence = 0

    def fresh(self, wake: Callable[[str], None] = lambda _: None) -> DependencyChecker:
        items = ItemCache(self.servers, self.state.session_of)
        return DependencyChecker(self.servers, self.state, cast("Any", self.book), items, wake)

    def create(self, name: str, count: int) -> None:
        task = {"metadata": meta(name), "spec": {"session": "s", "count": count}}
        self.state.put_task(Task.from_object(task))
        self.looks.dependents.happened(named(name))
        self.looks.dependents.happened(TaskFinished(name))

    def end(self, name: str, index: int, kind: OutcomeKind) -> None:
        self.sequence += 1
        record = Record(
            record_id=str(self.sequence),
            kind=RecordKind.DONE,
            start=index,
            end=index + 1,
            n=1,
            outcomes=(Outcome(index=index, kind=kind, message="because"),),
        )
        fold = self.state.fold(name)
        if fold.has_ended(index):
            return
        fold.add(record, self.sequence, NOW)
        total = self.state.tasks[name].spec.total
        self.looks.dependents.ended(name, fold, total, Ranges.single(index))

    def result(self, name: str, state: ResultState) -> None:
        self.book.entries[name] = ResultEntry(state=state)
        self.looks.dependents.happened(result(name))

    def submit(self, index: int) -> None:
        self.sequence += 1
        record = Record(record_id="s", kind=RecordKind.SUBMITTED, start=index, end=index + 1, n=1)
        if index not in self.fold.submitted:
            self.fold.add(record, self.sequence, NOW)


def meta(name: str) -> dict[str, Any]:
    return {"name": name, "namespace": "ns", "uid": name, "generation": 1}


def named(name: str) -> Blocker:
    return TaskCreated("ns", name)


def result(name: str) -> Blocker:
    return ResultSettled("ns", "s", name)


NEED = st.one_of(
    st.fixed_dictionaries({"task": st.just("a"), "index": st.integers(0, 5)}),
    st.fixed_dictionaries({"task": st.just("a"), "index": st.integers(0, 5), "output": st.just("result")}),
    st.fixed_dictionaries({"task": st.sampled_from(["a", "b"])}),
    st.fixed_dictionaries({"task": st.just("b"), "index": st.integers(0, 4)}),
    st.fixed_dictionaries({"task": st.just("b"), "output": st.just("nothing")}),
    st.fixed_dictionaries({"result": st.sampled_from(["r1", "r2", "a.1.result", "a.1.nothing"])}),
)


ITEM = st.fixed_dictionaries(
    {"dependsOn": st.lists(NEED, max_size=3)}, optional={"payload": st.just({"result": "r1"})}
)


STEP = st.one_of(
    st.tuples(st.just("create"), st.sampled_from(["a", "b"])),
    st.tuples(
        st.just("end"),
        st.sampled_from([(name, index) for name, count in OTHERS.items() for index in range(count)]),
        st.sampled_from([OutcomeKind.COMPLETED] * 4 + [OutcomeKind.ERROR]),
    ),
    st.tuples(st.just("result"), st.sampled_from(["r1", "r2"]), st.sampled_from(list(ResultState))),
    st.tuples(st.just("submit")),
)


def take(world: World, step: tuple[Any, ...], readiness: Readiness) -> bool:
    known = world.state.tasks
    match step:
        case ("create", name) if name not in known:
            world.create(name, OTHERS[name])
        case ("end", (name, index), kind) if name in known:
            world.end(name, index, kind)
        case ("result", name, state) if not final(world.book.entries.get(name)):
            world.result(name, state)
        case ("submit",):
            ready = Ranges.of([(0, world.task.spec.total)]) - readiness.held - world.fold.submitted
            if not ready:
                return False
            world.submit(ready.spans[0][0])
            world.woken.add("w")
        case _:
            return False
    return True


def final(entry: ResultEntry | None) -> bool:
    """Deleting what was complete is another matter."""
    return entry is not None and entry.state is not ResultState.CREATED


async def look(world: World, looks: DependencyChecker) -> Readiness:
    while True:
        readiness = await looks.at(world.task, world.fold)
        if not readiness.more:
            return readiness


def said(readiness: Readiness, world: World, *, brief: bool = False) -> object:
    """What counts of it; words about progress may be older."""
    taken = world.fold.submitted
    held, aborted = readiness.held - taken, tuple(span for span, _ in readiness.aborted)
    if brief:
        first = readiness.first[0] if readiness.first else None
        broken = readiness.broken[0] if readiness.broken else None
        return held, aborted, first, broken, readiness.waiting
    return held, readiness.aborted, readiness.first, readiness.broken, readiness.waiting
