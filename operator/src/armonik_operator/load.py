"""What waits for each Partition and who works for it, kept as runs change. No Task is ever looked through.

Pure but for the clock it is given.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from armonik_operator.fold import RunHead
from armonik_sdk.api.records import RecordKind


class Place(NamedTuple):
    """Namespace and name of a Partition, there or not."""

    namespace: str
    partition: str


@dataclass
class Load:
    """Of one Partition."""

    runs: int = 0
    """Runs in the queue."""
    elements: int = 0
    """Elements of those runs, and of runs that are parked."""
    owners: dict[str, int] = field(default_factory=dict)
    """Runs by the UID of the pod that holds them."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do, nor anybody doing it."""
        return not (self.runs or self.elements or self.owners)


class _Share(NamedTuple):
    """What one open run adds to the load of its Partition."""

    place: Place
    runs: int
    elements: int
    owner: str


class Loads:
    """Loads of all Partitions. `changed` is called with each one whose load changes."""

    def __init__(self, clock: Callable[[], float], changed: Callable[[Place], None]) -> None:
        self._clock = clock
        self._changed = changed
        self._loads: dict[Place, Load] = {}
        self._shares: dict[str, dict[int, _Share]] = {}
        self._touched: dict[str, float] = {}
        self._started = clock()

    def of(self, place: Place) -> Load:
        """The load of a Partition; a view that may change."""
        return self._loads.get(place) or Load()

    def places(self) -> list[Place]:
        """Partitions with any load."""
        return list(self._loads)

    def note(self, namespace: str, task: str, run: RunHead) -> None:
        """A run of a Task has this head now."""
        shares = self._shares.setdefault(task, {})
        old = shares.pop(run.start, None)
        new = None if run.kind.terminal else _share(namespace, run)
        if new is not None:
            shares[run.start] = new
        if not shares:
            del self._shares[task]
        for share in (old, new):
            if share is not None and share.owner:
                self._touched[share.owner] = self._clock()
        if old != new:
            self._apply(old, new)

    def drop(self, task: str) -> None:
        """A Task is forgotten, whatever its runs were."""
        for share in self._shares.pop(task, {}).values():
            self._apply(share, None)

    def idle(self, pod: str) -> float:
        """Seconds for which a pod that holds no run has held none, as far as this process knows."""
        return self._clock() - self._touched.get(pod, self._started)

    def forget_pod(self, pod: str) -> None:
        """A pod is gone."""
        self._touched.pop(pod, None)

    def _apply(self, old: _Share | None, new: _Share | None) -> None:
        for share, sign in ((old, -1), (new, 1)):
            if share is None:
                continue
            load = self._loads.setdefault(share.place, Load())
            load.runs += sign * share.runs
            load.elements += sign * share.elements
            if share.owner:
                load.owners[share.owner] = load.owners.get(share.owner, 0) + sign
                if not load.owners[share.owner]:
                    del load.owners[share.owner]
            if load.empty:
                del self._loads[share.place]
        for place in {share.place for share in (old, new) if share is not None}:
            self._changed(place)


def _share(namespace: str, run: RunHead) -> _Share:
    place = Place(namespace, run.partition)
    if run.owner_pod:
        return _Share(place, 0, max(0, run.remaining - 1), run.owner_pod)
    return _Share(place, 0 if run.kind is RecordKind.PAUSED else 1, run.remaining, "")
