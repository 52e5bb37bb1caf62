"""A run after its `Dispatched`, however its elements are given to the worker: stop, commit, retry, cancel."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Iterable, Sequence
from enum import Enum

from armonik_agent.buffer import Buffer
from armonik_agent.commit import Committer
from armonik_agent.control import changed
from armonik_agent.elements import Element, Elements
from armonik_agent.errors import Fenced
from armonik_agent.folder import Folder
from armonik_agent.inputs import RunInputs
from armonik_agent.lease import Renewal
from armonik_agent.outputs import Ended, by_name, group_children
from armonik_agent.sharing import LONG_SECONDS, RUN_SECONDS, kept, tail
from armonik_agent.site import Site
from armonik_agent.slots import Pace, either
from armonik_agent.stopping import stop
from armonik_agent.transitions import (
    cancelled,
    charge,
    executions_of,
    released,
    shorten,
)
from armonik_agent.verdict import Ending, Verdict
from armonik_agent.worker import WORKER_SECONDS
from armonik_sdk.api.kinds import ObjectRef
from armonik_sdk.api.messages import ManifestItem
from armonik_sdk.api.names import WORKER_DOWN, RunId, control_key
from armonik_sdk.api.ranges import Ranges
from armonik_sdk.api.records import ChildGroup, DesiredState, OutcomeKind, Record
from armonik_sdk.dataplane.errors import QueueUnavailable, StoreUnavailable
from armonik_sdk.dataplane.topology import ACK_WAIT

log = logging.getLogger(__name__)

FAILURES_HERE = 2
"""Failed executions on this pod after which the rest is left to others."""
AWAY_SECONDS = 3 * ACK_WAIT
"""Without NATS for so long, no further element begins."""
STORE_DELAY = 5.0
"""Seconds until a run that was released because of the object store is tried again."""
_STOPPED = (DesiredState.CANCELLED, DesiredState.PURGED, DesiredState.DELETED)


class Stop(Enum):
    """Why a run ends here before all its elements have."""

    DRAIN = "the agent drains"
    CANCEL = "the run was cancelled"
    FAILURES = "too many executions failed here"
    WORKER = "the worker is gone"
    STORE = "the object store is down"
    FENCED = "the run is no longer this agent's"


class Work(ABC):
    """`execute` needs the worker, `finish` does not."""

    def __init__(
        self,
        site: Site,
        run: RunId,
        elements: Elements,
        inputs: RunInputs,
        folder: Folder,
        committer: Committer,
        renewal: Renewal,
        news: asyncio.Event,
        careful: bool,
    ) -> None:
        """`news` is set when CONTROL may have changed; `careful` names each element before it begins."""
        self._site, self._run, self._elements = site, run, elements
        self._inputs, self._folder, self._committer, self._renewal = inputs, folder, committer, renewal
        self._news, self._careful = news, careful
        self._buffer = Buffer(site, committer, elements.message.single)
        self._head = committer.head
        self._left = deque(self._in_order(committer.head.remaining))
        self._retries: list[int] = []
        self._failed_here = 0
        self._stop: Stop | None = None
        self._stopped = asyncio.Event()
        self._keys = [control_key(run.namespace, uid) for uid in (run.session, run.task)]

    async def execute(self, pace: Pace) -> None:
        """Execute what is left, until it has ended or the run has to stop.

        Raises:
            Fenced: the run is no longer this process's; nothing more may be done for it.
        """
        watchers = [
            asyncio.create_task(self._watch_control()),
            asyncio.create_task(self._watch_drain()),
            asyncio.create_task(self._watch_time(pace)),
        ]
        try:
            await self._heeding(self._all(pace))
            await self._heeding(self._end_ahead())
        finally:
            if self._goes_ahead:  # something else has broken off the run
                self._give_up()
            await stop(*watchers)
        if self._stop is Stop.FENCED:
            await self._buffer.drop()
            raise Fenced(f"{self._run.journal} was taken over while it was executed")

    async def finish(self) -> Record:
        """Commit what has ended and give up what has not; the last record.

        Raises:
            Fenced: the run is no longer this process's.
            StoreUnavailable: not even its manifest could be written; the run is not released.
        """
        try:
            await self._buffer.settle()
            await self._buffer.pack()
        except StoreUnavailable as error:
            log.warning("run %s is released: %s", self._run.journal, error)
            self._stop = Stop.STORE
        if self._stop is Stop.CANCEL:
            return await self._buffer.end(cancelled)
        until = 0.0
        if self._stop is Stop.STORE:
            until = self._site.clock.now() + STORE_DELAY
        elif self._stop is Stop.FAILURES and self._retries and not self._left:
            until = min(self._not_before(index) for index in self._retries)
        return await self._buffer.end(lambda head, change: released(head, change, until))

    async def _all(self, pace: Pace) -> None:
        while await self._goes_on():
            await self._some(pace)

    async def _heeding(self, work: Awaitable[None]) -> None:
        """Stop the run when it cannot be kept, or is another's."""
        try:
            await work
        except StoreUnavailable as error:
            log.warning("run %s stops: %s", self._run.journal, error)
            self._stop = Stop.STORE
        except Fenced:
            self._interrupt(Stop.FENCED)
            self._stop = Stop.FENCED

    @property
    def _goes_ahead(self) -> bool:
        """Whether the worker was given something that nobody waits for yet."""
        return False

    async def _end_ahead(self) -> None:
        """The run stops: see that this ends, too."""
        assert not self._goes_ahead  # who gives the worker something ahead ends it

    @abstractmethod
    async def _some(self, pace: Pace) -> None:
        """Execute one element or more of those that are left; `_left` is not empty."""

    @abstractmethod
    def _give_up(self) -> None:
        """End what the worker executes, if anything; the run stops."""

    @abstractmethod
    async def _heed_note(self) -> None:
        """End the elements that an operator's note names; the others go on."""

    async def _goes_on(self) -> bool:
        """Whether there is an element to execute now; waits for a retry, for NATS, for the worker."""
        while self._stop is None:
            if self._goes_ahead:
                await self._buffer.go_on()
                self._look_at_head()
                return True
            if self._site.drain.begun.is_set():
                self._stop = Stop.DRAIN
            elif self._failed_here >= FAILURES_HERE:
                self._stop = Stop.FAILURES
            elif self._cut_off:
                log.warning("run %s waits for NATS", self._run.journal)
                await either(self._site.connection.present, self._stopped, self._site.drain.begun)
            elif self._head_is_due:
                await self._committer.refresh()
                self._renewal.settled()
            elif not self._left and not self._retries:
                return False
            elif not await self._worker_back():
                await self._site.tell(WORKER_DOWN, f"not back {WORKER_SECONDS:g} s after it failed")
                self._stop = Stop.WORKER
            else:
                await self._buffer.go_on()
                self._look_at_head()
                if self._left:
                    return True
                await self._wait_for_retry()
        return False

    @property
    def _cut_off(self) -> bool:
        """Whether nothing more may begin before NATS is back (protocol rule 17)."""
        return self._site.connection.away > AWAY_SECONDS

    @property
    def _head_is_due(self) -> bool:
        """Whether the head has to be read before anything more begins, and can be."""
        return self._renewal.lapsed and self._site.connection.present.is_set()

    async def _wait_for_retry(self) -> None:
        """Journal the failed attempts, then let the back-off of the first one pass (protocol rule 5)."""
        await self._buffer.commit()
        self._look_at_head()
        if not self._retries:
            return
        index = min(self._retries, key=lambda i: (self._not_before(i), i))
        seconds = self._not_before(index) - self._site.clock.now()
        if seconds > 0:
            await either(self._stopped, self._site.drain.begun, seconds=seconds)
        else:
            self._retries.remove(index)
            self._left.append(index)

    def _look_at_head(self) -> None:
        """An operator's note may have ended elements that nobody has executed."""
        if self._committer.head is self._head:
            return
        self._head = self._committer.head
        remaining = set(self._head.remaining).difference(Ranges.parse(self._head.cancel))
        self._left = deque(index for index in self._left if index in remaining)
        self._retries = [index for index in self._retries if index in remaining]

    async def _worker_back(self) -> bool:
        """A worker that other slots keep busy is not asked."""
        return bool(self._site.service.executions) or await self._site.worker.usable(WORKER_SECONDS)

    async def _condemn(self, why: str) -> None:
        self._site.worker.condemn()
        await self._site.tell(WORKER_DOWN, why)
        self._stop = self._stop or Stop.WORKER

    def _interrupt(self, why: Stop) -> None:
        """Stop the run."""
        self._stop = self._stop or why
        self._stopped.set()
        self._give_up()

    async def _watch_drain(self) -> None:
        await self._site.drain.overdue()
        self._interrupt(Stop.DRAIN)

    async def _watch_control(self) -> None:
        """Stop when the session or task is cancelled, or an operator's note names the element."""
        while True:
            await changed(self._news)
            try:
                if any(state in _STOPPED for state in await self._desired()):
                    self._interrupt(Stop.CANCEL)
                    return
                await self._committer.refresh()
                await self._heed_note()
            except (QueueUnavailable, StoreUnavailable) as error:
                log.info("desired state not read: %s", error)
            except Fenced:
                self._interrupt(Stop.FENCED)
                return

    async def _desired(self) -> list[DesiredState]:
        """What CONTROL says of the session and the task, as far as it says anything."""
        entries = [await self._site.control.get(key) for key in self._keys]
        return [entry[0].state for entry in entries if entry is not None]

    async def _watch_time(self, pace: Pace) -> None:
        """While an element takes long, commit what has ended, and give the tail away (protocol rule 6)."""
        while True:
            await asyncio.sleep(RUN_SECONDS)
            self._buffer.begin()
            try:
                await self._share(pace)
            except (QueueUnavailable, StoreUnavailable) as error:
                log.info("run %s is not shared: %s", self._run.journal, error)
            except Fenced:
                self._interrupt(Stop.FENCED)
                return

    @property
    def _recallable(self) -> bool:
        """Whether the worker was given elements that it may not have begun, beside the next one."""
        return False

    async def _recall(self) -> None:  # noqa: B027 - most have none
        """Have it give back what is `_recallable`; nothing, where never anything is."""

    def _needs_results(self, index: int) -> bool:
        element = self._elements.of(index)
        return bool(element.dependencies) or element.payload_is_result

    async def _share(self, pace: Pace) -> None:
        site = self._site
        ends = self._stop is not None or site.drain.begun.is_set() or self._renewal.lapsed
        if ends or pace.until_free <= LONG_SECONDS or not (self._left or self._recallable):
            return
        if not site.connection.present.is_set() or not site.journal.atomic:
            return
        idle = await site.idle()
        if not self._left and idle:
            await self._recall()  # what comes back is given away at the next look
        left = list(self._left)
        at = tail(self._committer.head, left, kept(len(left), pace.each, pace.until_free, idle))
        if at is None or any(self._needs_results(index) for index in left if index >= at):
            return  # a result may be deleted before somebody else has it; here they are laid or known
        if any(state.stops_work for state in await self._desired()):
            return  # what nobody works on would be cancelled
        given = [index for index in self._left if index >= at]
        if len(given) != self._committer.head.end - at:
            return  # one of them has begun meanwhile
        self._left = deque(index for index in self._left if index < at)  # none of them may begin meanwhile
        if await self._committer.split(at):
            pace.less(len(given))
            log.info(
                "run %s is long: %d elements from %d on are given away", self._run.journal, len(given), at
            )
        else:
            remaining = set(self._committer.head.remaining)
            self._left.extend(index for index in given if index in remaining)

    def _fail(self, element: Element, text: str) -> None:
        """Charge an attempt; if another is left it is made at the run's end."""
        log.info("execution of %s failed: %s", element.task_id, text)
        self._failed_here += 1
        self._site.metrics.failures.inc()
        now = self._site.clock.now()
        change = charge(self._committer.head, element.index, text, element.max_retries, now)
        self._buffer.add(change)
        if change.attempts:
            self._retries.append(element.index)
        else:
            self._inputs.done(element)
            self._site.metrics.ended(change.outcomes[0].kind)

    async def _succeed(
        self,
        element: Element,
        data: dict[str, bytes | ObjectRef],
        items: Sequence[ManifestItem],
        delegated: Iterable[str],
        seconds: float,
    ) -> Verdict:
        """Keep what an element produced, by result id, and the sub-tasks that it submitted."""
        site, prefix, message = self._site, self._committer.prefix, self._elements.message
        children: tuple[ChildGroup, ...] = ()
        if items:
            children = await site.patiently(
                lambda: group_children(site.store, prefix, message, element.index, items)
            )
        outputs, made = by_name(element, data)
        ended = Ended(
            index=element.index,
            kind=OutcomeKind.COMPLETED,
            attempts=executions_of(self._committer.head, element.index) + 1,
            seconds=seconds,
            outputs=outputs,
            made=made,
            delegated=tuple(sorted(delegated)),
            children=children,
        )
        self._keep(element, ended)
        return Verdict(Ending.COMPLETED)

    def _end(self, element: Element, verdict: Verdict, seconds: float) -> None:
        ended = Ended(
            index=element.index,
            kind=verdict.kind,
            attempts=executions_of(self._committer.head, element.index) + 1,
            reason=verdict.reason,
            message=shorten(verdict.text),
            seconds=round(seconds, 6),
        )
        self._keep(element, ended)

    def _keep(self, element: Element, ended: Ended) -> None:
        self._buffer.keep(ended)
        self._inputs.done(element)
        self._site.metrics.ended(ended.kind)

    def _in_order(self, indexes: Iterable[int]) -> list[int]:
        """As they shall be executed: what has failed and has to wait longest comes last."""
        wait = {attempt.index: attempt.not_before for attempt in self._committer.head.attempts}
        return sorted(indexes, key=lambda index: (wait.get(index, 0.0), index))

    def _not_before(self, index: int) -> float:
        return next((a.not_before for a in self._committer.head.attempts if a.index == index), 0.0)
