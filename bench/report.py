"""From samples to the table and the files. Pure, but for the two writers."""

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

OUT = Path(__file__).parent / "out"
HELD = "MiB held"
"""Unit of what is held in memory."""


@dataclass(frozen=True)
class Sample:
    """One number of one repetition."""

    workload: str
    system: str
    unit: str
    value: float


@dataclass(frozen=True)
class Result:
    """The repetitions of one number."""

    workload: str
    system: str
    unit: str
    median: float
    min: float
    max: float
    repetitions: int


def summarise(samples: Iterable[Sample]) -> list[Result]:
    """One result for each workload, system and unit, in the order of their first sample."""
    grouped: dict[tuple[str, str, str], list[float]] = {}
    for sample in samples:
        grouped.setdefault((sample.workload, sample.system, sample.unit), []).append(sample.value)
    return [
        Result(*key, statistics.median(values), min(values), max(values), len(values))
        for key, values in grouped.items()
    ]


def table(results: Iterable[Result]) -> str:
    """The results as text."""
    head = ("workload", "system", "median", "min", "max", "unit", "n")
    rows = [
        (r.workload, r.system, number(r.median), number(r.min), number(r.max), r.unit, str(r.repetitions))
        for r in results
    ]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    numeric = {2, 3, 4, 6}

    def line(cells: tuple[str, ...]) -> str:
        padded = (
            cell.rjust(width) if at in numeric else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "  ".join(padded).rstrip()

    return "\n".join([line(head), line(tuple("-" * width for width in widths)), *map(line, rows)])


def number(value: float) -> str:
    """Three digits, or all of a large one."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def environment(versions: dict[str, str]) -> dict[str, object]:
    """Where and with what the numbers were taken."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _said("git", "describe", "--always", "--dirty"),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memoryGiB": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "loadBefore": os.getloadavg()[0],
        "versions": versions,
    }


def write(results: Iterable[Result], about: dict[str, object], folder: Path = OUT) -> None:
    """`results.json` and `environment.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps([asdict(result) for result in results], indent=1) + "\n")
    (folder / "environment.json").write_text(json.dumps(about, indent=1) + "\n")


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
    return done.stdout.strip()
