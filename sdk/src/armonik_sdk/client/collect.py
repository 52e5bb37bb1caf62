"""All results of a Task, read run by run as they are committed, with bounded memory.

What is kept for the whole Task is one byte an element and a number a run; entries are read a few runs at a
time, data a few megabytes at a time.
"""

import asyncio
import heapq
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from armonik_sdk.api.names import result_id
from armonik_sdk.api.records import Outcome, RunResults
from armonik_sdk.client.deadline import Deadline
from armonik_sdk.client.errors import ResultAborted
from armonik_sdk.client.link import Link, News
from armonik_sdk.client.resolve import Found, Undecided, of_outcome, plan_reads

Order = Literal["completion", "index"]
"""As they come, or by index."""
Item = tuple[int, bytes]
"""Index of the element, and its output."""
Located = tuple[int, "Found | Undecided | ResultAborted"]
"""Index of the element, and where its output is or why not; HANDED where a sub-task shall make it."""

Changed = dict[int, bytes | None]
"""Runs by first element, with their entries if these were told."""

RUNS_AT_ONCE: Final = 32
"""Runs whose entries are read together."""
CHUNK_BYTES: Final = 8 * 1024 * 1024
"""Most bytes of results in memory beside those in the caller's hands, but for a single larger result."""
FIRST_LOOK_SECONDS: Final = 0.1
"""How long a wait trusts in being told; then it looks itself, and four times as long after each look in vain.

Short at first: what was published while the subscription was made is told to nobody.
"""
FRESH_LOOK_SECONDS: Final = 0.25
"""The same for what was made so short a time ago that it can hardly be there: no look comes before."""
MOST_LOOK_SECONDS: Final = 16.0
ASK_SECONDS: Final = 1.0
"""A wait that trusts so long asks the apiserver as well whether the Task has ended."""


@dataclass(frozen=True)
class Wanted:
    """One output of all elements of a Task."""

    task: str
    """UID."""
    prefix: str
    """Of the keys of its runs in RESULTS; what follows is the index of a run's first element."""
    total: int
    output: str

    def id(self, index: int) -> str:
        """Id of the element's result."""
        return result_id(self.task, index, self.output)


@dataclass(frozen=True)
class Owner:
    """What is asked about the Task itself."""

    finished: Callable[[], Awaitable[bool]]
    aborted: Callable[[str], Awaitable[ResultAborted]]
    """Why the finished Task has no such result."""
    handed: Callable[[int], Awaitable[bytes]]
    """Waits for an output that the element handed to a sub-task."""


@dataclass(frozen=True)
class Patience:
    """How long to trust in being told."""

    seconds: float = FIRST_LOOK_SECONDS

    @classmethod
    def of(cls, *, fresh: bool) -> "Patience":
        """At first."""
        return cls(FRESH_LOOK_SECONDS if fresh else FIRST_LOOK_SECONDS)

    @property
    def asks(self) -> bool:
        """Whether the apiserver is asked as well."""
        return self.seconds >= ASK_SECONDS

    def longer(self) -> "Patience":
        """After a look in vain."""
        return Patience(min(MOST_LOOK_SECONDS, 4 * self.seconds))


class Tally:
    """Which elements were taken."""

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
        return fresh

    def unfinished(self, runs: Changed) -> Changed:
        """Those that may have more."""
        return {start: content for start, content in runs.items() if start not in self._done}

    @property
    def missing(self) -> int:
        """The first element that was not taken."""
        return self._taken.find(0)


class Looking:
    """Waits for news of the Task's runs, and looks itself when there are none."""

    def __init__(
        self, link: Link, wanted: Wanted, owner: Owner, news: News, deadline: Deadline, *, fresh: bool
    ) -> None:
        self._link, self._wanted, self._owner = link, wanted, owner
        self._news, self._deadline = news, deadline
        self._fresh, self._patience = fresh, Patience.of(fresh=fresh)
        self._finished = False

    async def first(self) -> Changed:
        """Runs that have an entry; none, unseen, of a Task submitted a moment ago."""
        return {} if self._fresh else await self.all()

    async def all(self) -> Changed:
        """All runs that have an entry."""
        return {self._start(key): None for key in await self._link.run_keys(f"{self._wanted.prefix}*")}

    async def changed(self, missing: int) -> Changed:
        """Runs that changed, or all that there are.

        Raises:
            ResultAborted: the Task has finished without the output of element `missing`.
            WaitTimeout: the time is over.
        """
        if self._finished:
            raise await self._owner.aborted(self._wanted.id(missing))
        seconds = self._deadline.left(self._patience.seconds, f"results of task {self._wanted.task}")
        if changed := await self._news.next(seconds):
            self._patience = Patience(ASK_SECONDS)
            return {self._start(key): content for key, content in changed.items()}
        if self._patience.asks:
            self._finished = await self._owner.finished()
        self._patience = self._patience.longer()
        return await self.all()

    async def runs(self, starts: Changed) -> dict[int, RunResults]:
        """The entries of these runs, by first element."""
        prefix = self._wanted.prefix
        found = await self._link.runs({f"{prefix}{start}": content for start, content in starts.items()})
        return {self._start(key): run for key, run in found.items()}

    def _start(self, key: str) -> int:
        return int(key.removeprefix(self._wanted.prefix))


async def collect(
    link: Link, wanted: Wanted, owner: Owner, order: Order, deadline: Deadline, *, fresh: bool = False
) -> AsyncIterator[Item]:
    """The output of every element, once.

    `fresh` says that the Task was submitted a moment ago: then its results are not looked for at once.

    Raises:
        ResultAborted: an element ended without it.
        WaitTimeout: the time is over.
    """
    async with link.news(f"{wanted.prefix}*") as news:
        looking = Looking(link, wanted, owner, news, deadline, fresh=fresh)
        found = _by_index(looking, wanted) if order == "index" else _by_completion(looking, wanted)
        late: list[int] = []
        async for located in found:
            for chunk in chunks(located):
                data = await _read(link, chunk)
                for index, place in chunk:
                    if isinstance(place, ResultAborted):
                        raise place
                    if isinstance(place, Found):
                        yield index, data.pop(index)
                    elif order == "index":
                        yield index, await owner.handed(index)
                    else:
                        late.append(index)
    for index in late:
        yield index, await owner.handed(index)


async def _by_completion(looking: Looking, wanted: Wanted) -> AsyncIterator[list[Located]]:
    tally = Tally(wanted.total)
    waiting = await looking.first()
    while tally.left:
        if not waiting:
            waiting = tally.unfinished(await looking.changed(tally.missing))
            continue
        batch = dict(waiting.popitem() for _ in range(min(RUNS_AT_ONCE, len(waiting))))
        located: list[Located] = []
        for start, run in (await looking.runs(batch)).items():
            located += _locate(wanted, run, tally.take(start, run))
        located.sort(key=lambda entry: isinstance(entry[1], ResultAborted))  # what there is comes first
        yield located


async def _by_index(looking: Looking, wanted: Wanted) -> AsyncIterator[list[Located]]:
    """Runs stand side by side, so the next one begins where the last one ends.

    Its end is believed when it is done, not before: it may give its tail away until then.
    """
    start, index = 0, 0
    known = await looking.first()
    while index < wanted.total:
        if start not in known:
            known |= await looking.changed(index)
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
            located += _locate(wanted, run, ready)
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


def _locate(wanted: Wanted, run: RunResults, outcomes: Iterable[Outcome]) -> list[Located]:
    located: list[Located] = []
    for outcome in outcomes:
        try:
            place = of_outcome(wanted.id(outcome.index), wanted.output, outcome, run)
        except ResultAborted as aborted:
            located.append((outcome.index, aborted))
        else:
            located.append((outcome.index, place))
    return located


def chunks(located: Iterable[Located], most: int = CHUNK_BYTES) -> Iterator[list[Located]]:
    """The same in the same order, in parts of at most so many bytes, or of one result that is longer."""
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


async def _read(link: Link, chunk: Iterable[Located]) -> dict[int, bytes]:
    places = [(index, found.place) for index, found in chunk if isinstance(found, Found)]
    data = {index: place for index, place in places if isinstance(place, bytes)}
    reads = plan_reads((index, place) for index, place in places if not isinstance(place, bytes))
    for read, got in zip(reads, await asyncio.gather(*(link.get(r.span) for r in reads)), strict=True):
        data |= read.split(got)
    return data
