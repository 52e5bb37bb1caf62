"""Gives the tail of a long run away, so that others execute it (protocol rule 6)."""

import logging

from armonik_agent.context import AgentContext
from armonik_agent.execution.active_run import ActiveRun
from armonik_agent.execution.splitting import (
    LEAST_AHEAD,
    LONG_SECONDS,
    WRONG_SECONDS,
    elements_to_keep,
    tail_start,
)
from armonik_sdk.api.names import RunId, control_key
from armonik_sdk.api.records import DesiredState

log = logging.getLogger(__name__)


class Sharing:
    """Splits one run, during one ownership."""

    def __init__(self, active: ActiveRun) -> None:
        self._active, self._site, self._owned = active, active.site, active.owned
        self._committer, self._backlog = active.committer, active.backlog
        self.recalled: frozenset[int] = frozenset()
        """What the worker was asked to give back. Then the mean is no estimate for what is left."""

    @property
    def recallable(self) -> bool:
        """Whether the worker has elements that it may not have begun, beside the next one."""
        behind = self._active.behind
        return len(behind) >= LEAST_AHEAD and not self.recalled.issuperset(behind)

    async def share(self) -> None:
        """Give away what others can execute sooner.

        Raises:
            Fenced: the run is no longer this process's.
            QueueUnavailable, StoreUnavailable: it is not shared now.
        """
        site, backlog, pace = self._site, self._backlog, self._owned.slot.pace
        if site.drain.begun.is_set() or self._owned.lease.lapsed or pace.until_free <= LONG_SECONDS:
            return
        if not backlog.left and not self.recallable:
            return
        if not site.connection.present.is_set() or not site.journal.atomic:
            return
        idle = await site.idle()
        if not backlog.left and (idle or pace.until_free > WRONG_SECONDS):
            await self._recall()  # what comes back is given away at the next look
        left = list(backlog.left)
        keep = elements_to_keep(len(left), pace.each, pace.until_free, idle)
        at = tail_start(self._committer.head, left, keep)
        if at is None or any(self._stays(index) for index in left if index >= at):
            return  # a result may be deleted before somebody else has it; here they are laid or known
        if any(state.stops_work for state in await desired_states(site, self._owned.run)):
            return  # what nobody works on would be cancelled
        await self._split(at)

    async def _split(self, at: int) -> None:
        backlog, run = self._backlog, self._owned.run.journal
        if sum(index >= at for index in backlog.left) != self._committer.head.end - at:
            return  # one of them has begun meanwhile
        given = backlog.split_off(at)
        if await self._committer.split(at):
            self._owned.slot.pace.less(len(given))
            log.info("run %s is split: %d elements from %d on are given away", run, len(given), at)
        else:
            remaining = set(self._committer.head.remaining)
            backlog.left.extend(index for index in given if index in remaining)

    async def _recall(self) -> None:
        if self.recallable:
            self.recalled = frozenset(self._active.behind)
            await self._active.executor.recall(sorted(self.recalled))

    def _stays(self, index: int) -> bool:
        """Whether an element is not given away: it needs results, or something is to be accounted for."""
        element = self._owned.elements.of(index)
        uncharged = index in self._active.uncharged
        return bool(element.dependencies) or element.payload_is_result or uncharged


async def desired_states(site: AgentContext, run: RunId) -> list[DesiredState]:
    """What CONTROL says of the session and the task of a run, as far as it says anything.

    Raises:
        QueueUnavailable: no usable answer.
    """
    keys = [control_key(run.namespace, uid) for uid in (run.session, run.task)]
    entries = [await site.control.get(key) for key in keys]
    return [entry[0].state for entry in entries if entry is not None]
