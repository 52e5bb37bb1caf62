"""Applies records of the journal: their effects first, then the fold."""

from datetime import UTC, datetime

from armonik_operator.cache.keys import JournalEntry
from armonik_operator.cache.state import ClusterState
from armonik_operator.clients.servers import Clients
from armonik_operator.commits.effects import Effects
from armonik_operator.dependencies.waiters import WaitIndex
from armonik_operator.journal.epoch import created
from armonik_operator.journal.fold import TaskFold, pinned_to
from armonik_operator.journal.unreadable_heads import newer
from armonik_operator.planning.retries import Retries
from armonik_operator.results.store import ResultStore
from armonik_operator.util.concurrency import in_portions
from armonik_sdk.api.const import ConditionType
from armonik_sdk.api.kinds import Task
from armonik_sdk.api.names import NamespacedName, TaskRef
from armonik_sdk.api.ranges import Ranges
from armonik_sdk.api.records import RecordKind


class RecordApplier:
    """Applies each record once, whether it was read from the journal or appended by this process."""

    def __init__(
        self,
        servers: Clients,
        state: ClusterState,
        book: ResultStore,
        effects: Effects,
        waiters: WaitIndex,
        retries: Retries,
    ) -> None:
        self._servers = servers
        self._state = state
        self._book = book
        self._effects = effects
        self._waiters = waiters
        self._retries = retries
        self._recovered: set[str] = set()

    async def apply_backlog(self, uid: str) -> None:
        """Apply what was read of a Task's journal; a record that cannot be read is noted in the state.

        Raises:
            ChildrenBlocked: a child cannot be created now.
        """
        backlog = self._state.inbox.runs
        while (waiting := backlog.first(uid)) is not None:
            if waiting.data is None:  # too much waited to keep it
                waiting.data = await self._servers.journal.at(waiting.sequence)
            record = waiting.record()
            if record is not None:
                await self.apply(
                    JournalEntry(waiting.run, record, waiting.sequence, waiting.time, waiting.before)
                )
            elif waiting.data is not None and not newer(waiting.data):
                self._state.fold(uid).session = waiting.run.session
                self._state.inbox.unreadable.setdefault(uid, set()).add(waiting.run.start)
            backlog.done(waiting)

    async def apply(self, received: JournalEntry) -> None:
        """Effects first, then the fold: so `Finished` is written only when all of them are done.

        Raises:
            ChildrenBlocked: a child cannot be created now.
        """
        uid = received.run.task
        fold = self._state.fold(uid)
        if received.record.start != received.run.start:  # its writer does not keep to the protocol
            self._state.inbox.unreadable.setdefault(uid, set()).add(received.run.start)
            return
        known = fold.runs.get(received.run.start)
        if known is not None and received.sequence <= known.sequence:
            fold.retime(received.run.start, received.sequence, received.time)
            return
        fold.session = received.run.session
        record = received.record
        if received.run.session not in self._state.leaving:
            record = await self._effects.apply(received, fold)
        timed, given = fold.timed, known is None and received.run.start in fold.given
        fresh = fold.add(record, received.sequence, received.time, received.before)
        self._state.paces.note(received.run.session, record.partition, timed, fold.timed)
        self._state.loads.note(received.run.namespace, uid, fold.runs[received.run.start])
        if fresh:
            age = (datetime.now(UTC) - received.time).total_seconds()
            place = NamespacedName(received.run.namespace, record.partition)
            self._state.loads.rates.note(place, len(fresh), age)
        if record.kind.terminal:  # its message has gone, so there is room for another
            in_portions(self._retries.mended(ConditionType.QUEUE_FULL, 1))
        if record.owner is not None:
            self._state.loads.worked(record.owner.pod)
        if given and record.kind is RecordKind.SUBMITTED:  # an agent cannot queue what it gives away
            self._state.republish.setdefault(uid, set()).add(received.run.start)
        if record.outcomes or record.kind.terminal:
            task = self._state.living(uid)
            total = task.spec.total if task is not None else 0
            self._waiters.ended(uid, fold, total, fresh or Ranges())

    async def recover(self, task: Task, fold: TaskFold) -> None:
        """Read from RESULTS how elements ended whose records an earlier journal held, once for each Task."""
        uid, life = task.metadata.uid, self._state.life
        if uid in self._recovered or not life.first(created(task)):
            return
        pinned = pinned_to(task, fold)
        if pinned and not fold.covers(task.spec.total):
            async for kept in self._book.each_of_task(TaskRef(task.namespace, pinned, uid)):
                for outcome in kept.outcomes:
                    fold.seed(outcome.kind, Ranges.single(outcome.index))
                if kept.rest is not None:
                    fold.seed(kept.rest.kind, Ranges.of([(kept.rest.start, kept.end)]))
            self._waiters.ended(uid, fold, task.spec.total, fold.ended)
        self._recovered.add(uid)

    def forget(self, uid: str) -> None:
        """The Task has finished, or is deleted."""
        self._recovered.discard(uid)
