"""Sub-tasks that a function submits: kept until it has returned, and told with its outputs."""

import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from armonik_sdk.api.runcall import INLINE_BYTES, MAX_NEEDS

MOST = 100_000
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

    def add(self, made: SubTask, outputs: Iterable[str], dependencies: Iterable[str]) -> Promise:
        """Keep one.

        Raises:
            ValueError: it cannot be; the message says why.
        """
        if len(self) == MOST:
            raise ValueError(f"more than {MOST} sub-tasks of one element")
        if made.output is not None:
            if made.output not in outputs:
                raise ValueError(f"{made.output!r} is no output of this element")
            if made.output in self.handed_over:
                raise ValueError(f"output {made.output!r} is handed to another sub-task already")
        if len(made.needs) > MAX_NEEDS:
            raise ValueError(f"more than {MAX_NEEDS} dependencies of one sub-task")
        for needed in made.needs:
            if isinstance(needed, str) and needed not in dependencies:
                raise ValueError(f"{needed!r} is no dependency of this element")
            if isinstance(needed, int) and not 0 <= needed < len(self):
                raise ValueError(f"sub-task {needed} is not submitted yet")
        self.append(made)
        return Promise(len(self) - 1)

    @property
    def handed_over(self) -> set[str]:
        """Names of outputs that sub-tasks make in the element's place."""
        return {made.output for made in self if made.output is not None}

    def told(self, folder: Path, blobs: list[bytes]) -> list[dict[str, Any]]:
        """What the agent is told of them; equal payloads once, large ones as files of the folder."""
        entries: list[dict[str, Any]] = []
        places: dict[bytes, int | str] = {}
        for made in self:
            place = places.get(made.payload)
            if place is None:
                place = places[made.payload] = _place(made.payload, folder, blobs)
            entry: dict[str, Any] = {"payload": place}
            if made.needs:
                entry["needs"] = list(made.needs)
            if made.output is not None:
                entry["output"] = made.output
            if made.options:
                entry["options"] = dict(made.options)
            if made.partition:
                entry["partition"] = made.partition
            if made.priority:
                entry["priority"] = made.priority
            entries.append(entry)
        return entries


def _place(payload: bytes, folder: Path, blobs: list[bytes]) -> int | str:
    if len(payload) <= INLINE_BYTES:
        blobs.append(payload)
        return len(blobs) - 1
    name = uuid.uuid4().hex
    (folder / name).write_bytes(payload)
    return name
