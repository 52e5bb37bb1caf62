"""Runs the elements of a local grid: by priority, a fixed number at a time, again when an execution fails."""

import asyncio
import contextlib
import heapq
import itertools
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from armonik_sdk.api.const import FailureReason
from armonik_sdk.api.kinds import SessionState
from armonik_sdk.client.errors import ClientError
from armonik_sdk.grid.local.inline import Inline
from armonik_sdk.grid.local.processes import Processes
from armonik_sdk.grid.local.task import MAX_RETRIES, READY, RUNNING, LocalTask, Work, frame_of, joined
from armonik_sdk.grid.protocol import Failure

if TYPE_CHECKING:
    from armonik_sdk.grid.local.session import LocalSession

log = logging.getLogger(__name__)

PRIORITY: Final = 1
RUN: Final = 64
"""Elements at most that an executor is given at a time, where many wait."""


class Scheduler:
    """Gives ready elements to executors."""

    def __init__(self, processes: Processes | Inline, workers: int) -> None:
        self.processes, self.workers = processes, workers
        self._ready: list[tuple[int, int, Work]] = []
        self._paused: list[tuple[int, int, Work]] = []
        self._numbers = itertools.count()
        self._running: set[asyncio.Task[None]] = set()

    def queue(self, work: Work) -> None:
        """An element may run."""
        priority = work.task.options.priority or PRIORITY
        heapq.heappush(self._ready, (-priority, next(self._numbers), work))
        self._dispatch()

    def wake(self) -> None:
        """A session's state has changed."""
        for entry in self._paused:
            heapq.heappush(self._ready, entry)
        self._paused.clear()
        self._dispatch()

    async def close(self) -> None:
        """End what runs."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _dispatch(self) -> None:
        while self._ready and len(self._running) < self.workers:
            batch = self._take()
            if not batch:
                return
            running = asyncio.get_running_loop().create_task(self._run(batch))
            self._running.add(running)
            running.add_done_callback(self._done)

    def _take(self) -> list[Work]:
        """The next element, and where many wait, those of its Task that follow it."""
        most = max(1, min(RUN, len(self._ready) // (4 * self.workers)))
        batch: list[Work] = []
        while self._ready and len(batch) < most:
            work = self._ready[0][2]
            if batch and (work.task is not batch[0].task or work.task.items[work.index].options is not None):
                break
            entry = heapq.heappop(self._ready)
            if work.state != READY or work.task.ended[work.index] is not None:
                continue
            if work.task.session.state is SessionState.PAUSED:
                self._paused.append(entry)
                continue
            work.state = RUNNING
            batch.append(work)
            if work.task.items[work.index].options is not None:
                break
        return batch

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("elements of the local grid were not executed", exc_info=error)
        self._dispatch()

    async def _run(self, batch: list[Work]) -> None:
        """One execution of each, and what follows from it."""
        begun: dict[int, Work] = {}
        frames: list[tuple[dict[str, Any], list[memoryview]]] = []
        for work in batch:
            work.attempts += 1
            session = work.task.session
            try:
                given: dict[str, bytes | Path] = {need: session.store.place(need) for need in work.needs}
            except ClientError as error:
                session.fail(work, Failure(FailureReason.INPUT_MISSING, str(error), work.attempts))
                continue
            begun[work.index] = work
            frames.append(frame_of(work, given, work.task.items[work.index]))
        if not begun:
            return
        run = self.processes.run(*joined(frames))
        for work in begun.values():
            work.run = run
            if work.stopped:
                run.stop(work.index)
        async with contextlib.aclosing(run.ended()) as ended:
            async for entry, blobs in ended:
                work = begun[entry["index"]]
                work.run = None
                self._settle(work, work.task.session, entry, blobs)

    def _settle(
        self, work: Work, session: "LocalSession", entry: dict[str, Any], blobs: list[memoryview]
    ) -> None:
        detail = entry.get("detail")
        error = bytes(blobs[detail]) if isinstance(detail, int) else None
        printed = bytes(blobs[entry["printed"]]) if "printed" in entry else None
        limit = retries_of(work.task)
        if "outputs" in entry:
            session.succeed(work, entry, blobs)
        elif "error" in entry:
            said = Failure(FailureReason.WORKER_ERROR, entry["error"], work.attempts, error, printed)
            session.fail(work, said)
        elif entry.get("timeout"):
            seconds = work.task.options.max_duration_seconds
            text, reason = f"it took longer than {seconds} s", FailureReason.MAX_DURATION_EXCEEDED
            session.fail(work, Failure(reason, text, work.attempts, printed=printed))
        elif entry.get("skipped") or work.stopped:
            session.fail(work, Failure(FailureReason.CANCELLED, "it was cancelled", work.attempts))
        elif work.attempts <= limit and session.state in (SessionState.RUNNING, SessionState.PAUSED):
            work.state = READY
            self.queue(work)
        else:
            reason = FailureReason.ATTEMPTS_EXHAUSTED
            said = Failure(reason, entry["failed"], work.attempts, error, printed)
            session.fail(work, said)


def retries_of(task: LocalTask) -> int:
    """How often an execution that failed is tried again."""
    return MAX_RETRIES if task.options.max_retries is None else task.options.max_retries
