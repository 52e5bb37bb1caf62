"""Load of each Partition: queued and running elements, and how many end, updated without scanning Tasks.

Pure but for the clock it is given.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from armonik_operator.journal.fold import RunHead
from armonik_sdk.api.names import NamespacedName
from armonik_sdk.api.records import RecordKind

SEEN_SECONDS = 300.0
"""The rate of a Partition is that of the last five minutes."""
SLICE_SECONDS = 10.0
"""Ends are counted together for so long; a rate of less is none."""
KEPT_PODS = 20_000
"""Pods whose last work is remembered: those that worked last. The journal names pods that are long gone."""


@dataclass
class PartitionLoad:
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


class EndRates:
    """How many elements end in each Partition, of the last five minutes."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._ends: dict[NamespacedName, deque[tuple[float, int]]] = {}
        """When a slice began, and how many ended in it; at most 31 of them."""

    def note(self, place: NamespacedName, count: int, age: float) -> None:
        """Elements ended `age` seconds ago: a journal that is read again has old records."""
        if not count or not place.name or age > SEEN_SECONDS:
            return
        ends, at = self._ends.setdefault(place, deque()), self._clock() - max(0.0, age)
        if ends and at - ends[-1][0] < SLICE_SECONDS:
            began, before = ends.pop()
            ends.append((began, before + count))
        else:
            ends.append((at, count))
        self._drop(place)

    def per_minute(self, place: NamespacedName) -> int:
        """Elements a minute; 0 where none ended, or too short a time was seen."""
        self._drop(place)
        ends = self._ends.get(place)
        seen = self._clock() - ends[0][0] if ends else 0.0
        if not ends or seen < SLICE_SECONDS:
            return 0
        return round(sum(count for _, count in ends) * 60.0 / seen)

    def forget(self, place: NamespacedName) -> None:
        """The Partition is gone."""
        self._ends.pop(place, None)

    def _drop(self, place: NamespacedName) -> None:
        ends, since = self._ends.get(place), self._clock() - SEEN_SECONDS
        while ends and ends[0][0] < since:
            ends.popleft()
        if ends is not None and not ends:
            del self._ends[place]


class _Share(NamedTuple):
    """What one open run adds to the load of its Partition."""

    place: NamespacedName
    runs: int
    elements: int
    owner: str


class PartitionLoads:
    """Loads of all Partitions. `changed` is called with each one whose load changes."""

    def __init__(self, clock: Callable[[], float], changed: Callable[[NamespacedName], None]) -> None:
        self._clock = clock
        self._changed = changed
        self.rates = EndRates(clock)
        self._loads: dict[NamespacedName, PartitionLoad] = {}
        self._shares: dict[str, dict[int, _Share]] = {}
        self._touched: dict[str, float] = {}
        self._started = clock()

    def of(self, place: NamespacedName) -> PartitionLoad:
        """The load of a Partition; a view that may change."""
        return self._loads.get(place) or PartitionLoad()

    def places(self) -> list[NamespacedName]:
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
                self.worked(share.owner)
        if old != new:
            self._apply(old, new)

    def worked(self, pod: str) -> None:
        """A pod holds a run, or did until now."""
        self._touched.pop(pod, None)
        self._touched[pod] = self._clock()
        if len(self._touched) > KEPT_PODS:
            del self._touched[next(iter(self._touched))]

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
            load = self._loads.setdefault(share.place, PartitionLoad())
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
    place = NamespacedName(namespace, run.partition)
    if run.owner_pod:
        return _Share(place, 0, max(0, run.remaining - 1), run.owner_pod)
    return _Share(place, 0 if run.kind is RecordKind.PAUSED else 1, run.remaining, "")
