"""Effects of a record: results, then child Tasks (protocol rule 11)."""

from armonik_operator.cache.keys import JournalEntry
from armonik_operator.cache.state import ClusterState
from armonik_operator.clients.servers import Clients
from armonik_operator.commits.child_tasks import ChildTasks
from armonik_operator.items.item_cache import ItemCache
from armonik_operator.journal.fold import TaskFold, all_outcomes, unnamed
from armonik_operator.journal.unreadable_heads import ended
from armonik_operator.results.store import ResultName, ResultStore, Transition, aborting, completing
from armonik_operator.util.text import chain
from armonik_sdk.api.ranges import Ranges
from armonik_sdk.api.records import Outcome, OutcomeKind, Record, RecordKind
from armonik_sdk.api.results import RunResults

MOVED = 1_000
"""Most moves of results that are held at a time."""


class Effects:
    """Carries out effects; idempotent: the same record may come again after a restart."""

    def __init__(
        self, servers: Clients, state: ClusterState, book: ResultStore, items: ItemCache, children: ChildTasks
    ) -> None:
        self._servers = servers
        self._state = state
        self._book = book
        self._items = items
        self._children = children

    async def apply(self, received: JournalEntry, fold: TaskFold) -> Record:
        """Bring everything about; returns the record, read from its manifest if it has one.

        Raises:
            ChildrenBlocked: a child cannot be created now.
        """
        run = received.run
        record, lost = await self._book.whole(run, received.record)
        if lost and record.kind is RecordKind.DONE:
            key = received.record.manifest.key if received.record.manifest is not None else ""
            record = ended(record, f"how it ended was in object {key}, which is lost")
        whole = JournalEntry(run, record, received.sequence, received.time)
        if record.outcomes or record.kind.terminal:
            kept_results = await self._book.put_run(whole)
            record = _as_kept(record, kept_results)
            whole = JournalEntry(run, record, received.sequence, received.time)
        await self._move(whole, fold)
        for group in record.children:
            if group.name not in fold.children:
                await self._children.create(run, group)
        return record

    async def _move(self, received: JournalEntry, fold: TaskFold) -> None:
        """Results with an id of their own: those the elements made, or owed and will never make."""
        record, task = received.record, self._state.last_seen(received.run.task)
        fresh = [
            outcome
            for outcome in all_outcomes(record)
            if (outcome.made or outcome.kind is not OutcomeKind.COMPLETED)
            and not fold.has_ended(outcome.index)
        ]
        moves = [move for outcome in fresh if outcome.made for move in _made(received, outcome)]
        failed = {outcome.index: outcome for outcome in fresh if outcome.kind is not OutcomeKind.COMPLETED}
        lost = Ranges.indexes(failed)
        implied, rest = unnamed(record)  # they may be many, and few of them owe anything
        lost |= implied - fold.ended
        if task is not None and lost:
            async for index, result in self._items.owed(task, lost):
                outcome = failed.get(index) or rest.outcome(index)
                what = f"element {index} of task {task.metadata.name}"
                name = ResultName(received.run.namespace, received.run.session, result)
                reason = chain(what, outcome.kind, outcome.message)
                moves.append(aborting(name, received.run.task, index, reason))
                if len(moves) >= MOVED:
                    await self._book.move_all(moves)
                    moves = []
        await self._book.move_all(moves)


def _made(received: JournalEntry, outcome: Outcome) -> list[Transition]:
    if outcome.kind is not OutcomeKind.COMPLETED:
        return []
    run, at = received.run, received.time.timestamp()
    return [
        completing(
            ResultName(run.namespace, run.session, result),
            run.task,
            outcome.index,
            received.record.ref(piece),
            at,
        )
        for result, piece in outcome.made.items()
    ]


def _as_kept(record: Record, kept_results: RunResults) -> Record:
    """The record with the first outcome of each element, which a lost part of the journal may have held."""
    first = {outcome.index: outcome for outcome in kept_results.outcomes}
    if record.rest is not None:
        kept = tuple(one for one in kept_results.outcomes if record.start <= one.index < record.end)
        return record.model_copy(update={"outcomes": kept, "objects": kept_results.objects})
    if all(first.get(o.index) == o for o in record.outcomes) or not record.outcomes:
        return record
    kept = tuple(first.get(outcome.index, outcome) for outcome in record.outcomes)
    return record.model_copy(update={"outcomes": kept, "objects": kept_results.objects})
