"""Decides what Tasks and their elements wait for, from folds and results (protocol rules 8 and 9)."""

import asyncio
from collections.abc import Collection

from armonik_operator.cache.state import ClusterState
from armonik_operator.clients.kube import TASKS
from armonik_operator.clients.servers import Clients
from armonik_operator.dependencies.cycles import OWN, WHOLE, Node
from armonik_operator.dependencies.item_waits import MANY, ItemWaits
from armonik_operator.dependencies.resolution import (
    UNKNOWN,
    DeletedTask,
    DependencyResolver,
    LivingTask,
    NamedResult,
    NoTask,
    Selection,
    TwoTasks,
)
from armonik_operator.dependencies.waiters import (
    Blocker,
    ElementFinished,
    ResultSettled,
    Retained,
    TaskCreated,
    TaskFinished,
    WaitIndex,
)
from armonik_operator.errors import NotFound, Parked
from armonik_operator.items.item_cache import ItemCache, Listing
from armonik_operator.items.listing import output_names
from armonik_operator.items.selection import selection_error
from armonik_operator.journal.fold import TaskFold
from armonik_operator.planning.task import READY, DependencyState, DependencyStatus, Readiness, worse
from armonik_operator.results.store import ResultName, ResultStore
from armonik_operator.util.index_set import IndexSet, first
from armonik_operator.util.text import chain
from armonik_sdk.api.const import Reason
from armonik_sdk.api.kinds import Dependency, Item, Payload, Task
from armonik_sdk.api.names import TaskRef, result_id, split_result_id
from armonik_sdk.api.ranges import Span
from armonik_sdk.api.records import OutcomeKind, Pin
from armonik_sdk.api.results import ResultState
from armonik_sdk.dataplane.result_lookup import outcome_of

ABORTED = 1_000
"""Most elements that are aborted at a time."""
MAX_WAITS = 500_000
"""Waits of elements that are held one by one, of all Tasks together: about 100 MB. Those of "element i waits
for element i of another Task" do not count."""
ASSURED_WAITS = 20_000
"""Of these in any namespace, however many there are in others."""
BROKEN = (DependencyState.MISSING, DependencyState.INVALID)
Wait = tuple[Blocker, Node | None]


class DependencyCheck:
    """One check of a Task: what each of its elements waits for. Registers these waits in the index."""

    def __init__(
        self,
        servers: Clients,
        state: ClusterState,
        book: ResultStore,
        items: ItemCache,
        dependents: WaitIndex,
        resolver: DependencyResolver,
    ) -> None:
        self._servers = servers
        self._state = state
        self._book = book
        self._items = items
        self._dependents = dependents
        self._resolver = resolver
        self._known: dict[tuple[object, ...], tuple[DependencyStatus, list[Wait]]] = {}
        self._events = 0
        self._index = OWN
        self._seen: set[Blocker] = set()
        self._noted: list[Wait] = []
        self._open: set[Blocker] = set()
        """What has to happen before the Task, or the item, that was checked last is ready."""
        self._fresh: dict[str, Pin] = {}
        self._task: Task | None = None
        self.targets: set[Node] = set()
        """What the Task as a whole waits for."""
        self.looked = 0
        """Items that were looked at."""

    async def at(self, task: Task, fold: TaskFold) -> Readiness:
        """Check everything that the Task's elements without a run depend on, and pin resolved names.

        Raises:
            Parked: the Task cannot be admitted.
        """
        self._task = task
        waits = self._dependents.waits(task.metadata.uid)
        while True:
            looked = IndexSet()
            pinned = False
            try:
                readiness = await self._look(task, fold, waits, looked)
                if not self._fresh or await self._resolver.pins.add(task, self._session(), self._fresh):
                    pinned = True
                    return readiness
            finally:
                if self._fresh and not pinned:  # or another operator was first
                    for span in looked.ranges.spans:
                        waits.doubt(*span)
            self._known.clear()

    async def _look(self, task: Task, fold: TaskFold, waits: ItemWaits, looked: IndexSet) -> Readiness:
        self._fresh, self._seen, self._index = {}, set(), OWN
        self.targets.clear()
        waits.own = 0
        own = await self._all(task.spec.depends_on, task.spec.payload)
        waits.own = len(self._open) if len(self._open) > MANY else 0
        self._dependents.keep(task.metadata.uid, self._seen)
        listing = await self._items.of(task) if own.state is DependencyState.READY else None
        if listing is None:
            return Readiness(own)
        if not waits.known:
            waits.begin(listing.dependent)
        self._known.clear()  # from here on it is items that wait
        async for index, item in listing.each(waits.left(fold.submitted).spans):
            await self._item(waits, index, item)
            looked.add(index, index + 1)
        aborted: list[tuple[Span, str]] = []
        left = waits.left(fold.submitted, DependencyState.ABORTED)
        async for index, item in listing.each(first(left, ABORTED)):
            needs = await self._item(waits, index, item)
            if needs.state is DependencyState.ABORTED:
                aborted.append(((index, index + 1), needs.message))
        broken = [await self._first(waits, listing, fold, state) for state in BROKEN]
        waiting = await self._first(waits, listing, fold, DependencyState.WAITING)
        return Readiness(
            own,
            held=waits.open.ranges,
            waiting=len(waits.left(fold.submitted, DependencyState.WAITING)),
            first=waiting,
            broken=min((each for each in broken if each is not None), default=None, key=lambda each: each[0]),
            aborted=tuple(aborted),
            more=len(left) > ABORTED or bool(waits.left(fold.submitted)),
        )

    async def _first(
        self, waits: ItemWaits, listing: Listing, fold: TaskFold, state: DependencyState
    ) -> tuple[int, DependencyStatus] | None:
        """The first item in this state, and why."""
        while left := waits.left(fold.submitted, state):
            index = left.spans[0][0]
            if (said := waits.said.get(index)) is not None and said.state is state:
                return index, said
            needs = await self._item(waits, index, await listing.item(index))
            if needs.state is state:
                return index, needs
        return None

    async def _item(self, waits: ItemWaits, index: int, item: Item) -> DependencyStatus:
        """Check one item. An event that happens meanwhile makes it due again."""
        self._index = index
        self.looked += 1
        waits.begin_check(index)
        try:
            needs = await self._all(item.depends_on, item.payload)
        except BaseException:
            waits.due.add(index, index + 1)
            raise
        waits.put(index, needs.state)
        waits.put_many(index, len(self._open), needs)
        return needs

    async def _all(self, dependencies: list[Dependency] | None, payload: Payload | None) -> DependencyStatus:
        wanted = list(dependencies or ())
        if payload is not None and payload.result is not None:
            wanted.append(Dependency(result=payload.result))
        worst = READY
        self._open = set()
        for number, dependency in enumerate(wanted, start=1):
            if number % MANY == 0:
                await asyncio.sleep(0)
            self._noted = []
            needs = await self._needed(dependency)
            if needs.state is not DependencyState.READY:
                self._open.update(b for b, _ in self._noted if not isinstance(b, Retained))
            worst = worse(worst, needs)
        return worst

    async def _needed(self, dependency: Dependency) -> DependencyStatus:
        """A dependency that items share is checked once, as long as no event happens."""
        assert self._task is not None
        if dependency.task is None or dependency.index is not None:
            return await self._one(dependency)
        events = self._dependents.waits(self._task.metadata.uid).events
        if events != self._events:
            self._known.clear()
            self._events = events
        key = (dependency.task, dependency.uid, dependency.output)
        if key not in self._known:
            needs = await self._one(dependency)
            self._known[key] = needs, self._noted
            return needs
        needs, noted = self._known[key]
        for wait in noted:
            self._wait(*wait)
        return needs

    async def _one(self, dependency: Dependency) -> DependencyStatus:
        task = self._task
        assert task is not None
        match await self._resolver.resolve(task, dependency):
            case NamedResult(result):
                return await self._result(result)
            case TwoTasks() as wrong:
                return DependencyStatus(DependencyState.INVALID, wrong.message)
            case NoTask(name):
                self._wait(TaskCreated(task.namespace, name))
                message = f"task {name} does not exist in session {task.spec.session}; create it"
                return DependencyStatus(DependencyState.MISSING, message)
            case DeletedTask() as deleted:
                return await self._gone(deleted)
            case LivingTask() as living:
                return await self._living(living)

    async def _living(self, found: LivingTask) -> DependencyStatus:
        assert self._task is not None
        other, index = found.task, found.selected.index
        self._wait(Retained(other.metadata.uid))
        if wrong := await self._wrong(other, index, found.selected.output):
            self._wait(TaskCreated(self._task.namespace, other.metadata.name))
            return DependencyStatus(DependencyState.INVALID, wrong)
        if not found.pinned:
            self._fresh[other.metadata.name] = found.pin
        fold = self._state.fold(other.metadata.uid)
        if index is not None:
            needs = await self._element(other, fold, index)
        else:
            needs = await self._whole(other, fold)
        if needs.state is not DependencyState.READY:
            return needs
        chosen = fold.delegated
        if chosen and index is not None:  # of many, those of one element are found by their names
            chosen = await self._names(other, index) & chosen
        return await self._elsewhere(found.selected, chosen)

    async def _names(self, other: Task, index: int) -> set[str]:
        listing = await self._items.of(other)
        item = await listing.item(index) if listing is not None else Item()
        return {result_id(other.metadata.uid, index, name) for name in output_names(other, item)}

    async def _elsewhere(self, selected: Selection, delegated: set[str]) -> DependencyStatus:
        """Outputs of a Task that are not kept with its runs: handed to a child, or deleted."""
        needs, uid = READY, selected.uid
        results = delegated | self._state.removed.of(uid) | self._state.inbox.deletions(uid)
        for result in selected.of(sorted(results)):
            needs = worse(needs, await self._output(uid, result, delegated))
        return needs

    async def _output(self, uid: str, result: str, delegated: Collection[str]) -> DependencyStatus:
        """An output of a completed element: from its run, or from its entry in RESULTS."""
        if result in delegated or result in self._state.removed.of(uid):
            return await self._entry(result)
        if result not in self._state.inbox.deletions(uid):
            return READY
        # After a restart Tasks may be checked before the deletion is applied.
        needs = await self._entry(result)
        return READY if needs.state is DependencyState.MISSING else needs

    async def _gone(self, found: DeletedTask) -> DependencyStatus:
        """A deleted Task: its completed outputs stay, and no other Task replaces it."""
        needs = await self._of_deleted(found)
        if needs.state is DependencyState.READY and not found.pinned:
            self._fresh[found.name] = found.pin  # its data shall be that of this very task
        return needs

    async def _of_deleted(self, found: DeletedTask) -> DependencyStatus:
        assert self._task is not None
        namespace, name, selected = self._task.namespace, found.name, found.selected
        if await self._lives(namespace, name, selected.uid):
            self._wait(TaskCreated(namespace, name))
            return DependencyStatus(DependencyState.WAITING, f"task {name} has not ended")
        if found.pin.total == UNKNOWN and selected.index is None:
            message = f"task {name} with the UID {selected.uid} was deleted"
            return DependencyStatus(DependencyState.ABORTED, f"{message}; depend on its results by their ids")
        ended, at = await self._resolver.ended(self._task, selected), selected.index
        lacking = ended.completed.gaps(*((0, found.pin.total) if at is None else (at, at + 1)))
        if not lacking:
            return await self._elsewhere(selected, ended.delegated)
        index, failed = lacking[0][0], ended.failed
        message = f"task {name} was deleted before its element {index} had ended"
        if failed is not None and failed.index == index:
            message = chain(f"element {index} of the deleted task {name}", failed.kind, failed.message)
        return DependencyStatus(DependencyState.ABORTED, message)

    async def _lives(self, namespace: str, name: str, uid: str) -> bool:
        """Whether the Task exists although the cache does not have it yet."""
        try:
            found = await self._servers.kube.get(TASKS, name, namespace)
        except NotFound:
            return False
        return bool(found["metadata"]["uid"] == uid)

    async def _wrong(self, other: Task, index: int | None, output: str | None) -> str:
        assert self._task is not None
        who = (self._task, self._session())
        return await selection_error(self._state, self._items, who, other, index, output)

    async def _whole(self, other: Task, fold: TaskFold) -> DependencyStatus:
        name, total = other.metadata.name, other.spec.total
        if fold.failures:
            return await self._element(other, fold, next(iter(fold.failures)))
        # In words are only those of this life of the journal, and few of the cancelled ones.
        for kind, ended in fold.outcomes.items():
            if kind is not OutcomeKind.COMPLETED and ended:
                return await self._element(other, fold, ended.spans[0][0])
        if len(fold.ended) >= total:
            return READY
        self._wait(TaskFinished(other.metadata.uid), (other.metadata.uid, WHOLE))
        left = total - len(fold.ended)
        many = f"{left} of {total} elements of task {name} have not ended"
        return DependencyStatus(DependencyState.WAITING, many if total > 1 else f"task {name} has not ended")

    async def _element(self, other: Task, fold: TaskFold, index: int) -> DependencyStatus:
        kind = fold.kind_of(index)
        what = f"element {index} of task {other.metadata.name}"
        if kind is OutcomeKind.COMPLETED:
            return READY
        if kind is None:
            self._wait(ElementFinished(other.metadata.uid, index), (other.metadata.uid, index))
            return DependencyStatus(DependencyState.WAITING, f"{what} has not ended")
        failure, run = fold.failures.get(index), fold.run_of(index)
        message = failure.message if failure else ""
        if failure is None:
            where = TaskRef(other.namespace, fold.session or self._session(), other.metadata.uid)
            outcome = outcome_of(await self._book.run_with(where, index, run), index)
            message = outcome.message if outcome is not None else ""
        return DependencyStatus(DependencyState.ABORTED, chain(what, kind, message))

    async def _result(self, result: str) -> DependencyStatus:
        implied = split_result_id(result)
        if implied is None:
            return await self._entry(result)
        uid, index, output = implied
        other = self._state.living(uid)
        if other is not None:
            if wrong := await self._wrong(other, index, output):
                return DependencyStatus(DependencyState.INVALID, f"result {result}: {wrong}")
            fold = self._state.fold(uid)
            needs = await self._element(other, fold, index)
            ready = needs.state is DependencyState.READY
            return await self._output(uid, result, fold.delegated) if ready else needs
        task = self._task
        assert task is not None
        of_task = TaskRef(task.namespace, self._session(), uid)
        outcome = outcome_of(await self._book.run_with(of_task, index), index)
        if outcome is not None and outcome.kind is not OutcomeKind.COMPLETED:
            what = f"element {index} of the deleted task {uid}"
            return DependencyStatus(DependencyState.ABORTED, chain(what, outcome.kind, outcome.message))
        if outcome is not None and output in outcome.outputs:
            return await self._output(uid, result, ())
        self._wait(TaskFinished(uid))  # the watch may be behind: it may exist nevertheless
        return await self._entry(result)

    async def _entry(self, result: str) -> DependencyStatus:
        assert self._task is not None
        name = ResultName(self._task.namespace, self._session(), result)
        entry = await self._book.entry(name)
        pending = entry is not None and entry.state is ResultState.CREATED and bool(entry.task)
        self._wait(ResultSettled(*name), (entry.task, entry.index) if entry is not None and pending else None)
        if entry is None:
            message = f"result {result} does not exist in session {self._task.spec.session}; create it"
            return DependencyStatus(DependencyState.MISSING, message)
        match entry.state:
            case ResultState.COMPLETED:
                return READY
            case ResultState.CREATED:
                return DependencyStatus(DependencyState.WAITING, f"result {result} is not written yet")
        return DependencyStatus(DependencyState.ABORTED, chain(f"result {result}", entry.state, entry.reason))

    def _session(self) -> str:
        assert self._task is not None
        return self._state.session_of(self._task)

    def _wait(self, blocker: Blocker, target: Node | None = None) -> None:
        """Register a wait of the Task or the checked item. To be called right after the check."""
        assert self._task is not None
        uid = self._task.metadata.uid
        self._noted.append((blocker, target))
        if self._index != OWN:
            namespace = self._task.namespace
            if not self._dependents.room(namespace, MAX_WAITS, ASSURED_WAITS):
                message = f"{MAX_WAITS} elements wait each for something else, the most held at a time"
                raise Parked(Reason.DEPENDENCY_INVALID, f"{message}; some have to end first")
            self._dependents.block_item(uid, self._index, blocker, target, namespace=namespace)
            return
        self._seen.add(blocker)
        self._dependents.block(uid, blocker)
        if target is not None:
            self.targets.add(target)
