"""What a record brings about before it is folded: results, then child Tasks (protocol steps F2 and F3)."""

from functools import partial

from armonik_operator.children import Children
from armonik_operator.fold import TaskFold, all_outcomes
from armonik_operator.inputs import Items
from armonik_operator.needs import chain
from armonik_operator.results import ResultBook, ResultName
from armonik_operator.state import Received, Servers, State
from armonik_operator.together import together
from armonik_sdk.api.kinds import Task
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
        task = self._state.last_seen(run.task)
        fresh = [outcome for outcome in all_outcomes(record) if not fold.has_ended(outcome.index)]
        settle = partial(self._settle, whole, task)
        await together(settle, (outcome for outcome in fresh if _speaks(outcome)))
        if record.kind is RecordKind.CANCELLED and task is not None and task.spec.items_ref is not None:
            listed = {outcome.index for outcome in all_outcomes(record)}
            for index in range(record.start, record.end):
                if index not in listed and not fold.has_ended(index):
                    bare = Outcome(index=index, kind=OutcomeKind.CANCELLED)
                    await settle(bare)
        for group in record.children:
            if group.name not in fold.children:
                await self._children.create(run, group)
        return record

    async def _settle(self, received: Received, task: Task | None, outcome: Outcome) -> None:
        """Results with an id of their own: those the element made, or owed and will never make."""
        run = received.run
        for result, piece in outcome.made.items():
            if outcome.kind is OutcomeKind.COMPLETED:
                name = ResultName(run.namespace, run.session, result)
                ref, at = received.record.ref(piece), received.time.timestamp()
                await self._book.complete(name, run.task, outcome.index, ref, at)
        if outcome.kind is OutcomeKind.COMPLETED or task is None:
            return
        what = f"element {outcome.index} of task {task.metadata.name}"
        reason = chain(what, outcome.kind, outcome.message)
        for result in await self._items.owed(task, outcome.index):
            name = ResultName(run.namespace, run.session, result)
            await self._book.abort(name, run.task, outcome.index, reason)


def _speaks(outcome: Outcome) -> bool:
    """Whether any result with an id of its own may follow from it."""
    return bool(outcome.made) or outcome.kind is not OutcomeKind.COMPLETED


def _as_kept(record: Record, stands: RunResults) -> Record:
    """The record with the first outcome of each element, which a lost part of the journal may have held."""
    first = {outcome.index: outcome for outcome in stands.outcomes}
    if all(first.get(o.index) == o for o in record.outcomes) or not record.outcomes:
        return record
    kept = tuple(first.get(outcome.index, outcome) for outcome in record.outcomes)
    return record.model_copy(update={"outcomes": kept, "objects": stands.objects})
