"""Sub-tasks that a function submits: kept until it has returned, then sent with its outputs."""

import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from armonik_sdk.api.bounds import MAX_BLOB_BYTES, MAX_BLOBS_BYTES, MAX_NEEDS

MOST = 50_000
"""Sub-tasks of one element."""


class Promise(NamedTuple):
    """The result that a sub-task will have."""

    number: int
    """Of the sub-task, among those of its element."""


class SubTask(NamedTuple):
    """One of them, as it was submitted."""

    payload: bytes
    needs: tuple[int | str, ...]
    """Numbers of sub-tasks, ids of the element's dependencies."""
    output: str | None
    options: Mapping[str, str]
    partition: str
    priority: int


class SubTasks(list[SubTask]):
    """Those of one element, in the order in which they were submitted."""

    def add(self, sub_task: SubTask, outputs: Iterable[str], dependencies: Iterable[str]) -> Promise:
        """Keep one.

        Raises:
            ValueError: it cannot be; the message says why.
        """
        if len(self) == MOST:
            raise ValueError(f"more than {MOST} sub-tasks of one element")
        if sub_task.output is not None:
            if sub_task.output not in outputs:
                raise ValueError(f"{sub_task.output!r} is no output of this element")
            if sub_task.output in self.handed_over:
                raise ValueError(f"output {sub_task.output!r} is handed to another sub-task already")
        if len(sub_task.needs) > MAX_NEEDS:
            raise ValueError(f"more than {MAX_NEEDS} dependencies of one sub-task")
        for needed in sub_task.needs:
            if isinstance(needed, str) and needed not in dependencies:
                raise ValueError(f"{needed!r} is no dependency of this element")
            if isinstance(needed, int) and not 0 <= needed < len(self):
                raise ValueError(f"sub-task {needed} is not submitted yet")
        self.append(sub_task)
        return Promise(len(self) - 1)

    def hand_over(self, promise: Promise, output: str) -> None:
        """Let a sub-task that was submitted make an output in the element's place.

        Raises:
            ValueError: one of them makes another one already.
        """
        sub_task = self[promise.number]
        if sub_task.output is not None or output in self.handed_over:
            raise ValueError(f"output {output!r}, or this sub-task, is handed over already")
        self[promise.number] = sub_task._replace(output=output)

    @property
    def handed_over(self) -> set[str]:
        """Names of outputs that sub-tasks make in the element's place."""
        return {sub_task.output for sub_task in self if sub_task.output is not None}

    def entries(self, folder: Path, blobs: list[bytes]) -> list[dict[str, Any]]:
        """Their form for the agent; equal payloads once, as files when large or many."""
        entries: list[dict[str, Any]] = []
        room = MAX_BLOBS_BYTES - sum(map(len, blobs))
        places: dict[bytes, int | str] = {}
        for sub_task in self:
            place = places.get(sub_task.payload)
            if place is None:
                place = places[sub_task.payload] = _place(sub_task.payload, folder, blobs, room)
                room -= len(sub_task.payload) if isinstance(place, int) else 0
            entry: dict[str, Any] = {"payload": place}
            if sub_task.needs:
                entry["needs"] = list(sub_task.needs)
            if sub_task.output is not None:
                entry["output"] = sub_task.output
            if sub_task.options:
                entry["options"] = dict(sub_task.options)
            if sub_task.partition:
                entry["partition"] = sub_task.partition
            if sub_task.priority:
                entry["priority"] = sub_task.priority
            entries.append(entry)
        return entries


def _place(payload: bytes, folder: Path, blobs: list[bytes], room: int) -> int | str:
    if len(payload) <= min(MAX_BLOB_BYTES, room):
        blobs.append(payload)
        return len(blobs) - 1
    name = uuid.uuid4().hex
    (folder / name).write_bytes(payload)
    return name
