"""Resolves a dependency to what it names: a result, a Task, or a deleted Task (protocol rule 9).

Who judges whether a dependency is ready and who gives its results to an agent both start from here. The name
of a Task is resolved to its UID once: the mapping is part of the dependent Task's entry in TASKS, so another
Task with the name of a deleted one is not taken for it, neither now nor by the next operator.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass

from armonik_operator.cache.state import ClusterState
from armonik_operator.clients.servers import Clients
from armonik_operator.errors import Parked
from armonik_operator.items.item_cache import ItemCache
from armonik_operator.items.listing import output_names
from armonik_operator.results.store import ResultStore
from armonik_operator.util.index_set import IndexSet
from armonik_sdk.api.bounds import MAX_NEEDED
from armonik_sdk.api.const import MAX_PINS, PARENT_LABEL, Reason
from armonik_sdk.api.kinds import Dependency, Item, Task
from armonik_sdk.api.messages import ManifestItem
from armonik_sdk.api.names import TaskRef, inventory_key, result_id, split_result_id
from armonik_sdk.api.records import Inventory, Outcome, OutcomeKind, Pin
from armonik_sdk.dataplane.result_lookup import outcome_of

UNKNOWN = 0
"""Elements of a Task that was gone before anybody asked how many it had."""
YIELD = 1_000
"""Results that are named before others get a turn."""


@dataclass(frozen=True)
class Selection:
    """Which results of a Task are depended on."""

    uid: str
    index: int | None = None
    """Of the one element; None for all."""
    output: str | None = None
    """The one name; None for all."""

    def of(self, results: Iterable[str]) -> Iterator[str]:
        """Those of these results that are selected; ids that are not implied by the Task never are."""
        for result in results:
            parts = split_result_id(result)
            if parts is not None and parts[0] == self.uid and self._takes(parts[1], parts[2]):
                yield result

    def _takes(self, index: int, output: str) -> bool:
        return self.index in (None, index) and self.output in (None, output)


@dataclass(frozen=True)
class NamedResult:
    """A result by its id."""

    result: str


@dataclass(frozen=True)
class LivingTask:
    """A Task, as it is or as it was when it was last seen."""

    task: Task
    selected: Selection
    pin: Pin
    pinned: bool
    """The name stays resolved to this Task; else `pin` is to be stored."""


@dataclass(frozen=True)
class DeletedTask:
    """A Task that is in no cache; its results may be."""

    name: str
    selected: Selection
    pin: Pin
    pinned: bool


@dataclass(frozen=True)
class NoTask:
    """There is no Task of this name."""

    name: str


@dataclass(frozen=True)
class TwoTasks:
    """One name is resolved to one Task, and the dependency asks for another one by its UID."""

    name: str

    @property
    def message(self) -> str:
        """Why that cannot be, and the remedy."""
        return f"two tasks of the name {self.name} are depended on; name results of one by their ids"


class Ended:
    """How elements of a deleted Task ended, as far as its dependents ask."""

    def __init__(self) -> None:
        self.completed = IndexSet()
        self.failed: Outcome | None = None
        """The first one that did not complete."""
        self.delegated: set[str] = set()
        """Ids of outputs that were handed to children."""

    def add(self, outcome: Outcome) -> None:
        """Take in how one of them ended."""
        if outcome.kind is OutcomeKind.COMPLETED:
            self.completed.add(outcome.index, outcome.index + 1)
            self.delegated.update(outcome.delegated)
        elif self.failed is None or outcome.index < self.failed.index:
            self.failed = outcome


Resolved = NamedResult | LivingTask | DeletedTask | NoTask | TwoTasks


class ResolvedNames:
    """Reads and adds the resolved names of Tasks; those of waiting Tasks are cached."""

    def __init__(self, servers: Clients, state: ClusterState) -> None:
        self._servers = servers
        self._state = state
        self._known: dict[str, Mapping[str, Pin]] = {}

    async def of(self, task: Task) -> Mapping[str, Pin]:
        """The resolved names of a Task: name to UID.

        Raises:
            QueueUnavailable: no answer.
        """
        uid = task.metadata.uid
        if uid not in self._known:
            found = await self._servers.inventory.get(inventory_key(task.namespace, uid))
            self._known[uid] = self._take(uid, found[0]) if found is not None else {}
        return self._known[uid]

    async def add(self, task: Task, session: str, fresh: Mapping[str, Pin]) -> bool:
        """Pin these names; False when some were pinned otherwise before, by another operator.

        Raises:
            Parked: they are too many.
            QueueUnavailable: no answer; some may be stored.
        """
        uid = task.metadata.uid

        def decide(standing: Inventory | None) -> Inventory | None:
            entry = standing or Inventory(
                uid=uid,
                name=task.metadata.name,
                session=session,
                parent=task.metadata.labels.get(PARENT_LABEL, ""),
            )
            pins = {**fresh, **entry.pins}
            if len(pins) > MAX_PINS:
                message = f"it depends on {len(pins)} tasks by name, more than {MAX_PINS}; name results"
                raise Parked(Reason.DEPENDENCY_INVALID, f"{message} by their ids instead")
            return entry.model_copy(update={"pins": pins}) if pins != entry.pins else None

        key = inventory_key(task.namespace, uid)
        (entry, _), _ = await self._servers.inventory.change(key, decide)
        assert entry is not None  # what is not there is written
        self._known[uid] = self._take(uid, entry)
        return all(self._known[uid][name] == pin for name, pin in fresh.items())

    def forget(self, uid: str) -> None:
        """Drop the cached names of a Task; they are read again when needed."""
        self._known.pop(uid, None)

    def _take(self, uid: str, entry: Inventory) -> Mapping[str, Pin]:
        """The entry also says to which Session the Task permanently belongs."""
        fold = self._state.fold(uid)
        fold.session = fold.session or entry.session
        return entry.pins


class DependencyResolver:
    """Resolves dependencies of Tasks, and names the results that they select."""

    def __init__(self, state: ClusterState, book: ResultStore, items: ItemCache, pins: ResolvedNames) -> None:
        self._state = state
        self._book = book
        self._items = items
        self.pins = pins

    async def resolve(self, task: Task, dependency: Dependency) -> Resolved:
        """What a dependency of the Task names.

        Raises:
            QueueUnavailable: no answer.
        """
        if dependency.result is not None:
            return NamedResult(dependency.result)
        name = str(dependency.task)
        pin = (await self.pins.of(task)).get(name)
        if pin is not None and dependency.uid not in (None, pin.uid):
            return TwoTasks(name)
        uid = pin.uid if pin is not None else dependency.uid
        other = self._state.task_named(task.namespace, name) if uid is None else self._state.last_seen(uid)
        if uid is not None and other is not None and other.metadata.name != name:
            other = None  # the UID is another task's
        if other is not None:
            found = pin or Pin(other.metadata.uid, other.spec.total)
            selected = Selection(other.metadata.uid, dependency.index, dependency.output)
            return LivingTask(other, selected, found, pin is not None)
        if uid is None:
            return NoTask(name)
        selected = Selection(uid, dependency.index, dependency.output)
        return DeletedTask(name, selected, pin or Pin(uid, UNKNOWN), pin is not None)

    async def ended(self, task: Task, selected: Selection) -> Ended:
        """How the elements of a deleted Task of the same Session ended, as far as RESULTS has it.

        Raises:
            QueueUnavailable: no answer.
        """
        found = Ended()
        async for outcome in self._outcomes(task, selected):
            found.add(outcome)
        return found

    async def _outcomes(self, task: Task, selected: Selection) -> AsyncIterator[Outcome]:
        """One after the other; of those that nobody executed the first one of each run."""
        ref = TaskRef(task.namespace, self._state.session_of(task), selected.uid)
        if selected.index is not None:
            outcome = outcome_of(await self._book.run_with(ref, selected.index), selected.index)
            if outcome is not None:
                yield outcome
            return
        async for run in self._book.each_of_task(ref):
            for outcome in run.outcomes:
                yield outcome
            if run.rest is not None:
                named = IndexSet((outcome.index, outcome.index + 1) for outcome in run.outcomes)
                for start, _ in named.gaps(run.rest.start, run.end)[:1]:
                    yield run.rest.outcome(start)

    async def result_ids(self, task: Task, dependency: Dependency) -> list[str]:
        """Ids of the results that a dependency selects, in the order of their elements.

        Raises:
            Parked: there is no such Task, or they are too many.
            QueueUnavailable: no answer.
        """
        match await self.resolve(task, dependency):
            case NamedResult(result):
                return [result]
            case LivingTask(other, selected):
                return await self._ids_of_living(other, selected)
            case DeletedTask(_, selected):
                return await self._ids_of_deleted(task, selected)
            case NoTask(name):
                raise Parked(Reason.DEPENDENCY_NOT_FOUND, f"task {name} was deleted; create it")
            case TwoTasks() as wrong:
                raise Parked(Reason.DEPENDENCY_INVALID, wrong.message)

    async def _ids_of_living(self, other: Task, selected: Selection) -> list[str]:
        ids: list[str] = []

        def add(index: int, item: Item) -> None:
            wanted = output_names(other, item) if selected.output is None else [selected.output]
            ids.extend(result_id(selected.uid, index, name) for name in wanted)
            if selected.output is None and isinstance(item, ManifestItem):
                ids.extend(item.output_ids or ())
            if len(ids) > MAX_NEEDED:
                message = f"task {other.metadata.name} has more than {MAX_NEEDED} results, too many to be"
                message = f"{message} given to one element; depend on some of its elements"
                raise Parked(Reason.DEPENDENCY_INVALID, message)

        at = selected.index
        spans = [(0, other.spec.total) if at is None else (at, at + 1)]
        if (listing := await self._items.of(other)) is not None:
            async for index, item in listing.each(spans):
                add(index, item)
            return ids
        for index in range(*spans[0]):
            add(index, _EQUAL)
            if index % YIELD == YIELD - 1:
                await asyncio.sleep(0)
        return ids

    async def _ids_of_deleted(self, task: Task, selected: Selection) -> list[str]:
        """Outputs of a Task that was deleted after it had ended; RESULTS remembers them."""
        found: dict[int, list[str]] = {}
        count = 0
        async for outcome in self._outcomes(task, selected):
            own = [result_id(selected.uid, outcome.index, name) for name in outcome.outputs]
            if ids := list(selected.of([*own, *outcome.delegated])):
                found[outcome.index] = ids
            count += len(ids)
            if count > MAX_NEEDED:
                message = f"a deleted task has more than {MAX_NEEDED} results, too many to be given to one"
                message = f"{message} element; depend on some of its elements"
                raise Parked(Reason.DEPENDENCY_INVALID, message)
        return [result for index in sorted(found) for result in found[index]]


_EQUAL = Item()
