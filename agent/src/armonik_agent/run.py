"""One run, element by element: execute, buffer, commit; failed elements are tried again at its end."""

import asyncio
import logging
import time
import uuid
from collections import deque
from enum import Enum

import grpc
import grpc.aio

from armonik_agent.buffer import Buffer
from armonik_agent.commit import Committer
from armonik_agent.control import changed
from armonik_agent.elements import Element, Elements
from armonik_agent.errors import Fenced, InputUnavailable
from armonik_agent.folder import Folder
from armonik_agent.inputs import RunInputs
from armonik_agent.lease import Renewal
from armonik_agent.outputs import Ended, by_name, collect, group_children
from armonik_agent.site import Site
from armonik_agent.slots import Pace, either
from armonik_agent.transitions import (
    Change,
    asked_to_cancel,
    cancelled,
    charge,
    executions_of,
    progressed,
    released,
    shorten,
)
from armonik_agent.verdict import Ending, Verdict, of_failure, of_reply
from armonik_agent.worker import WORKER_SECONDS, Call
from armonik_agent.worker_api import Execution
from armonik_sdk.api.const import FailureReason
from armonik_sdk.api.names import WORKER_DOWN, RunId, control_key
from armonik_sdk.api.ranges import Ranges
from armonik_sdk.api.records import DesiredState, Outcome, OutcomeKind, Record
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


class RunWork:
    """A run after its `Dispatched`: `execute` needs the worker, `finish` does not."""

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
        self._left = deque(sorted(committer.head.remaining, key=lambda i: (self._not_before(i), i)))
        self._retries: list[int] = []
        self._failed_here = 0
        self._stop: Stop | None = None
        self._stopped = asyncio.Event()
        self._current: int | None = None
        self._call: Call | None = None

    async def execute(self, pace: Pace) -> None:
        """Execute what is left, until it has ended or the run has to stop.

        Raises:
            Fenced: the run is no longer this process's; nothing more may be done for it.
        """
        watchers = [asyncio.create_task(self._watch_control()), asyncio.create_task(self._watch_drain())]
        try:
            while (index := await self._next()) is not None:
                pace.begin(len(self._left) + 1)
                started = time.monotonic()
                await self._element(self._elements.of(index))
                pace.end(time.monotonic() - started)
        except StoreUnavailable as error:
            log.warning("run %s stops: %s", self._run.journal, error)
            self._stop = Stop.STORE
        except Fenced:
            self._stop = Stop.FENCED
        finally:
            for watcher in watchers:
                watcher.cancel()
            await asyncio.gather(*watchers, return_exceptions=True)
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

    async def _next(self) -> int | None:
        """The element to execute now; None when there is none, or the run has to stop."""
        while self._stop is None:
            if self._site.drain.begun.is_set():
                self._stop = Stop.DRAIN
            elif self._failed_here >= FAILURES_HERE:
                self._stop = Stop.FAILURES
            elif self._site.connection.away > AWAY_SECONDS:
                log.warning("run %s waits for NATS", self._run.journal)
                await either(self._site.connection.present, self._stopped, self._site.drain.begun)
            elif self._renewal.lapsed and self._site.connection.present.is_set():
                await self._committer.refresh()
                self._renewal.settled()
            elif not self._left and not self._retries:
                return None
            elif not await self._worker_back():
                await self._site.tell(WORKER_DOWN, f"not back {WORKER_SECONDS:g} s after it failed")
                self._stop = Stop.WORKER
            else:
                await self._buffer.go_on()
                self._look_at_head()
                if self._left:
                    return self._left.popleft()
                await self._wait_for_retry()
        return None

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

    async def _element(self, element: Element) -> None:
        try:
            await self._inputs.lay(element)
        except InputUnavailable as error:
            reason = FailureReason.INPUT_MISSING
            self._end(element, Verdict(Ending.FINAL, str(error), reason=reason), 0.0)
            return
        if self._careful:
            self._buffer.add(Change(running=element.index))
            await self._buffer.commit()
        execution = Execution(uuid.uuid4().hex, self._run, element, self._folder)
        started = time.monotonic()
        with self._site.service.serving(execution):
            verdict = await self._call_worker(execution, started)
        seconds = time.monotonic() - started
        self._site.metrics.seconds.observe(seconds)
        if verdict is None:
            return
        if verdict.ending is Ending.COMPLETED:
            verdict = await self._complete(execution, seconds)
        for name in execution.files:
            self._folder.remove(name)
        if verdict.ending is Ending.FAILED:
            self._site.worker.doubt()
            self._fail(element, verdict.text)
        elif verdict.ending is Ending.FINAL:
            self._end(element, verdict, seconds)
        if verdict.worker_busy:
            await self._buffer.commit()
            await self._condemn(verdict.text)

    async def _call_worker(self, execution: Execution, started: float) -> Verdict | None:
        """The verdict; None when the call was given up, because the run stops or the element is cancelled."""
        element = execution.element
        self._current = element.index
        self._call = self._site.worker.process(element, self._run.session, execution.token, self._folder.path)
        try:
            reply = await self._call
        except grpc.aio.AioRpcError as error:
            seconds = time.monotonic() - started
            return of_failure(error.code(), error.details(), seconds, element.max_duration)
        except asyncio.CancelledError:
            if self._current is not None:
                raise  # this very task is being cancelled
            await self._given_up()
            return None
        finally:
            self._current = self._call = None
        self._site.worker.answered()
        return of_reply(reply, execution.missing)

    async def _given_up(self) -> None:
        """The call was cancelled. The worker does not hear that: it is replaced, after the commit."""
        if self._stop is Stop.DRAIN:
            return
        if self._stop is None:
            self._buffer.add(Change())  # the head names what has ended; there is a commit to make of it
            await self._buffer.commit()
        elif self._stop is Stop.CANCEL:
            await self.finish()
        await self._condemn((self._stop or Stop.CANCEL).value)

    async def _condemn(self, why: str) -> None:
        self._site.worker.condemn()
        await self._site.tell(WORKER_DOWN, why)
        self._stop = self._stop or Stop.WORKER

    def _interrupt(self, why: Stop | None) -> None:
        """Stop the run, or with None only the element that is being executed."""
        if why is not None:
            self._stop = self._stop or why
            self._stopped.set()
        if self._call is not None:
            self._current = None
            self._call.cancel()

    async def _watch_drain(self) -> None:
        await self._site.drain.overdue()
        self._interrupt(Stop.DRAIN)

    async def _watch_control(self) -> None:
        """Stop when the session or task is cancelled, or an operator's note names the element."""
        keys = [control_key(self._run.namespace, uid) for uid in (self._run.session, self._run.task)]
        while True:
            await changed(self._news)
            try:
                states = [await self._site.control.get(key) for key in keys]
                if any(entry is not None and entry[0].state in _STOPPED for entry in states):
                    self._interrupt(Stop.CANCEL)
                    return
                await self._committer.refresh()
                await self._heed_note()
            except (QueueUnavailable, StoreUnavailable) as error:
                log.info("desired state not read: %s", error)
            except Fenced:
                self._interrupt(Stop.FENCED)
                return

    async def _heed_note(self) -> None:
        """End the elements that an operator's note names; the others go on."""
        head = self._committer.head
        if self._current is not None and self._current in Ranges.parse(head.cancel):
            self._interrupt(None)
        elif asked_to_cancel(head):
            await self._committer.append(lambda head: progressed(head, Change(running=head.running)))

    async def _complete(self, execution: Execution, seconds: float) -> Verdict:
        """Keep what the element produced; the verdict, should its files have gone meanwhile."""
        element, prefix, site = execution.element, self._committer.prefix, self._site
        message, children = self._elements.message, execution.children
        try:
            data = await site.patiently(lambda: collect(site.store, prefix, execution))
        except InputUnavailable as error:
            return Verdict(Ending.FINAL, str(error), reason=FailureReason.OUTPUT_MISSING)
        groups = await site.patiently(
            lambda: group_children(site.store, prefix, message, element.index, children)
        )
        outputs, made = by_name(element, data)
        outcome = Outcome(
            index=element.index,
            kind=OutcomeKind.COMPLETED,
            attempts=executions_of(self._committer.head, element.index) + 1,
            seconds=round(seconds, 6),
            delegated=tuple(sorted(execution.delegated.intersection(element.expected))),
        )
        self._keep(element, Ended(outcome, outputs, made, groups))
        return Verdict(Ending.COMPLETED)

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
            self._site.metrics.elements.labels(change.outcomes[0].kind).inc()

    def _end(self, element: Element, verdict: Verdict, seconds: float) -> None:
        outcome = Outcome(
            index=element.index,
            kind=verdict.kind,
            attempts=executions_of(self._committer.head, element.index) + 1,
            reason=verdict.reason,
            message=shorten(verdict.text),
            seconds=round(seconds, 6),
        )
        self._keep(element, Ended(outcome))

    def _keep(self, element: Element, ended: Ended) -> None:
        self._buffer.keep(ended)
        self._inputs.done(element)
        self._site.metrics.elements.labels(ended.outcome.kind).inc()

    def _not_before(self, index: int) -> float:
        return next((a.not_before for a in self._committer.head.attempts if a.index == index), 0.0)
