"""The operator's access to the bucket RESULTS: compare-and-set transitions and cached reads."""

import logging
import time
from array import array
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from armonik_operator.cache.keys import JournalEntry
from armonik_operator.clients.servers import Clients
from armonik_operator.journal.fold import LISTED, RunHead, all_outcomes, unnamed
from armonik_operator.results import transitions
from armonik_operator.results.sizes import entry_bytes, run_bytes
from armonik_operator.results.transitions import Entry
from armonik_operator.util.bounded_cache import BoundedCache
from armonik_operator.util.commons import Commons
from armonik_operator.util.concurrency import gather_bounded
from armonik_sdk.api.names import RunId, TaskRef, result_key
from armonik_sdk.api.records import DataRef, Record
from armonik_sdk.api.results import ResultEntry, ResultState, RunResults
from armonik_sdk.dataplane.errors import Conflict, QueueUnavailable
from armonik_sdk.dataplane.nats.buckets import READS_AT_ONCE, Versioned
from armonik_sdk.dataplane.record_overflow import salvaged
from armonik_sdk.dataplane.result_lookup import outcome_of

log = logging.getLogger(__name__)

KEPT_ENTRIES = 48 * 1024 * 1024
"""Bytes of entries of results, about, that are kept in memory."""
KEPT_RUNS = 48 * 1024 * 1024
"""The same of entries of runs."""
KEPT_STARTS = 16 * 1024 * 1024
"""The same of first elements of runs: 8 bytes for each run of the Tasks that were asked for lately."""
FRESH = 5.0
"""Seconds for which a result that may still change is believed without asking again."""
NOTHING: Final[Versioned[ResultEntry]] = Versioned(None, 0)
AT_ONCE: Final = 1_000
"""Entries that are in memory at a time when those of a Session are looked through."""
TOGETHER: Final = 256
"""Moves that are written at once, all or none."""


class ResultName(NamedTuple):
    """Name of a result that no run implies, or that was handed to a child."""

    namespace: str
    session: str
    """UID."""
    result: str


class Transition(NamedTuple):
    """A transition of one result."""

    name: ResultName
    decide: Callable[[Entry], Entry]
    guess: Versioned[ResultEntry] | None = None
    """The probable entry, where none is cached."""


def owning(name: ResultName, task: str, index: int, former: str) -> Transition:
    """Transition: assign an unfinished result of `former` to the element that shall produce it.

    Most had no owner before.
    """
    return Transition(name, lambda now: transitions.owned(now, task, index, former), NOTHING)


def completing(name: ResultName, task: str, index: int, ref: DataRef, at: float) -> Transition:
    """Transition to Completed at `at`. A second completion is ignored (protocol rule 8)."""
    return Transition(name, lambda now: transitions.completed(now, task, index, ref, at))


def aborting(name: ResultName, task: str, index: int, reason: str) -> Transition:
    """Transition to Aborted; allowed only for the Task that owes the result."""
    return Transition(name, lambda now: transitions.aborted(now, task, index, reason))


def disowning(name: ResultName, task: str, index: int, reason: str) -> Transition:
    """Transition to Aborted for a deleted Task: a missing entry is not created again."""
    return Transition(
        name, lambda now: transitions.aborted(now, task, index, reason) if now is not None else None
    )


def merge(standing: RunResults, new: RunResults) -> RunResults | None:
    """Merge two entries of a run; None when the existing entry already says everything.

    An element keeps its first outcome and its locators (protocol rule 8), also where the new record belongs
    to a later life of the journal, whose sequences are lower.
    """
    if standing.rest is not None:
        return None  # it says of each element how it ended
    known = {outcome.index for outcome in standing.outcomes}
    fresh = [outcome for outcome in new.outcomes if outcome.index not in known]
    done = standing.done or new.done
    end = new.end if new.done else min(standing.end, new.end)  # a run may give its tail away
    if not fresh and new.rest is None and done == standing.done and end == standing.end:
        return None
    objects = standing.objects
    if new.objects[: len(objects)] == objects:  # the usual case: a later record of the same life
        objects = new.objects
    else:
        fresh = [outcome.moved(lambda place: place + len(objects)) for outcome in fresh]
        objects = (*objects, *new.objects)
    outcomes = sorted((*standing.outcomes, *fresh), key=lambda outcome: outcome.index)
    return standing.model_copy(
        update={
            "sequence": max(standing.sequence, new.sequence),
            "done": done,
            "end": end,
            "outcomes": tuple(outcomes),
            "objects": objects,
            "time": max(standing.time, new.time),
            "rest": new.rest,
        }
    )


class ResultStore:
    """Reads and writes results. `changed` is called with each result that reached another state."""

    def __init__(
        self, servers: Clients, changed: Callable[[ResultName], None], commons: Commons | None = None
    ) -> None:
        commons = commons or Commons()
        self._servers = servers
        self._changed = changed
        self._entries: BoundedCache[ResultName, tuple[Versioned[ResultEntry], float]] = BoundedCache(
            commons.pool("entries of results", KEPT_ENTRIES)
        )
        self._runs: BoundedCache[str, Versioned[RunResults]] = BoundedCache(
            commons.pool("results of runs", KEPT_RUNS)
        )
        self._starts: BoundedCache[str, Sequence[int]] = BoundedCache(
            commons.pool("first elements of runs", KEPT_STARTS)
        )

    async def entry(self, name: ResultName) -> ResultEntry | None:
        """The entry of a result; one that may still change is read again after some seconds."""
        known = self._entries.get(name)
        if known is not None and (_final(known[0].value) or time.monotonic() - known[1] < FRESH):
            return known[0].value
        found = await self._servers.results.get(result_key(*name))
        meanwhile = self._entries.get(name)
        if meanwhile is not None and meanwhile is not known:  # written by us while it was read
            return meanwhile[0].value
        return self._keep(name, Versioned(*found) if found else NOTHING)

    async def abort_all(self, namespace: str, session: str, tasks: Collection[str], reason: str) -> int:
        """Abort every unfinished result of a Session that one of these Tasks owes; returns their number."""
        bucket, prefix = self._servers.results, result_key(namespace, session, "")
        count = 0
        async for part in bucket.key_parts(f"{prefix}>", AT_ONCE):
            owed = [
                aborting(ResultName(namespace, session, key.removeprefix(prefix)), e.task, e.index, reason)
                for key, e in (await bucket.get_many(part)).items()
                if e.state is ResultState.CREATED and e.task in tasks
            ]
            await self.move_all(owed)
            count += len(owed)
        return count

    async def put_run(self, received: JournalEntry) -> RunResults:
        """Merge the outcomes of a run's record into its entry and return it; first outcomes win.

        Raises:
            QueueUnavailable: no answer, or the entry changed again and again meanwhile.
        """
        record, run = received.record, received.run
        new = RunResults(
            sequence=received.sequence,
            end=record.end,
            outcomes=all_outcomes(record),
            objects=record.objects,
            done=record.kind.terminal,
            rest=record.rest if len(unnamed(record)[0]) > LISTED else None,
            time=received.time.timestamp(),
        )
        known = self._runs.get(run.results)
        entry, _ = await self._servers.run_results.change(
            run.results,
            lambda now: new if now is None else merge(now, new),
            known if known is not None else Versioned(None, 0),
        )
        return self._keep_run(run.results, entry)

    async def run(self, run: RunId) -> RunResults | None:
        """The entry of a run."""
        if (known := self._runs.get(run.results)) is not None:
            return known.value
        found = await self._servers.run_results.get(run.results)
        if found is None:
            return None
        return self._keep_run(run.results, Versioned(*found))

    async def whole(self, run: RunId, record: Record) -> tuple[Record, bool]:
        """A record with the content of its manifest; if that is lost, with the entry of its run.

        Returns:
            The record, and whether something of it is lost.

        Raises:
            StoreUnavailable, QueueUnavailable: no answer.
        """
        whole, lost = await salvaged(self._servers.objects, record, run)
        kept = await self.run(run) if lost else None
        if kept is None:
            return whole, lost
        outcomes = tuple(outcome for outcome in kept.outcomes if record.start <= outcome.index < record.end)
        return whole.model_copy(update={"outcomes": outcomes, "objects": kept.objects}), True

    async def within(self, run: RunId, end: int) -> list[RunResults]:
        """Entries of the runs that begin in `[start, end)`, ascending.

        Of an element that is in several, readers take the last.
        """
        if end == run.start + 1:
            kept = await self.run(run)
            return [kept] if kept is not None else []
        keys = await self._servers.run_results.keys(run.of_task.results)
        starts = sorted(start for key in keys if run.start <= (start := int(key.rsplit(".", 1)[1])) < end)
        found = [await self.run(run._replace(start=start)) for start in starts]
        return [kept for kept in found if kept is not None]

    async def each_of_task(self, task: TaskRef) -> AsyncIterator[RunResults]:
        """All entries of runs of a Task, a few in memory at a time: one may be of megabytes."""
        bucket = self._servers.run_results
        async for part in bucket.key_parts(task.results, READS_AT_ONCE):
            for run in (await bucket.get_many(part)).values():
                yield run

    async def run_with(self, task: TaskRef, index: int, known: RunHead | None = None) -> RunResults | None:
        """The entry of the run of an element; its Task may be deleted.

        Of the one that is known, if that holds the element. Else of the last that begins before it: the
        journal may have lost how it was cut when it ended.
        """
        if known is not None:
            kept = await self.run(task.run(known.start))
            if outcome_of(kept, index) is not None:
                return kept
        if (starts := self._starts.get(task.results)) is not None:
            kept = await self._run_at(task, starts, index)
            if outcome_of(kept, index) is not None:  # outcomes are final; what says none may be old
                return kept
        return await self._run_at(task, await self._list_starts(task), index)

    async def _run_at(self, task: TaskRef, starts: Sequence[int], index: int) -> RunResults | None:
        """The entry of the last of these runs that begins at an element or before it."""
        at = bisect_right(starts, index)
        return await self.run(task.run(starts[at - 1])) if at else None

    async def _list_starts(self, task: TaskRef) -> Sequence[int]:
        """First elements of the runs of a Task, kept in memory: thousands may be looked for one by one."""
        pattern = task.results
        pages, found = self._servers.run_results.key_pages(pattern), array("q")
        while page := await pages.next():
            found.extend(int(key.rsplit(".", 1)[1]) for key in page)
        starts = array("q", sorted(found))
        self._starts.put(pattern, starts, len(starts) * starts.itemsize + len(pattern))
        return starts

    async def move(self, name: ResultName, decide: Callable[[Entry], Entry]) -> ResultEntry | None:
        """Apply a transition to an entry by compare-and-set; returns the entry after it.

        Raises:
            QueueUnavailable: no answer, or the entry changed again and again meanwhile.
        """
        belief = self._belief(name)
        entry, written = await self._servers.results.change(result_key(*name), decide, belief)
        self._moved(name, entry, written or entry != belief)
        return entry.value

    async def move_all(self, moves: Sequence[Transition]) -> dict[ResultName, ResultEntry | None]:
        """Apply transitions to many results; returns the entry of each after it.

        Transitions of cached entries are written together, all or none, in a fifth of the time of as many
        single writes. The rest, and all where that is refused, goes one by one.

        Raises:
            QueueUnavailable: as `move`.
        """
        settled: dict[ResultName, ResultEntry | None] = {}
        foreseen = list(self._foreseen(moves))
        for at in range(0, len(foreseen), TOGETHER):
            part = foreseen[at : at + TOGETHER]
            for name, kept in await self._write_together(part):
                self._moved(name, kept, True)
                settled[name] = kept.value

        async def alone(move: Transition) -> None:
            settled[move.name] = await self.move(move.name, move.decide)

        await gather_bounded(alone, [move for move in moves if move.name not in settled])
        return settled

    def _foreseen(self, moves: Iterable[Transition]) -> Iterator[tuple[ResultName, ResultEntry, int]]:
        """The new entry and the revision that it follows; once for each name."""
        seen: set[ResultName] = set()
        for name, decide, guess in moves:
            belief = self._belief(name) or guess
            wanted = decide(belief.value) if belief is not None and name not in seen else None
            if belief is not None and wanted is not None:
                seen.add(name)
                yield name, wanted, belief.revision

    async def _write_together(
        self, changes: Sequence[tuple[ResultName, ResultEntry, int]]
    ) -> list[tuple[ResultName, Versioned[ResultEntry]]]:
        """The entries after the write; empty when it was refused or got no answer."""
        try:
            revisions = await self._servers.results.update_all(
                [(result_key(*name), wanted, revision) for name, wanted, revision in changes]
            )
        except (Conflict, QueueUnavailable) as error:
            log.info("batch of %d results was not written, writing them one by one: %s", len(changes), error)
            return []
        return [
            (name, Versioned(wanted, revision))
            for (name, wanted, _), revision in zip(changes, revisions, strict=True)
        ]

    def _belief(self, name: ResultName) -> Versioned[ResultEntry] | None:
        known = self._entries.get(name)
        return known[0] if known is not None else None

    def _moved(self, name: ResultName, entry: Versioned[ResultEntry], changed: bool) -> None:
        self._keep(name, entry)
        if changed:  # or may have been, when nothing was known of it or an answer was lost
            self._changed(name)

    def _keep(self, name: ResultName, entry: Versioned[ResultEntry]) -> ResultEntry | None:
        self._entries.put(name, (entry, time.monotonic()), entry_bytes(entry.value))
        return entry.value

    def _keep_run(self, key: str, entry: Versioned[RunResults]) -> RunResults:
        assert entry.value is not None  # it was just written or read
        self._runs.put(key, entry, run_bytes(entry.value))
        return entry.value


def _final(entry: ResultEntry | None) -> bool:
    return entry is not None and entry.state is not ResultState.CREATED
