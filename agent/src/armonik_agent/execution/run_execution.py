"""Executes an owned run, however its elements are given to the worker: stop, commit, retry, cancel, share."""

import asyncio
import errno
import logging
import time
from collections.abc import Awaitable

from armonik_agent.context import AgentContext
from armonik_agent.desired_state import changed
from armonik_agent.errors import Fenced
from armonik_agent.execution.active_run import FAILURES_HERE, ActiveRun, Stop
from armonik_agent.execution.feeding import Feeding
from armonik_agent.execution.owned_run import OwnedRun
from armonik_agent.execution.settlement import Settlement
from armonik_agent.execution.sharing import Sharing, desired_states
from armonik_agent.execution.splitting import RUN_SECONDS
from armonik_agent.executors.executor import Batch, BrokenCall, ElementEnd, Executor
from armonik_agent.executors.verdict import Disposition
from armonik_agent.journal.run_writer import RunWriter
from armonik_agent.journal.transitions import Change, asked_to_cancel, cancelled, progressed, released
from armonik_agent.queue.slots import wait_any
from armonik_agent.util.supervision import supervised
from armonik_agent.util.tasks import stop
from armonik_agent.worker.client import WORKER_SECONDS
from armonik_sdk.api.names import WORKER_DOWN
from armonik_sdk.api.ranges import Ranges
from armonik_sdk.api.records import DesiredState, Lost, Record
from armonik_sdk.backoff import doubled
from armonik_sdk.dataplane.errors import QueueUnavailable, StoreUnavailable

log = logging.getLogger(__name__)

STORE_DELAY = 5.0
"""Seconds until a run that was released because of the object store is tried again; doubled each time."""
MAX_STORE_DELAY = 300.0
LOST_DELAY = 5.0
"""Seconds until a run is dispatched again that was given up with its pod: the operator knows then why."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE)
"""Errors of a pod's that no other element of it escapes."""
_STOPPED = (DesiredState.CANCELLED, DesiredState.PURGED, DesiredState.DELETED)
URGENT_SECONDS = 0.5
"""Between two looks whether something more urgent waits."""


class RunExecution:
    """One owned run at the worker: `execute` needs the worker, `finish` does not."""

    def __init__(self, site: AgentContext, owned: OwnedRun, committer: RunWriter, executor: Executor) -> None:
        self._active = active = ActiveRun(site, owned, committer, executor)
        self._site, self._owned, self._committer, self._executor = site, owned, committer, executor
        self._run, self._pace = owned.run, owned.slot.pace
        self._backlog, self._buffer = active.backlog, active.buffer
        self._settlement = Settlement(active)
        self._sharing = Sharing(active)
        self._feeding = Feeding(active, self._settlement, self._sharing)

    async def execute(self) -> None:
        """Execute what is left, until it has ended or the run has to stop.

        Raises:
            Fenced: the run is no longer this process's; nothing more may be done for it.
        """
        watches = (self._watch_control, self._watch_drain, self._watch_time, self._watch_urgent)
        watchers = [asyncio.create_task(supervised(self._run.journal, watch)) for watch in watches]
        try:
            await self._heeding(self._execute_all())
            await self._heeding(self._execute_rest())
        finally:
            if self._executor.busy:  # something else has broken off the run
                self._executor.interrupt()
            await stop(*watchers)
        if self._active.stop is Stop.FENCED:
            await self._buffer.drop()
            raise Fenced(f"run {self._run.journal} was taken over while it was executed")

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
            log.warning("run %s is to be released: %s", self._run.journal, error)
            self._active.stop = Stop.STORE
        if self._active.stop is Stop.CANCEL:
            return await self._buffer.end(cancelled)
        uncharged = self._active.uncharged
        uncharged.intersection_update(self._committer.head.remaining)
        lost, until = self._lost(), 0.0
        running = next(iter(uncharged)) if len(uncharged) == 1 else None
        if self._active.stop is Stop.STORE:
            delay = doubled(STORE_DELAY, MAX_STORE_DELAY, self._committer.head.takeovers + 1)
            until = self._site.clock.now() + delay
        elif lost is not None:
            until = self._site.clock.now() + LOST_DELAY
        elif self._active.stop in (Stop.FAILURES, Stop.LOCAL) and self._backlog.waits:
            until, _ = self._backlog.next_retry(self._committer.head)
        return await self._buffer.end(lambda head, change: released(head, change, until, lost, running))

    def _lost(self) -> Lost | None:
        """What the next owner has to account for."""
        if self._buffer.dropped:
            return Lost(why="the object store did not take what was made", store=True)
        if not self._active.uncharged:
            return None
        me, stop = self._site.me, self._active.stop or Stop.WORKER
        why = "the pod had to end" if stop is Stop.DRAIN else stop.value
        return Lost(why=f"{why} ({me.name or me.pod})", pod=me.pod)

    async def _execute_all(self) -> None:
        try:
            while await self._may_continue():
                await self._step()
        except BaseException:
            self._executor.abandon()
            raise

    async def _execute_rest(self) -> None:
        """The run stops: wait for what the worker still has."""
        while self._executor.busy:
            await self._step()

    async def _step(self) -> None:
        """Give the worker what it may have; wait until something has ended, and settle it."""
        self._pace.begin(len(self._backlog.left) + len(self._executor.in_flight))
        started = time.monotonic()
        await self._feeding.feed()
        if not self._executor.busy:
            return
        self._settlement.current = self._executor.current
        batch = await self._executor.wait()
        await self._settle(batch)
        if batch.ended or batch.returned:
            self._pace.end(time.monotonic() - started, len(batch.ended))

    async def _settle(self, batch: Batch) -> None:
        """Keep, charge or put back what the worker reports."""
        failures = self._active.failures
        completed = all(end.result.ending is Disposition.COMPLETED for end in batch.ended)
        if batch.ended and completed and not self._executor.in_flight and batch.broken is None:
            self._settlement.current = batch.ended[0].element
            await self._feeding.feed_ahead()
        for end in batch.ended:
            await self._settle_one(end)
        if batch.returned:
            head = self._committer.head
            over = {*head.ended, *asked_to_cancel(head)}
            self._backlog.left.extend(index for index in batch.returned if index not in over)
        if batch.broken is not None:
            await self._settle_broken(batch.broken)
        if self._active.failures >= FAILURES_HERE > failures:
            await self._executor.recall(self._executor.in_flight)

    async def _settle_one(self, end: ElementEnd) -> None:
        element, result = end.element, end.result
        self._settlement.current = element
        if result.ending is Disposition.INTERRUPTED:
            await self._settle_interrupted(end)
            return
        self._site.metrics.seconds.observe(end.seconds)
        if result.ending is Disposition.COMPLETED:
            result = await self._settlement.succeed(element, end.produced, end.seconds, end.printed)
        for name in end.leftovers:
            self._owned.folder.remove(name)
        if result.ending is Disposition.FAILED:
            self._settlement.fail(element, result.text, result.detail, end.printed)
        elif result.ending is Disposition.FINAL:
            self._settlement.end(element, result, end.seconds, end.printed)
        self._settlement.current = None
        if result.worker_busy:
            await self._buffer.commit()
            await self._active.condemn(result.text)

    async def _settle_interrupted(self, end: ElementEnd) -> None:
        """A worker that does not notice that its call was cancelled is replaced, after the commit."""
        if self._active.stop is not None and self._active.stop is not Stop.CANCEL:
            self._active.uncharged.add(end.element.index)
        if not end.result.worker_busy or self._active.stop is Stop.DRAIN:
            return
        if self._active.stop is None:
            self._buffer.add(Change())  # the head names what has ended; there is a commit to make of it
            await self._buffer.commit()
        elif self._active.stop is Stop.CANCEL:
            await self.finish()
        await self._active.condemn((self._active.stop or Stop.CANCEL).value)

    async def _settle_broken(self, broken: BrokenCall) -> None:
        """The worker is gone, or does not keep to what was agreed.

        Nobody knows which element it was, so nobody is charged, and the rest is executed with care: then it
        is known and charged (protocol rules 5 and 16), and a worker that is still there is replaced.
        """
        log.warning("the worker broke off the call of run %s: %s", self._run.journal, broken.text)
        indexes = [element.index for element in broken.elements]
        if self._active.stop is not None:
            self._active.uncharged.update(indexes[:1])
        elif broken.unserved:
            self._active.stop = Stop.WORKER  # another worker, which takes elements: it is given the run anew
        elif self._active.careful and indexes:
            self._settlement.fail(broken.elements[0], broken.text)
            if broken.breach:
                await self._buffer.commit()
                await self._active.condemn(broken.text)
        else:
            self._backlog.put_back(indexes)
            self._active.uncharged.update(indexes)
            self._active.careful = True

    async def _heeding(self, work: Awaitable[None]) -> None:
        """Stop the run when it cannot be kept, or is another's."""
        try:
            await work
        except StoreUnavailable as error:
            log.warning("run %s stops: %s", self._run.journal, error)
            self._active.stop = Stop.STORE
        except Fenced:
            self._active.interrupt(Stop.FENCED)
            self._active.stop = Stop.FENCED
        except Exception as error:  # whatever it is, the executions that it costs are bounded
            log.exception("run %s stops", self._run.journal)
            await self._local(error)

    async def _local(self, error: Exception) -> None:
        """An error of the agent's own: charge the element it came with, keep what has ended."""
        self._active.interrupt(Stop.LOCAL)
        text = f"the agent failed: {type(error).__name__}: {error}"
        if self._settlement.current is not None:
            self._settlement.fail(self._settlement.current, text)
        else:
            # What of them was lost is not known.
            self._active.uncharged.update(self._committer.head.remaining)
        if isinstance(error, OSError) and error.errno in _FULL:
            await self._active.condemn(text)

    async def _may_continue(self) -> bool:
        """Whether there is something to give or to wait for; waits for a retry, for NATS, for the worker."""
        while self._active.stop is None:
            if self._executor.busy:
                await self._buffer.go_on()
                self._backlog.compare(self._committer.head)
                return True
            if self._site.drain.begun.is_set():
                self._active.stop = Stop.DRAIN
            elif self._active.gives_way:
                self._active.gives_way = await self._site.outranked(self._owned.band)
                self._active.stop = Stop.URGENT if self._active.gives_way else None
            elif self._active.failures >= FAILURES_HERE:
                self._active.stop = Stop.FAILURES
            elif self._active.cut_off:
                log.warning("run %s waits for NATS", self._run.journal)
                await wait_any(self._site.connection.present, self._active.stopped, self._site.drain.begun)
            elif self._active.head_is_due:
                await self._committer.refresh()
                self._owned.lease.settled()
            elif self._backlog.empty:
                return False
            elif not await self._worker_back():
                await self._site.publish_event(WORKER_DOWN, f"not back {WORKER_SECONDS:g} s after it failed")
                self._active.stop = Stop.WORKER
            else:
                await self._buffer.go_on()
                self._backlog.compare(self._committer.head)
                if self._backlog.left:
                    return True
                await self._wait_for_retry()
        return False

    async def _wait_for_retry(self) -> None:
        """Journal the failed attempts, then let the back-off of the first one pass (protocol rule 5)."""
        await self._buffer.commit()
        self._backlog.compare(self._committer.head)
        if not self._backlog.retries:
            return
        until, index = self._backlog.next_retry(self._committer.head)
        seconds = until - self._site.clock.now()
        if seconds > 0:
            await wait_any(self._active.stopped, self._site.drain.begun, seconds=seconds)
        else:
            self._backlog.retry(index)

    async def _worker_back(self) -> bool:
        """A worker that other slots keep busy is not asked."""
        return bool(self._site.service.executions) or await self._site.worker.usable(WORKER_SECONDS)

    async def _watch_drain(self) -> None:
        await self._site.drain.begun.wait()
        await self._executor.recall(self._executor.in_flight)
        await self._site.drain.overdue()
        self._active.interrupt(Stop.DRAIN)

    async def _watch_control(self) -> None:
        """Stop when the session or task is cancelled, or an operator's note names the element."""
        while True:
            await changed(self._owned.news)
            try:
                if any(state in _STOPPED for state in await desired_states(self._site, self._run)):
                    self._active.interrupt(Stop.CANCEL)
                    return
                await self._committer.refresh()
                await self._heed_note()
            except (QueueUnavailable, StoreUnavailable) as error:
                log.info("desired state of run %s not read: %s", self._run.journal, error)
            except Fenced:
                self._active.interrupt(Stop.FENCED)
                return

    async def _heed_note(self) -> None:
        """End the elements that an operator's note names; the others continue."""
        head = self._committer.head
        named = Ranges.parse(head.cancel)
        if await self._executor.stop([index for index in self._executor.in_flight if index in named]):
            return  # what it reports is committed
        if asked_to_cancel(head):
            await self._committer.append(lambda head: progressed(head, Change(running=head.running)))

    async def _watch_time(self) -> None:
        """While an element takes long, commit what has ended, and give the tail away (protocol rule 6)."""
        while True:
            await asyncio.sleep(RUN_SECONDS)
            self._buffer.begin()
            try:
                if self._active.stop is None:
                    await self._sharing.share()
            except (QueueUnavailable, StoreUnavailable) as error:
                log.info("run %s is not shared: %s", self._run.journal, error)
            except Fenced:
                self._active.interrupt(Stop.FENCED)
                return

    async def _watch_urgent(self) -> None:
        """Give way between two elements when something more urgent waits (protocol rule 18)."""
        while True:
            await asyncio.sleep(URGENT_SECONDS)
            more = self._backlog.left or self._active.behind
            if more and not self._active.gives_way and await self._site.outranked(self._owned.band):
                self._active.gives_way = True
                await self._executor.recall(self._active.behind)
