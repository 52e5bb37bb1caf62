"""`python -m bench.page`: put the results of bench/out into docs/performance.md and docs/performance.svg."""

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from bench.plot import plot
from bench.report import HELD, OUT, Result, number

DOCS: Final = Path(__file__).parents[1] / "docs"
BEGIN: Final = "<!-- results: written by `make bench-page`, do not edit -->"
END: Final = "<!-- end of results -->"


def page(text: str, results: list[Result], about: Mapping[str, Any]) -> str:
    """The document with these results between its markers.

    Raises:
        ValueError: it has no markers.
    """
    before, _, rest = text.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"the document lacks the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{body(results, about)}\n{END}{after}"


def body(results: list[Result], about: Mapping[str, Any]) -> str:
    """Tables: systems side by side; the bare limits and our ratios to them; CPU time."""
    systems = [
        r
        for r in results
        if r.workload.endswith("efficiency") or not r.unit.startswith(("CPU", "ratio", HELD))
    ]
    speed = [r for r in systems if r.system != "bare"]
    bare = [r for r in results if r.system == "bare"]
    ratio = [r for r in results if r.unit == "ratio" and r not in systems]
    cpu = [r for r in results if r.unit == "CPU-ms/element"]
    held = [r for r in results if r.unit == HELD]
    idle = [r for r in results if r.unit == "CPU-ms/s"]
    parts = [_where(about)]
    for head, chosen, row, column in (
        ("How fast", speed, _with_unit, lambda r: r.system),
        ("Bare limits", bare, _with_unit, lambda r: r.system),
        ("Our figures over the bare limits", ratio, lambda r: r.workload, lambda r: "ratio"),
        ("CPU-milliseconds per element", cpu, lambda r: r.system, lambda r: r.workload.removesuffix(", CPU")),
        ("MiB held at most", held, lambda r: r.system, lambda r: r.workload.removesuffix(", memory")),
        ("CPU-milliseconds per second when idle", idle, lambda r: r.system, lambda r: "idle"),
    ):
        if chosen:
            parts.append(f"### {head}\n\n{_pivot(chosen, row, column)}")
    for name, reason in dict(about.get("failed") or {}).items():
        parts.append(f"{name} could not be measured to the end: {reason}")
    return "\n\n".join(parts)


def _where(about: Mapping[str, Any]) -> str:
    peers = ", ".join(f"{part} {version}" for part, version in dict(about.get("peers") or {}).items())
    versions = dict(about.get("versions") or {})
    machine = f"{about.get('cpu')}, {about.get('cores')} cores, {about.get('memoryGiB')} GiB"
    return (
        f"{about.get('time')}, commit {about.get('commit')}. {machine}, Linux {about.get('kernel')}, "
        f"Kubernetes {versions.get('kubernetes')}; {about.get('workers')} workers of each system; {peers}. "
        f"Load before: {about.get('loadBefore')}. Medians, with minimum and maximum in brackets.\n\n"
        "![The same as bars](performance.svg)"
    )


def _with_unit(result: Result) -> str:
    return f"{result.workload} ({result.unit})"


def _pivot(results: Iterable[Result], row: Callable[[Result], str], column: Callable[[Result], str]) -> str:
    cells = {(row(result), column(result)): result for result in results}
    rows, columns = list(dict.fromkeys(r for r, _ in cells)), list(dict.fromkeys(c for _, c in cells))
    lines = [["", *columns], ["---", *("---:" for _ in columns)]]
    lines += [[name, *(_cell(cells.get((name, other))) for other in columns)] for name in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(result: Result | None) -> str:
    if result is None:
        return "–"
    return f"{number(result.median)} ({number(result.min)}–{number(result.max)})"


def main() -> int:
    """The command line."""
    results = [Result(**entry) for entry in json.loads((OUT / "results.json").read_text())]
    about = json.loads((OUT / "environment.json").read_text())
    if about["smoke"]:
        print(
            "bench/out is of a smoke run, whose numbers mean nothing: run `make bench` first", file=sys.stderr
        )
        return 1
    document = DOCS / "performance.md"
    document.write_text(page(document.read_text(), results, about))
    (DOCS / "performance.svg").write_text(plot(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
