"""Removes the traces of a deleted Task: open runs, journal, queue, inventory; its results stay."""

import logging

from armonik_operator.cache.keys import DeletedTask
from armonik_operator.clients.servers import Clients
from armonik_operator.commits.child_tasks import ChildTasks
from armonik_operator.journal.fold import TaskFold
from armonik_operator.planning.task import Cancel
from armonik_operator.queueing.cancellation import RunCanceller
from armonik_sdk.api.names import JOURNAL, TaskRef
from armonik_sdk.api.records import DesiredState
from armonik_sdk.dataplane.errors import QueueFull, Unreadable
from armonik_sdk.dataplane.nats.queue import purge

log = logging.getLogger(__name__)


class TaskDataRemover:
    """Removes the data of one Task; every step may be repeated."""

    def __init__(self, servers: Clients, children: ChildTasks, canceller: RunCanceller) -> None:
        self._servers = servers
        self._children = children
        self._canceller = canceller

    async def remove_task(self, uid: str, gone: DeletedTask, fold: TaskFold) -> float | None:
        """Remove what is left of a deleted Task; returns when to look again, None when it is done.

        Raises:
            ItemsUnread: its items are being read.
        """
        ref = TaskRef(gone.namespace, fold.session or gone.session, uid)
        await self._canceller.hint(ref.namespace, uid, DesiredState.DELETED)
        if ref.session:
            why = "the task was deleted"
            try:
                again = await self._canceller.end_runs(ref, fold, Cancel.ALL, why)
            except (QueueFull, Unreadable) as error:
                log.warning("task %s/%s is removed without a last record: %s", ref.namespace, uid, error)
                await purge(self._servers.client, ref.queued)
                again = None  # once its records are gone, commits in flight are refused
            if again is not None:
                return again
            if gone.parent:
                reason = f"task {gone.name or uid} was deleted before it had made it"
                await self._children.disown(uid, gone, ref.session, reason)
            await self._purge_journal(ref.journal)
        self._canceller.forget(uid)
        await self._servers.inventory.delete(ref.inventory)
        await self._children.forget(ref.namespace, {*fold.children, *([gone.name] if gone.parent else [])})
        return None

    async def _purge_journal(self, pattern: str) -> None:
        """Remove records; commits in flight are refused from then on."""
        await self._servers.client.jetstream(timeout=10).purge_stream(JOURNAL, subject=pattern)
