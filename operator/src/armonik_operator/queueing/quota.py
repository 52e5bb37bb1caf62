"""Bounds the unfinished elements of a namespace by its annotation `armonik.io/max-elements`.

The sum is kept by `SessionCounts`, so a look costs the same however many Tasks there are. What does not fit
waits in a list, and is let in when the sum falls. No event says that the annotation changed: it is read again
while Tasks of the namespace wait, once for all of them.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from armonik_operator.cache.keys import WorkKey
from armonik_operator.cache.state import ClusterState
from armonik_operator.clients.kube import NAMESPACES
from armonik_operator.clients.servers import Clients
from armonik_operator.errors import KubeError
from armonik_operator.planning.task import Refusal
from armonik_operator.queueing.quota_waiters import Waiters
from armonik_sdk.api.const import MAX_ELEMENTS, MAX_ELEMENTS_ANNOTATION, Reason
from armonik_sdk.api.kinds import Task

log = logging.getLogger(__name__)

KIND = "room"
"""Of keys of the work queue that let in what waits in a namespace."""
FRESH = 3.0
"""Seconds for which a namespace's annotation is believed without reading it again."""
POLL = 5.0
"""Seconds until the annotation is read again while Tasks wait."""
AT_ONCE = 200
"""Tasks that are let in before others have their turn."""
EVERYTHING = MAX_ELEMENTS * 1_000_000
"""The room where there is no bound."""


@dataclass(frozen=True)
class _Bound:
    text: str
    read: float


class Quota:
    """Lets Tasks in while there is room; a Task that is in stays in until it has ended."""

    def __init__(self, servers: Clients, state: ClusterState, enqueue: Callable[[WorkKey], None]) -> None:
        self._servers = servers
        self._state = state
        self._enqueue = enqueue
        self._bounds: dict[str, _Bound] = {}
        self._waiting: dict[str, Waiters] = {}
        state.tally.freed = self._freed

    async def refusal(self, task: Task) -> Refusal | None:
        """Why the Task cannot be submitted now; None lets it in."""
        namespace, uid, total = task.namespace, task.metadata.uid, task.spec.total
        if self._state.tally.admitted(uid):
            return None
        text = await self._bound(namespace)
        # No await from here on: two Tasks must not be let in by the same room.
        used = self._state.tally.unfinished(namespace)
        if total <= _room(text, used):
            self.leave(namespace, uid)
            self._state.count(task, admit=True)
            return None
        self._waiting.setdefault(namespace, Waiters()).add(uid, total)
        self._enqueue(_key(namespace))
        if not text.isdecimal():
            message = (
                f"annotation {MAX_ELEMENTS_ANNOTATION} of namespace {namespace} is {text!r}, not a number;"
                " correct it"
            )
        else:
            message = (
                f"{total} elements do not fit: {used} of {int(text)} allowed in namespace {namespace} are"
                f" unfinished; wait for them or raise its annotation {MAX_ELEMENTS_ANNOTATION}"
            )
        return Refusal(Reason.QUOTA_EXCEEDED, message)

    def leave(self, namespace: str, uid: str) -> None:
        """The Task does not wait for room."""
        if (waiting := self._waiting.get(namespace)) is None:
            return
        waiting.drop(uid)
        if not waiting:
            del self._waiting[namespace]

    async def let_in(self, key: WorkKey) -> float | None:
        """Admit what fits of the Tasks that wait; the seconds after which to look again."""
        if key.namespace not in self._waiting:
            return None
        text = await self._bound(key.namespace)
        waiting = self._waiting.get(key.namespace, Waiters())
        fitting = waiting.take(_room(text, self._state.tally.unfinished(key.namespace)), AT_ONCE)
        for uid in fitting:
            if (task := self._state.tasks.get(uid)) is not None:
                self._state.count(task, admit=True)
                self._enqueue(WorkKey("task", key.namespace, uid))
        if not waiting:
            self._waiting.pop(key.namespace, None)
            return None
        return 0.0 if fitting else POLL

    def _freed(self, namespace: str) -> None:
        if namespace in self._waiting:
            self._enqueue(_key(namespace))

    async def _bound(self, namespace: str) -> str:
        known, now = self._bounds.get(namespace), time.monotonic()
        if known is not None and now - known.read < FRESH:
            return known.text
        try:
            found = await self._servers.kube.get(NAMESPACES, namespace)
        except KubeError as error:
            log.warning("namespace %s is not read, so it has no bound of elements: %s", namespace, error)
            found = {}
        notes = found.get("metadata", {}).get("annotations") or {}
        text = str(notes.get(MAX_ELEMENTS_ANNOTATION, "")).strip()
        self._bounds[namespace] = _Bound(text, now)
        return text


def _key(namespace: str) -> WorkKey:
    return WorkKey(KIND, namespace, namespace)


def _room(text: str, used: int) -> int:
    """Elements that may still come in; none where the bound is not a number."""
    if not text:
        return EVERYTHING
    return max(0, int(text) - used) if text.isdecimal() else 0
