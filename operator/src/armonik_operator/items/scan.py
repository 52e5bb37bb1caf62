"""Scans an object of items: checks each line and notes where blocks begin."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from pydantic import ValidationError

from armonik_operator.clients.servers import Clients
from armonik_operator.errors import Parked
from armonik_operator.items.listing import BLOCK_BYTES, BLOCK_LINES, Offsets, Summary
from armonik_operator.util.text import shorten
from armonik_sdk.api.bounds import MAX_ELEMENTS, MAX_ITEMS_OBJECT_BYTES, MAX_LINE_BYTES
from armonik_sdk.api.const import PARENT_LABEL, Reason
from armonik_sdk.api.errors import explain
from armonik_sdk.api.kinds import Item, ItemsRef, ObjectRef, Task
from armonik_sdk.api.kinds.task import of_task_alone
from armonik_sdk.api.messages import ManifestItem
from armonik_sdk.dataplane.errors import InvalidKey, ObjectMissing

READ_BYTES = 1024 * 1024
"""Bytes of an object that are read in one request."""
STEP_BYTES = 4 * 1024 * 1024
"""Bytes of an object that are looked through before the worker is given back; a whole one, mostly."""
SLICE = 64
"""Items that are parsed before others get a turn."""


class Scan:
    """One scan of an object, step by step; little is kept between the steps."""

    def __init__(
        self,
        servers: Clients,
        ref: ItemsRef,
        task: Task | None,
        keep: Callable[[str, int, bytes, Sequence[Item]], None],
    ) -> None:
        """`keep` is called with each block: key of the object, first byte, bytes and items."""
        self._servers = servers
        self._keep = keep
        self._key = ref.object
        self._wanted = ref.count
        self._one_for_all = task is not None and PARENT_LABEL not in task.metadata.labels
        self._size: int | None = None
        self._misplaced = ""
        self._busy = asyncio.Lock()
        self.summary = Summary(task) if task is not None else None
        self.offsets = Offsets()

    async def step(self) -> bool:
        """Scan the next part; returns whether the scan is complete. Concurrent callers wait for it.

        Raises:
            Parked: the object is missing or not understood.
        """
        async with self._busy:
            begun = self.offsets.size
            while self.offsets.size != self._size and self.offsets.size - begun < STEP_BYTES:
                async for first, items in self._blocks():
                    if self.summary is not None:
                        self.summary.add(first, items)
            if self.offsets.size != self._size:
                return False
        if self.offsets.count != self._wanted:
            message = f"itemsRef.object {self._key} has {self.offsets.count} lines, but itemsRef.count is"
            message = f"{message} {self._wanted}; upload an object with as many items"
            raise Parked(Reason.PAYLOAD_NOT_FOUND, message)
        if self._misplaced:
            raise Parked(Reason.PAYLOAD_NOT_FOUND, f"itemsRef.object {self._key}, {self._misplaced}")
        return True

    async def all(self) -> AsyncIterator[tuple[int, Sequence[Item]]]:
        """All items, a block at a time, with the index of its first one. Raises as `step` does."""
        while self.offsets.size != self._size:
            async for block in self._blocks():
                yield block
        await self.step()

    async def _blocks(self) -> AsyncIterator[tuple[int, Sequence[Item]]]:
        """The blocks of one request; a longer line takes further requests."""
        at, much = self.offsets.size, READ_BYTES
        while True:
            raw = await self._read(at, much)
            used = len(raw) if at + len(raw) == self._size else raw.rfind(b"\n") + 1
            if used or not raw:
                break
            if much > MAX_LINE_BYTES:
                raise _too_long(self._key, self.offsets.count)
            much *= 2
        begin = 0
        while begin < used:
            lines, length = _block(raw, begin, used)
            first = self.offsets.count
            items = await parsed(lines, self._key, first)
            self._check_options(first, items)
            self._keep(self._key, self.offsets.size, raw[begin : begin + length], items)
            self.offsets.add(len(lines), length)
            if self.offsets.count > MAX_ELEMENTS:
                message = f"itemsRef.object {self._key} has more than {MAX_ELEMENTS} lines;"
                raise Parked(Reason.PAYLOAD_NOT_FOUND, f"{message} submit several tasks")
            begin += length
            yield first, items

    async def _read(self, at: int, much: int) -> bytes:
        """Bytes from an offset; the first response gives the length of a short object."""
        size = self._size
        if size is None and at == 0:
            try:
                raw = await self._servers.objects.get(ObjectRef(key=self._key, offset=0, length=much))
            except ObjectMissing:  # or empty
                raw = b""
            if raw:
                self._size = len(raw) if len(raw) < much else await self._measure()
                return raw
        if size is None:
            size = self._size = await self._measure()
        return await part_of(self._servers, self._key, at, min(size, at + much)) if size > at else b""

    async def _measure(self) -> int:
        try:
            size = await self._servers.objects.stat(self._key)
        except ObjectMissing as error:
            raise _missing(self._key, error) from error
        if size > MAX_ITEMS_OBJECT_BYTES:
            message = f"itemsRef.object {self._key} has {size} bytes, more than {MAX_ITEMS_OBJECT_BYTES};"
            message = f"{message} put long payloads into objects of their own, or submit several tasks"
            raise Parked(Reason.PAYLOAD_NOT_FOUND, message)
        return size

    def _check_options(self, first: int, items: Sequence[Item]) -> None:
        if self._misplaced or not self._one_for_all:  # a child's were grouped by partition
            return
        for number, item in enumerate(items, start=first + 1):
            if wrong := of_task_alone(item.options):
                self._misplaced = f"line {number}: {wrong}"
                return


async def part_of(servers: Clients, key: str, start: int, end: int) -> bytes:
    """Bytes of an object of items.

    Raises:
        Parked: it does not exist.
    """
    try:
        return await servers.objects.get(ObjectRef(key=key, offset=start, length=end - start))
    except ObjectMissing as error:
        raise _missing(key, error) from error


def split(raw: bytes) -> list[bytes]:
    """Split into lines, without line endings."""
    lines = raw.split(b"\n")
    if not lines[-1]:
        lines.pop()
    return lines


async def parsed(lines: Sequence[bytes], key: str, first: int) -> list[Item]:
    """The items of consecutive lines, of which the first has this index; others get their turn meanwhile.

    Raises:
        Parked: a line is not understood.
    """
    items: list[Item] = []
    size = 0
    for number, line in enumerate(lines, start=first + 1):
        size += len(line)
        if len(line) > MAX_LINE_BYTES:
            raise _too_long(key, number - 1)
        try:
            items.append(ManifestItem.model_validate_json(line.removesuffix(b"\r")))
        except ValidationError as error:
            message = (
                f"itemsRef.object {key}, line {number}: {explain(error)};"
                " upload an object with one item in JSON a line"
            )
            raise Parked(Reason.PAYLOAD_NOT_FOUND, shorten(message)) from error
        if len(items) % SLICE == 0 or size > BLOCK_BYTES:
            size = 0
            await asyncio.sleep(0)
    return items


def _block(raw: bytes, begin: int, end: int) -> tuple[list[bytes], int]:
    """The lines of the next block, and its length."""
    at = begin
    lines: list[bytes] = []
    while at < end and len(lines) < BLOCK_LINES and at - begin < BLOCK_BYTES:
        stop = raw.find(b"\n", at, end)
        after = end if stop < 0 else stop + 1
        lines.append(raw[at : after if stop < 0 else stop])
        at = after
    return lines, at - begin


def _missing(key: str, error: ObjectMissing) -> Parked:
    message = f"itemsRef.object {key} does not exist in the store; upload it"
    if isinstance(error, InvalidKey):
        message = f"itemsRef.object: {error}; store the object under another key"
    return Parked(Reason.PAYLOAD_NOT_FOUND, shorten(message))


def _too_long(key: str, index: int) -> Parked:
    message = f"itemsRef.object {key}, line {index + 1}: the line has more than {MAX_LINE_BYTES} bytes;"
    return Parked(Reason.PAYLOAD_NOT_FOUND, f"{message} put its payload into an object of its own")
