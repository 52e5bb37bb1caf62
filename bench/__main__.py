"""`python -m bench`: warm everything, measure in turns, print the table, write bench/out."""

import argparse
import asyncio
import logging
import os
import signal
import sys

from bench.cpu import ClusterCpu, resident, tree
from bench.peers import PEERS
from bench.peers.remote import Remote
from bench.plot import plot
from bench.ratios import ratios
from bench.report import OUT, environment, summarise, table, write
from bench.run import Local, Run, Subject
from bench.systems.armonik import NAME, ArmoniK, OwnWorker, versions
from bench.systems.functions import Functions
from bench.systems.job import IndexedJob
from bench.systems.limits import LIMITS, Bare
from bench.workloads import FULL, SMOKE, Workload

REPETITIONS = 5
MINUTES = 75.0


async def bench(arguments: argparse.Namespace) -> int:
    """All of it; 1 when we ourselves could not be measured."""
    if (this := asyncio.current_task()) is not None:  # or what was started would outlive it
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    remotes = [Remote(peer, arguments.workers) for peer in PEERS]

    def ours(system: ArmoniK | Functions) -> Local:
        return Local(system, lambda: _Ours(system.partition, remotes))

    subjects: list[Subject] = [ours(ArmoniK(arguments.workers)), ours(OwnWorker(arguments.workers)), *remotes]
    subjects += [Local(IndexedJob(arguments.workers)), ours(Functions(arguments.workers)), Bare()]
    run = Run(
        [subject for subject in subjects if _wanted(subject.name, arguments.system)],
        [w for w in _workloads(arguments) if _wanted(w.name, arguments.only, arguments.without)],
        60 * arguments.minutes,
    )
    about = environment(versions()) | {"workers": arguments.workers, "smoke": arguments.smoke}
    await run.all(arguments.repetitions)
    results = summarise([*run.samples, *ratios(run.samples)])
    print(f"\n{table(results)}\n")
    for name, reason in run.failed.items():
        print(f"not measured to the end: {name}: {reason}")
    peers = {part: version for remote in remotes for part, version in remote.versions.items()}
    write(results, about | {"peers": peers, "failed": run.failed})
    (OUT / "plot.svg").write_text(plot(results))
    print(f"written to {OUT}: results.json, plot.svg, environment.json (where and with what)")
    return 1 if NAME in run.failed else 0


class _Ours:
    """The components of an installation, this process as their client among them."""

    def __init__(self, partition: str, remotes: list[Remote]) -> None:
        self._cluster, self._remotes = ClusterCpu(partition), remotes

    def read(self) -> dict[str, float]:
        """CPU seconds so far."""
        return self._cluster.read() | {"client": tree(os.getpid(), [remote.pid for remote in self._remotes])}

    def memory(self) -> dict[str, float]:
        """MiB held now."""
        return self._cluster.memory() | {"client": resident(os.getpid())}


def _workloads(arguments: argparse.Namespace) -> tuple[Workload, ...]:
    if arguments.smoke:
        return (*SMOKE, *(limit.short() for limit in LIMITS))
    return (*FULL, *LIMITS)


def _wanted(name: str, words: list[str] | None, unwanted: list[str] | None = None) -> bool:
    def named(by: list[str]) -> bool:
        return any(word.lower() in name.lower() for word in by)

    return (not words or named(words)) and not named(unwanted or [])


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="small: whether it works, not how fast")
    parser.add_argument("--repetitions", type=int, default=REPETITIONS)
    parser.add_argument(
        "--minutes", type=float, default=MINUTES, help="begin no repetition that would end later"
    )
    parser.add_argument("--workers", type=int, default=2, help="of every system")
    parser.add_argument("--only", action="append", help="workloads whose names contain this; may be repeated")
    parser.add_argument("--without", action="append", help="the same for workloads that are left out")
    parser.add_argument("--system", action="append", help="the same for systems")
    logging.basicConfig(level=logging.WARNING)
    return asyncio.run(bench(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
