"""What elements produced: small outputs wait for the run's next pack, large ones go up at once."""

import base64
import hashlib
import os
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from armonik_agent.elements import Element
from armonik_agent.folder import Folder
from armonik_agent.transitions import Change
from armonik_agent.worker_api import Execution
from armonik_sdk.api.const import MAX_RESULT_INLINE_BYTES
from armonik_sdk.api.kinds import ObjectRef
from armonik_sdk.api.messages import ManifestItem, RunMessage
from armonik_sdk.api.names import child_name
from armonik_sdk.api.records import ChildGroup, Outcome, OutcomeKind, Piece
from armonik_sdk.dataplane.objects import ObjectStore

PACKED_BYTES = 64 * 1024
"""Largest output that is packed with others; a longer one is an object of its own."""


@dataclass(frozen=True)
class Ended:
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

    @property
    def size(self) -> int:
        """Bytes that are held in memory."""
        kept = (*self.outputs.values(), *self.made.values())
        return sum(len(data) for data in kept if isinstance(data, bytes))

    def outcome(self, piece: Callable[[bytes | ObjectRef], Piece]) -> Outcome:
        """What is journaled of it; `piece` says where the bytes of an output are."""
        return Outcome(
            index=self.index,
            kind=self.kind,
            attempts=self.attempts,
            reason=self.reason,
            message=self.message,
            outputs={name: piece(data) for name, data in self.outputs.items()},
            made={name: piece(data) for name, data in self.made.items()},
            delegated=self.delegated,
            seconds=self.seconds,
        )


async def collect(store: ObjectStore, prefix: str, execution: Execution) -> dict[str, bytes | ObjectRef]:
    """What an execution has written, by result id.

    Raises:
        InputUnavailable: a file that was announced is there no more.
        StoreUnavailable: the object store gives no usable answer.
    """
    return {name: await keep(store, prefix, execution.folder, name) for name in execution.written}


async def keep(store: ObjectStore, prefix: str, folder: Folder, name: str) -> bytes | ObjectRef:
    """A file of the folder: its bytes, or where they are when it is a large one.

    Raises:
        InputUnavailable: it is not there (any more).
        StoreUnavailable: the object store gives no usable answer.
    """
    fd = folder.open(name)
    try:
        size = os.fstat(fd).st_size
        if size <= PACKED_BYTES:
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


async def pack(store: ObjectStore, key: str, ended: list[Ended], room: int, single: bool) -> Change:
    """Name every piece of what is kept: small ones ride in the record (ADR 0009), others go up in one object.

    Those of a single Task each ride by themselves; those of a run all or none, if `room` bytes hold them.

    Raises:
        StoreUnavailable: the object store gives no usable answer.
    """
    most = MAX_RESULT_INLINE_BYTES if single else room if sum(one.size for one in ended) <= room else -1
    body = bytearray()
    places: dict[str, int] = {}

    def piece(data: bytes | ObjectRef) -> Piece:
        if isinstance(data, ObjectRef):
            place = places.setdefault(data.key, len(places))
            return Piece(object=place, length=data.length or 0, sha256=data.sha256 or "")
        digest = hashlib.sha256(data).hexdigest()
        if len(data) <= most:
            return Piece(length=len(data), sha256=digest, inline=base64.b64encode(data).decode())
        place, offset = places.setdefault(key, len(places)), len(body)
        body.extend(data)
        return Piece(object=place, offset=offset, length=len(data), sha256=digest)

    outcomes = [element.outcome(piece) for element in ended]
    if key in places:
        await store.put(key, bytes(body))
    children = tuple(child for element in ended for child in element.children)
    return Change(outcomes=tuple(outcomes), objects=tuple(places), children=children)


def riding(outcomes: Iterable[Outcome]) -> int:
    """Bytes that ride in a record."""
    pieces = (p for outcome in outcomes for p in (*outcome.outputs.values(), *outcome.made.values()))
    return sum(piece.length for piece in pieces if piece.object is None)


async def group_children(
    store: ObjectStore, prefix: str, message: RunMessage, index: int, items: Iterable[ManifestItem]
) -> tuple[ChildGroup, ...]:
    """Sub-tasks of one element, as one child Task for each partition and priority (protocol rule 16).

    Raises:
        StoreUnavailable: the object store gives no usable answer.
    """
    grouped: dict[tuple[str, int], list[ManifestItem]] = {}
    for item in items:
        options = item.options
        place = (options.partition or "", options.priority or 0) if options else ("", 0)
        grouped.setdefault(place, []).append(item)
    groups = []
    for number, ((partition, priority), members) in enumerate(sorted(grouped.items())):
        lines = "\n".join(m.model_dump_json(by_alias=True, exclude_unset=True) for m in members)
        key = f"{prefix}/items-{index}-{number}-{uuid.uuid4().hex[:8]}"
        await store.put(key, lines.encode())
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
