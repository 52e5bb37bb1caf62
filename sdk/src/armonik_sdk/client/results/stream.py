"""All results of a Task, read run by run as they are committed, with bounded memory.

What is kept for the whole Task is one byte an element and a number a run; entries are read a few runs at a
time, data a few megabytes at a time.
"""

import asyncio
import heapq
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from armonik_sdk.api.records import Outcome
from armonik_sdk.api.results import RunResults
from armonik_sdk.client.deadline import Deadline
from armonik_sdk.client.errors import ResultAborted
from armonik_sdk.client.results.location import Found, Undecided, of_outcome, plan_reads
from armonik_sdk.client.results.task_source import FRESH_SECONDS, TaskSource
from armonik_sdk.client.transport.data_plane import DataPlane
from armonik_sdk.client.transport.result_updates import ResultUpdates

Order = Literal["completion", "index"]
"""As they come, or by index."""
Item = tuple[int, bytes]
"""Index of the element, and its output."""
Located = tuple[int, "Found | Undecided | ResultAborted"]
"""Index of the element, and where its output is or why not; DELEGATED where a sub-task makes it."""

Changed = dict[int, bytes | None]
"""Runs by first element, with their entries if these were published."""

RUNS_AT_ONCE: Final = 32
"""Runs whose entries are read together."""
CHUNK_BYTES: Final = 8 * 1024 * 1024
"""Most bytes of results in memory beside those in the caller's hands, but for a single larger result."""
FIRST_LOOK_SECONDS: Final = 0.1
"""Seconds a wait relies on notifications before it reads itself; four times as long after each vain read.

Short at first: what was published while the subscription was made is not delivered.
"""
MOST_LOOK_SECONDS: Final = 16.0
ASK_SECONDS: Final = 1.0
"""Seconds between two reads from which on a wait asks the apiserver too whether the Task has ended."""


@dataclass(frozen=True)
class PollBackoff:
    """How long to rely on notifications before reading again."""

    seconds: float = FIRST_LOOK_SECONDS

    @classmethod
    def of(cls, *, fresh: bool) -> "PollBackoff":
        """At first."""
        return cls(FRESH_SECONDS if fresh else FIRST_LOOK_SECONDS)

    @property
    def asks(self) -> bool:
        """Whether the apiserver is asked as well."""
        return self.seconds >= ASK_SECONDS

    def longer(self) -> "PollBackoff":
        """After a look that found nothing new."""
        return PollBackoff(min(MOST_LOOK_SECONDS, 4 * self.seconds))


class SeenElements:
    """The elements whose outcome was taken."""

    def __init__(self, total: int) -> None:
        self._taken = bytearray(total)
        self._done: set[int] = set()
        self.left = total
        """Elements not taken."""

    def take(self, start: int, run: RunResults) -> list[Outcome]:
        """Outcomes of the run that were not taken before, marked now."""
        fresh = [outcome for outcome in run.outcomes if not self._taken[outcome.index]]
        for outcome in fresh:
            self._taken[outcome.index] = 1
        self.left -= len(fresh)
        if run.done:
            self._done.add(start)
        untaken = self._taken.find(0, start, run.end)
        if untaken >= 0 and (first := run.unexecuted(untaken)) is not None:
            fresh.append(first)  # one is enough: none of them has a result
        return fresh

    def unfinished(self, runs: Changed) -> Changed:
        """Those that may have more."""
        return {start: content for start, content in runs.items() if start not in self._done}

    @property
    def missing(self) -> int:
        """The first element that was not taken."""
        return self._taken.find(0)


class RunPoller:
    """Waits for notifications of the Task's runs, and reads itself when there are none."""

    def __init__(
        self,
        link: DataPlane,
        source: TaskSource,
        prefix: str,
        news: ResultUpdates,
        deadline: Deadline,
        *,
        fresh: bool,
    ) -> None:
        self._link, self._source, self._prefix = link, source, prefix
        self._news, self._deadline = news, deadline
        self._fresh, self._patience = fresh, PollBackoff.of(fresh=fresh)
        self._finished = False

    async def first(self) -> Changed:
        """Runs that have an entry; none, unseen, of a Task submitted a moment ago."""
        return {} if self._fresh else await self.all()

    async def all(self) -> Changed:
        """All runs that have an entry."""
        return {self._start(key): None for key in await self._link.run_keys(f"{self._prefix}*")}

    async def changed(self, missing: str) -> Changed:
        """Runs that changed, or all that there are.

        Raises:
            ResultAborted: the Task has finished without the result `missing`.
            WaitTimeout: the time is over.
        """
        if self._finished:
            raise await self._source.aborted(missing)
        seconds = self._deadline.left(self._patience.seconds, f"results of task {self._source.task}")
        if changed := await self._news.next(seconds):
            self._patience = PollBackoff(ASK_SECONDS)
            return {self._start(key): content for key, content in changed.items()}
        if self._patience.asks:
            self._finished = await self._source.over()
        self._patience = self._patience.longer()
        return await self.all()

    async def runs(self, starts: Changed) -> dict[int, RunResults]:
        """The entries of these runs, by first element."""
        keys = {f"{self._prefix}{start}": content for start, content in starts.items()}
        found = await self._link.runs(keys)
        return {self._start(key): run for key, run in found.items()}

    def _start(self, key: str) -> int:
        return int(key.removeprefix(self._prefix))


async def collect(
    source: TaskSource,
    output: str,
    order: Order,
    deadline: Deadline,
    handed: Callable[[int], Awaitable[bytes]],
) -> AsyncIterator[Item]:
    """The output of every element, once.

    `handed` waits for the output of an element that handed it to a sub-task.

    Raises:
        ResultAborted: an element ended without it.
        WaitTimeout: the time is over.
    """
    link = await source.connection.link()
    late: list[int] = []
    async for located in located_outputs(source, output, order, deadline):
        for chunk in chunks(located):
            data = await read_located(link, chunk)
            for index, place in chunk:
                if isinstance(place, ResultAborted):
                    raise place
                if isinstance(place, Found):
                    yield index, data.pop(index)
                elif order == "index":
                    yield index, await handed(index)
                else:
                    late.append(index)
    for index in late:
        yield index, await handed(index)


async def located_outputs(
    source: TaskSource, output: str, order: Order, deadline: Deadline
) -> AsyncIterator[list[Located]]:
    """Where the output of every element is, or why it has none; each element once.

    Raises:
        ResultAborted: the Task has finished without the output of some element.
        WaitTimeout: the time is over.
    """
    link, prefix = await source.connection.link(), await source.runs_prefix()
    fresh = source.fresh
    async with link.news(f"{prefix}*") as news:
        looking = RunPoller(link, source, prefix, news, deadline, fresh=fresh)
        walk = _by_index if order == "index" else _by_completion
        async for located in walk(looking, source, output):
            yield located


async def _by_completion(looking: RunPoller, source: TaskSource, output: str) -> AsyncIterator[list[Located]]:
    tally = SeenElements(source.total)
    waiting = await looking.first()
    while tally.left:
        if not waiting:
            waiting = tally.unfinished(await looking.changed(source.id(tally.missing, output)))
            continue
        batch = dict(waiting.popitem() for _ in range(min(RUNS_AT_ONCE, len(waiting))))
        located: list[Located] = []
        for start, run in (await looking.runs(batch)).items():
            located += locate_outcomes(source, output, run, tally.take(start, run))
        located.sort(key=lambda entry: isinstance(entry[1], ResultAborted))  # results before errors
        yield located


async def _by_index(looking: RunPoller, source: TaskSource, output: str) -> AsyncIterator[list[Located]]:
    """Runs are contiguous, so the next one begins where the last one ends.

    Its end is believed when it is done, not before: it may give its tail away until then.
    """
    start, index = 0, 0
    known = await looking.first()
    while index < source.total:
        if start not in known:
            known |= await looking.changed(source.id(index, output))
            continue
        known = {at: content for at, content in known.items() if at >= start}
        batch = heapq.nsmallest(RUNS_AT_ONCE, known)
        runs = await looking.runs({at: known[at] for at in batch})
        located: list[Located] = []
        for at in batch:
            if at != start:
                break
            del known[at]
            if (run := runs.get(at)) is None:
                break
            ready = in_line(run.outcomes, index)
            if not ready and (unexecuted := run.unexecuted(index)) is not None:
                ready = [unexecuted]
            located += locate_outcomes(source, output, run, ready)
            index += len(ready)
            if not run.done or index < run.end:
                break
            start = run.end
        yield located


def in_line(outcomes: Iterable[Outcome], index: int) -> list[Outcome]:
    """Those from this index on, without a gap."""
    line: list[Outcome] = []
    for outcome in sorted(outcomes, key=lambda outcome: outcome.index):
        if outcome.index == index + len(line):
            line.append(outcome)
    return line


def locate_outcomes(
    source: TaskSource, output: str, run: RunResults, outcomes: Iterable[Outcome]
) -> list[Located]:
    """Where this output is of these elements of a run, or why it is not there."""
    located: list[Located] = []
    for outcome in outcomes:
        try:
            place = of_outcome(source.id(outcome.index, output), output, outcome, run)
        except ResultAborted as aborted:
            aborted.attempts = outcome.attempts
            aborted.error = run.ref(outcome.error) if outcome.error is not None else None
            aborted.printed = run.ref(outcome.printed) if outcome.printed is not None else None
            located.append((outcome.index, aborted))
        else:
            located.append((outcome.index, place))
    return located


def chunks(located: Iterable[Located], most: int = CHUNK_BYTES) -> Iterator[list[Located]]:
    """The same in the same order, in parts of at most `most` bytes, or of one result that is longer."""
    part: list[Located] = []
    size = 0
    for index, place in located:
        length = place.length if isinstance(place, Found) else 0
        if part and size + length > most:
            yield part
            part, size = [], 0
        part.append((index, place))
        size += length
    if part:
        yield part


async def read_located(link: DataPlane, chunk: Iterable[Located]) -> dict[int, bytes]:
    """The bytes of these outputs, neighbours in one request."""
    places = [(index, found.place) for index, found in chunk if isinstance(found, Found)]
    data = {index: place for index, place in places if isinstance(place, bytes)}
    reads = plan_reads((index, place) for index, place in places if not isinstance(place, bytes))
    for read, got in zip(reads, await asyncio.gather(*(link.get(r.span) for r in reads)), strict=True):
        data |= read.split(got)
    return data
