"""What Tasks and their elements wait for, from the folds and the results (protocol steps S1 and S5)."""

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace

from armonik_operator.adapters.kube import TASKS
from armonik_operator.circles import OWN, WHOLE, Circles, Edges, Node
from armonik_operator.dependents import Blocker, Dependents, OfElement, OfName, OfResult, OfTask, OfUse
from armonik_operator.errors import NotFound
from armonik_operator.fold import TaskFold
from armonik_operator.inputs import Items, output_names
from armonik_operator.pins import Pins
from armonik_operator.reconcile.task import READY, DependencyState, Needs, Readiness
from armonik_operator.results import ResultBook, ResultName, outcome_of
from armonik_operator.state import Named, Servers, State
from armonik_operator.texts import shorten
from armonik_sdk.api.kinds import Dependency, Payload, Task
from armonik_sdk.api.names import split_result_id
from armonik_sdk.api.records import OutcomeKind, Pin, ResultState


def chain(what: str, kind: object, message: str) -> str:
    """Why something was aborted, with the reasons behind it; of a long chain both ends are kept."""
    return shorten(f"{what} ended as {kind}" + (f": {message}" if message else ""))


class Looks:
    """Looks at Tasks, and what is known from look to look: pins, who waits for whom, circles."""

    def __init__(
        self, servers: Servers, state: State, book: ResultBook, items: Items, wake: Callable[[str], None]
    ) -> None:
        self._servers = servers
        self._state = state
        self._book = book
        self._items = items
        self.pins = Pins(servers, state)
        self.dependents = Dependents(wake)
        self._circles = Circles(time.monotonic, wake)

    async def at(self, task: Task, fold: TaskFold) -> Readiness:
        """Look at everything that the Task's elements without a run depend on.

        Raises:
            Parked: the Task cannot be admitted.
        """
        uid = task.metadata.uid
        look = Look(self._servers, self._state, self._book, self._items, self.dependents, self.pins)
        readiness = await look.at(task, fold)
        self._circles.waits(uid, task.metadata.name, look.edges)
        return replace(readiness, circle=self._circles.of(uid))

    def due(self) -> float | None:
        """Seconds until circles are looked for again; None when nothing has changed."""
        return self._circles.due()

    def over(self, uid: str) -> None:
        """The Task is all submitted, or gone: it waits for nobody's data."""
        self.dependents.keep(uid, ())
        self._circles.waits(uid, "", {})
        self.pins.forget(uid)


class Look:
    """One look at a Task: what each of its elements waits for. Tells the index what would change it."""

    def __init__(
        self,
        servers: Servers,
        state: State,
        book: ResultBook,
        items: Items,
        dependents: Dependents,
        pins: Pins,
    ) -> None:
        self._servers = servers
        self._state = state
        self._book = book
        self._items = items
        self._dependents = dependents
        self._pins = pins
        self._known: dict[tuple[object, ...], tuple[Needs, set[Node]]] = {}
        self._seen: set[Blocker] = set()
        self._targets: set[Node] = set()
        self._fresh: dict[str, Pin] = {}
        self._task: Task | None = None
        self.edges: Edges = {}
        """Elements of other Tasks that are waited for, by the element that waits; `OWN` are all of them."""

    async def at(self, task: Task, fold: TaskFold) -> Readiness:
        """Look at everything that the Task's elements without a run depend on, and pin what names stand for.

        Raises:
            Parked: the Task cannot be admitted.
        """
        self._task = task
        while True:
            readiness = await self._look(task, fold)
            if not self._fresh or await self._pins.add(task, self._session(), self._fresh):
                return readiness
            self._known.clear()  # another operator was first

    async def _look(self, task: Task, fold: TaskFold) -> Readiness:
        self._fresh, self._seen, edges = {}, set(), defaultdict[int, set[Node]](set)
        self.edges = edges
        own = await self._all(task.spec.depends_on, task.spec.payload, edges[OWN])
        elements: dict[int, Needs] = {}
        if own.state is DependencyState.READY:
            items = await self._items.of(task)
            for index in await self._items.dependent(task):
                if items is not None and index not in fold.submitted:
                    needs = await self._all(items[index].depends_on, items[index].payload, edges[index])
                    if needs.state is not DependencyState.READY:
                        elements[index] = needs
        self._dependents.keep(task.metadata.uid, self._seen)
        return Readiness(own, elements)

    async def _all(
        self, dependencies: list[Dependency] | None, payload: Payload | None, edges: set[Node]
    ) -> Needs:
        wanted = list(dependencies or ())
        if payload is not None and payload.result is not None:
            wanted.append(Dependency(result=payload.result))
        worst = READY
        for dependency in wanted:
            key = (dependency.task, dependency.index, dependency.output, dependency.result)
            if key not in self._known:
                self._targets = set()
                self._known[key] = (await self._one(dependency), self._targets)
            needs, targets = self._known[key]
            edges |= targets
            worst = _worse(worst, needs)
        return worst

    async def _one(self, dependency: Dependency) -> Needs:
        if dependency.result is not None:
            return await self._result(dependency.result)
        task, name = self._task, str(dependency.task)
        assert task is not None
        namespace = task.metadata.namespace or ""
        pin = (await self._pins.of(task)).get(name)
        other = self._state.last_seen(pin.uid) if pin is not None else self._state.task_named(namespace, name)
        if other is None and pin is not None:
            return await self._gone(name, pin, dependency)
        if other is None:
            self._wait(OfName(namespace, name))
            message = f"task {name} does not exist in session {task.spec.session}; create it"
            return Needs(DependencyState.MISSING, message)
        self._wait(OfUse(other.metadata.uid))
        if wrong := await self._wrong(other, dependency.index, dependency.output):
            self._wait(OfName(namespace, name))
            return Needs(DependencyState.INVALID, wrong)
        if pin is None:
            self._fresh[name] = Pin(other.metadata.uid, other.spec.total)
        fold = self._state.fold(other.metadata.uid)
        if dependency.index is not None:
            needs = await self._element(other, fold, dependency.index)
        else:
            needs = await self._whole(other, fold)
        if needs.state is not DependencyState.READY:
            return needs
        return await self._elsewhere(other.metadata.uid, fold.delegated, dependency)

    async def _elsewhere(self, uid: str, delegated: set[str], dependency: Dependency) -> Needs:
        """Outputs of a Task that do not stand with its runs: handed to a child, or deleted."""
        needs = READY
        for result in sorted(delegated | self._state.removed.get(uid, set())):
            parts = split_result_id(result)
            if parts is None or parts[0] != uid:
                continue
            selected = dependency.index in (None, parts[1]) and dependency.output in (None, parts[2])
            if selected:
                needs = _worse(needs, await self._entry(result))
        return needs

    async def _gone(self, name: str, pin: Pin, dependency: Dependency) -> Needs:
        """A Task that was deleted: what it had completed stays, and no other takes its place."""
        assert self._task is not None
        namespace = self._task.metadata.namespace or ""
        if await self._lives(namespace, name, pin.uid):
            self._wait(OfName(namespace, name))
            return Needs(DependencyState.WAITING, f"task {name} has not ended")
        kept = await self._book.of_task(namespace, self._session(), pin.uid)
        ended = {outcome.index: outcome for run in kept for outcome in run.outcomes}
        for index in range(pin.total) if dependency.index is None else [dependency.index]:
            outcome, what = ended.get(index), f"element {index} of the deleted task {name}"
            if outcome is None:
                message = f"task {name} was deleted before its element {index} had ended"
                return Needs(DependencyState.ABORTED, message)
            if outcome.kind is not OutcomeKind.COMPLETED:
                return Needs(DependencyState.ABORTED, chain(what, outcome.kind, outcome.message))
        delegated = {result for outcome in ended.values() for result in outcome.delegated}
        return await self._elsewhere(pin.uid, delegated, dependency)

    async def _lives(self, namespace: str, name: str, uid: str) -> bool:
        """Whether the watch is behind: the Task is there all the same."""
        try:
            found = await self._servers.kube.get(TASKS, name, namespace)
        except NotFound:
            return False
        return bool(found["metadata"]["uid"] == uid)

    async def _wrong(self, other: Task, index: int | None, output: str | None) -> str:
        task, name, total = self._task, other.metadata.name, other.spec.total
        assert task is not None
        if other.spec.session != task.spec.session:
            return (
                f"task {name} is of session {other.spec.session}, not of {task.spec.session};"
                " depend on tasks of the same session"
            )
        theirs, mine = self._state.fold(other.metadata.uid).session, self._session()
        if other.metadata.namespace != task.metadata.namespace or (theirs and mine and theirs != mine):
            return f"task {name} is of another session; depend on tasks of the same session"
        if index is not None and index >= total:
            return f"task {name} has no element {index}, only 0 to {total - 1}; correct the index"
        if output is not None:
            items = await self._items.of(other)
            for at in range(total) if index is None and items is not None else [index or 0]:
                names = output_names(other, items, at)
                if output not in names:
                    return f"element {at} of task {name} has no output {output}, only {', '.join(names)}"
        return ""

    async def _whole(self, other: Task, fold: TaskFold) -> Needs:
        name, total = other.metadata.name, other.spec.total
        if fold.failures:
            return await self._element(other, fold, next(iter(fold.failures)))
        # In words are only those of this life of the journal, and few of the cancelled ones.
        for kind, ended in fold.outcomes.items():
            if kind is not OutcomeKind.COMPLETED and ended:
                return await self._element(other, fold, ended.spans[0][0])
        if len(fold.ended) >= total:
            return READY
        self._wait(OfTask(other.metadata.uid))
        self._targets.add((other.metadata.uid, WHOLE))
        left = total - len(fold.ended)
        message = f"{left} of {total} elements of task {name} have not ended"
        return Needs(DependencyState.WAITING, message if total > 1 else f"task {name} has not ended")

    async def _element(self, other: Task, fold: TaskFold, index: int) -> Needs:
        kind = fold.kind_of(index)
        what = f"element {index} of task {other.metadata.name}"
        if kind is OutcomeKind.COMPLETED:
            return READY
        if kind is None:
            self._wait(OfElement(other.metadata.uid, index))
            self._targets.add((other.metadata.uid, index))
            return Needs(DependencyState.WAITING, f"{what} has not ended")
        failure, run = fold.failures.get(index), fold.run_of(index)
        message = failure.message if failure else ""
        if failure is None:
            where = (other.metadata.namespace or "", fold.session or self._session(), other.metadata.uid)
            outcome = outcome_of(await self._book.run_with(*where, index, run), index)
            message = outcome.message if outcome is not None else ""
        return Needs(DependencyState.ABORTED, chain(what, kind, message))

    async def _result(self, result: str) -> Needs:
        implied = split_result_id(result)
        if implied is None:
            return await self._entry(result)
        uid, index, output = implied
        other = self._state.tasks.get(uid)
        if other is not None:
            if wrong := await self._wrong(other, index, output):
                return Needs(DependencyState.INVALID, f"result {result}: {wrong}")
            fold = self._state.fold(uid)
            needs = await self._element(other, fold, index)
            elsewhere = result in fold.delegated or result in self._state.removed.get(uid, ())
            own = needs.state is DependencyState.READY and elsewhere
            return await self._entry(result) if own else needs
        task = self._task
        assert task is not None
        namespace = task.metadata.namespace or ""
        outcome = outcome_of(await self._book.run_with(namespace, self._session(), uid, index), index)
        if outcome is not None and outcome.kind is not OutcomeKind.COMPLETED:
            what = f"element {index} of the deleted task {uid}"
            return Needs(DependencyState.ABORTED, chain(what, outcome.kind, outcome.message))
        if (
            outcome is not None
            and output in outcome.outputs
            and result not in self._state.removed.get(uid, ())
        ):
            return READY
        return await self._entry(result)

    async def _entry(self, result: str) -> Needs:
        assert self._task is not None
        name = ResultName(self._task.metadata.namespace or "", self._session(), result)
        entry = await self._book.entry(name)
        self._wait(OfResult(*name))
        if entry is None:
            message = f"result {result} does not exist in session {self._task.spec.session}; create it"
            return Needs(DependencyState.MISSING, message)
        match entry.state:
            case ResultState.COMPLETED:
                return READY
            case ResultState.CREATED:
                if entry.task:
                    self._targets.add((entry.task, entry.index))
                return Needs(DependencyState.WAITING, f"result {result} is not written yet")
        return Needs(DependencyState.ABORTED, chain(f"result {result}", entry.state, entry.reason))

    def _session(self) -> str:
        assert self._task is not None
        pinned = self._state.fold(self._task.metadata.uid).session
        session = self._state.sessions.get(
            Named(self._task.metadata.namespace or "", self._task.spec.session)
        )
        return pinned or (session.metadata.uid if session else "")

    def _wait(self, blocker: Blocker) -> None:
        assert self._task is not None
        self._seen.add(blocker)
        self._dependents.block(self._task.metadata.uid, blocker)


_ORDER = list(DependencyState)
"""From the best to the worst: what was aborted decides, whatever else is missing."""


def _worse(one: Needs, other: Needs) -> Needs:
    return max(one, other, key=lambda needs: _ORDER.index(needs.state))
