"""Measuring in turns: what one repetition is, which systems take part, what to do when one breaks."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

from armonik_sdk.client import ClientError
from bench.report import HELD, Sample
from bench.workloads import System, Workload

T = TypeVar("T")

IDLE_SECONDS: Final = 5.0
MEMORY_SECONDS: Final = 0.25
"""Between two looks at what is held in memory."""
EVERYTHING: Final = "everything"
"""The component whose CPU time is that of all the others together."""


class SystemFailed(Exception):  # noqa: N818 - reads as what happened
    """A system cannot be measured; the message says why. The others are measured without it."""


class Subject(Protocol):
    """What can be measured."""

    name: str

    def takes(self, workload: Workload) -> bool:
        """Whether it is given this workload."""

    async def start(self) -> None:
        """Bring it up."""

    async def stop(self) -> None:
        """Take it down."""

    async def rest(self) -> None:
        """Use nothing until it is woken, as far as it can be made to."""

    async def wake(self) -> None:
        """It is measured next."""

    async def warm(self, workload: Workload) -> None:
        """Once for each workload, not counted."""

    async def measure(self, workload: Workload) -> dict[str, float]:
        """One repetition."""

    def cpu(self) -> dict[str, float]:
        """CPU seconds so far, by component; empty when not measured."""

    def memory(self) -> dict[str, float]:
        """MiB held now, by component; empty when not measured."""


class Gauges(Protocol):
    """What can be read off a system's components."""

    def read(self) -> dict[str, float]:
        """CPU seconds so far."""

    def memory(self) -> dict[str, float]:
        """MiB held now."""


class Local:
    """A system that this process itself gives its work to."""

    def __init__(self, system: System, gauges: Callable[[], Gauges] | None = None) -> None:
        """`gauges` are asked for once its components are there."""
        self.name = system.name
        self._system = system
        self._make = gauges
        self._gauges: Gauges | None = None

    def takes(self, workload: Workload) -> bool:
        """All that a system can do, and can end in reasonable time."""
        can = not workload.needs or hasattr(self._system, workload.needs)
        return can and workload.of_systems and workload.given(self._system.slow) > 0

    async def start(self) -> None:
        """Bring it up, and find its components."""
        await _tried(self._system.start())
        self._gauges = self._make() if self._make else None

    async def stop(self) -> None:
        """Take it down."""
        await _tried(self._system.stop())

    async def rest(self) -> None:
        """A cluster cannot be made to."""

    async def wake(self) -> None:
        """It never slept."""

    async def warm(self, workload: Workload) -> None:
        """In this process."""
        await _tried(workload.warm(self._system))
        await _tried(self._system.settle())

    async def measure(self, workload: Workload) -> dict[str, float]:
        """In this process."""
        found = await _tried(workload.measure(self._system))
        await _tried(self._system.settle())
        return found

    def cpu(self) -> dict[str, float]:
        """By component."""
        return self._gauges.read() if self._gauges else {}

    def memory(self) -> dict[str, float]:
        """By component."""
        return self._gauges.memory() if self._gauges else {}


async def _tried(work: Awaitable[T]) -> T:
    try:
        return await work
    except (ClientError, AssertionError, TimeoutError) as error:
        raise SystemFailed(f"{type(error).__name__}: {error}") from error


@dataclass
class Run:
    """A run of the benchmarks, and what came of it."""

    subjects: Sequence[Subject]
    workloads: Sequence[Workload]
    seconds: float
    """No repetition is begun that would probably end later than this."""
    samples: list[Sample] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """Why a system is missing, by its name."""

    async def all(self, repetitions: int) -> None:
        """Start, warm, measure, stop."""
        begun = time.monotonic()
        started: list[Subject] = []
        try:
            for subject in self.subjects:
                started.append(subject)
                await self._with(subject, subject.start)
                await subject.rest()
            for workload in self.workloads:
                for subject in self._takers(workload):
                    print(f"warming: {workload.name}, {subject.name}", flush=True)
                    await self._turn(subject, lambda s=subject, w=workload: s.warm(w))  # type: ignore[misc]
            last = 0.0  # not the longest: some workloads are done in the first repetitions alone
            for repetition in range(1, repetitions + 1):
                now = time.monotonic()
                if now - begun + last > self.seconds:
                    print(f"stopping after {repetition - 1} repetitions: another would take too long")
                    break
                await self._repetition(repetition, f"{repetition}/{repetitions}")
                last = time.monotonic() - now
        finally:
            for subject in started:
                self.failed |= await self._end(subject)

    async def _repetition(self, number: int, label: str) -> None:
        """Each workload through each system, so that a disturbance meets all alike."""
        await self._idle()
        for workload in self.workloads:
            if workload.most and number > workload.most:
                continue
            for subject in self._takers(workload):
                await self._turn(subject, lambda s=subject, w=workload: self._one(label, s, w))  # type: ignore[misc]

    async def _one(self, label: str, subject: Subject, workload: Workload) -> None:
        before = subject.cpu() if workload.costs else {}
        held: dict[str, float] = {}
        async with _watched(subject, held) if workload.memory else contextlib.nullcontext():
            found = await subject.measure(workload)
        costs = used(before, subject.cpu()) if workload.costs else {}
        for name, value in found.items():
            full = f"{workload.name}, {name}" if name else workload.name
            self.samples.append(Sample(full, subject.name, workload.units[name], value))
        for component, seconds in costs.items():
            who = f"{subject.name}: {component}"
            cost = 1000 * seconds / workload.count
            self.samples.append(Sample(f"{workload.name}, CPU", who, "CPU-ms/element", cost))
        for component, most in held.items():
            who = f"{subject.name}: {component}"
            self.samples.append(Sample(f"{workload.name}, memory", who, HELD, most))
        told = ", ".join(f"{value:.4g} {workload.units[name]}" for name, value in found.items())
        if EVERYTHING in costs:
            told += f", {1000 * costs[EVERYTHING] / workload.count:.2g} CPU-ms each"
        print(f"{label}  {workload.name}, {subject.name}: {told}", flush=True)

    async def _idle(self) -> None:
        """What each system costs while nobody asks anything of it; all are awake."""
        for subject in self._left():
            await subject.wake()
        before = {subject.name: subject.cpu() for subject in self._left()}
        await asyncio.sleep(IDLE_SECONDS)
        for subject in self._left():
            for component, seconds in used(before[subject.name], subject.cpu()).items():
                who = subject.name if component == EVERYTHING else f"{subject.name}: {component}"
                self.samples.append(Sample("idle", who, "CPU-ms/s", 1000 * seconds / IDLE_SECONDS))
        for subject in self._left():
            await subject.rest()

    async def _turn(self, subject: Subject, what: Callable[[], Awaitable[None]]) -> None:
        """The others rest, so that their background work is not measured."""
        await subject.wake()
        await self._with(subject, what)
        await subject.rest()

    async def _with(self, subject: Subject, what: Callable[[], Awaitable[None]]) -> None:
        if subject.name in self.failed:
            return
        try:
            await what()
        except SystemFailed as failed:
            self.failed[subject.name] = str(failed)
            print(f"without {subject.name} from here on: {failed}", flush=True)

    async def _end(self, subject: Subject) -> dict[str, str]:
        """Also of one that broke: what can be taken down is."""
        try:
            await subject.stop()
        except SystemFailed as failed:
            return {subject.name: self.failed.get(subject.name, f"taking it down: {failed}")}
        return {}

    def _left(self) -> list[Subject]:
        return [subject for subject in self.subjects if subject.name not in self.failed]

    def _takers(self, workload: Workload) -> list[Subject]:
        return [subject for subject in self._left() if subject.takes(workload)]


@contextlib.asynccontextmanager
async def _watched(subject: Subject, held: dict[str, float]) -> AsyncIterator[None]:
    """Keep what each component holds at most."""

    async def look() -> None:
        for component, now in (await asyncio.to_thread(subject.memory)).items():
            held[component] = max(now, held.get(component, 0.0))

    async def watch() -> None:
        while True:
            await look()
            await asyncio.sleep(MEMORY_SECONDS)

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.wait({watching})
    await look()


def used(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Seconds between two readings, by component and for everything; without components that came or went."""
    found = {component: after[component] - value for component, value in before.items() if component in after}
    return found | {EVERYTHING: sum(found.values())} if found else {}
