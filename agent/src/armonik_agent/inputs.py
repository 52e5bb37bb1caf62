"""Payloads and dependencies of a run, laid into its folder a batch ahead of the elements that read them.

What several elements read is downloaded once; small pieces that lie beside each other in one object are read
together. Bounds: at most two batches lie in the folder at once, each of `BATCH_BYTES` or of one element that
needs more; what passes through memory is at most `PARALLEL` spans of `SPAN_BYTES`.
"""

import asyncio
import contextlib
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from armonik_agent.elements import Element
from armonik_agent.errors import InputUnavailable
from armonik_agent.folder import Folder, plain_name
from armonik_sdk.api.kinds import ObjectRef
from armonik_sdk.api.records import carried
from armonik_sdk.dataplane.errors import ChecksumMismatch, ObjectMissing
from armonik_sdk.dataplane.objects import ObjectStore, checked
from armonik_sdk.dataplane.spans import cut, plan_spans

PARALLEL = 4
"""Downloads at once for one run."""
BATCH_BYTES = 16 * 1024 * 1024
"""Inputs of coming elements that are fetched in one go."""
SPAN_BYTES = 4 * 1024 * 1024
"""Most bytes of one request that are held in memory; longer pieces are streamed to disk."""
_EMPTY = ObjectRef(key="empty", length=0)


@dataclass(frozen=True)
class Batch:
    """Consecutive elements, and what must be fetched for them that earlier ones did not need."""

    indexes: tuple[int, ...]
    fetch: Mapping[str, ObjectRef]


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
        self, store: ObjectStore, elements: Iterable[Element], folder: Folder, spool: Path, held: int = -1
    ) -> None:
        """`spool` is a folder of the same volume where downloads lie until they are complete.

        Pieces of at most `held` bytes are held in memory instead of the folder.
        """
        self._store, self._folder, self._spool, self._most = store, folder, spool, held
        self.held: dict[str, bytes] = {}
        self._problems: dict[str, str] = {}
        self._readers: Counter[str] = Counter()
        needs: list[tuple[int, dict[str, ObjectRef]]] = []
        for element in elements:
            known: dict[str, ObjectRef] = {}
            for name, ref in element.inputs.items():
                if ref is None or not plain_name(name):
                    self._problems[name] = f"input {name} has no data"
                else:
                    known[name] = ref
            if element.empty_payload:
                known[element.payload_id] = _EMPTY
            self._readers.update(known.keys())
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
        """Begin to fetch what the first elements need."""
        if self._fetching is None and self._there < len(self._batches):
            self._fetching = asyncio.create_task(self._fetch(self._batches[self._there]))

    async def first(self) -> None:
        """Wait for it.

        Raises:
            StoreUnavailable: the object store gives no usable answer.
        """
        if self._batches and not self._there:
            await self._advance()

    def ready(self, element: Element) -> bool:
        """Whether `lay` would not have to wait."""
        return self._there > self._batch_of.get(element.index, -1)

    async def lay(self, element: Element) -> None:
        """Wait until all that the element reads lies in the folder.

        Raises:
            InputUnavailable: something is missing or altered; trying again does not help.
            StoreUnavailable: the object store gives no usable answer.
        """
        while self._there <= self._batch_of.get(element.index, -1):
            await self._advance()
        self.begin()
        for name in element.inputs:
            if name in self._problems:
                raise InputUnavailable(self._problems[name])

    def done(self, element: Element) -> None:
        """The element has ended: remove what no other of the run reads."""
        names = (*element.inputs, element.payload_id) if element.empty_payload else element.inputs
        for name in names:
            self._readers[name] -= 1
            if self._readers[name] == 0 and name not in self._problems and self.held.pop(name, None) is None:
                self._folder.remove(name)

    async def _advance(self) -> None:
        self.begin()
        assert self._fetching is not None  # `_there` is below the number of batches
        try:
            # Shielded: who stops waiting leaves the download to whoever asks next, or to the end of the run.
            await asyncio.shield(self._fetching)
        finally:
            if self._fetching.done():
                failed = self._fetching.cancelled() or self._fetching.exception() is not None
                self._there += not failed
                self._fetching = None

    async def _fetch(self, batch: Batch) -> None:
        bound = asyncio.Semaphore(PARALLEL)
        away: list[tuple[str, ObjectRef]] = []
        for name, ref in batch.fetch.items():
            if (data := carried(ref)) is not None:
                self._place(ref, ((name, ref),), data)
            else:
                away.append((name, ref))
        small = [(n, r) for n, r in away if r.length is not None and r.length <= SPAN_BYTES]
        large = [(n, r) for n, r in away if r.length is None or r.length > SPAN_BYTES]

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
                    await self._store.download(ref, path)
                    await asyncio.to_thread(self._folder.adopt, name, path)
                except (ObjectMissing, ChecksumMismatch) as error:
                    self._problems[name] = f"input {name}: {error}"

        work = [read(span, parts) for span, parts in plan_spans(small, SPAN_BYTES)]
        tasks = [asyncio.create_task(one) for one in (*work, *(stream(n, r) for n, r in large))]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):  # theirs; our own goes on after the clean-up
                await asyncio.gather(*tasks, return_exceptions=True)

    def _place(self, span: ObjectRef, parts: tuple[tuple[str, ObjectRef], ...], data: bytes) -> None:
        for name, ref in parts:
            try:
                content = checked(ref, cut(span, ref, data))
                if len(content) <= self._most:
                    self.held[name] = bytes(content)
                else:
                    self._folder.write(name, content)
            except ChecksumMismatch as error:
                self._problems[name] = f"input {name}: {error}"
