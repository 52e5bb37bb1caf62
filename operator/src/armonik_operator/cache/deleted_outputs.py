"""Outputs that clients deleted: their bytes may be packed with others, so RESULTS still has them. Pure."""

from collections.abc import Set
from typing import Final

_NONE: Final[Set[str]] = frozenset()


class DeletedOutputs:
    """Deleted outputs by Task, also of deleted Tasks; dropped with the Session."""

    def __init__(self) -> None:
        self._results: dict[str, set[str]] = {}
        self._tasks: dict[str, set[str]] = {}

    def add(self, session: str, task: str, result: str) -> None:
        """A client deleted this; Session and Task by UID."""
        self._results.setdefault(task, set()).add(result)
        self._tasks.setdefault(session, set()).add(task)

    def of(self, task: str) -> Set[str]:
        """Deleted outputs of a Task."""
        return self._results.get(task, _NONE)

    def forget(self, session: str) -> None:
        """A Session is deleted, with all of its results."""
        for task in self._tasks.pop(session, ()):
            self._results.pop(task, None)
