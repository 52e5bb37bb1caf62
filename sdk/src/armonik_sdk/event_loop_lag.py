"""Measures the lag of the event loop: a callback may hold it for 50 ms at most.

A task measures by how much its own wake-ups are late, without the time for which the thread could run and
another process had the CPU: no handler of ours is to blame for that. A thread looks at the task from
outside, so that the log names the code that holds the loop while it does.
"""

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger(__name__)

_SCHEDSTAT = Path("/proc/thread-self/schedstat")
LIMIT = 0.05
"""Seconds for which nothing may hold the loop."""
INTERVAL = 0.2
"""Seconds between two wake-ups while the process works. Each costs 0.1 CPU-ms or more."""
IDLE_INTERVAL = 1.0
"""The same while it is idle, when five of them in a second and those of the thread were a third of its use.

What holds the loop for `LIMIT` computes for that long, or waits in a call that blocks. A process that has
computed no more than `WORKING` was not held by computing. One that is held again and again works by this
measure, and is measured as often as ever. A call that blocks an idle process is met less often; always if
it takes a second.
"""
WORKING = LIMIT / 2
"""Share of one CPU above which the process works: half of what one callback at the limit takes a second."""
REPORT_SECONDS = 10.0
"""Between two lines of the log about lag, at least."""
HELD = 0.5
"""Seconds by which a wake-up is late when the thread writes down what holds the loop."""
STACK_SECONDS = 60.0
"""Between two such stacks, at least."""
STACK_FRAMES = 12
LAG_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds in seconds of the histogram `armonik_event_loop_lag_seconds`."""


def next_interval(computed: float, seconds: float) -> float:
    """Seconds until the next wake-up, by the CPU time that the process took in the last ones."""
    return INTERVAL if computed > WORKING * seconds else IDLE_INTERVAL


def waited_for_cpu() -> float:
    """Seconds for which this thread could run and had no CPU, since its start; 0.0 where nobody counts it."""
    try:
        return int(_SCHEDSTAT.read_bytes().split()[1]) / 1e9  # the kernel's sched-stats.rst: in nanoseconds
    except (OSError, ValueError, IndexError):
        return 0.0


class LoopMonitor:
    """Measures the loop that runs it. `observe` is called with each wake-up's lateness in seconds."""

    def __init__(
        self, observe: Callable[[float], None], waited: Callable[[], float] = waited_for_cpu
    ) -> None:
        self._observe = observe
        self._waited = waited
        self._worst = 0.0
        self._late = 0
        self._reported = 0.0
        self.ticked = time.monotonic()
        """When it was last awake (monotonic)."""
        self._due = self.ticked
        """When it is to be awake next."""
        self._ended = threading.Event()
        self._stacked = 0.0

    async def run(self) -> None:
        """Measure until cancelled."""
        thread_id = threading.get_ident()
        self.ticked = self._due = time.monotonic()
        watcher = threading.Thread(target=self._watch, args=(thread_id,), name="loop-watch", daemon=True)
        watcher.start()
        try:
            interval, used, waited = INTERVAL, time.process_time(), self._waited()
            while True:
                begun = time.monotonic()
                self._due = begun + interval
                await asyncio.sleep(interval)
                self.ticked = time.monotonic()
                earlier, waited = waited, self._waited()
                self.note(max(0.0, self.ticked - self._due - (waited - earlier)), self.ticked)
                before, used = used, time.process_time()
                interval = next_interval(used - before, self.ticked - begun)
        finally:
            self._ended.set()

    def note(self, lag: float, now: float) -> None:
        """Take in one measurement; logs those above the limit, bounded."""
        self._observe(lag)
        if lag > LIMIT:
            self._late += 1
            self._worst = max(self._worst, lag)
        if self._late and now - self._reported >= REPORT_SECONDS:
            log.warning("the event loop was held %d times, at most %.3f s", self._late, self._worst)
            self._reported, self._late, self._worst = now, 0, 0.0

    def _watch(self, thread_id: int) -> None:
        while not self._ended.wait(max(HELD / 2, self._due + HELD - time.monotonic())):
            now = time.monotonic()
            held = now - self.ticked
            if now - self._due >= HELD and now - self._stacked >= STACK_SECONDS:
                self._stacked = now
                frame = sys._current_frames().get(thread_id)
                stack = "".join(traceback.format_stack(frame, STACK_FRAMES)) if frame is not None else ""
                log.warning("the event loop has been held for %.1f s by:\n%s", held, stack)
