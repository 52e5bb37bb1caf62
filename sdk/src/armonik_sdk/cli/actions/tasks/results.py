"""Writes results of a task: to stdout, or into a folder."""

import base64
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from armonik_sdk.api.const import DEFAULT_OUTPUT
from armonik_sdk.api.ranges import Ranges
from armonik_sdk.apiserver import TASKS
from armonik_sdk.cli.actions.tasks.outcomes import ended
from armonik_sdk.cli.cluster.access import Cluster
from armonik_sdk.cli.errors import BadInput, Missing, WorkFailed
from armonik_sdk.cli.forms.tasks import TaskResult
from armonik_sdk.cli.output.files import whole_file
from armonik_sdk.cli.output.remarks import remark, write_line
from armonik_sdk.client.errors import ResultAborted, WaitTimeout
from armonik_sdk.client.handles.task import TaskHandle
from armonik_sdk.client.results.location import Found
from armonik_sdk.client.results.stream import Located, chunks, read_located
from armonik_sdk.functions import is_envelope

NOW: Final = 0.0
"""Seconds to wait for a result that a sub-task makes: it is there, or it is not."""


@dataclass(frozen=True)
class Wanted:
    """Which results to write, and how."""

    name: str
    indexes: Ranges | None
    output_name: str
    folder: str | None
    encoding: str
    """`text`, `raw` or `base64`."""


class _Sink:
    """Where results go."""

    def __init__(self, cluster: Cluster, wanted: Wanted, several: bool) -> None:
        self._settings, self._wanted, self._several = cluster.settings, wanted, several
        self._folder = Path(wanted.folder) if wanted.folder is not None else None
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)

    def write(self, index: int, data: bytes) -> None:
        """Write one."""
        if self._folder is not None:
            self._file(self._folder, index, data)
        elif self._settings.form in ("json", "jsonl", "yaml"):
            write_line(self._settings, _form(self._wanted, index, data))
        elif self._wanted.encoding == "raw":
            sys.stdout.flush()
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        else:
            before = f"{index}\t" if self._several else ""
            sys.stdout.write(f"{before}{self._text(data)}\n")

    def _text(self, data: bytes) -> str:
        if self._wanted.encoding == "base64":
            return base64.b64encode(data).decode()
        if is_envelope(data):
            return f"<a Python value of {len(data)} bytes: read it by armonik_sdk, or --format raw>"
        return data.decode(errors="backslashreplace").removesuffix("\n")

    def _file(self, folder: Path, index: int, data: bytes) -> None:
        name = (
            str(index)
            if self._wanted.output_name == DEFAULT_OUTPUT
            else f"{index}.{self._wanted.output_name}"
        )
        with whole_file(folder / name) as part:
            part.write_bytes(data)


def _form(wanted: Wanted, index: int, data: bytes) -> TaskResult:
    about = TaskResult(task=wanted.name, index=index, output=wanted.output_name, size=len(data))
    try:
        return about.model_copy(update={"text": data.decode()})
    except UnicodeDecodeError:
        return about.model_copy(update={"base64": base64.b64encode(data).decode()})


async def write(cluster: Cluster, wanted: Wanted) -> None:
    """Write those that are there.

    Raises:
        NotFound: there is no such task.
        BadInput: it has no such element.
        Missing: an element that was named has not ended.
        WorkFailed: an element has ended without its result.
        ResultDamaged: the bytes of one are not those that were committed.
    """
    task = await cluster.client.task(await cluster.name(TASKS, wanted.name))
    if wanted.indexes is not None and wanted.indexes.spans[-1][1] > task.total:
        raise BadInput(f"task {task.name} has {task.total} elements, counted from 0")
    sink = _Sink(cluster, wanted, several=task.total > 1)
    written = aborted = 0
    first_abort: ResultAborted | None = None
    async for located in ended(task, wanted.output_name):
        for chunk in chunks(_chosen(located, wanted.indexes)):
            data = await _read(task, chunk, wanted.output_name)
            for index, place in chunk:
                if isinstance(place, ResultAborted):
                    aborted, first_abort = aborted + 1, first_abort or place
                elif index in data:
                    sink.write(index, data.pop(index))
                    written += 1
    sys.stdout.flush()
    if first_abort is not None:
        raise WorkFailed(
            f"{aborted} elements of task {task.name} ended without a result; the first: {first_abort}"
        )
    if wanted.indexes is not None and written < len(wanted.indexes):
        raise Missing(f"{len(wanted.indexes) - written} of the elements {wanted.indexes} have no result yet")
    if wanted.indexes is None and written < task.total:
        remark(cluster.settings, f"{task.total - written} of {task.total} elements have no result yet")


def _chosen(located: Sequence[Located], indexes: Ranges | None) -> Iterator[Located]:
    return (one for one in located if indexes is None or one[0] in indexes)


async def _read(task: TaskHandle, chunk: Sequence[Located], output: str) -> dict[int, bytes]:
    """The bytes of those that are there; what a sub-task makes, if it has."""
    data = await read_located(await task.source().connection.link(), chunk)
    for index, place in chunk:
        if not isinstance(place, Found | ResultAborted):
            try:
                data[index] = await task.output(index, output).result(NOW)
            except WaitTimeout:
                continue  # it is not there yet, and is counted as such
    return data
