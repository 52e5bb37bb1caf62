"""`python -m bench.growth`: what an element costs, and what is held in memory, as work and pods grow.

One Task of no-op elements after the other, with the worker of our own: submitted, and all results collected.
CPU time and memory of components come from bench/cpu.py; memory is looked at every second. Each is run once.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Iterable, Sequence

from bench.cpu import ClusterCpu
from bench.run import used
from bench.systems.armonik import OwnWorker
from bench.workloads import Work

COUNTS = (1_000, 10_000, 100_000, 1_000_000)
WORKERS = (1, 2, 4, 8)
SCALED = 20_000
"""Elements with which the pods are scaled."""
WARM = 1_000


async def grow(counts: Sequence[int], workers: int) -> None:
    """Print what each count costs an element, and the memory of its two halves in time."""
    async with _Installation(workers) as system:
        cluster = ClusterCpu(system.partition)
        for count in counts:
            held: list[dict[str, float]] = []
            work = asyncio.create_task(_measure(system, count))
            while not work.done():
                held.append(await asyncio.to_thread(cluster.memory))
                await asyncio.wait({work}, timeout=1.0)
            seconds = await work
            half = len(held) // 2
            print(f"  all of it took {seconds:.1f} s")
            print("  MiB at most, first half: ", _line(_most(held[:half] or held), 0))
            print("  MiB at most, second half:", _line(_most(held[half:]), 0), flush=True)


async def scale(counts: Sequence[int], elements: int) -> None:
    """Print how fast `elements` are with each number of pods."""
    for workers in counts:
        async with _Installation(workers) as system:
            await _measure(system, elements)


async def _measure(system: OwnWorker, count: int) -> float:
    """Run `count` elements, print how fast that was and what one cost; the seconds."""
    cluster = ClusterCpu(system.partition)
    before, started = cluster.read(), time.monotonic()
    await system.many(count, Work())
    seconds, costs = time.monotonic() - started, used(before, cluster.read())
    print(f"\n{count} elements, {system.workers} workers: {count / seconds:.0f} elements/s")
    row = {component: 1000 * cost / count for component, cost in costs.items()}
    print("  CPU-ms an element:", _line(row, 3))
    full = {component: 1000 / cost for component, cost in row.items() if cost}
    print("  elements/s that would fill a core with it:", _line(full, 0), flush=True)
    return seconds


class _Installation:
    """A partition of `workers` pods, warmed."""

    def __init__(self, workers: int) -> None:
        self._system = OwnWorker(workers)

    async def __aenter__(self) -> OwnWorker:
        await self._system.start()
        await self._system.many(WARM, Work())
        return self._system

    async def __aexit__(self, *_: object) -> None:
        await self._system.stop()


def _most(held: Iterable[dict[str, float]]) -> dict[str, float]:
    most: dict[str, float] = {}
    for each in held:
        for name, value in each.items():
            most[name] = max(value, most.get(name, 0.0))
    return most


def _line(row: dict[str, float], digits: int) -> str:
    return ", ".join(f"{name} {value:.{digits}f}" for name, value in row.items())


async def main(arguments: argparse.Namespace) -> None:
    """The command line."""
    await grow(arguments.counts, arguments.workers)
    await scale(arguments.scale, arguments.elements)


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",") if word]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description=__doc__)
    parser.add_argument("--counts", type=_numbers, default=list(COUNTS), help="elements, one run each")
    parser.add_argument("--workers", type=int, default=2, help="pods for those")
    parser.add_argument("--scale", type=_numbers, default=list(WORKERS), help="pods, one run each")
    parser.add_argument("--elements", type=int, default=SCALED, help="elements for those")
    sys.exit(asyncio.run(main(parser.parse_args())))
