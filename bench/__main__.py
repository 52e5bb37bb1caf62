"""`python -m bench`: warm everything, measure in turns, print the table, write bench/out."""

import argparse
import asyncio
import logging
from collections.abc import Sequence

from bench.armonik import ArmoniK, versions
from bench.report import OUT, Sample, environment, summarise, table, write
from bench.workloads import FULL, SMOKE, System, Workload

REPETITIONS = 5


async def measure(systems: Sequence[System], workloads: Sequence[Workload], repetitions: int) -> list[Sample]:
    """Every repetition takes each workload through each system, so that a disturbance meets all alike."""
    samples: list[Sample] = []
    for workload in workloads:
        for system in systems:
            print(f"warming: {workload.name}, {system.name}", flush=True)
            await workload.warm(system)
    for repetition in range(1, repetitions + 1):
        for workload in workloads:
            for system in systems:
                found = await workload.measure(system)
                for name, value in found.items():
                    full = f"{workload.name}, {name}" if name else workload.name
                    samples.append(Sample(full, system.name, workload.units[name], value))
                told = ", ".join(f"{value:.4g} {workload.units[name]}" for name, value in found.items())
                print(f"{repetition}/{repetitions}  {workload.name}, {system.name}: {told}", flush=True)
    return samples


async def run(arguments: argparse.Namespace) -> None:
    """All of it."""
    workloads = [w for w in (SMOKE if arguments.smoke else FULL) if arguments.only in w.name]
    systems: list[System] = [ArmoniK()]
    about = environment(versions())
    started: list[System] = []
    try:
        for system in systems:
            started.append(system)
            await system.start()
        samples = await measure(systems, workloads, arguments.repetitions)
    finally:
        for system in started:
            await system.stop()
    results = summarise(samples)
    print(f"\n{table(results)}\n")
    write(results, about)
    print(f"written to {OUT}/results.json; where and with what: environment.json")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="small: whether it works, not how fast")
    parser.add_argument("--repetitions", type=int, default=REPETITIONS)
    parser.add_argument("--only", default="", help="only workloads whose name contains this")
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
