"""What the operator knows: the objects it watches, the folds, and the servers it talks to."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from nats.aio.client import Client

from armonik_operator.adapters.kube import Kube
from armonik_operator.events import Announcer
from armonik_operator.fold import TaskFold, pinned_to
from armonik_operator.life import Life
from armonik_operator.load import Loads
from armonik_operator.paces import Paces
from armonik_operator.settings import Settings
from armonik_operator.tally import Tally
from armonik_sdk.api.const import PARENT_LABEL
from armonik_sdk.api.kinds import Partition, Session, Task
from armonik_sdk.api.names import CONTROL, RESULTS, TASKS, RunId
from armonik_sdk.api.ranges import Ranges
from armonik_sdk.api.records import (
    BandsInUse,
    Control,
    Inventory,
    OutcomeKind,
    Record,
    ResultEntry,
    ResultRecord,
    RunResults,
)
from armonik_sdk.dataplane.journal import Journal
from armonik_sdk.dataplane.kv import Bucket
from armonik_sdk.dataplane.objects import ObjectStore

KEPT_LEAVING = 10_000
"""Deleted Sessions that are remembered; what comes even later is collected by housekeeping."""


class Key(NamedTuple):
    """What the work queue works on. Tasks and pods by UID, Sessions and Partitions by name."""

    kind: str
    namespace: str
    name: str


class Named(NamedTuple):
    """Namespace and name."""

    namespace: str
    name: str


class Gone(NamedTuple):
    """A deleted Task whose traces still have to go."""

    namespace: str
    session: str
    """UID; empty when it is not known to have had one."""
    name: str = ""
    parent: str = ""
    """UID of the parent, of a child."""
    task: Task | None = None
    """As it was last seen."""


@dataclass(frozen=True)
class Received:
    """A record that the fold loop read."""

    run: RunId
    record: Record
    sequence: int
    time: datetime


@dataclass(frozen=True)
class ReceivedResult:
    """A client's record of a result that the fold loop read."""

    namespace: str
    session: str
    """UID."""
    result: str
    record: ResultRecord
    time: datetime


class Servers:
    """Apiserver, NATS and object store."""

    def __init__(
        self, kube: Kube, client: Client, objects: ObjectStore, events: Announcer | None = None
    ) -> None:
        self.kube = kube
        self.client = client
        self.objects = objects
        self.journal = Journal(client)
        self.inventory = Bucket(client, TASKS, Inventory)
        self.control = Bucket(client, CONTROL, Control)
        self.bands = Bucket(client, CONTROL, BandsInUse)
        self.run_results = Bucket(client, RESULTS, RunResults)
        self.results = Bucket(client, RESULTS, ResultEntry)
        self.events = events or Announcer(kube)


@dataclass
class State:
    """Caches; everything in here can be rebuilt from the apiserver and the journal."""

    settings: Settings
    loads: Loads
    """What waits for each Partition, and who works for it."""
    summed: Callable[[Named], None] = lambda _: None
    """Called with a Session's name when the sums of its Tasks have changed."""
    tally: Tally = field(default_factory=Tally)
    """Counts of elements by Session."""
    paces: Paces = field(default_factory=Paces)
    """How long elements took lately."""
    life: Life = field(default_factory=Life)
    """Life of the journal."""
    sessions: dict[Named, Session] = field(default_factory=dict)
    """Changed by `put_session` and `drop_session` only."""
    session_names: dict[str, Named] = field(default_factory=dict)
    """By UID."""
    partitions: dict[Named, Partition] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)
    uids: dict[Named, str] = field(default_factory=dict)
    """UID of the Task of this name."""
    admitted: set[str] = field(default_factory=set)
    """UIDs of children that the inventory has been seen to name."""
    by_session: dict[Named, set[str]] = field(default_factory=dict)
    """UIDs of the Tasks that name a Session."""
    by_partition: dict[Named, set[str]] = field(default_factory=dict)
    """UIDs of the Tasks that a Partition shall run."""
    store_error: str = ""
    """Why the object store cannot be used yet; empty when it can."""
    deleted: dict[str, Gone] = field(default_factory=dict)
    """Deleted Tasks by UID whose traces still have to go."""
    folds: dict[str, TaskFold] = field(default_factory=dict)
    received: dict[str, deque[Received]] = field(default_factory=dict)
    """Records read but not yet worked on, by UID of the Task; the fold loop bounds their number."""
    results: dict[Key, deque[ReceivedResult]] = field(default_factory=dict)
    """Clients' records of results, read but not yet worked on; they count among the backlog."""
    leaving: dict[str, None] = field(default_factory=dict)
    """UIDs of the newest Sessions whose data goes: nothing about their work is written any more."""
    removed: dict[str, set[str]] = field(default_factory=dict)
    """Outputs that clients deleted, by UID of the Task; their bytes may stand in a pack with others."""
    backlog: int = 0
    seen: dict[str, float] = field(default_factory=dict)
    """When a Task was first seen, by the monotonic clock."""
    written: dict[str, float] = field(default_factory=dict)
    """When a status was last written, by UID and the monotonic clock."""
    sizes: dict[str, int] = field(default_factory=dict)
    """Bytes of the specs of Tasks that are written again and again."""
    republish: dict[str, set[int]] = field(default_factory=dict)
    """Runs by Task whose queue message is missing."""

    def put_session(self, session: Session) -> Session | None:
        """Take in a Session as the apiserver shows it; what was known of its name before."""
        name = Named(session.metadata.namespace or "", session.metadata.name)
        known = self.drop_session(name)
        self.sessions[name] = session
        self.session_names[session.metadata.uid] = name
        return known

    def drop_session(self, name: Named) -> Session | None:
        """Forget a Session that was deleted; what was known of it."""
        known = self.sessions.pop(name, None)
        if known is not None:
            self.session_names.pop(known.metadata.uid, None)
        return known

    def put_task(self, task: Task) -> None:
        """Take in a Task as the apiserver shows it."""
        uid = task.metadata.uid
        self.seen.setdefault(uid, time.monotonic())
        self.tasks[uid] = task
        namespace = task.metadata.namespace or ""
        self.uids[Named(namespace, task.metadata.name)] = uid
        self.by_session.setdefault(Named(namespace, task.spec.session), set()).add(uid)
        status = task.status
        if status is not None and uid not in self.folds and status.journal_epoch < self.life.epoch:
            fold = self.fold(uid)
            fold.session = status.session_uid
            fold.seed(OutcomeKind.COMPLETED, Ranges.parse(status.succeeded_indexes))
            fold.seed(OutcomeKind.ERROR, Ranges.parse(status.failed_indexes))
            fold.seed(OutcomeKind.TIMEOUT, Ranges.parse(status.timed_out_indexes))
            fold.seed(OutcomeKind.CANCELLED, Ranges.parse(status.cancelled_indexes))
        self.count(task)

    def count(self, task: Task) -> None:
        """Take a Task's elements into the sums of its Session."""
        if self.tally.put(task, self.folds.get(task.metadata.uid)):
            self.summed(Named(task.metadata.namespace or "", task.spec.session))

    def last_seen(self, uid: str) -> Task | None:
        """A Task as it is, or as it was when it was deleted."""
        gone = self.deleted.get(uid)
        return self.tasks.get(uid) or (gone.task if gone is not None else None)

    def drop_task(self, task: Task) -> None:
        """Forget a Task that was deleted, but for what has to be cleaned up."""
        uid = task.metadata.uid
        name = Named(task.metadata.namespace or "", task.metadata.name)
        self.tasks.pop(uid, None)
        self.tally.drop(uid)
        if self.uids.get(name) == uid:
            del self.uids[name]
        _discard(self.by_session, Named(name.namespace, task.spec.session), uid)
        for partition in [p for p in self.by_partition if p.namespace == name.namespace]:
            _discard(self.by_partition, partition, uid)
        fold = self.folds.get(uid)
        session = pinned_to(task, fold)
        parent = task.metadata.labels.get(PARENT_LABEL, "")
        self.deleted[uid] = Gone(name.namespace, session, name.name, parent, task)

    def run_by(self, task: Task, partition: str) -> None:
        """Note which Partition shall run a Task; a Task has one at a time."""
        namespace, uid = task.metadata.namespace or "", task.metadata.uid
        wanted = Named(namespace, partition)
        if uid in self.by_partition.get(wanted, ()):
            return
        for other in [p for p in self.by_partition if p.namespace == namespace]:
            _discard(self.by_partition, other, uid)
        self.by_partition.setdefault(wanted, set()).add(uid)

    def forget(self, uid: str) -> None:
        """Forget everything about a Task."""
        for known in (
            self.folds,
            self.received,
            self.seen,
            self.written,
            self.sizes,
            self.republish,
            self.deleted,
        ):
            known.pop(uid, None)
        self.admitted.discard(uid)
        self.loads.drop(uid)

    def start_afresh(self) -> None:
        """The journal lost records: forget what came from it, keep what the apiserver tells."""
        for uid in self.folds:
            self.loads.drop(uid)
        for known in (self.folds, self.received, self.results, self.republish, self.admitted):
            known.clear()
        self.backlog = 0

    def fold(self, uid: str) -> TaskFold:
        """The fold of a Task, made when there is none."""
        return self.folds.setdefault(uid, TaskFold())

    def task_named(self, namespace: str, name: str) -> Task | None:
        """The living Task of this name."""
        return self.tasks.get(self.uids.get(Named(namespace, name), ""))

    def leave(self, session: str) -> None:
        """The data of this Session goes, so what is still folded must not bring any of it back."""
        self.leaving[session] = None
        if len(self.leaving) > KEPT_LEAVING:
            del self.leaving[next(iter(self.leaving))]

    def orphaned(self, task: Task) -> bool:
        """Whether it was admitted to a Session while that was being deleted, which has gone without it."""
        session = pinned_to(task, self.folds.get(task.metadata.uid))
        return session in self.leaving and self.session_with(session) is None

    def session_with(self, uid: str) -> Session | None:
        """The Session with this UID."""
        session = self.sessions.get(self.session_names.get(uid, Named("", "")))
        return session if session is not None and session.metadata.uid == uid else None

    def tasks_of(self, session: Session) -> list[Task]:
        """Tasks of a Session: pinned to its UID, or not pinned yet and naming it."""
        found = []
        name = Named(session.metadata.namespace or "", session.metadata.name)
        for uid in self.by_session.get(name, ()):
            task, fold = self.tasks[uid], self.folds.get(uid)
            if pinned_to(task, fold) in ("", session.metadata.uid):
                found.append(task)
        return found


def _discard(index: dict[Named, set[str]], key: Named, uid: str) -> None:
    members = index.get(key)
    if members is None:
        return
    members.discard(uid)
    if not members:
        del index[key]
