"""The bucket RESULTS as the operator works with it: compare-and-set moves, and reads that are kept."""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from armonik_operator import resultmoves
from armonik_operator.fold import RunHead, all_outcomes
from armonik_operator.resultmoves import Standing
from armonik_operator.state import Received, Servers
from armonik_operator.together import together
from armonik_sdk.api.names import RunId, result_key, results_of_task, run_before
from armonik_sdk.api.records import DataRef, Outcome, ResultEntry, ResultState, RunResults
from armonik_sdk.dataplane.errors import Conflict, QueueUnavailable
from armonik_sdk.dataplane.kv import Kept

log = logging.getLogger(__name__)

KEPT_ENTRIES = 50_000
KEPT_OUTCOMES = 20_000
FRESH = 5.0
"""Seconds for which a result that may still change is believed without asking again."""
NOTHING: Final[Kept[ResultEntry]] = Kept(None, 0)
TOGETHER: Final = 256
"""Moves that are written at once, all or none."""


class ResultName(NamedTuple):
    """A result that no run implies, or that was handed to a child."""

    namespace: str
    session: str
    """UID."""
    result: str


class Move(NamedTuple):
    """What may become of one result."""

    name: ResultName
    decide: Callable[[Standing], Standing]
    guess: Kept[ResultEntry] | None = None
    """What probably stands, where nothing is known of it."""


def owning(name: ResultName, task: str, index: int, former: str) -> Move:
    """Hand an unfinished result from `former` to the element that shall produce it.

    Most were made by nobody before.
    """
    return Move(name, lambda now: resultmoves.owned(now, task, index, former), NOTHING)


def completing(name: ResultName, task: str, index: int, ref: DataRef, at: float) -> Move:
    """The result's bytes are committed, since `at`. A second completion is ignored (protocol rule 8)."""
    return Move(name, lambda now: resultmoves.completed(now, task, index, ref, at))


def aborting(name: ResultName, task: str, index: int, reason: str) -> Move:
    """The result will never be there; only the task that owes it can say so."""
    return Move(name, lambda now: resultmoves.aborted(now, task, index, reason))


def merge(standing: RunResults, new: RunResults) -> RunResults | None:
    """What shall stand after both; None when that is what stands.

    An element keeps its first outcome and its locators (protocol step F1), also where the new record belongs
    to a later life of the journal, whose sequences are lower.
    """
    known = {outcome.index for outcome in standing.outcomes}
    fresh = [outcome for outcome in new.outcomes if outcome.index not in known]
    done = standing.done or new.done
    end = new.end if new.done else min(standing.end, new.end)  # a run may give its tail away
    if not fresh and done == standing.done and end == standing.end:
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
        }
    )


class ResultBook:
    """Reads and moves of results. `changed` is told of each result that reached another state."""

    def __init__(self, servers: Servers, changed: Callable[[ResultName], None]) -> None:
        self._servers = servers
        self._changed = changed
        self._entries: OrderedDict[ResultName, tuple[Kept[ResultEntry], float]] = OrderedDict()
        self._runs: OrderedDict[str, Kept[RunResults]] = OrderedDict()
        self._outcomes = 0

    async def entry(self, name: ResultName) -> ResultEntry | None:
        """The entry of a result; one that may still change is at most some seconds old."""
        known = self._entries.get(name)
        if known is not None and (_final(known[0].value) or time.monotonic() - known[1] < FRESH):
            return known[0].value
        found = await self._servers.results.get(result_key(*name))
        meanwhile = self._entries.get(name)
        if meanwhile is not None and meanwhile is not known:  # written by us while it was read
            return meanwhile[0].value
        return self._keep(name, Kept(*found) if found else NOTHING)

    async def abort_all(self, namespace: str, session: str, tasks: Collection[str], reason: str) -> int:
        """Abort every unfinished result of a session that one of these Tasks owes; how many they were."""
        bucket, prefix = self._servers.results, result_key(namespace, session, "")
        standing = await bucket.get_many(await bucket.keys(f"{prefix}>"))
        owed = [
            aborting(
                ResultName(namespace, session, key.removeprefix(prefix)), entry.task, entry.index, reason
            )
            for key, entry in standing.items()
            if entry.state is ResultState.CREATED and entry.task in tasks
        ]
        await self.move_all(owed)
        return len(owed)

    async def put_run(self, received: Received) -> RunResults:
        """Keep the outcomes of a run's record; what stands then, where each element has its first outcome.

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
            time=received.time.timestamp(),
        )
        known = self._runs.get(run.results)
        stands, _ = await self._servers.run_results.change(
            run.results,
            lambda now: new if now is None else merge(now, new),
            known if known is not None else Kept(None, 0),
        )
        return self._keep_run(run.results, stands)

    async def run(self, run: RunId) -> RunResults | None:
        """What is kept of a run."""
        if (known := self._runs.get(run.results)) is not None:
            return known.value
        found = await self._servers.run_results.get(run.results)
        if found is None:
            return None
        return self._keep_run(run.results, Kept(*found))

    async def within(self, run: RunId, end: int) -> list[RunResults]:
        """All that is kept of the runs that begin in `[start, end)`, ascending.

        Of an element that stands in several, readers take the last.
        """
        if end == run.start + 1:
            kept = await self.run(run)
            return [kept] if kept is not None else []
        keys = await self._servers.run_results.keys(results_of_task(run.namespace, run.session, run.task))
        starts = sorted(start for key in keys if run.start <= (start := int(key.rsplit(".", 1)[1])) < end)
        found = [await self.run(run._replace(start=start)) for start in starts]
        return [kept for kept in found if kept is not None]

    async def of_task(self, namespace: str, session: str, task: str) -> list[RunResults]:
        """All that is kept of a Task."""
        keys = await self._servers.run_results.keys(results_of_task(namespace, session, task))
        return list((await self._servers.run_results.get_many(keys)).values())

    async def run_with(
        self, namespace: str, session: str, task: str, index: int, known: RunHead | None = None
    ) -> RunResults | None:
        """What is kept of the run of an element, of a Task that may be gone.

        Of the one that is known, if that holds the element. Else of the last that begins before it: the
        journal may have lost how it was cut when it ended.
        """
        if known is not None:
            kept = await self.run(RunId(namespace, session, task, known.start))
            if outcome_of(kept, index) is not None:
                return kept
        keys = await self._servers.run_results.keys(results_of_task(namespace, session, task))
        start = run_before(keys, index)
        return None if start is None else await self.run(RunId(namespace, session, task, start))

    async def move(self, name: ResultName, decide: Callable[[Standing], Standing]) -> ResultEntry | None:
        """Do what `decide` makes of what stands, by compare-and-set; what stands then.

        Raises:
            QueueUnavailable: no answer, or the entry changed again and again meanwhile.
        """
        belief = self._belief(name)
        stands, written = await self._servers.results.change(result_key(*name), decide, belief)
        self._moved(name, stands, written or stands != belief)
        return stands.value

    async def move_all(self, moves: Sequence[Move]) -> dict[ResultName, ResultEntry | None]:
        """Moves of many results; what stands of each then.

        What can be told from what is known of them is written together, all or none: a fifth of the time that
        as many single writes take. The rest, and all where that is refused, goes one by one.

        Raises:
            QueueUnavailable: as `move`.
        """
        stand: dict[ResultName, ResultEntry | None] = {}
        foreseen = list(self._foreseen(moves))
        for at in range(0, len(foreseen), TOGETHER):
            part = foreseen[at : at + TOGETHER]
            for name, kept in await self._write_together(part):
                self._moved(name, kept, True)
                stand[name] = kept.value

        async def alone(move: Move) -> None:
            stand[move.name] = await self.move(move.name, move.decide)

        await together(alone, [move for move in moves if move.name not in stand])
        return stand

    def _foreseen(self, moves: Iterable[Move]) -> Iterator[tuple[ResultName, ResultEntry, int]]:
        """What shall stand, and the revision that it follows; once for each name."""
        seen: set[ResultName] = set()
        for name, decide, guess in moves:
            belief = self._belief(name) or guess
            wanted = decide(belief.value) if belief is not None and name not in seen else None
            if belief is not None and wanted is not None:
                seen.add(name)
                yield name, wanted, belief.revision

    async def _write_together(
        self, changes: Sequence[tuple[ResultName, ResultEntry, int]]
    ) -> list[tuple[ResultName, Kept[ResultEntry]]]:
        """What stands then; nothing when they were refused, or went without an answer."""
        try:
            revisions = await self._servers.results.update_all(
                [(result_key(*name), wanted, revision) for name, wanted, revision in changes]
            )
        except (Conflict, QueueUnavailable) as error:
            log.info("%d results move one by one: %s", len(changes), error)
            return []
        return [
            (name, Kept(wanted, revision))
            for (name, wanted, _), revision in zip(changes, revisions, strict=True)
        ]

    def _belief(self, name: ResultName) -> Kept[ResultEntry] | None:
        known = self._entries.get(name)
        return known[0] if known is not None else None

    def _moved(self, name: ResultName, stands: Kept[ResultEntry], changed: bool) -> None:
        self._keep(name, stands)
        if changed:  # or may have been, when nothing was known of it or an answer was lost
            self._changed(name)

    def _keep(self, name: ResultName, stands: Kept[ResultEntry]) -> ResultEntry | None:
        self._entries[name] = (stands, time.monotonic())
        self._entries.move_to_end(name)
        if len(self._entries) > KEPT_ENTRIES:
            self._entries.popitem(last=False)
        return stands.value

    def _keep_run(self, key: str, stands: Kept[RunResults]) -> RunResults:
        """Runs differ in length by the hundreds, so what is kept in memory is bounded by their outcomes."""
        assert stands.value is not None  # it was just written or read
        self._outcomes += _weight(stands.value)
        if (before := self._runs.pop(key, None)) is not None:
            self._outcomes -= _weight(before.value)
        self._runs[key] = stands
        while self._outcomes > KEPT_OUTCOMES and len(self._runs) > 1:
            self._outcomes -= _weight(self._runs.popitem(last=False)[1].value)
        return stands.value


def _weight(results: RunResults | None) -> int:
    return max(1, len(results.outcomes)) if results is not None else 0


def _final(entry: ResultEntry | None) -> bool:
    return entry is not None and entry.state is not ResultState.CREATED


def outcome_of(results: RunResults | None, index: int) -> Outcome | None:
    """How an element ended, as far as is kept."""
    return next((o for o in results.outcomes if o.index == index), None) if results is not None else None
