"""Counts what Python sources contain, written against PyPI `armonik` alone.

Payload: a zip of sources; result: counts in JSON. With the option `mode: reduce` it adds up the counts that
it gets as data dependencies instead.
"""

import ast
import io
import json
import zipfile
from collections.abc import Iterable
from typing import Any

from armonik.common import Output
from armonik.worker import TaskHandler, armonik_worker

COUNTS = ("files", "unparsable", "lines", "functions", "classes")
LONGEST = 10


@armonik_worker()
def analyse(task: TaskHandler) -> Output:
    if task.task_options.options.get("mode") == "reduce":
        report = add_up(json.loads(data) for _, data in task.data_dependencies.items())
    else:
        try:
            report = add_up(count(name, source) for name, source in unpack(task.payload))
        except zipfile.BadZipFile as error:
            return Output(error=f"the payload is not a zip of sources: {error}")
    data = json.dumps(report).encode()
    task.send_results(dict.fromkeys(task.expected_results, data))
    return Output()


def unpack(payload: bytes) -> Iterable[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(payload)) as archive:
        for name in archive.namelist():
            yield name, archive.read(name)


def count(name: str, source: bytes) -> dict[str, Any]:
    report: dict[str, Any] = dict.fromkeys(COUNTS, 0) | {"files": 1, "longest": []}
    report["lines"] = source.count(b"\n")
    try:
        tree = ast.parse(source, name)
    except (SyntaxError, ValueError):
        return report | {"unparsable": 1}
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            report["classes"] += 1
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            report["functions"] += 1
            report["longest"].append([(node.end_lineno or node.lineno) - node.lineno + 1, name, node.name])
    return report


def add_up(reports: Iterable[dict[str, Any]]) -> dict[str, Any]:
    total: dict[str, Any] = dict.fromkeys(COUNTS, 0)
    longest: list[list[Any]] = []
    for report in reports:
        for key in COUNTS:
            total[key] += report[key]
        longest += report["longest"]
    # Longest first; names decide between equals, so that the order of the inputs does not matter.
    longest.sort(key=lambda entry: (-entry[0], entry[1], entry[2]))
    return total | {"longest": longest[:LONGEST]}


if __name__ == "__main__":
    analyse.run()
