"""Stores what elements produced: small outputs in the run's next pack, large ones at once."""

import asyncio
import base64
import hashlib
import logging
import os
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from armonik_agent.context import TextOutage
from armonik_agent.data.elements import Element
from armonik_agent.data.shared_folder import Folder
from armonik_agent.data.subtask_lines import Line
from armonik_agent.journal.transitions import Change
from armonik_sdk.api.bounds import MAX_HELD_BYTES, MAX_PACKED_BYTES, MAX_RESULT_INLINE_BYTES
from armonik_sdk.api.errors import explain
from armonik_sdk.api.kinds import ObjectRef
from armonik_sdk.api.messages import RunMessage
from armonik_sdk.api.names import child_name
from armonik_sdk.api.records import ChildGroup, Outcome, OutcomeKind, Piece
from armonik_sdk.dataplane.errors import StoreUnavailable
from armonik_sdk.dataplane.s3.store import ObjectStore

log = logging.getLogger(__name__)

TEXT_SECONDS = 10.0
"""Most that a commit waits for an object of what elements printed alone, beside the time that it takes."""
BYTES_PER_SECOND = 1024 * 1024
"""That an upload has at least."""


@dataclass(frozen=True)
class FinishedElement:
    """An element that has ended here and is not committed yet."""

    index: int
    kind: OutcomeKind
    attempts: int
    seconds: float
    reason: str = ""
    message: str = ""
    outputs: dict[str, bytes | ObjectRef] = field(default_factory=dict)
    """By name; small ones as bytes, large ones uploaded already."""
    made: dict[str, bytes | ObjectRef] = field(default_factory=dict)
    """By result id."""
    delegated: tuple[str, ...] = ()
    children: tuple[ChildGroup, ...] = ()
    error: bytes = b""
    """Of one that failed: what it says beside `message`."""
    printed: bytes = b""
    """What is kept of what it printed."""

    @property
    def held(self) -> Sequence[bytes]:
        """What is in memory and must be kept: all but what it printed."""
        kept = (*self.outputs.values(), *self.made.values(), self.error)
        return [data for data in kept if isinstance(data, bytes)]

    @property
    def size(self) -> int:
        """Bytes of that."""
        return sum(map(len, self.held))

    def outcome(self, piece: Callable[[bytes | ObjectRef], Piece], text: Callable[[bytes], Piece]) -> Outcome:
        """What is journaled of it: `piece` says where bytes of an output are, `text` where a text is."""
        return Outcome(
            index=self.index,
            kind=self.kind,
            attempts=self.attempts,
            reason=self.reason,
            message=self.message,
            outputs={name: piece(data) for name, data in self.outputs.items()},
            made={name: piece(data) for name, data in self.made.items()},
            delegated=self.delegated,
            error=piece(self.error) if self.error else None,
            printed=text(self.printed) if self.printed else None,
            seconds=self.seconds,
        )


class Kept:
    """What one element has produced, by result id: small data in memory while it is little."""

    def __init__(self, store: ObjectStore, prefix: str) -> None:
        self._store, self._prefix = store, prefix
        self.data: dict[str, bytes | ObjectRef] = {}
        self._small: list[str] = []
        self._bytes = 0

    async def add(self, name: str, data: bytes | ObjectRef) -> None:
        """Keep one more result.

        Raises:
            StoreUnavailable: the object store gives no usable answer.
        """
        self.data[name] = data
        if isinstance(data, bytes):
            self._small.append(name)
            self._bytes += len(data)
            if self._bytes > MAX_HELD_BYTES:
                await self._spill()

    async def _spill(self) -> None:
        parts = {name: data for name in self._small if isinstance(data := self.data[name], bytes)}
        key, offset = f"{self._prefix}/{uuid.uuid4().hex}", 0
        await self._store.put(key, b"".join(parts.values()))
        for name, data in parts.items():
            digest = hashlib.sha256(data).hexdigest()
            self.data[name] = ObjectRef(key=key, offset=offset, length=len(data), sha256=digest)
            offset += len(data)
        self._small, self._bytes = [], 0


async def store_output(store: ObjectStore, prefix: str, folder: Folder, name: str) -> bytes | ObjectRef:
    """A file of the folder: its bytes, or where they are when it is a large one.

    Raises:
        InputUnavailable: it is not there (any more).
        StoreUnavailable: the object store gives no usable answer.
    """
    fd = folder.open(name)
    try:
        size = os.fstat(fd).st_size
        if size <= MAX_PACKED_BYTES:
            data = os.read(fd, size + 1)
            if len(data) == size:  # else it is still being written, and goes up as it is found
                return data
        # The open file itself, not its name, which the worker may have turned to something else meanwhile.
        return await store.put(f"{prefix}/{uuid.uuid4().hex}", Path(f"/proc/self/fd/{fd}"))
    finally:
        os.close(fd)


def by_name(
    element: Element, data: dict[str, bytes | ObjectRef]
) -> tuple[dict[str, bytes | ObjectRef], dict[str, bytes | ObjectRef]]:
    """Split into implied outputs, by their name, and results with an id of their own."""
    outputs = {element.outputs[i]: data[i] for i in data if i in element.outputs}
    return outputs, {i: data[i] for i in data if i not in element.outputs}


async def pack(
    store: ObjectStore, key: str, ended: list[FinishedElement], room: int, single: bool, outage: TextOutage
) -> Change:
    """Name every piece of what is kept: small ones ride in the record (ADR 0009), others go up in one object.

    Outputs of a single Task each ride by themselves; those of a run all or none, if `room` bytes hold them.
    What elements printed rides if there is room for it besides, else it is in that object; if nothing else
    needs the object and the object store does not take it soon, the text is left out (ADR 0029).

    Raises:
        StoreUnavailable: the object store gives no usable answer.
    """
    outputs, printed = sum(one.size for one in ended), sum(len(one.printed) for one in ended)
    most = MAX_RESULT_INLINE_BYTES if single else room if outputs <= room else -1
    most_printed = most if single or outputs + printed <= room else -1
    change, body = _arranged(key, ended, most, most_printed)
    if not body:
        return change
    if any(len(data) > most for one in ended for data in one.held):
        await store.put(key, body)
        return change
    if not outage.lasts:
        try:
            async with asyncio.timeout(TEXT_SECONDS + len(body) / BYTES_PER_SECOND):
                await store.put(key, body)
        except (StoreUnavailable, TimeoutError) as error:
            outage.begin()
            log.warning("what elements print is not kept: %s", explain(error) or "the object store is slow")
        else:
            return change
    silent, _ = _arranged(key, [replace(one, printed=b"") for one in ended], most, -1)
    return silent


def _arranged(key: str, ended: list[FinishedElement], most: int, most_printed: int) -> tuple[Change, bytes]:
    """What is to be journaled, and the object for what is longer than `most` bytes; none if it is empty."""
    body = bytearray()
    places: dict[str, int] = {}

    def piece(data: bytes | ObjectRef, most: int = most) -> Piece:
        if isinstance(data, ObjectRef):
            place = places.setdefault(data.key, len(places))
            length, digest = data.length or 0, data.sha256 or ""
            return Piece(object=place, offset=data.offset or 0, length=length, sha256=digest)
        digest = hashlib.sha256(data).hexdigest()
        if len(data) <= most:
            return Piece(length=len(data), sha256=digest, inline=base64.b64encode(data).decode())
        place, offset = places.setdefault(key, len(places)), len(body)
        body.extend(data)
        return Piece(object=place, offset=offset, length=len(data), sha256=digest)

    outcomes = [element.outcome(piece, partial(piece, most=most_printed)) for element in ended]
    children = tuple(child for element in ended for child in element.children)
    return Change(outcomes=tuple(outcomes), objects=tuple(places), children=children), bytes(body)


def without_object(ended: Iterable[FinishedElement]) -> Change:
    """What is to be journaled of elements that left nothing for an object, but for what they printed.

    For when the object store does not take what others left: how these ended is not lost with it.
    """
    silent = [replace(one, printed=b"") for one in ended if not one.size]
    change, _ = _arranged("", silent, 0, 0)
    return change


def inline_bytes(outcomes: Iterable[Outcome]) -> int:
    """Bytes that ride in a record."""
    pieces = (piece for outcome in outcomes for piece in outcome.pieces)
    return sum(piece.length for piece in pieces if piece.object is None)


async def group_children(
    store: ObjectStore, prefix: str, message: RunMessage, index: int, lines: Iterable[Line]
) -> tuple[ChildGroup, ...]:
    """Sub-tasks of one element, as one child Task for each partition and priority (protocol rule 16).

    Raises:
        StoreUnavailable: the object store gives no usable answer.
    """
    grouped: dict[tuple[str, int], list[bytes]] = {}
    for line in lines:
        grouped.setdefault((line.partition, line.priority), []).append(line.text)
    groups = []
    for number, ((partition, priority), members) in enumerate(sorted(grouped.items())):
        key = f"{prefix}/items-{index}-{number}-{uuid.uuid4().hex[:8]}"
        await store.put(key, b"\n".join(members))
        name = child_name(message.task_name or message.task, message.task, message.start, index, number)
        groups.append(
            ChildGroup(
                name=name,
                element=index,
                group=number,
                count=len(members),
                items=key,
                partition=partition,
                priority=priority,
            )
        )
    return tuple(groups)
