"""What is measured: workloads, and how a repetition becomes a number. Knows no system."""

import asyncio
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Work:
    """What one element does."""

    milliseconds: float = 0.0
    """CPU time."""
    size: int = 8
    """Bytes of its result."""


class System(Protocol):
    """A task system with its workers, ready to be given work."""

    name: str
    workers: int

    async def start(self) -> None:
        """Bring it up and wait until all workers serve."""

    async def stop(self) -> None:
        """Take it down; what it made is removed."""

    async def one(self, work: Work) -> None:
        """One task of its own, until its result is here."""

    async def many(self, count: int, work: Work) -> None:
        """So many elements the way the system wants many to be given, until all results are here."""


@dataclass(frozen=True)
class Workload:
    """A workload; subclasses say how it is measured."""

    name: str
    count: int
    """Tasks or elements of one repetition."""
    work: Work = Work()

    @property
    def units(self) -> Mapping[str, str]:
        """Names of its numbers (appended to the workload's), with their units."""
        raise TypeError

    async def measure(self, system: System) -> dict[str, float]:
        """One repetition: a number for each of `units`."""
        raise TypeError

    async def warm(self, system: System) -> None:
        """The same in small, not counted."""
        raise TypeError


@dataclass(frozen=True)
class Latency(Workload):
    """Single tasks, one after the other."""

    @property
    def units(self) -> Mapping[str, str]:
        """Percentiles."""
        return {"p50": "ms", "p99": "ms"}

    async def measure(self, system: System) -> dict[str, float]:
        """From the call that submits to the result in hand."""
        taken: list[float] = []
        for _ in range(self.count):
            start = time.perf_counter()
            await system.one(self.work)
            taken.append(1000 * (time.perf_counter() - start))
        return {"p50": percentile(taken, 50), "p99": percentile(taken, 99)}

    async def warm(self, system: System) -> None:
        """A few tasks."""
        for _ in range(min(20, self.count)):
            await system.one(self.work)


@dataclass(frozen=True)
class Rate(Workload):
    """Single tasks, a fixed number of them in flight."""

    in_flight: int = 16

    @property
    def units(self) -> Mapping[str, str]:
        """One rate."""
        return {"": "tasks/s"}

    async def measure(self, system: System) -> dict[str, float]:
        """From the first call to the last result in hand."""
        start = time.perf_counter()
        await self._run(system, self.count)
        return {"": self.count / (time.perf_counter() - start)}

    async def warm(self, system: System) -> None:
        """Some tasks."""
        await self._run(system, min(3 * self.in_flight, self.count))

    async def _run(self, system: System, count: int) -> None:
        numbers = iter(range(count))

        async def work() -> None:
            for _ in numbers:
                await system.one(self.work)

        async with asyncio.TaskGroup() as group:
            for _ in range(self.in_flight):
                group.create_task(work())


@dataclass(frozen=True)
class Batch(Workload):
    """Many elements, given at once."""

    @property
    def units(self) -> Mapping[str, str]:
        """A rate; for busy elements the efficiency as well."""
        return {"": "elements/s"} | ({"efficiency": "ratio"} if self.work.milliseconds else {})

    async def measure(self, system: System) -> dict[str, float]:
        """From the call that submits to the last result in hand."""
        start = time.perf_counter()
        await system.many(self.count, self.work)
        taken = time.perf_counter() - start
        ideal = self.count * self.work.milliseconds / 1000 / system.workers
        return {"": self.count / taken} | ({"efficiency": ideal / taken} if ideal else {})

    async def warm(self, system: System) -> None:
        """A fifth of it."""
        await system.many(max(1, self.count // 5), self.work)


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that so many percent of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


FULL: tuple[Workload, ...] = (
    Latency("single task, sequential", 100),
    Rate("single tasks, 16 in flight", 400),
    Batch("no-op, 2,000 elements", 2_000),
)
SMOKE: tuple[Workload, ...] = (
    Latency("single task, sequential", 10),
    Rate("single tasks, 16 in flight", 48),
    Batch("no-op, 200 elements", 200),
)
