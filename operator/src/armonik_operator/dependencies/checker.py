"""Checks the dependencies of Tasks and keeps what a check found for the next one."""

import time
from collections.abc import Callable
from dataclasses import replace
from itertools import chain, islice

from armonik_operator.cache.state import ClusterState
from armonik_operator.clients.servers import Clients
from armonik_operator.dependencies.blockers import ResultSettled
from armonik_operator.dependencies.cycles import OWN, CycleDetector, Node, Waiter
from armonik_operator.dependencies.item_waits import ItemWaits
from armonik_operator.dependencies.readiness import DependencyCheck
from armonik_operator.dependencies.resolution import DependencyResolver, ResolvedNames
from armonik_operator.dependencies.waiters import WaitIndex
from armonik_operator.errors import Parked
from armonik_operator.items.item_cache import ItemCache
from armonik_operator.journal.fold import TaskFold
from armonik_operator.planning.task import Readiness
from armonik_operator.results.store import ResultStore
from armonik_sdk.api.kinds import Task

RESULTS_POLL = 10.0
"""Seconds until results that others may complete are looked at again."""
POLLED = 1_000
"""Most of them that are looked at again at a time."""


class DependencyChecker:
    """Checks the dependencies of Tasks; keeps resolved names, waits and cycles between checks."""

    def __init__(
        self,
        servers: Clients,
        state: ClusterState,
        book: ResultStore,
        items: ItemCache,
        wake: Callable[[str], None],
    ) -> None:
        self._servers = servers
        self._state = state
        self._book = book
        self._items = items
        self.pins = ResolvedNames(servers, state)
        self.resolver = DependencyResolver(state, book, items, self.pins)
        self.dependents = WaitIndex(wake, state.commons)
        self._circles = CycleDetector(time.monotonic, wake)
        self.looked = 0
        """Items that were looked at."""

    async def at(self, task: Task, fold: TaskFold) -> Readiness:
        """Check what the Task depends on, and its items that are new or due again.

        Raises:
            Parked: the Task cannot be admitted.
        """
        uid = task.metadata.uid
        waits = self.dependents.waits(uid)
        if (waits.results or waits.many) and time.monotonic() - waits.polled >= RESULTS_POLL:
            waits.polled = time.monotonic()
            self.dependents.again(uid, list(islice(waits.results, POLLED)))
            waits.catch_up()
        look = DependencyCheck(
            self._servers, self._state, self._book, self._items, self.dependents, self.resolver
        )
        try:
            readiness = await look.at(task, fold)
        finally:
            self.looked += look.looked
        self._circles.waits(uid, self._waiter(task, waits, look.targets))
        await self._circles.look()
        return replace(readiness, circle=self._circles.of(uid))

    async def tried(self, task: Task, fold: TaskFold) -> tuple[Readiness, Parked | None]:
        """Check as `at`, but return why the Task cannot be admitted: it can be cancelled nevertheless."""
        try:
            return await self.at(task, fold), None
        except Parked as parked:
            return Readiness(), parked

    def _waiter(self, task: Task, waits: ItemWaits, own: set[Node]) -> Waiter:
        return Waiter(
            name=task.metadata.name,
            targets=frozenset({uid for uid, _ in own} | waits.targets()),
            stamp=(waits.stamp, frozenset(own)),
            size=lambda: len(own) + len(waits),
            edges=lambda: chain(((OWN, node) for node in own), waits.edges()),
        )

    def due(self) -> float | None:
        """Seconds until the next search for cycles; None when nothing has changed."""
        return self._circles.due()

    def polls(self, uid: str) -> bool:
        """Whether the Task waits for results that others may complete, or for much."""
        waits = self.dependents.waits(uid)
        own = any(isinstance(blocker, ResultSettled) for blocker in self.dependents.blocked(uid))
        return own or waits.many or bool(waits.results)

    def doubt(self, uid: str, index: int) -> None:
        """Mark an element for another check: a result that it needs no longer exists."""
        if index >= 0:
            self.dependents.waits(uid).doubt(index, index + 1)

    def over(self, uid: str) -> None:
        """Drop the waits of a Task that is completely submitted, or deleted."""
        self.dependents.over(uid)
        self._circles.over(uid)
        self.pins.forget(uid)
