"""Reads items of Tasks from their specs or objects, with a cache that is bounded in bytes.

An object is read once from its beginning to its end, a part of it at a time, and each line is checked. After
that only the blocks of those items are read that are asked for.
"""

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence

from armonik_operator.cache.finished_tasks import Outline
from armonik_operator.clients.kube import TASKS
from armonik_operator.clients.servers import Clients
from armonik_operator.errors import ItemsUnread, NotFound, Parked
from armonik_operator.items.listing import BLOCK_LINES, Offsets, Summary, fit, parsed_size
from armonik_operator.items.scan import Scan, parsed, part_of, split
from armonik_operator.util.bounded_cache import BoundedCache
from armonik_operator.util.commons import Commons
from armonik_operator.util.text import shorten
from armonik_sdk.api.const import Reason
from armonik_sdk.api.keys import MEND, misplaced
from armonik_sdk.api.kinds import Item, ItemsRef, Task
from armonik_sdk.api.messages import ManifestItem
from armonik_sdk.api.ranges import Ranges, Span

log = logging.getLogger(__name__)

KEPT_BYTES = 64 * 1024 * 1024
"""Memory for what is kept of objects of items."""
KEPT = 1_000
"""Most Tasks of which something is kept."""
REST_RATE = 1024 * 1024
"""Bytes a second: an object that is not understood is read again after its length divided by this."""
MAX_REST = 600.0
"""Most seconds until then."""
CACHED_BYTES = 16 * 1024 * 1024
"""Memory for blocks that were read lately, as they are in the store."""
PARSED_BYTES = 16 * 1024 * 1024
"""Memory for the items of blocks that were read lately, so that the items of most Tasks are parsed once."""


class Listing(ABC):
    """The items of one Task."""

    def __init__(self, summary: Summary) -> None:
        self.dependent = summary.dependent
        """Elements among which are all that depend on something of their own."""
        self.owing = summary.owing
        """Elements among which are all that owe results with an id of their own."""
        self.lacking = summary.lacking

    def fit(self, spans: Iterable[Span]) -> tuple[tuple[Span, ...], bool]:
        """As many of these runs as may be prepared together, and whether they are all."""
        return fit(spans)

    @abstractmethod
    def block(self, index: int) -> Span:
        """The span of items that is read together with this one."""

    @abstractmethod
    async def part(self, start: int, end: int) -> Sequence[Item]:
        """Items of one block.

        Raises:
            Parked: they are not what they were.
        """

    async def item(self, index: int) -> Item:
        """One item. Raises as `part`."""
        return (await self.part(index, index + 1))[0]

    async def each(self, spans: Iterable[Span]) -> AsyncIterator[tuple[int, Item]]:
        """Items and their indexes, in order. Raises as `part`."""
        for start, end in spans:
            at = start
            while at < end:
                stop = min(end, self.block(at)[1])
                for index, item in enumerate(await self.part(at, stop), start=at):
                    yield index, item
                at = stop


class Given(Listing):
    """Items given in the manifest: at most 1,000."""

    def __init__(self, task: Task, items: Sequence[Item]) -> None:
        summary = Summary(task)
        for at in range(0, len(items), BLOCK_LINES):
            summary.add(at, items[at : at + BLOCK_LINES])
        super().__init__(summary)
        self._items = items

    def block(self, index: int) -> Span:
        """All of them."""
        if not 0 <= index < len(self._items):
            raise IndexError(f"item {index} of {len(self._items)}")
        return 0, len(self._items)

    async def part(self, start: int, end: int) -> Sequence[Item]:
        """Items, without a request."""
        return self._items[start:end]


class Blocks:
    """Cache of recently read blocks of objects, bounded in bytes."""

    def __init__(self, servers: Clients, commons: Commons) -> None:
        self._servers = servers
        pool = commons.pool("blocks of items", CACHED_BYTES)
        self._kept: BoundedCache[tuple[str, int], bytes] = BoundedCache(pool)
        pool = commons.pool("parsed blocks of items", PARSED_BYTES)
        self._parsed: BoundedCache[tuple[str, int], Sequence[Item]] = BoundedCache(pool)

    async def read(self, key: str, start: int, end: int) -> bytes:
        """Read bytes of an object."""
        if (raw := self._kept.get((key, start))) is None:
            raw = await part_of(self._servers, key, start, end)
            self._kept.put((key, start), raw, len(raw))
        return raw

    def parsed(self, key: str, start: int) -> Sequence[Item] | None:
        """The items of the block that begins at this byte, if they are cached."""
        return self._parsed.get((key, start))

    def keep(self, key: str, start: int, raw: bytes, items: Sequence[Item]) -> None:
        """Cache a block: its bytes and its items."""
        self._kept.put((key, start), raw, len(raw))
        self._parsed.put((key, start), items, parsed_size(raw, items))

    def forget(self, key: str) -> None:
        """Drop what is cached of an object that changed."""
        for cache in (self._kept, self._parsed):
            for place in cache:
                if place[0] == key:
                    cache.pop(place)


class Listed(Listing):
    """Items in an object that was scanned."""

    def __init__(self, summary: Summary, key: str, offsets: Offsets, blocks: Blocks) -> None:
        super().__init__(summary)
        self._key = key
        self._offsets = offsets
        self._blocks = blocks

    @property
    def held(self) -> int:
        """Bytes of memory, approximately."""
        return self._offsets.held + 128 * (len(self.dependent.spans) + len(self.owing.spans)) + 2_048

    def fit(self, spans: Iterable[Span]) -> tuple[tuple[Span, ...], bool]:
        """As many of these runs as may be prepared together, and whether they are all."""
        return fit(spans, self._offsets)

    def block(self, index: int) -> Span:
        """Those whose lines are read at once."""
        return self._offsets.items(self._offsets.number(index))

    async def part(self, start: int, end: int) -> Sequence[Item]:
        """Read and parse them, unless they are cached."""
        first, last = self.block(start)
        low, high = self._offsets.bytes(self._offsets.number(start))
        if (block := self._blocks.parsed(self._key, low)) is not None:
            await asyncio.sleep(0)  # others get their turn, as while a block is parsed
            return block[start - first : end - first]
        raw = await self._blocks.read(self._key, low, high)
        try:
            lines = self._lines(raw, last - first)[start - first : end - first]
            items = await parsed(lines, self._key, start)
        except Parked:
            self._blocks.forget(self._key)
            raise
        if len(items) == last - first:
            self._blocks.keep(self._key, low, raw, items)
        return items

    def _lines(self, raw: bytes, count: int) -> list[bytes]:
        lines = split(raw)
        if len(lines) != count:
            message = f"itemsRef.object {self._key} was changed; upload items under a new key"
            raise Parked(Reason.PAYLOAD_NOT_FOUND, message)
        return lines


class ItemCache:
    """Access to the items of Tasks; what is cheap to rebuild is not kept for long."""

    def __init__(
        self, servers: Clients, session_of: Callable[[Task], str], commons: Commons | None = None
    ) -> None:
        """`session_of`: the UID of the Session that a Task belongs to, empty while it has none."""
        commons = commons or Commons()
        self._servers = servers
        self._session_of = session_of
        self._blocks = Blocks(servers, commons)
        self._kept: OrderedDict[str, Listing] = OrderedDict()
        self._held = commons.pool("listings of items", KEPT_BYTES).join(self._shed)
        self._scans: dict[str, Scan] = {}
        self._failed: dict[str, tuple[float, Parked]] = {}

    async def of(self, task: Task) -> Listing | None:
        """The items; None if the elements are equal.

        Raises:
            ItemsUnread: they are too many to read at once; call again.
            Parked: their object is missing or not understood.
        """
        inline = task.spec.items is not None or (isinstance(task, Outline) and task.inline_items)
        if not inline and task.spec.items_ref is None:
            return None
        uid = task.metadata.uid
        if uid not in self._kept:
            listing = await self._make(task)
            if uid not in self._kept:
                self._kept[uid] = listing
                self._held.add(_held(listing))
            while len(self._kept) > KEPT:
                self._shed()
            return listing
        self._kept.move_to_end(uid)
        return self._kept[uid]

    def _shed(self) -> bool:
        """Give up what was used longest ago, but for the last one."""
        if len(self._kept) == 1:
            return False
        self._held.add(-_held(self._kept.popitem(last=False)[1]))
        return True

    async def _make(self, task: Task) -> Listing:
        ref, uid = task.spec.items_ref, task.metadata.uid
        if ref is None:
            whole = await self._whole(task) if isinstance(task, Outline) else task
            return Given(whole, whole.spec.items or [])
        if wrong := misplaced(ref.object, task.metadata.namespace or "", self._session_of(task)):
            raise Parked(Reason.PAYLOAD_NOT_FOUND, shorten(f"itemsRef.object: {wrong}; {MEND}"))
        until, parked = self._failed.get(uid, (0.0, None))
        if parked is not None and time.monotonic() < until:
            raise Parked(parked.reason, parked.message)
        scan = self._scans.setdefault(uid, Scan(self._servers, ref, task, self._blocks.keep))
        try:
            if not await scan.step():
                raise ItemsUnread(f"{scan.offsets.count} of {ref.count} items are read")
        except Parked as error:
            self._scans.pop(uid, None)  # a corrected object is read from its beginning
            self._failed[uid] = time.monotonic() + min(MAX_REST, scan.offsets.size / REST_RATE), error
            raise
        self.forget(uid)
        assert scan.summary is not None
        return Listed(scan.summary, ref.object, scan.offsets, self._blocks)

    async def _whole(self, outline: Outline) -> Task:
        """A Task that has finished, with the items in its manifest."""
        meta = outline.metadata
        try:
            found = Task.from_object(await self._servers.kube.get(TASKS, meta.name, meta.namespace))
        except NotFound:
            found = None
        if found is None or found.metadata.uid != meta.uid:
            raise Parked(Reason.DEPENDENCY_NOT_FOUND, f"task {meta.name} was deleted; create it")
        return found

    def release(self, uid: str) -> None:
        """Release the items of a finished Task; those in its manifest can be read again."""
        if isinstance(self._kept.get(uid), Given):
            self.forget(uid)

    def forget(self, uid: str) -> None:
        """Drop the items of a deleted Task."""
        self._scans.pop(uid, None)
        self._failed.pop(uid, None)
        if (listing := self._kept.pop(uid, None)) is not None:
            self._held.add(-_held(listing))

    async def owed(self, task: Task, spans: Ranges) -> AsyncIterator[tuple[int, str]]:
        """Results with an id of their own that elements have to produce; only those of child Tasks have some.

        Raises:
            ItemsUnread: as of `of`.
        """
        if task.spec.items_ref is None:  # only items in objects have ids
            return
        try:
            listing = await self.of(task)
            assert listing is not None
            async for index, item in listing.each((spans & listing.owing).spans):
                for result in (item.output_ids or ()) if isinstance(item, ManifestItem) else ():
                    yield index, result
        except Parked as parked:
            log.warning("what task %s owes is not known: %s", task.metadata.name, parked.message)

    def read(self, key: str, count: int) -> AsyncIterator[tuple[int, Sequence[Item]]]:
        """The items in an object, a block at a time, with the index of its first one.

        Raises:
            Parked: it is missing or not understood.
        """
        return Scan(self._servers, ItemsRef(object=key, count=count), None, self._blocks.keep).all()


def _held(listing: Listing) -> int:
    return listing.held if isinstance(listing, Listed) else 0
