"""Takes events of the watches into the cache, and queues the keys of what has to be reconciled.

Events may hold any object that the apiserver stores. None of them may end the process or block other events.
"""

import logging
from collections.abc import Callable, Iterable
from typing import Any

from armonik_operator.cache.keys import WorkKey, is_newer
from armonik_operator.cache.state import ClusterState
from armonik_operator.clients.kube import PARTITIONS, SESSIONS, TASKS, Kind
from armonik_operator.planning.pod_facts import ended, evicted
from armonik_operator.sources.unreadable_objects import Unreadable
from armonik_sdk.api.const import PARTITION_LABEL
from armonik_sdk.api.errors import InvalidManifest
from armonik_sdk.api.kinds import Partition, Session, Task
from armonik_sdk.api.names import NamespacedName

log = logging.getLogger(__name__)

_KINDS: dict[str, Kind] = {kind.plural: kind for kind in (SESSIONS, PARTITIONS, TASKS)}


class Intake:
    """Applies events of the watches."""

    def __init__(self, state: ClusterState, add: Callable[[WorkKey], None]) -> None:
        self._state = state
        self.add = add
        self.unreadable = Unreadable()

    def event(self, plural: str, obj: dict[str, Any], *, deleted: bool, listed: bool = False) -> None:
        """Take in an event of the apiserver; `listed`: as part of a list of all."""
        uid = obj["metadata"]["uid"]
        takers = {
            "tasks": self._task,
            "sessions": self._session,
            "partitions": self._partition,
            "pods": self._pod,
        }
        try:
            takers[plural](obj, deleted, listed)
        except InvalidManifest as error:
            key = self.unreadable.take(_KINDS[plural], obj, error)
            if key is not None:
                self.add(key)
        else:
            self.unreadable.forget(uid)

    def _task(self, obj: dict[str, Any], deleted: bool, listed: bool) -> None:
        meta = obj["metadata"]
        if deleted:
            task = self._state.living(meta["uid"]) or _if_readable(Task, obj)
            if task is not None:
                self.task_gone(task)
            return
        version, known = meta.get("resourceVersion", ""), self._state.version(meta["uid"])
        if version and known == version:
            return  # our own write, taken in from its answer
        task = Task.from_object(obj)
        # An answer to a write of ours may have come before the event of an earlier change. A list is taken as
        # it is: a control plane restored from a backup begins again at lower versions.
        if listed or is_newer(version, known):
            self._state.put_task(task)
        self._changed(task)

    def task_gone(self, task: Task) -> None:
        """Handle the deletion of a Task."""
        self._state.drop_task(task)
        self._changed(task)

    def _changed(self, task: Task) -> None:
        namespace = task.namespace
        self.add(WorkKey("task", namespace, task.metadata.uid))
        self.add(WorkKey("session", namespace, task.spec.session))

    def _session(self, obj: dict[str, Any], deleted: bool, _: bool) -> None:
        name = _named(obj)
        if deleted:
            self.session_gone(name)
            return
        session = _session_of(obj)
        known = self._state.put_session(session)
        self.add(WorkKey("session", *name))
        for early in self._state.inbox.early.of(name.namespace, session.metadata.uid):
            self.add(WorkKey("result", name.namespace, early.name))
        if known is None or known.metadata.generation != session.metadata.generation:
            self._wake(name.namespace, self._state.by_session.get(name, ()))

    def session_gone(self, name: NamespacedName) -> None:
        """Handle the end of a Session, also if its finalizer was removed by hand: its Tasks end, too."""
        known = self._state.drop_session(name)
        uid = known.metadata.uid if known is not None else ""
        if known is not None:
            self._state.departed.put(name, known)
        if uid and uid not in self._state.leaving:
            self._state.leave(uid)
            over = self._state.ended.values()
            self._wake(name.namespace, [task.uid for task in over if task.session_uid == uid])
        self.add(WorkKey("session", *name))
        self._wake(name.namespace, self._state.by_session.get(name, ()))

    def _partition(self, obj: dict[str, Any], deleted: bool, _: bool) -> None:
        name = _named(obj)
        if deleted:
            self.partition_gone(name)
            return
        partition = Partition.from_object(obj)
        is_new = name not in self._state.partitions
        self._state.partitions[name] = partition
        self.add(WorkKey("partition", *name))
        if is_new:
            self._partition_came_or_went(name)

    def partition_gone(self, name: NamespacedName) -> None:
        """Handle the deletion of a Partition."""
        self._state.partitions.pop(name, None)
        self.add(WorkKey("partition", *name))
        self._partition_came_or_went(name)

    def _partition_came_or_went(self, name: NamespacedName) -> None:
        self._wake(name.namespace, self._state.by_partition.get(name, ()))
        for session_name, session in self._state.sessions.items():
            if session_name.namespace == name.namespace and name.name in session.spec.partitions:
                self.add(WorkKey("session", *session_name))

    def _pod(self, obj: dict[str, Any], deleted: bool, _: bool) -> None:
        meta = obj["metadata"]
        if words := evicted(obj):
            self._state.evicted[meta["uid"]] = words
        if deleted or ended(obj):
            self.add(WorkKey("pod", meta["namespace"], meta["uid"]))
        if partition := (meta.get("labels") or {}).get(PARTITION_LABEL):
            self.add(WorkKey("partition", meta["namespace"], partition))

    def _wake(self, namespace: str, uids: Iterable[str]) -> None:
        for uid in uids:
            self.add(WorkKey("task", namespace, uid))


def _named(obj: dict[str, Any]) -> NamespacedName:
    meta = obj["metadata"]
    return NamespacedName(meta.get("namespace", ""), meta["name"])


def _if_readable(model: type[Task], obj: dict[str, Any]) -> Task | None:
    """A deleted object that was not in the cache; None if it cannot be read, as no work was done for it."""
    try:
        return model.from_object(obj)
    except InvalidManifest:
        return None


def _session_of(obj: dict[str, Any]) -> Session:
    """Parse a Session. If it is being deleted its spec does not matter: its finalizer must be removed."""
    try:
        return Session.from_object(obj)
    except InvalidManifest:
        if not obj["metadata"].get("deletionTimestamp"):
            raise
        return Session.from_object({**obj, "spec": {"partitions": ["unreadable"]}})
