"""Payloads and dependencies of a run, laid into its folder a batch ahead of the elements that read them.

What several elements read is downloaded once; small pieces that lie beside each other in one object are read
together. A batch has at most `BATCH_BYTES`, or is of one element that needs more. Bounds: the folder holds at
most `Room.inputs` bytes of inputs, and `Room.ahead` of them before the element that reads them is due. An
element that needs more than the former is refused by the lengths of its inputs, before any is fetched. What
passes through memory is at most `PARALLEL` spans of `SPAN_BYTES`.
"""

import asyncio
import contextlib
import math
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from armonik_agent.data.elements import ENVIRONMENT, Element
from armonik_agent.data.object_cache import LEAST_BYTES, ObjectCache
from armonik_agent.data.shared_folder import Folder, plain_name
from armonik_agent.errors import InputTooLarge, InputUnavailable
from armonik_sdk.api.kinds import ObjectRef
from armonik_sdk.api.records import carried
from armonik_sdk.dataplane.errors import ChecksumMismatch, ObjectMissing
from armonik_sdk.dataplane.s3.range_reads import cut, plan_spans
from armonik_sdk.dataplane.s3.store import ObjectStore, checked

PARALLEL = 4
"""Downloads at once for one run."""
BATCH_BYTES = 16 * 1024 * 1024
"""Inputs of coming elements that are fetched in one go."""
SPAN_BYTES = 4 * 1024 * 1024
"""Most bytes of one request that are held in memory; longer pieces are streamed to disk."""
HELD_BYTES = 16 * 1024 * 1024
"""Pieces that are held in memory instead of the folder; beyond that they lie in the folder, too."""
_EMPTY = ObjectRef(key="empty", length=0)


@dataclass(frozen=True)
class Batch:
    """Consecutive elements, and what must be fetched for them that earlier ones did not need."""

    indexes: tuple[int, ...]
    fetch: Mapping[str, ObjectRef]

    @property
    def size(self) -> float:
        """Bytes to be fetched; infinite when a length is not known."""
        return sum(math.inf if ref.length is None else ref.length for ref in self.fetch.values())


@dataclass(frozen=True)
class Room:
    """Bounds of a run's folder, in bytes."""

    inputs: int
    """Of all inputs in it, and so of one element's."""
    ahead: int
    """Of a batch that is fetched before its elements are due."""


def plan_batches(needs: Iterable[tuple[int, Mapping[str, ObjectRef]]], most: int) -> list[Batch]:
    """Batches of at most `most` bytes, or of one element; pure.

    A piece of unknown length counts as a whole batch.
    """
    batches: list[Batch] = []
    seen: set[str] = set()
    indexes: list[int] = []
    fetch: dict[str, ObjectRef] = {}
    size = 0
    for index, inputs in needs:
        fresh = {name: ref for name, ref in inputs.items() if name not in seen}
        added = sum(most if ref.length is None else ref.length for ref in fresh.values())
        if indexes and size + added > most:
            batches.append(Batch(tuple(indexes), fetch))
            indexes, fetch, size = [], {}, 0
        indexes.append(index)
        fetch |= fresh
        seen |= fresh.keys()
        size += added
    return [*batches, Batch(tuple(indexes), fetch)] if indexes else batches


class RunInputs:
    """The inputs of the elements that one run has left."""

    def __init__(
        self,
        store: ObjectStore,
        elements: Iterable[Element],
        folder: Folder,
        spool: Path,
        room: Room,
        held: int = -1,
        cache: ObjectCache | None = None,
    ) -> None:
        """`spool` is a folder of the same volume where downloads lie until they are complete.

        Pieces of at most `held` bytes are held in memory instead of the folder; `cache` has what other runs
        of this pod have read.
        """
        self._store, self._folder, self._spool, self._most = store, folder, spool, held
        self._room, self._cache = room, cache
        self.held: dict[str, bytes] = {}
        self._problems: dict[str, str] = {}
        self._failed: dict[str, OSError] = {}
        """What this host did not take: an error of the elements that read it, not of the whole batch."""
        self._too_large: dict[int, str] = {}
        self._readers: Counter[str] = Counter()
        self._reads: dict[int, frozenset[str]] = {}
        self._laid: dict[str, ObjectRef] = {}
        """What lies in the folder, with its length."""
        self._dropped: dict[str, ObjectRef] = {}
        """What lay there, had to make room, and is read again."""
        needs: list[tuple[int, dict[str, ObjectRef]]] = []
        for element in elements:
            known: dict[str, ObjectRef] = {}
            for name, ref in element.inputs.items():
                if ref is None or not plain_name(name):
                    self._problems[name] = f"input {name} has no data"
                else:
                    known[name] = ref
            size = sum(ref.length or 0 for ref in known.values())
            if size > room.inputs:
                self._refuse(element.index, size)
                known = {}
            if element.empty_payload:
                known[element.payload_id] = _EMPTY
            self._readers.update(known.keys())
            self._reads[element.index] = frozenset(known)
            needs.append((element.index, known))
        self._batches = plan_batches(needs, BATCH_BYTES)
        self._batch_of = {index: n for n, batch in enumerate(self._batches) for index in batch.indexes}
        self._there = 0
        self._fetching: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "RunInputs":
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)

    def begin(self) -> None:
        """Begin to fetch what the next elements need, if there is room for it beside the others' inputs."""
        if self._there < len(self._batches) and self._batches[self._there].size <= self._room_ahead:
            self._begin()

    async def first(self) -> None:
        """Wait for it. What is large is left for later: for when the run is this agent's.

        Raises:
            StoreUnavailable: the object store gives no usable answer.
        """
        if self._fetching is not None and not self._there:
            await self._advance()

    def ready(self, element: Element) -> bool:
        """Whether `lay` would not have to wait."""
        there = self._there > self._batch_of.get(element.index, -1)
        return there and self._dropped.keys().isdisjoint(element.inputs)

    def heavy(self, element: Element) -> bool:
        """Whether `lay` fetches so much that the element is to be named in the head before."""
        batch = self._batch_of.get(element.index, -1)
        pending = [b for b in self._batches[self._there : batch + 1] if b.size > self._room.ahead]
        return bool(pending) or not self._dropped.keys().isdisjoint(element.inputs)

    async def lay(self, element: Element) -> None:
        """Wait until all that the element reads lies in the folder.

        One that is not `ready` is laid only while no other element of the run is executed: others' inputs may
        have to make room.

        Raises:
            InputUnavailable: something is missing, altered or too large; trying again does not help.
            StoreUnavailable: the object store gives no usable answer.
            OSError: the folder takes no more.
        """
        if element.index in self._too_large:
            raise InputTooLarge(self._too_large[element.index])
        while self._there <= self._batch_of.get(element.index, -1):
            await self._advance()
        again = {name: self._dropped[name] for name in element.inputs if name in self._dropped}
        if again:
            await self._fetch(Batch((element.index,), again))
        self.begin()
        if element.index in self._too_large:
            raise InputTooLarge(self._too_large[element.index])
        for name in element.inputs:
            if name in self._problems:
                raise InputUnavailable(self._problems[name])
            if name in self._failed:
                raise self._failed[name]

    def done(self, element: Element) -> None:
        """The element has ended: remove what no other of the run reads."""
        for name in self._reads.pop(element.index, ()):
            self._readers[name] -= 1
            if self._readers[name] == 0:
                self._dropped.pop(name, None)
                self._remove(name)

    @property
    def _room_ahead(self) -> float:
        """Bytes that may be fetched now without that something else makes room."""
        return min(self._room.ahead, self._room.inputs - self._size)

    @property
    def _size(self) -> int:
        return sum(ref.length or 0 for ref in self._laid.values())

    def _refuse(self, index: int, size: int) -> None:
        self._too_large[index] = (
            f"the inputs of this element have {size} bytes in all, and an agent holds at most"
            f" {self._room.inputs}; split them, or have the worker read them from where they are"
        )

    def _remove(self, name: str) -> None:
        if self.held.pop(name, None) is None and self._laid.pop(name, None) is not None:
            self._folder.remove(name)

    def _begin(self) -> None:
        if self._fetching is None and self._there < len(self._batches):
            self._fetching = asyncio.create_task(self._fetch(self._batches[self._there]))

    async def _advance(self) -> None:
        self._begin()
        assert self._fetching is not None  # `_there` is below the number of batches
        try:
            # Shielded: who stops waiting leaves the download to whoever asks next, or to the end of the run.
            await asyncio.shield(self._fetching)
        finally:
            if self._fetching.done():
                failed = self._fetching.cancelled() or self._fetching.exception() is not None
                self._there += not failed
                self._fetching = None

    async def _measured(self, batch: Batch) -> dict[str, ObjectRef]:
        """What to fetch, with the lengths that nobody has said; nothing of an element that needs too much."""
        fetch = dict(batch.fetch)
        for name, ref in batch.fetch.items():
            if ref.length is None:
                try:
                    length = await self._length(name, ref)
                except ObjectMissing as error:
                    self._problems[name] = f"input {name}: {error}"
                    del fetch[name]
                else:
                    fetch[name] = ref.model_copy(update={"length": max(0, length)})
        size = sum(ref.length or 0 for ref in fetch.values())
        if size <= self._room.inputs:
            return fetch
        for index in batch.indexes:
            if not self._reads.get(index, frozenset()).isdisjoint(fetch):
                self._refuse(index, size)
        self._dropped |= fetch  # others may read a part of it
        return {}

    async def _length(self, name: str, ref: ObjectRef) -> int:
        """Bytes of what nobody has said the length of."""
        if self._cache is not None and name.startswith(ENVIRONMENT):
            kept = await asyncio.to_thread(self._cache.length, ref.sha256)
            if kept is not None:
                return kept
        return await self._store.stat(ref.key) - (ref.offset or 0)

    def _make_room(self, fetch: Mapping[str, ObjectRef], reads: Iterable[str]) -> None:
        """Drop what others read later, as far as what is fetched now needs its room."""
        wanted, kept = sum(ref.length or 0 for ref in fetch.values()), frozenset(reads)
        for name, ref in sorted(self._laid.items(), key=lambda each: -(each[1].length or 0)):
            if self._size + wanted <= self._room.inputs:
                return
            if name not in kept:
                self._dropped[name] = ref
                self._remove(name)

    async def _fetch(self, batch: Batch) -> None:
        bound = asyncio.Semaphore(PARALLEL)
        away: list[tuple[str, ObjectRef]] = []
        fetch = await self._measured(batch)
        self._make_room(fetch, (name for index in batch.indexes for name in self._reads.get(index, ())))
        self._laid |= fetch  # before it is there: whatever fails, it may take room
        for name, ref in fetch.items():
            if (data := carried(ref)) is not None:
                self._place(ref, ((name, ref),), data)
            else:
                away.append((name, ref))
        small = [(n, r) for n, r in away if self._is_small(n, r)]
        large = [(n, r) for n, r in away if not self._is_small(n, r)]

        async def read(span: ObjectRef, parts: tuple[tuple[str, ObjectRef], ...]) -> None:
            async with bound:
                try:
                    data = await self._store.get(span)
                except ObjectMissing as error:
                    self._problems |= {name: f"input {name}: {error}" for name, _ in parts}
                    return
                await asyncio.to_thread(self._place, span, parts, data)

        async def stream(name: str, ref: ObjectRef) -> None:
            async with bound:
                path = self._spool / uuid.uuid4().hex
                try:
                    if not await asyncio.to_thread(self._recall, name, ref, path):
                        await self._store.download(ref, path)
                        await asyncio.to_thread(self._remember, name, ref, path)
                    await asyncio.to_thread(self._folder.adopt, name, path)
                except OSError as error:
                    self._failed[name] = error
                    await asyncio.to_thread(path.unlink, missing_ok=True)
                except (ObjectMissing, ChecksumMismatch) as error:
                    self._problems[name] = f"input {name}: {error}"

        work = [read(span, parts) for span, parts in plan_spans(small, SPAN_BYTES)]
        tasks = [asyncio.create_task(one) for one in (*work, *(stream(n, r) for n, r in large))]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):  # theirs; our own is raised after the clean-up
                await asyncio.gather(*tasks, return_exceptions=True)
        for name in fetch:
            self._dropped.pop(name, None)
            if name in self.held or name in self._problems:
                self._laid.pop(name, None)

    def _is_small(self, name: str, ref: ObjectRef) -> bool:
        """Whether it is read with others; what may be in the cache is not."""
        if ref.length is None or ref.length > SPAN_BYTES:
            return False
        return self._cache is None or not self._cached(name, ref) or not self._cache.has(str(ref.sha256))

    def _cached(self, name: str, ref: ObjectRef) -> bool:
        """Whether the cache takes it: of small ones an environment, which all runs of a Task read."""
        least = 0 if name.startswith(ENVIRONMENT) else LEAST_BYTES
        return self._cache is not None and self._cache.takes(ref.sha256, ref.length, least)

    def _recall(self, name: str, ref: ObjectRef, path: Path) -> bool:
        """Take it from the cache, if it is there."""
        return self._cache is not None and self._cached(name, ref) and self._cache.take(str(ref.sha256), path)

    def _remember(self, name: str, ref: ObjectRef, path: Path) -> None:
        if self._cache is not None and self._cached(name, ref):
            self._cache.keep(str(ref.sha256), path)

    def _place(self, span: ObjectRef, parts: tuple[tuple[str, ObjectRef], ...], data: bytes) -> None:
        room = HELD_BYTES - sum(map(len, list(self.held.values())))
        for name, ref in parts:
            try:
                content = checked(ref, cut(span, ref, data))
                if len(content) <= min(self._most, room) and not self._cached(name, ref):
                    self.held[name] = bytes(content)
                    room -= len(content)
                else:
                    self._folder.write(name, content)
                    self._remember(name, ref, self._folder.path / name)
            except OSError as error:
                self._failed[name] = error
            except ChecksumMismatch as error:
                self._problems[name] = f"input {name}: {error}"
