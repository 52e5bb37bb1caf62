"""The bound of unfinished elements in a namespace: its annotation `armonik.io/max-elements`."""

import logging
import time
from dataclasses import dataclass

from armonik_operator.adapters.kube import NAMESPACES
from armonik_operator.errors import KubeError
from armonik_operator.reconcile.task import Refusal
from armonik_operator.state import Servers, State
from armonik_sdk.api.const import MAX_ELEMENTS_ANNOTATION, Reason
from armonik_sdk.api.kinds import Task

log = logging.getLogger(__name__)

FRESH = 3.0
"""Seconds for which a namespace's annotation is believed without reading it again."""


@dataclass(frozen=True)
class _Bound:
    text: str
    read: float


class Quota:
    """Lets Tasks in while there is room; a Task that is in stays in until it has ended."""

    def __init__(self, servers: Servers, state: State) -> None:
        self._servers = servers
        self._state = state
        self._bounds: dict[str, _Bound] = {}
        self._granted: set[str] = set()

    async def refusal(self, task: Task) -> Refusal | None:
        """Why the Task cannot be submitted now; None lets it in."""
        namespace, uid = task.metadata.namespace or "", task.metadata.uid
        text = await self._bound(namespace)
        if not text or uid in self._granted:
            return None
        if not text.isdecimal():
            message = (
                f"annotation {MAX_ELEMENTS_ANNOTATION} of namespace {namespace} is {text!r}, not a number;"
                " correct it"
            )
            return Refusal(Reason.QUOTA_EXCEEDED, message)
        # No await from here on: two Tasks must not be let in by the same room.
        most, total = int(text), task.spec.total
        used = self._used(namespace)
        if used + total <= most:
            self._granted.add(uid)
            return None
        message = (
            f"{total} elements do not fit: {used} of {most} allowed in namespace {namespace} are unfinished;"
            f" wait for them or raise its annotation {MAX_ELEMENTS_ANNOTATION}"
        )
        return Refusal(Reason.QUOTA_EXCEEDED, message)

    def _used(self, namespace: str) -> int:
        used = 0
        self._granted &= self._state.tasks.keys()
        for uid, task in self._state.tasks.items():
            fold = self._state.folds.get(uid)
            inside = uid in self._granted or (fold is not None and fold.admitted)
            if task.metadata.namespace == namespace and inside:
                used += task.spec.total - (len(fold.ended) if fold is not None else 0)
        return used

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
