"""Schedules the elements of one call on executors, and handles deaths of executors and time limits.

Elements are executed in the order they were given, and each end is received, so the first that has not ended
is the one that is executed.
"""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from armonik_sdk.worker.executor.pool import Child, Children
from armonik_sdk.worker.executor.transcript import Transcript

Ended = tuple[dict[str, Any], list[memoryview]]
"""An entry of `ended`, and the blobs that it refers to."""


@dataclass
class _Given:
    """What was given in one frame."""

    head: dict[str, Any]
    blobs: list[memoryview]
    limit: float
    printed: int = 0
    """Bytes to be kept of what each element prints."""
    ids: dict[int, str] = field(default_factory=dict)
    """By which the elements are marked in the output; empty when nothing of it is kept."""

    @classmethod
    def of(cls, head: dict[str, Any], blobs: list[memoryview]) -> "_Given":
        """A frame that has elements."""
        printed = int(head.get("printed", 0))
        ids = {entry["index"]: entry["id"] for entry in head["elements"]} if printed else {}
        return cls(head, blobs, float(head["limit"]), printed, ids)


class Running:
    """The elements of one call."""

    def __init__(self, children: Children) -> None:
        self._children = children
        self._child: Child | None = None
        self._left: dict[int, _Given] = {}
        """What has not ended, in order."""
        self._since = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._watched: _Given | None = None
        """Whose limit the timer is for."""
        self._stopped: set[int] = set()
        self._ending: tuple[int, dict[str, Any]] | None = None
        """The element for whose sake the executor is being killed, and how that element ends."""
        self._ended: list[Ended] = []
        self._printing: list[tuple[Ended, Transcript, str]] = []
        """What has ended and may have printed something: on which executor, and its id there."""
        self._news = asyncio.Event()
        self._starting: asyncio.Task[None] | None = None
        self._waiting: list[tuple[dict[str, Any], list[memoryview]]] = []

    @property
    def left(self) -> int:
        """How many have not ended."""
        return len(self._left)

    def give(self, head: dict[str, Any], blobs: list[memoryview]) -> None:
        """Take a frame of the agent's."""
        if "elements" in head:
            if not self._left:
                self._since = time.monotonic()
            given = _Given.of(head, blobs)
            self._left |= {entry["index"]: given for entry in head["elements"]}
            self._send(head, blobs)
            self._watch()
        elif "skip" in head:
            self._send({"skip": head["skip"]}, [])
        elif "stop" in head:
            self._stopped |= self._left.keys() & set(head["stop"])
            self._send({"skip": head["stop"]}, [])
            self._stop_current()

    async def ended(self) -> list[Ended]:
        """What has ended since; empty after `wake` at the earliest."""
        await self._news.wait()
        self._news.clear()
        ended, self._ended = self._ended, []
        if self._printing:
            self._add_printed()
        return ended

    def wake(self) -> None:
        """Let `ended` return."""
        self._news.set()

    def close(self) -> None:
        """The call is over; what still runs is nobody's."""
        if self._timer is not None:
            self._timer.cancel()
        if self._starting is not None:
            self._starting.cancel()
        if self._child is None:
            return
        if self._left or self._ending:
            self._children.discard(self._child)
        else:
            self._children.give_back(self._child)

    def _add_printed(self) -> None:
        """Put beside each end what the element has printed."""
        printing, self._printing = self._printing, []
        for transcript in {id(transcript): transcript for _, transcript, _ in printing}.values():
            self._children.catch_up(transcript)
        for (entry, blobs), transcript, element in printing:
            if text := transcript.take(element):
                entry["printed"] = len(blobs)
                blobs.append(memoryview(text))

    def _send(self, head: dict[str, Any], blobs: list[memoryview]) -> None:
        if self._child is not None and self._ending is None:
            self._child.send(head, blobs)
        elif self._ending is None and self._starting is None:
            self._starting = asyncio.create_task(self._start())
        # Else an executor is on its way, which will be given all that is left.

    async def _start(self) -> None:
        """Begin with an executor, and give it all that has not ended."""
        first = next(iter(self._left.values()), None)
        environment = first.head.get("environment") if first is not None else None
        child = await self._children.take(environment["sha256"] if environment else "")
        self._starting = None
        self._child, child.on_ended, child.on_death = child, self._heard, self._lost
        child.transcript.limit = first.printed if first is not None else 0
        self._since = time.monotonic()
        for given in {id(given): given for given in self._left.values()}.values():
            entries = [e for e in given.head["elements"] if self._left.get(e["index"]) is given]
            child.send({**given.head, "elements": entries}, given.blobs)
        if self._stopped:
            child.send({"skip": sorted(self._stopped)}, [])
        self._watch()
        self._stop_current()

    def _heard(self, ends: list[Ended]) -> None:
        for head, blobs in ends:
            entry = head["ended"][0]
            self._stopped.discard(entry["index"])
            given = self._left.pop(entry["index"], None)
            if given is not None:
                self._end(given, entry, blobs, self._child)
        self._since = time.monotonic()
        self._news.set()
        if self._left and next(iter(self._left.values())) is not self._watched:
            self._watch()
        self._stop_current()

    def _lost(self, how: str) -> None:
        """The executor exited, killed or crashed: at most its current element fails."""
        child, self._child = self._child, None
        ending, self._ending = self._ending, None
        first = next(iter(self._left), None)
        if first is not None:
            if ending is None:
                entry: dict[str, Any] = {"failed": f"the process that executed it {how}"}
            else:
                entry = ending[1] if ending[0] == first else {}
            if entry:
                given = self._left.pop(first)
                self._stopped.discard(first)
                seconds = round(time.monotonic() - self._since, 6)
                self._end(given, {"index": first, "seconds": seconds, **entry}, [], child)
        self._news.set()
        if self._left:
            self._starting = asyncio.create_task(self._start())

    def _end(
        self, given: _Given, entry: dict[str, Any], blobs: list[memoryview], child: Child | None
    ) -> None:
        self._ended.append((entry, blobs))
        if given.printed and child is not None:
            self._printing.append(((entry, blobs), child.transcript, given.ids[entry["index"]]))

    def _stop_current(self) -> None:
        """Kill the executor if what it executes shall be stopped; what it only has ahead it skips itself."""
        first = next(iter(self._left), None)
        if first in self._stopped and self._child is not None and self._ending is None:
            self._end_current({"skipped": True})

    def _end_current(self, entry: dict[str, Any]) -> None:
        assert self._child is not None
        self._ending = (next(iter(self._left)), entry)
        self._child.kill()

    def _watch(self) -> None:
        """Look again when the element that is executed reaches its limit."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._left and self._child is not None:
            self._watched = given = next(iter(self._left.values()))
            at = self._since + given.limit - time.monotonic()
            self._timer = asyncio.get_running_loop().call_later(max(0.0, at), self._due)

    def _due(self) -> None:
        self._timer = None
        if self._child is None or self._ending is not None:
            return
        self._child.look()
        if not self._left:
            return
        given = next(iter(self._left.values()))
        if time.monotonic() - self._since >= given.limit:
            self._end_current({"timeout": True})
        else:
            self._watch()
