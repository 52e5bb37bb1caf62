"""Which elements of a task failed, and why."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from armonik_sdk.api.const import DEFAULT_OUTPUT
from armonik_sdk.api.kinds import ObjectRef
from armonik_sdk.api.ranges import Ranges
from armonik_sdk.api.records import carried
from armonik_sdk.apiserver import TASKS
from armonik_sdk.cli.actions.tasks.outcomes import ended
from armonik_sdk.cli.cluster.access import Cluster
from armonik_sdk.cli.forms.tasks import TaskFailure
from armonik_sdk.cli.output.remarks import remark, write_line
from armonik_sdk.cli.output.table import Table
from armonik_sdk.cli.views.describing import shortened
from armonik_sdk.cli.views.reading import Object, failed, name_of, number, part, printable, text
from armonik_sdk.client.errors import ResultAborted, ResultError
from armonik_sdk.client.handles.task import TaskHandle
from armonik_sdk.functions import is_envelope
from armonik_sdk.functions.envelope import read

LINES: Final = 20
"""Of what an element printed last."""


@dataclass
class Failed:
    """An element that failed."""

    index: int
    reason: str
    message: str
    attempts: int = 0
    traceback: str = ""
    printed: str = ""
    """The last lines of one that brought no traceback."""


async def show(cluster: Cluster, name: str, limit: int, *, traceback: bool) -> None:
    """Write them; from the task's status where that has them all, else from what the runs left.

    Raises:
        NotFound: there is no such task.
    """
    task = await cluster.get(TASKS, name)
    known = [_of_status(entry) for entry in part(task, "status", "failures") or ()]
    total = failed(task)
    if traceback or len(known) < min(limit, total):
        known = await _of_runs(cluster, name_of(task), limit, traceback=traceback)
    known = sorted(known, key=lambda one: one.index)[:limit]
    if cluster.settings.form in ("json", "jsonl", "yaml"):
        _for_programs(cluster, name_of(task), known)
    elif known:
        _for_people(cluster, known)
    if total > len(known):
        remark(cluster.settings, f"{len(known)} of {total} failed elements are shown; --limit shows more")
    elif not known:
        remark(cluster.settings, f"no element of task {name_of(task)} has failed")


def _of_status(entry: Object) -> Failed:
    return Failed(
        number(entry, "index"), text(entry, "reason"), text(entry, "message"), number(entry, "attempt")
    )


async def _of_runs(cluster: Cluster, name: str, limit: int, *, traceback: bool) -> list[Failed]:
    task = await cluster.client.task(name)
    found: list[Failed] = []
    async for located in ended(task, DEFAULT_OUTPUT):
        for index, place in located:
            if not isinstance(place, ResultAborted) or place.reason == "Cancelled":
                continue
            one = Failed(index, place.reason, place.detail, place.attempts)
            if traceback and place.error is not None:
                one.traceback = await _read(task, place.error, traceback_of)
            elif traceback and place.printed is not None:
                one.printed = await _read(task, place.printed, _last_lines)
            found.append(one)
            if len(found) >= limit:
                return found
    return found


async def _read(task: TaskHandle, place: ObjectRef, shown: Callable[[bytes], str]) -> str:
    try:
        data = carried(place) or await (await task.source().connection.link()).get(place)
    except ResultError as error:
        return f"(it cannot be read: {error})"
    return shown(data)


def _last_lines(data: bytes) -> str:
    return "\n".join(data.decode(errors="replace").rstrip("\n").split("\n")[-LINES:])


def traceback_of(data: bytes) -> str:
    """The traceback of an envelope of an error, as text: nothing of it is unpickled."""
    if not is_envelope(data):
        return data.decode(errors="backslashreplace")
    error = read(data).header.error
    return str(error["traceback"]) if error is not None else ""


def _for_programs(cluster: Cluster, task: str, found: Sequence[Failed]) -> None:
    for one in found:
        said = TaskFailure(
            task=task,
            index=one.index,
            reason=one.reason,
            message=one.message,
            attempts=one.attempts,
            traceback=one.traceback or None,
            printed=one.printed or None,
        )
        write_line(cluster.settings, said)


def _for_people(cluster: Cluster, found: Sequence[Failed]) -> None:
    kinds: dict[tuple[str, str, str, str], list[Failed]] = {}
    for one in found:
        kinds.setdefault((one.reason, one.message, one.traceback, one.printed), []).append(one)
    rows = sorted(kinds.items(), key=lambda kind: -len(kind[1]))
    table = Table(
        ("COUNT", "REASON", "ELEMENTS", "EXECUTIONS", "MESSAGE"),
        right=(0, 3),
        coloured=cluster.settings.coloured(sys.stdout),
    )
    lines = table.lines(
        [
            (
                str(len(ones)),
                reason,
                shortened(str(Ranges.indexes(one.index for one in ones)), 40),
                str(max(one.attempts for one in ones)),
                message,
            )
            for (reason, message, _, _), ones in rows
        ]
    )
    sys.stdout.write("\n".join(lines) + "\n")
    for (_, _, trace, printed), ones in rows:
        if trace or printed:
            said = trace.rstrip() or f"It printed last:\n{printed}"
            sys.stdout.write(f"\nElement {ones[0].index}:\n{printable(said)}\n")
