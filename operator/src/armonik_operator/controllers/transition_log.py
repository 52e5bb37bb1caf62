"""Logs each transition of a Task once: admitted, submitted, cancelled, finished, deleted."""

import logging

from armonik_operator.planning.task import TaskView

log = logging.getLogger(__name__)


class TransitionLog:
    """Remembers what was logged of a Task, until it has finished or is deleted."""

    def __init__(self) -> None:
        self._logged: dict[str, set[str]] = {}

    def log(self, view: TaskView, transition: str, detail: str) -> None:
        """Log a transition, unless it was logged before."""
        logged = self._logged.setdefault(view.uid, set())
        if transition not in logged:
            logged.add(transition)
            meta, session = view.task.metadata, view.task.spec.session
            log.info(
                "task %s/%s of session %s %s: %s", meta.namespace, meta.name, session, transition, detail
            )

    def forget(self, uid: str) -> None:
        """The Task has finished, or is deleted."""
        self._logged.pop(uid, None)
