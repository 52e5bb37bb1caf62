"""Gives a worker the next elements of a run: named in the head where need be, their inputs laid."""

from armonik_agent.data.elements import Element
from armonik_agent.errors import InputUnavailable
from armonik_agent.execution.active_run import ActiveRun
from armonik_agent.execution.settlement import Settlement
from armonik_agent.execution.sharing import Sharing
from armonik_agent.execution.splitting import LEAST_AHEAD, MOST_AHEAD, prefetch_limit
from armonik_agent.journal.transitions import Change


class Feeding:
    """Gives elements of one run to its executor."""

    def __init__(self, active: ActiveRun, settlement: Settlement, sharing: Sharing) -> None:
        self._active, self._settlement, self._sharing = active, settlement, sharing
        self._backlog, self._executor = active.backlog, active.executor
        self._owned, self._inputs, self._drain = active.owned, active.owned.inputs, active.site.drain

    async def feed(self) -> None:
        """Give the worker what it may have ahead."""
        if not self._backlog.left or not self._active.may_begin:
            return
        most = LEAST_AHEAD if self._sharing.recalled else MOST_AHEAD
        limit = 1 if self._active.careful else prefetch_limit(self._owned.slot.pace.mean, most)
        room = self._executor.room(limit)
        given: list[Element] = []
        while self._backlog.left and len(given) < room:
            element = self._owned.elements.of(self._backlog.left[0])
            if (given or self._executor.in_flight) and not self._inputs.ready(element):
                break
            self._backlog.left.popleft()
            if await self._prepare(element):
                given.append(element)
            elif not given and not self._executor.in_flight:
                return  # the run may have to stop before the next one
        if given:
            self._settlement.current = given[0] if len(given) == 1 else None
            await self._executor.give(given, self._inputs.held)
        self._settlement.current = None
        if self._drain.begun.is_set():  # since this feeding began
            await self._executor.recall(self._executor.in_flight)
        elif self._active.gives_way:
            await self._executor.recall(self._active.behind)

    async def _prepare(self, element: Element) -> bool:
        """Lay an element's inputs; False if it has ended for want of one.

        It is named in the head before if it may be the cause of a loss.
        """
        if self._active.careful or self._inputs.heavy(element):
            self._active.buffer.add(Change(running=element.index))
            await self._active.buffer.commit()
        self._settlement.current = element
        try:
            await self._inputs.lay(element)
        except InputUnavailable as error:
            self._settlement.refuse(element, error)
            return False
        return True

    async def feed_ahead(self) -> None:
        """Give an idle worker the next element if nothing needs to be waited for, or handled, before."""
        active = self._active
        if active.stop or active.gives_way or active.careful or self._drain.begun.is_set():
            return
        if self._owned.lease.lapsed or not active.site.connection.present.is_set():
            return
        if not self._backlog.left or active.committer.head is not self._backlog.head:
            return
        element = self._owned.elements.of(self._backlog.left[0])
        if not self._inputs.ready(element):
            return
        self._backlog.left.popleft()  # first of all: what is in that list may be given away
        try:
            await self._inputs.lay(element)
        except (InputUnavailable, OSError):
            self._backlog.put_back([element.index])  # it ends, or is charged, when it is its turn
            return
        await self._executor.give([element], self._inputs.held)
