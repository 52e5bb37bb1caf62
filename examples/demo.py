"""The demo: analyse the Python standard library's own sources, on real pods, by the functions of this file.

Its files are arguments of 30 calls, one task with an element for each; a further call gets all their results
and adds them up. The table is checked against a plain computation here.
"""

import ast
import os
import sysconfig
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import armonik_sdk as ak

NAMESPACE = os.environ.get("ARMONIK_DEMO_NAMESPACE", "default")
PACKS = 30
TIMEOUT = 600.0


def analyse(files: dict[str, bytes]) -> dict[str, Any]:
    """Lines, functions and classes of these sources, and their longest functions."""
    report = {"files": len(files), "unparsable": 0, "lines": 0, "functions": 0, "classes": 0, "longest": []}
    for name, content in files.items():
        report["lines"] += content.count(b"\n")
        try:
            nodes = list(ast.walk(ast.parse(content, name)))
        except (SyntaxError, ValueError):
            report["unparsable"] += 1
            continue
        report["classes"] += sum(isinstance(node, ast.ClassDef) for node in nodes)
        functions = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        report["functions"] += len(functions)
        report["longest"] += [
            (1 + (node.end_lineno or 0) - node.lineno, name, node.name) for node in functions
        ]
    report["longest"] = longest(report["longest"])
    return report


def merge(reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The sum of reports."""
    merged = {key: sum(report[key] for report in reports) for key in reports[0] if key != "longest"}
    return {**merged, "longest": longest([entry for report in reports for entry in report["longest"]])}


def longest(functions: list[tuple[int, str, str]]) -> list[tuple[int, str, str]]:
    """The ten longest functions."""
    return sorted(functions, key=lambda function: (-function[0], *function[1:]))[:10]


def main() -> None:
    files = sources()
    packs = pack(files)
    size = sum(map(len, files.values())) / 1024
    print(f"{len(files)} sources of the standard library in {len(packs)} packs ({size:,.0f} KiB)")
    start = time.monotonic()
    namespace = None if os.environ.get("ARMONIK_GRID") else NAMESPACE
    with ak.connect(namespace) as client, client.session() as session:
        parts = session.map(analyse, packs)
        whole = session.submit(merge, parts)
        print(f"submitted {parts.task} ({len(parts)} elements) and {whole.task}, which depends on it")
        with ak.progress(parts):
            parts.wait(TIMEOUT)
        report = whole.result(TIMEOUT)
    print(f"finished in {time.monotonic() - start:.1f} s\n")
    show(report)
    if report != analyse(files):
        raise SystemExit("the numbers differ from a plain computation on this machine")
    print("\nThe numbers equal those of a plain, single-process computation on this machine.\n")
    print("Look at it:")
    print(f"  kubectl -n {NAMESPACE} get sessions.armonik.io,tk,akp,pods")
    print(f"  kubectl -n {NAMESPACE} get tk {parts.task} -o yaml")
    print(f"  kubectl -n {NAMESPACE} delete sessions.armonik.io {session.name}    # with its data")


def sources() -> dict[str, bytes]:
    """The files of the standard library that this Python has."""
    library = Path(sysconfig.get_path("stdlib"))
    return {
        str(file.relative_to(library)): file.read_bytes()
        for file in sorted(library.rglob("*.py"))
        if not {"site-packages", "dist-packages", "test", "tests"} & set(file.parts)
    }


def pack(files: dict[str, bytes]) -> list[dict[str, bytes]]:
    """Packs of about the same size: the largest files first, each into the smallest pack."""
    packs: list[dict[str, bytes]] = [{} for _ in range(min(PACKS, len(files)))]
    sizes = [0] * len(packs)
    for name in sorted(files, key=lambda name: -len(files[name])):
        smallest = sizes.index(min(sizes))
        packs[smallest][name] = files[name]
        sizes[smallest] += len(files[name])
    return packs


def show(report: dict[str, Any]) -> None:
    print(
        ", ".join(f"{report[key]} {key}" for key in ("files", "lines", "functions", "classes", "unparsable"))
    )
    print(f"\n{'lines':>6}  {'function':<32} file")
    for length, file, function in report["longest"]:
        print(f"{length:>6}  {function:<32} {file}")


if __name__ == "__main__":
    import demo  # as a module: its functions are sent as source, which every Python of the workers reads

    demo.main()
