"""Cache of the objects that the operator watches, and of the folds of their journals."""

import logging
import sys
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from armonik_operator.cache.deleted_outputs import DeletedOutputs
from armonik_operator.cache.departed_sessions import Departed
from armonik_operator.cache.element_counts import SessionCounts
from armonik_operator.cache.finished_tasks import FinishedTask
from armonik_operator.cache.inbox import Inbox
from armonik_operator.cache.keys import DeletedTask, is_newer
from armonik_operator.cache.partition_load import PartitionLoads
from armonik_operator.journal.epoch import JournalEpoch
from armonik_operator.journal.fold import TaskFold, pinned_to, seed
from armonik_operator.journal.replay import Names
from armonik_operator.settings import Settings
from armonik_operator.util.commons import Commons
from armonik_operator.util.concurrency import in_turns
from armonik_operator.util.durations import DurationStats
from armonik_operator.util.sets_by_key import discard
from armonik_sdk.api.const import PARENT_LABEL
from armonik_sdk.api.kinds import Partition, Session, SessionStatus, Task
from armonik_sdk.api.names import NamespacedName

log = logging.getLogger(__name__)

KEPT_LEAVING = 10_000
"""Deleted Sessions that are remembered; what comes even later is collected by housekeeping."""


@dataclass
class ClusterState:
    """Caches; everything in here can be rebuilt from the apiserver and the journal."""

    settings: Settings
    loads: PartitionLoads
    """What waits for each Partition, and who works for it."""
    summed: Callable[[NamespacedName], None] = lambda _: None
    """Called with a Session's name when the sums of its Tasks have changed."""
    tally: SessionCounts = field(default_factory=SessionCounts)
    """Counts of elements by Session and namespace."""
    paces: DurationStats = field(default_factory=DurationStats)
    """How long elements took lately."""
    life: JournalEpoch = field(default_factory=JournalEpoch)
    """Life of the journal."""
    isolation: Callable[[str], str] = lambda _: ""
    """Why other namespaces can reach the data of a namespace; empty when they cannot."""
    sessions: dict[NamespacedName, Session] = field(default_factory=dict)
    """Changed by `put_session`, `show_session` and `drop_session` only."""
    session_names: dict[str, NamespacedName] = field(default_factory=dict)
    """By UID."""
    partitions: dict[NamespacedName, Partition] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)
    """Living Tasks that have not finished, and those whose status does not name the end of each element."""
    ended: dict[str, FinishedTask] = field(default_factory=dict)
    """Living Tasks that have finished."""
    uids: dict[NamespacedName, str] = field(default_factory=dict)
    """UID of the Task of this name."""
    admitted: set[str] = field(default_factory=set)
    """UIDs of children that the inventory has been seen to name."""
    by_session: dict[NamespacedName, set[str]] = field(default_factory=dict)
    """UIDs of the Tasks that name a Session."""
    by_partition: dict[NamespacedName, set[str]] = field(default_factory=dict)
    """UIDs of the Tasks that a Partition shall run."""
    partition_of: dict[str, NamespacedName] = field(default_factory=dict)
    """The Partition that shall run a Task, by UID of the Task: the reverse of `by_partition`."""
    store_error: str = ""
    """Why the object store cannot be used yet; empty when it can."""
    deleted: dict[str, DeletedTask] = field(default_factory=dict)
    """Deleted Tasks by UID whose traces still have to go."""
    evicted: dict[str, str] = field(default_factory=dict)
    """What the kubelet says of pods that it has evicted, by UID, until CONTROL says it."""
    folds: dict[str, TaskFold] = field(default_factory=dict)
    commons: Commons = field(default_factory=Commons)
    """What other tenants have a part in."""
    inbox: Inbox = field(default_factory=Inbox)
    """Journal entries that were read and not worked on."""
    leaving: dict[str, None] = field(default_factory=dict)
    """UIDs of the newest Sessions whose data goes: nothing about their work is written any more."""
    departed: Departed = field(default_factory=Departed)
    removed: DeletedOutputs = field(default_factory=DeletedOutputs)
    """Outputs that clients deleted."""
    first_seen: dict[str, float] = field(default_factory=dict)
    """When a Task that has not finished was first seen, by UID and the monotonic clock."""
    refused: dict[str, str] = field(default_factory=dict)
    """Why a sub-task can never be, by UID of the Task whose worker submitted it."""
    republish: dict[str, set[int]] = field(default_factory=dict)
    """Runs by Task whose queue message is missing."""

    def put_session(self, session: Session) -> Session | None:
        """Take in a Session as the apiserver shows it; what was known of its name before."""
        name = session.namespaced_name
        known = self.drop_session(name)
        self.sessions[name] = session
        self.session_names[session.metadata.uid] = name
        return known

    def drop_session(self, name: NamespacedName) -> Session | None:
        """Forget a Session that was deleted; what was known of it."""
        known = self.sessions.pop(name, None)
        if known is not None:
            self.session_names.pop(known.metadata.uid, None)
        return known

    def put_task(self, task: Task) -> None:
        """Take in a Task as the apiserver shows it."""
        uid, namespace = sys.intern(task.metadata.uid), sys.intern(task.namespace)
        self.uids[NamespacedName(namespace, sys.intern(task.metadata.name))] = uid
        if uid not in self.folds and self._end(task):
            self._forget_work(uid)
            self.count(task)
            return
        self.first_seen.setdefault(uid, time.monotonic())
        self.tasks[uid] = task
        self.by_session.setdefault(NamespacedName(namespace, task.spec.session), set()).add(uid)
        status = task.status
        if status is not None and uid not in self.folds and status.journal_epoch < self.life.epoch:
            seed(self.fold(uid), status, task.spec.total)
        self.count(task)

    def settle(self, uid: str) -> FinishedTask | None:
        """Keep little of a Task that has finished, once nothing of it is left to be worked on."""
        task = self.tasks.get(uid)
        if task is None or uid in self.inbox.runs or not self._end(task):
            return None
        if (fold := self.folds.pop(uid, None)) is not None:
            self.ended[uid].keep_names(fold.children, fold.delegated)
        self._forget_work(uid)
        return self.ended[uid]

    def _end(self, task: Task) -> bool:
        """Take in a Task as one that has finished, if it has."""
        uid = sys.intern(task.metadata.uid)
        ended, before = FinishedTask.of(task), self.ended.get(uid)
        if ended is None:
            return False
        ended.keep_names(before.children if before else (), before.delegated if before else ())
        self.ended[uid] = ended
        self.tasks.pop(uid, None)
        self._leave_indexes(task)
        return True

    def keep_names(self, names: Mapping[str, Names]) -> None:
        """What the records say of Tasks that have finished and their statuses do not."""
        for uid, inventory in names.items():
            if (ended := self.ended.get(uid)) is not None:
                ended.keep_names(inventory.children, inventory.delegated)
            else:  # deleted meanwhile
                self.fold(uid).children.update(inventory.children)

    def lives(self, uid: str) -> bool:
        """Whether there is a Task with this UID, as far as the watch has shown."""
        return uid in self.tasks or uid in self.ended

    def namespace_of(self, uid: str) -> str | None:
        """Namespace of a Task that lives or has traces left; None when it is not known."""
        if (task := self.tasks.get(uid)) is not None:
            return task.metadata.namespace
        known = self.ended.get(uid) or self.deleted.get(uid)
        return known.namespace if known is not None else None

    def drop_records(self, uid: str) -> None:
        """Drop the records of this Task; they are never processed."""
        self.inbox.forget(uid)

    def version(self, uid: str) -> str:
        """`metadata.resourceVersion` of a Task as it is known; empty when it is not."""
        if uid in self.ended:
            return self.ended[uid].version
        return self.tasks[uid].metadata.resource_version if uid in self.tasks else ""

    def living(self, uid: str) -> Task | None:
        """A Task; of one that has finished what others may ask for."""
        ended = self.ended.get(uid)
        return self.tasks.get(uid) or (ended.task() if ended is not None else None)

    def put_written(self, task: Task) -> None:
        """Take in the answer to a write, unless the watch has shown a newer one or the deletion."""
        uid, version = task.metadata.uid, task.metadata.resource_version
        if self.lives(uid) and is_newer(version, self.version(uid)):
            self.put_task(task)

    def show_session(self, session: Session, status: SessionStatus) -> None:
        """Take in a status that was just written; the watch shows it later."""
        known = self.session_with(session.metadata.uid)
        if known is not None:
            name = self.session_names[session.metadata.uid]
            self.sessions[name] = known.model_copy(update={"status": status})

    def count(self, task: Task, *, admit: bool = False) -> None:
        """Take a Task's elements into the sums of its Session and namespace; `admit`: it is admitted now.

        A pass over a Task may hold it longer than it lives: what is deleted is not counted again.
        """
        if not self.lives(task.metadata.uid):
            return
        if self.tally.put(task, self.folds.get(task.metadata.uid), admit=admit):
            self.summed(NamespacedName(task.namespace, task.spec.session))

    def last_seen(self, uid: str) -> Task | None:
        """A Task as it is, or as it was when it was deleted."""
        gone = self.deleted.get(uid)
        return self.living(uid) or (gone.task if gone is not None else None)

    def drop_task(self, task: Task) -> None:
        """Forget a Task that was deleted, but for what has to be cleaned up."""
        uid = task.metadata.uid
        name = task.namespaced_name
        self.tasks.pop(uid, None)
        self.tally.drop(uid)
        if self.uids.get(name) == uid:
            del self.uids[name]
        self._leave_indexes(task)
        if (ended := self.ended.pop(uid, None)) is not None:
            self.folds.setdefault(uid, ended.fold())
        fold = self.folds.get(uid)
        session = pinned_to(task, fold)
        parent = task.metadata.labels.get(PARENT_LABEL, "")
        self.deleted[uid] = DeletedTask(name.namespace, session, name.name, parent, task)

    def _leave_indexes(self, task: Task) -> None:
        namespace, uid = task.namespace, task.metadata.uid
        discard(self.by_session, NamespacedName(namespace, task.spec.session), uid)
        self._leave_partition(uid)

    def run_by(self, task: Task, partition: str) -> None:
        """Note which Partition shall run a living Task; a Task has one at a time."""
        namespace, uid = task.namespace, task.metadata.uid
        if uid not in self.tasks:
            return
        wanted = NamespacedName(namespace, partition)
        if self.partition_of.get(uid) == wanted:
            return
        self._leave_partition(uid)
        self.by_partition.setdefault(wanted, set()).add(uid)
        self.partition_of[uid] = wanted

    def _leave_partition(self, uid: str) -> None:
        if (before := self.partition_of.pop(uid, None)) is not None:
            discard(self.by_partition, before, uid)

    def forget(self, uid: str) -> None:
        """Forget everything about a Task that was deleted."""
        for known in (self.folds, self.deleted):
            known.pop(uid, None)
        self.inbox.runs.forget(uid)
        self._forget_work(uid)

    def _forget_work(self, uid: str) -> None:
        """Forget what only a Task needs that has not finished."""
        for known in (self.first_seen, self.republish, self.inbox.unreadable, self.refused):
            known.pop(uid, None)
        self.tasks.pop(uid, None)
        self.admitted.discard(uid)
        self.loads.drop(uid)

    def start_afresh(self) -> None:
        """The journal lost records: forget what came from it, keep what the apiserver shows."""
        for uid in self.folds:
            self.loads.drop(uid)
        for known in (self.folds, self.inbox, self.republish, self.admitted):
            known.clear()

    async def begin_life(self, life: JournalEpoch) -> None:
        """Take in the epoch of the journal, and what it makes of the statuses. Before work begins."""
        if self.life != life:
            log.info("epoch of the journal: %s", life)
        self.life = life
        async for uid in in_turns(self.tasks):
            if (task := self.tasks.get(uid)) is not None:
                self.put_task(task)

    def fold(self, uid: str) -> TaskFold:
        """The fold of a Task, made when there is none; of one that has finished as it ended."""
        if (known := self.folds.get(uid)) is not None:
            return known
        if (ended := self.ended.get(uid)) is not None:
            return ended.fold()
        fold = self.folds[uid] = TaskFold()
        return fold

    def handed(self, uid: str, results: Collection[str]) -> None:
        """Outputs of a Task are in the hands of children."""
        if (ended := self.ended.get(uid)) is not None:
            ended.keep_names((), results)
        elif (fold := self.folds.get(uid)) is not None:
            fold.delegated.update(results)

    def task_named(self, namespace: str, name: str) -> Task | None:
        """The living Task of this name."""
        return self.living(self.uids.get(NamespacedName(namespace, name), ""))

    def leave(self, session: str) -> None:
        """Mark a Session as being deleted; records folded later must not recreate its data."""
        self.leaving[session] = None
        self.removed.forget(session)
        if len(self.leaving) > KEPT_LEAVING:
            del self.leaving[next(iter(self.leaving))]

    def orphaned(self, session: str) -> bool:
        """Whether the Session that a Task belongs to was deleted and has gone without it."""
        return session in self.leaving and self.session_with(session) is None

    def session_with(self, uid: str) -> Session | None:
        """The Session with this UID."""
        session = self.sessions.get(self.session_names.get(uid, NamespacedName("", "")))
        return session if session is not None and session.metadata.uid == uid else None

    def session_of(self, task: Task) -> str:
        """UID of the Session that a Task belongs to, or of the one that it names; empty if there is none."""
        named = self.sessions.get(NamespacedName(task.namespace, task.spec.session))
        pinned = pinned_to(task, self.folds.get(task.metadata.uid))
        return pinned or (named.metadata.uid if named is not None else "")

    def tasks_of(self, session: Session) -> list[Task]:
        """Tasks of a Session: pinned to its UID, or not pinned yet and naming it."""
        name = session.namespaced_name
        tasks = ((self.tasks[uid], self.folds.get(uid)) for uid in self.by_session.get(name, ()))
        wanted = ("", session.metadata.uid)
        return [t for t, fold in tasks if (pinned_to(t, fold) or t.spec.session_uid or "") in wanted]
