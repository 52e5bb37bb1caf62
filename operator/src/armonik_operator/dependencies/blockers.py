"""The events that a Task, or one of its items, can wait for."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TaskCreated:
    """A Task of this name is created."""

    namespace: str
    task: str


@dataclass(frozen=True, slots=True)
class TaskFinished:
    """All elements of a Task have ended, or one has failed."""

    uid: str


@dataclass(frozen=True, slots=True)
class ElementFinished:
    """One element has ended."""

    uid: str
    element: int


@dataclass(frozen=True, slots=True)
class ResultSettled:
    """A result with an entry of its own is completed or aborted."""

    namespace: str
    session: str
    result: str


@dataclass(frozen=True, slots=True)
class Retained:
    """Never happens: holds back nothing but the expiry of a Task that others still need."""

    uid: str


Blocker = TaskCreated | TaskFinished | ElementFinished | ResultSettled | Retained
