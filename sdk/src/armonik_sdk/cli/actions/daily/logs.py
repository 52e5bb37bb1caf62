"""Shows logs of pods, filtered to a task, an element, or the tasks of a session, and what outlives pods."""

import asyncio
import re
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from armonik_sdk.api.const import PARTITION_LABEL, WORKER_CONTAINER
from armonik_sdk.api.names import as_index
from armonik_sdk.apiserver import PARTITIONS, PODS, SESSIONS, TASKS
from armonik_sdk.cli.actions.daily import kept
from armonik_sdk.cli.cluster.access import Cluster
from armonik_sdk.cli.cluster.changes import changes
from armonik_sdk.cli.errors import BadInput, Missing
from armonik_sdk.cli.forms.tasks import LogLine
from armonik_sdk.cli.output.remarks import remark, write_line
from armonik_sdk.cli.views.log_lines import Choice, Line, Seen, harmless, parsed, shown
from armonik_sdk.cli.views.reading import Object, name_of, part, text
from armonik_sdk.client.errors import NotFound, Refused, Unavailable

MARKED: Final = ("functions", "function")
"""Kinds of workers that mark each line with its element."""
AGAIN_SECONDS: Final = 3.0
"""Between two looks for the tasks of a session, when a line of an unknown one comes."""


@dataclass(frozen=True)
class Wanted:
    """Which lines to show."""

    task: str | None
    index: int | None
    session: str | None
    partition: str | None
    follow: bool
    since: float | None
    """Seconds."""
    tail: int | None
    previous: bool
    pattern: re.Pattern[str] | None
    container: str
    timestamps: bool

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "Wanted":
        """From the values of the command line.

        Raises:
            BadInput: the index or the pattern is none.
        """
        values = dict(given)
        name, slash, index = (values["task"] or "").partition("/")
        number = as_index(index) if slash else None
        if slash and (not name or number is None):
            raise BadInput(f"{values['task']!r}: write TASK or TASK/INDEX")
        try:
            values["pattern"] = re.compile(values["pattern"]) if values["pattern"] is not None else None
        except re.error as error:
            raise BadInput(f"--grep: {error}") from error
        values["task"] = name or None
        return cls(**values, index=number)

    @classmethod
    def following(cls, task: str) -> "Wanted":
        """All that a task prints, from now on."""
        return cls(task, None, None, None, True, None, None, False, None, WORKER_CONTAINER, False)

    @property
    def kept(self) -> bool:
        """Whether it may be answered by what is kept of elements, which has no times and no pods."""
        only_pods = self.follow or self.previous or self.timestamps or self.since is not None
        return not only_pods and self.container == WORKER_CONTAINER

    @property
    def query(self) -> dict[str, str]:
        """What the apiserver is asked for."""
        query = {"container": self.container, "timestamps": "true"}
        if self.follow:
            query["follow"] = "true"
        if self.previous:
            query["previous"] = "true"
        if self.since is not None:
            query["sinceSeconds"] = str(max(1, round(self.since)))
        return query


class Tasks:
    """Names of tasks by UID, of one task or of all of a session; None: of all."""

    def __init__(self, cluster: Cluster, session: str = "") -> None:
        self._cluster, self._session = cluster, session
        self.names: dict[str, str] = {}
        self._looked = -AGAIN_SECONDS

    async def look(self) -> None:
        """Read them again, unless that was done a moment before."""
        if not self._session or time.monotonic() - self._looked < AGAIN_SECONDS:
            return
        self._looked = time.monotonic()
        async for page in self._cluster.pages(TASKS, fields=f"spec.session={self._session}"):
            self.names |= {text(task, "metadata", "uid"): name_of(task) for task in page.get("items", ())}


@dataclass
class Source:
    """Where lines come from, and which are wanted."""

    partitions: list[str]
    choice: Choice
    tasks: Tasks
    kept: Object | None = None
    """The task whose elements' lines are kept with their outcomes, if that may be shown."""
    seen: Seen = field(default_factory=Seen)
    """What living pods have of its elements."""


async def show(cluster: Cluster, wanted: Wanted) -> None:
    """Write the lines; with `follow`, those that come as well, without end.

    Raises:
        NotFound: there is no such task, session or partition.
        Missing: the task runs nowhere yet, or there is no such element.
    """
    source = await _source(cluster, wanted)
    labels = f"{PARTITION_LABEL} in ({','.join(source.partitions)})"
    if wanted.follow:
        await _follow(cluster, wanted, source, labels)
        return
    if source.kept is not None and wanted.index is not None:
        lines = await kept.of_element(cluster, source.kept, wanted.index, source.choice, wanted.tail)
        if lines is not None:
            for line in lines:
                _write(cluster, wanted, source, line)
            return
    found = 0
    async for page in cluster.pages(PODS, labels=labels):
        for pod in page.get("items", ()):
            found += 1
            await _print(cluster, wanted, source, name_of(pod))
    if source.kept is not None and wanted.index is None and wanted.tail is None:
        async for line in kept.of_others(cluster, source.kept, source.seen, source.choice):
            found += 1
            _write(cluster, wanted, source, line)
    if not found:
        remark(cluster.settings, f"partition {', '.join(source.partitions)} has no pods now")


async def _source(cluster: Cluster, wanted: Wanted) -> Source:
    if wanted.partition is not None:
        name = name_of(await cluster.get(PARTITIONS, wanted.partition))
        return Source([name], Choice(pattern=wanted.pattern), Tasks(cluster))
    if wanted.session is not None:
        session = await cluster.get(SESSIONS, wanted.session)
        tasks = Tasks(cluster, name_of(session))
        await tasks.look()
        return Source(
            part(session, "spec", "partitions") or [], Choice(tasks.names, None, wanted.pattern), tasks
        )
    task = await cluster.get(TASKS, wanted.task or "")
    partition = text(task, "status", "partition")
    if not partition:
        raise Missing(f"task {name_of(task)} was not admitted yet: armonikctl explain task/{name_of(task)}")
    tasks = Tasks(cluster)
    tasks.names[text(task, "metadata", "uid")] = name_of(task)
    choice = Choice(tasks.names, wanted.index, wanted.pattern)
    if wanted.container != "worker" or not await _marks(cluster, partition):
        remark(cluster.settings, f"lines of partition {partition} are not marked: all of them are shown")
        choice = Choice(pattern=wanted.pattern)
        return Source([partition], choice, tasks)
    return Source([partition], choice, tasks, task if wanted.kept else None)


async def _marks(cluster: Cluster, partition: str) -> bool:
    try:
        found = await cluster.get(PARTITIONS, partition)
    except NotFound:
        return True
    return text(found, "status", "worker", "kind") in (*MARKED, "")


async def _print(cluster: Cluster, wanted: Wanted, source: Source, pod: str) -> None:
    """What a pod has printed."""
    last: deque[Line] = deque(maxlen=wanted.tail)
    try:
        async for line in _lines(cluster, wanted, source, pod, wanted.query):
            if wanted.tail is None:
                _write(cluster, wanted, source, line)
            else:
                last.append(line)
    except (NotFound, Refused, Unavailable) as error:
        remark(cluster.settings, f"pod {pod}: {error}")
    for line in last:
        _write(cluster, wanted, source, line)
    sys.stdout.flush()


async def _follow(cluster: Cluster, wanted: Wanted, source: Source, labels: str) -> None:
    """Each pod from the moment on at which its container runs."""
    running: dict[str, asyncio.Task[None]] = {}
    try:
        async with asyncio.TaskGroup() as group:
            async for event, pods in changes(cluster, PODS, labels=labels):
                for pod in pods:
                    name = name_of(pod)
                    if event != "DELETED" and name not in running and _begun(pod, wanted.container):
                        running[name] = group.create_task(_print_along(cluster, wanted, source, name))
                running = {name: task for name, task in running.items() if not task.done()}
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from several


async def _print_along(cluster: Cluster, wanted: Wanted, source: Source, pod: str) -> None:
    query = wanted.query if wanted.tail is None else wanted.query | {"tailLines": str(wanted.tail)}
    try:
        async for line in _lines(cluster, wanted, source, pod, query):
            _write(cluster, wanted, source, line)
            sys.stdout.flush()
    except (NotFound, Refused, Unavailable) as error:
        remark(cluster.settings, f"pod {pod}: {error}")


async def _lines(
    cluster: Cluster, wanted: Wanted, source: Source, pod: str, query: Mapping[str, str]
) -> AsyncIterator[Line]:
    async for raw in cluster.kube.log_lines(cluster.namespace, pod, query):
        line = parsed(pod, raw)
        if wanted.session is not None and line.uid and line.uid not in source.tasks.names:
            await source.tasks.look()
        if source.kept is not None and line.uid in source.tasks.names:
            source.seen.add(line)
        if source.choice.takes(line):
            yield line


def _begun(pod: Object, container: str) -> bool:
    """Whether this container of it has run."""
    statuses = [
        *(part(pod, "status", "initContainerStatuses") or ()),
        *(part(pod, "status", "containerStatuses") or ()),
    ]
    return any(
        text(one, "name") == container and (part(one, "state", "running") or part(one, "state", "terminated"))
        for one in statuses
    )


def _write(cluster: Cluster, wanted: Wanted, source: Source, line: Line) -> None:
    task = source.tasks.names.get(line.uid, "")
    if cluster.settings.form in ("json", "jsonl", "yaml"):
        where = {"pod": line.pod or None, "time": line.time or None, "task": task or line.uid or None}
        write_line(cluster.settings, LogLine(**where, index=line.index, text=line.text))
    else:
        pods = wanted.partition is not None or cluster.settings.form == "wide"
        said = shown(line, task, timestamps=wanted.timestamps, pods=pods)
        if sys.stdout.isatty():  # a pipe or a file has what was printed
            said = harmless(said, coloured=cluster.settings.coloured(sys.stdout))
        sys.stdout.write(f"{said}\n")
