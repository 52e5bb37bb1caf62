"""Writes when a task and its runs were computed, as a file for Perfetto."""

import json
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from armonik_sdk.apiserver import TASKS
from armonik_sdk.cli.actions.tasks.outcomes import run_entries
from armonik_sdk.cli.cluster.access import Cluster
from armonik_sdk.cli.output.files import whole_file
from armonik_sdk.cli.output.remarks import remark
from armonik_sdk.cli.overview.gathering import ended
from armonik_sdk.cli.overview.timeline import MOST_ELEMENTS, Event, Run, of_runs, run_of, whole
from armonik_sdk.cli.views.reading import moment, name_of, number, text


async def write(cluster: Cluster, name: str, file: str | None) -> None:
    """Write the events to this file, which appears complete or not at all; without one to stdout.

    Raises:
        NotFound: there is no such task.
        Unavailable: NATS does not answer.
        OSError: the file cannot be written.
    """
    task = await cluster.get(TASKS, name)
    total, runs = number(task, "status", "elements", "total"), list[Run]()
    if total > 1 and ended(task):
        async for start, entry in run_entries(await cluster.client.task(name_of(task))):
            if (run := run_of(start, entry, each=total <= MOST_ELEMENTS)) is not None:
                runs.append(run)
    created = moment(text(task, "metadata", "creationTimestamp"))
    zero = created.timestamp() if created is not None else 0.0

    def events() -> Iterator[Event]:
        yield from whole(task, datetime.now(UTC), max((run.end for run in runs), default=0.0))
        yield from of_runs(runs, zero)

    about = {"task": name_of(task), "created": text(task, "metadata", "creationTimestamp")}
    if file is None:
        sys.stdout.writelines(_lines(events(), about))
        return
    with whole_file(Path(file)) as part, part.open("w") as out:
        out.writelines(_lines(events(), about))
    remark(cluster.settings, f"{file}: the task and {len(runs)} runs; open it in Perfetto")


def _lines(events: Iterable[Event], about: dict[str, str]) -> Iterator[str]:
    """A JSON object, one event a line."""
    yield '{"traceEvents": [\n'
    for at, event in enumerate(events):
        yield (",\n" if at else "") + json.dumps(event, ensure_ascii=False)
    yield f'\n], "displayTimeUnit": "ms", "otherData": {json.dumps(about)}}}\n'
