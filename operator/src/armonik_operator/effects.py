"""What a record brings about before it is folded: results, then child Tasks (protocol steps F2 and F3)."""

from armonik_operator.children import Children
from armonik_operator.fold import TaskFold, all_outcomes
from armonik_operator.inputs import Items
from armonik_operator.needs import chain
from armonik_operator.results import Move, ResultBook, ResultName, aborting, completing
from armonik_operator.state import Received, Servers, State
from armonik_sdk.api.kinds import Task
from armonik_sdk.api.names import RunId
from armonik_sdk.api.records import Outcome, OutcomeKind, Record, RecordKind, RunResults
from armonik_sdk.dataplane.objects import expand


class Effects:
    """Idempotent: the same record may come again after a restart."""

    def __init__(
        self, servers: Servers, state: State, book: ResultBook, items: Items, children: Children
    ) -> None:
        self._servers = servers
        self._state = state
        self._book = book
        self._items = items
        self._children = children

    async def apply(self, received: Received, fold: TaskFold) -> Record:
        """Bring everything about; returns the record, read from its manifest if it has one.

        Raises:
            ChildrenBlocked: a child cannot be created now.
        """
        record, run = await expand(self._servers.objects, received.record), received.run
        whole = Received(run, record, received.sequence, received.time)
        if record.outcomes or record.kind.terminal:
            stands = await self._book.put_run(whole)
            record = _as_kept(record, stands)
            whole = Received(run, record, received.sequence, received.time)
        await self._book.move_all(await self._moves(whole, fold))
        for group in record.children:
            if group.name not in fold.children:
                await self._children.create(run, group)
        return record

    async def _moves(self, received: Received, fold: TaskFold) -> list[Move]:
        """Of results with an id of their own: those the elements made, or owed and will never make."""
        record, task = received.record, self._state.last_seen(received.run.task)
        fresh = [outcome for outcome in all_outcomes(record) if not fold.has_ended(outcome.index)]
        moves = [move for outcome in fresh if outcome.made for move in _made(received, outcome)]
        if task is None:
            return moves
        failed = [outcome for outcome in fresh if outcome.kind is not OutcomeKind.COMPLETED]
        if record.kind is RecordKind.CANCELLED and task.spec.items_ref is not None:
            listed = {outcome.index for outcome in all_outcomes(record)}
            failed += [
                Outcome(index=index, kind=OutcomeKind.CANCELLED)
                for index in range(record.start, record.end)
                if index not in listed and not fold.has_ended(index)
            ]
        for outcome in failed:
            moves += await self._owed(received.run, task, outcome)
        return moves

    async def _owed(self, run: RunId, task: Task, outcome: Outcome) -> list[Move]:
        what = f"element {outcome.index} of task {task.metadata.name}"
        reason = chain(what, outcome.kind, outcome.message)
        return [
            aborting(ResultName(run.namespace, run.session, result), run.task, outcome.index, reason)
            for result in await self._items.owed(task, outcome.index)
        ]


def _made(received: Received, outcome: Outcome) -> list[Move]:
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


def _as_kept(record: Record, stands: RunResults) -> Record:
    """The record with the first outcome of each element, which a lost part of the journal may have held."""
    first = {outcome.index: outcome for outcome in stands.outcomes}
    if all(first.get(o.index) == o for o in record.outcomes) or not record.outcomes:
        return record
    kept = tuple(first.get(outcome.index, outcome) for outcome in record.outcomes)
    return record.model_copy(update={"outcomes": kept, "objects": stands.objects})
