"""What is measured: workloads, and how a repetition becomes a number. Knows no system; standard library only.

The peers' processes import this module as well, so the same lines take every system's time.
"""

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

_BLOCK = random.Random(0).randbytes(1024 * 1024)


@dataclass(frozen=True)
class Work:
    """What one element does."""

    milliseconds: float = 0.0
    """CPU time."""
    size: int = 8
    """Bytes of its result."""
    payload: int = 0
    """Bytes of its own input; without, elements have none."""


class System(Protocol):
    """A task system with its workers, ready to be given work."""

    name: str
    workers: int
    slow: bool
    """Takes seconds for a task: it is given `few` tasks of those workloads that have such a number."""

    async def start(self) -> None:
        """Bring it up and wait until all workers serve."""

    async def stop(self) -> None:
        """Take it down; what it made is removed."""

    async def one(self, work: Work) -> None:
        """One task of its own, until its result is here."""

    async def urgent(self, work: Work) -> None:
        """The same, ahead of everything else that waits, where the system has a way to say so."""

    async def many(self, count: int, work: Work) -> None:
        """Run `count` elements the way the system wants many to be given, until all results are here."""

    async def tree(self, levels: int, width: int) -> int:
        """Tasks over `levels` levels, and the root; their number, as they counted themselves.

        The root submits the first level. The last task of a level waits for the others of its level, and then
        submits the next one.
        """

    async def fill(self, count: int, work: Work) -> None:
        """Have `count` elements done, their results where the system keeps them, for `collect`."""

    async def collect(self) -> None:
        """Bring all results of `fill` here; may be repeated."""

    async def settle(self) -> None:
        """After each repetition, not measured: remove what it left behind."""


@dataclass(frozen=True)
class Workload:
    """A workload; subclasses say how it is measured."""

    name: str
    count: int
    """Tasks or elements of one repetition."""
    work: Work = Work()
    few: int = 0
    """The same for slow systems, which skip the workload when it is 0."""
    most: int = 0
    """Repetitions at most, of one that takes minutes; 0 is as many as of the others."""
    memory: bool = False
    """Whether what a system holds in memory at most is reported."""

    @property
    def units(self) -> Mapping[str, str]:
        """Names of its numbers (appended to the workload's), with their units."""
        raise TypeError

    @property
    def costs(self) -> bool:
        """Whether the CPU time of a repetition is reported for each task or element."""
        return False

    @property
    def needs(self) -> str:
        """Method that a system must have, which not all have; empty when all do."""
        return ""

    @property
    def of_systems(self) -> bool:
        """Whether systems are measured with it, not only what they build on."""
        return True

    def given(self, slow: bool) -> int:
        """Tasks or elements that a system gets."""
        return self.few if slow else self.count

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
        return _percentiles([await _timed(system.one, self.work) for _ in range(self.given(system.slow))])

    async def warm(self, system: System) -> None:
        """A few tasks."""
        for _ in range(1 if system.slow else min(20, self.count)):
            await system.one(self.work)


@dataclass(frozen=True)
class UnderLoad(Workload):
    """Single tasks, given at a fixed pace while every worker has elements to work on for longer than that."""

    load: Work = Work(milliseconds=10)
    elements: int = 1_200
    pace: float = 0.15
    """Seconds between two tasks, whether or not the first has ended."""
    lead: float = 1.0
    """Seconds that the load is given before the first of them."""

    @property
    def units(self) -> Mapping[str, str]:
        """Percentiles."""
        return {"p50": "ms", "p99": "ms"}

    async def measure(self, system: System) -> dict[str, float]:
        """From the call that submits a task to its result in hand."""
        return _percentiles(await self._run(system, self.count, self.elements))

    async def warm(self, system: System) -> None:
        """One task, and a tenth of the load."""
        await self._run(system, 1, self.elements // 10)

    async def _run(self, system: System, count: int, elements: int) -> list[float]:
        async with asyncio.TaskGroup() as group:
            group.create_task(system.many(elements, self.load))
            await asyncio.sleep(self.lead)
            given: list[asyncio.Task[float]] = []
            for _ in range(count):
                given.append(group.create_task(_timed(system.urgent, self.work)))
                await asyncio.sleep(self.pace)
        return [task.result() for task in given]


@dataclass(frozen=True)
class Tasks(Workload):
    """Workloads that count the tasks that end in a second."""

    @property
    def units(self) -> Mapping[str, str]:
        """One rate."""
        return {"": "tasks/s"}

    @property
    def costs(self) -> bool:
        """For each task."""
        return True


@dataclass(frozen=True)
class Tree(Tasks):
    """Tasks that submit tasks, which wait for each other: the root, then `count` tasks over `levels`."""

    levels: int = 100

    async def measure(self, system: System) -> dict[str, float]:
        """From the call that submits the root to the number of all tasks in hand."""
        start = time.perf_counter()
        await self._run(system, self.levels, self.count // self.levels)
        return {"": self.count / (time.perf_counter() - start)}

    async def warm(self, system: System) -> None:
        """A few levels."""
        await self._run(system, min(3, self.levels), self.count // self.levels)

    async def _run(self, system: System, levels: int, width: int) -> None:
        found = await system.tree(levels, width)
        if found != levels * width + 1:
            raise AssertionError(f"a tree of {levels} levels of {width} tasks and a root counts {found}")


@dataclass(frozen=True)
class Rate(Tasks):
    """Single tasks, a fixed number of them in flight."""

    in_flight: int = 16

    @property
    def units(self) -> Mapping[str, str]:
        """One rate, and the latency under this load."""
        return {"": "tasks/s", "p50": "ms", "p99": "ms"}

    async def measure(self, system: System) -> dict[str, float]:
        """From the first call to the last result in hand."""
        start = time.perf_counter()
        taken = await self._run(system, self.count)
        return {"": self.count / (time.perf_counter() - start)} | _percentiles(taken)

    async def warm(self, system: System) -> None:
        """Some tasks."""
        await self._run(system, min(3 * self.in_flight, self.count))

    async def _run(self, system: System, count: int) -> list[float]:
        numbers = iter(range(count))
        taken: list[float] = []

        async def caller() -> None:
            for _ in numbers:
                taken.append(await _timed(system.one, self.work))  # noqa: PERF401 - one list of all callers

        async with asyncio.TaskGroup() as group:
            for _ in range(self.in_flight):
                group.create_task(caller())
        return taken


@dataclass(frozen=True)
class Batch(Workload):
    """Many elements, given at once."""

    @property
    def units(self) -> Mapping[str, str]:
        """A rate; for busy elements the efficiency, for data the volume as well."""
        busy = {"efficiency": "ratio"} if self.work.milliseconds else {}
        return {"": "elements/s"} | busy | ({"volume": "MiB/s"} if self.work.payload else {})

    @property
    def costs(self) -> bool:
        """For each element."""
        return not self.few

    async def measure(self, system: System) -> dict[str, float]:
        """From the call that submits to the last result in hand."""
        count = self.given(system.slow)
        start = time.perf_counter()
        await self._give(system, count)
        taken = time.perf_counter() - start
        ideal = count * self.work.milliseconds / 1000 / system.workers
        volume = count * (self.work.payload + self.work.size) / 2**20
        found = {"": count / taken, "efficiency": ideal / taken, "volume": volume / taken}
        return {name: found[name] for name in self.units}

    async def warm(self, system: System) -> None:
        """A part of it."""
        await self._give(system, max(1, min(500, self.given(system.slow) // 5)))

    async def _give(self, system: System, count: int) -> None:
        await system.many(count, self.work)


class Calls(Protocol):
    """A system of plain functions and futures."""

    async def loop(self, count: int, work: Work) -> None:
        """Submit `count` single tasks, one call for each, then wait for all results."""

    async def graph(self, chains: int, length: int) -> int:
        """Chains of tasks, each of which takes the future of the one before it; how many chains ended."""


@dataclass(frozen=True)
class Loop(Batch):
    """Many single tasks, submitted by a call for each."""

    @property
    def needs(self) -> str:
        """Systems of functions have it."""
        return "loop"

    async def _give(self, system: System, count: int) -> None:
        await cast("Calls", system).loop(count, self.work)


@dataclass(frozen=True)
class Graph(Tasks):
    """Chains of tasks that take the future of the one before: `count` tasks, `length` in each chain."""

    length: int = 10

    @property
    def needs(self) -> str:
        """Systems of futures have it."""
        return "graph"

    async def measure(self, system: System) -> dict[str, float]:
        """From the first call to the last value in hand."""
        start = time.perf_counter()
        await self._run(system, self.count // self.length)
        return {"": self.count / (time.perf_counter() - start)}

    async def warm(self, system: System) -> None:
        """A tenth of the chains."""
        await self._run(system, max(1, self.count // self.length // 10))

    async def _run(self, system: System, chains: int) -> None:
        found = await cast("Calls", system).graph(chains, self.length)
        if found != chains:
            raise AssertionError(f"{found} of {chains} chains ended")


@dataclass(frozen=True)
class Collect(Workload):
    """The results of many elements that have ended."""

    @property
    def units(self) -> Mapping[str, str]:
        """One rate."""
        return {"": "results/s"}

    async def measure(self, system: System) -> dict[str, float]:
        """From the call that asks to the last result in hand."""
        start = time.perf_counter()
        await system.collect()
        return {"": self.count / (time.perf_counter() - start)}

    async def warm(self, system: System) -> None:
        """Have the elements done, and collect them once."""
        await system.fill(self.count, self.work)
        await system.collect()


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that `percent` % of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def data(size: int) -> bytes:
    """`size` bytes that no compression makes smaller."""
    return b"".join(pieces(size))


def pieces(size: int, number: int = 0) -> Iterator[bytes]:
    """The same bit by bit, so that not all of it is in memory; another number begins with other bytes."""
    head = number.to_bytes(8)[: size if number else 0]
    if head:
        yield head
    left = size - len(head)
    while left > 0:
        yield _BLOCK[:left]
        left -= len(_BLOCK)


def inputs(count: int, size: int) -> Iterator[bytes]:
    """`count` different inputs: equal ones could be moved once for all."""
    return (b"".join(pieces(size, number)) for number in range(1, count + 1))


def burn(milliseconds: float) -> None:
    """Compute for that CPU time, not the clock's: a worker that has to share its core takes longer."""
    end = time.thread_time() + milliseconds / 1000
    while time.thread_time() < end:
        pass


async def _timed(submit: Callable[[Work], Awaitable[None]], work: Work) -> float:
    start = time.perf_counter()
    await submit(work)
    return 1000 * (time.perf_counter() - start)


def _percentiles(taken: Sequence[float]) -> dict[str, float]:
    return {"p50": percentile(taken, 50), "p99": percentile(taken, 99)}


KIB, MIB = 1024, 1024 * 1024
FULL: tuple[Workload, ...] = (
    Latency("single task, one at a time", 100, few=3),
    Rate("single tasks, 16 in flight", 400),
    Batch("no-op, 20 elements", 20, few=20),
    Batch("no-op, 1,000 elements", 1_000),
    Batch("no-op, 10,000 elements", 10_000),
    Batch("busy 1 ms, 1,000 elements", 1_000, Work(milliseconds=1)),
    Batch("busy 100 ms, 40 elements", 40, Work(milliseconds=100)),
    Batch("data 10 KiB, 1,000 elements", 1_000, Work(size=10 * KIB, payload=10 * KIB)),
    Batch("data 1 MiB, 32 elements", 32, Work(size=MIB, payload=MIB)),
    Batch("data 100 MiB, 4 elements", 4, Work(size=100 * MIB, payload=100 * MIB), most=2, memory=True),
    Batch("data 8 MiB, 64 elements", 64, Work(size=8 * MIB, payload=8 * MIB), most=1),
    Collect("collecting 10,000 results", 10_000),
    Loop("no-op, 10,000 calls in a loop", 10_000),
    Graph("graph, 100 chains of 10 tasks", 1_000),
    UnderLoad("single task, all workers busy", 25),
    Tree("tree, 10,000 tasks over 100 levels", 10_000, most=1),
    Batch("no-op, 100,000 elements", 100_000, most=1),
)
SMOKE: tuple[Workload, ...] = (
    Latency("single task, one at a time", 10, few=1),
    Rate("single tasks, 16 in flight", 48),
    Batch("no-op, 4 elements", 4, few=4),
    Batch("no-op, 200 elements", 200),
    Batch("busy 1 ms, 200 elements", 200, Work(milliseconds=1)),
    Batch("busy 100 ms, 4 elements", 4, Work(milliseconds=100)),
    Batch("data 10 KiB, 50 elements", 50, Work(size=10 * KIB, payload=10 * KIB)),
    Batch("data 1 MiB, 4 elements", 4, Work(size=MIB, payload=MIB)),
    Batch("data 100 MiB, 1 element", 1, Work(size=100 * MIB, payload=100 * MIB), memory=True),
    Batch("data 8 MiB, 2 elements", 2, Work(size=8 * MIB, payload=8 * MIB)),
    Collect("collecting 200 results", 200),
    Loop("no-op, 200 calls in a loop", 200),
    Graph("graph, 10 chains of 5 tasks", 50, length=5),
    UnderLoad("single task, all workers busy", 5, elements=400, lead=0.5),
    Tree("tree, 50 tasks over 5 levels", 50, levels=5),
)
