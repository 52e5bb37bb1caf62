"""Builds queue messages: uploads payloads, and locates the bytes behind dependencies."""

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from armonik_operator.cache.state import ClusterState
from armonik_operator.clients.servers import Clients
from armonik_operator.dependencies.checker import DependencyChecker
from armonik_operator.errors import Parked
from armonik_operator.items.item_cache import ItemCache, Listing
from armonik_operator.results.store import ResultName, ResultStore
from armonik_operator.util.bounded_cache import BoundedCache
from armonik_operator.util.text import shorten
from armonik_sdk.api.bounds import MAX_MESSAGE_BYTES, MAX_NEEDED, MAX_RIDING_BYTES, MAX_SPILL_BYTES
from armonik_sdk.api.const import DEFAULT_OUTPUT, Reason
from armonik_sdk.api.keys import MEND, confined_entry, misplaced, misplaced_environment
from armonik_sdk.api.kinds import (
    Dependency,
    Item,
    ObjectRef,
    Payload,
    Task,
    TaskOptions,
    merge_options,
)
from armonik_sdk.api.kinds.options import too_many_settings
from armonik_sdk.api.messages import ElementSpec, ManifestItem, RunMessage
from armonik_sdk.api.names import (
    RunId,
    TaskRef,
    message_key,
    nothing_key,
    split_result_id,
    task_payload_key,
)
from armonik_sdk.api.ranges import Ranges, Span
from armonik_sdk.api.records import DataRef
from armonik_sdk.dataplane.errors import InvalidKey, ObjectMissing
from armonik_sdk.dataplane.result_lookup import outcome_of

KEPT_KEYS = 10_000
"""Objects that are known to be in the store."""
YIELD = 1_000
"""Results that are looked for before others get a turn."""


@dataclass
class Inputs:
    """Everything about a Task's inputs that its messages need."""

    items: dict[int, Item] | None = None
    """Those of the runs in question; None if the elements are equal."""
    payloads: dict[int, DataRef] = field(default_factory=dict)
    """By index; -1 is the Task's own."""
    payload_ids: dict[int, str] = field(default_factory=dict)
    dependencies: dict[int, list[str]] = field(default_factory=dict)
    locators: dict[str, DataRef] = field(default_factory=dict)
    end: int | None = None
    """The first element that is not prepared, because the ones before it need so much."""


class MessageBuilder:
    """Finds the bytes behind what is ready, packs payloads, builds messages."""

    def __init__(
        self,
        servers: Clients,
        state: ClusterState,
        book: ResultStore,
        items: ItemCache,
        looks: DependencyChecker,
    ) -> None:
        self._servers = servers
        self._state = state
        self._book = book
        self._items = items
        self._looks = looks
        self._packed: BoundedCache[str, bool] = BoundedCache(KEPT_KEYS)
        """Keys of payloads that are in the store."""
        self._sizes: BoundedCache[str, int] = BoundedCache(KEPT_KEYS)
        """Bytes of objects that are there."""

    async def prepare_some(
        self, task: Task, ref: TaskRef, spans: Sequence[Span]
    ) -> tuple[Inputs, tuple[Span, ...], bool]:
        """The same for as many of these runs as fit into memory, those runs, and whether they are all.

        The last of them may be shorter than it was.

        Raises:
            Parked: an object is missing.
        """
        listing = await self._items.of(task)
        fitting, whole = listing.fit(spans) if listing is not None else (tuple(spans), True)
        inputs = await self.prepare(task, ref, fitting)
        if (end := inputs.end) is not None:
            fitting, whole = tuple((a, min(b, end)) for a, b in fitting if a < end), False
        return inputs, fitting, whole

    async def prepare(
        self, task: Task, ref: TaskRef, spans: Iterable[Span], *, again: bool = False
    ) -> Inputs:
        """Everything that the messages of these elements need; their dependencies are complete.

        With `again` they were once: what was deleted since is named nevertheless, and the agent ends who
        needs it (`InputMissing`), as if it had come to it later.

        Raises:
            Parked: an object is missing.
        """
        found = Inputs()
        own = task.spec.payload
        found.payloads.update(await self._pack(ref, -1, [own], Ranges.of([(0, 1)])))
        sources: list[tuple[int, Payload | None, Iterable[Dependency]]] = [
            (-1, own, task.spec.depends_on or [])
        ]
        if (listing := await self._items.of(task)) is not None:
            found.items = await self._items_of(ref, listing, Ranges.of(spans), found)
            sources += [(i, item.payload, item.depends_on or []) for i, item in found.items.items()]
        cache: dict[tuple[object, ...], list[str]] = {}
        named = 0
        for number, (index, payload, dependencies) in enumerate(sources, start=1):
            if number % YIELD == 0:
                await asyncio.sleep(0)
            wanted: list[str] = []
            for dependency in dependencies:
                key = (
                    dependency.task,
                    dependency.uid,
                    dependency.index,
                    dependency.output,
                    dependency.result,
                )
                if key not in cache:
                    cache[key] = await self._looks.resolver.result_ids(task, dependency)
                wanted += cache[key]
            named += len(wanted)
            if named > MAX_NEEDED and number > 2 and not again:
                found.end = index
                break
            if wanted:
                found.dependencies[index] = wanted
            if payload is not None and payload.result is not None:
                found.payload_ids[index] = payload.result
            elif payload is not None and payload.object is not None:
                found.payloads[index] = DataRef.model_validate(payload.object)
                where = "payload.object" if index < 0 else f"items[{index}].payload.object"
                await self._check(payload.object, where, ref)
            for result in [*wanted, *([payload.result] if payload is not None and payload.result else [])]:
                if result not in found.locators:
                    if len(found.locators) % YIELD == YIELD - 1:
                        await asyncio.sleep(0)
                    place = await self._locate(ref, result)
                    if place is None and not again:
                        self._looks.doubt(task.metadata.uid, index)
                        message = f"result {result} is not in the store any more; run what made it again"
                        raise Parked(Reason.DEPENDENCY_NOT_FOUND, message)
                    gone = nothing_key(ref.namespace, ref.session, result)
                    found.locators[result] = place or DataRef(key=gone)
            if payload is not None and payload.result is not None:
                found.payloads[index] = found.locators[payload.result]
        return found

    async def _items_of(
        self, ref: TaskRef, listing: Listing, wanted: Ranges, found: Inputs
    ) -> dict[int, Item]:
        """These items; payloads in them go to the store with those of their whole block, so they do once."""
        items: dict[int, Item] = {}
        for start, end in wanted.spans:
            at = start
            while at < end:
                first, last = listing.block(at)
                block = await listing.part(first, last)
                payloads, here = [item.payload for item in block], wanted & Ranges.of([(first, last)])
                found.payloads.update(await self._pack(ref, first, payloads, here))
                items |= {i: block[i - first] for i in range(at, min(end, last))}
                at = last
        return items

    async def _pack(
        self, ref: TaskRef, first: int, payloads: Sequence[Payload | None], wanted: Ranges
    ) -> dict[int, DataRef]:
        """Put payloads of the manifest, or of a block of items, into one object (protocol rule 7).

        Small ones need no object: they ride in the queue message (ADR 0005). The key follows from the
        content, so no object is ever written again with another one.
        """
        packed: dict[int, DataRef] = {}
        places: dict[int, tuple[int, bytes]] = {}
        body = bytearray()
        for index, payload in enumerate(payloads, start=first):
            content = payload.content() if payload is not None else None
            if content is None:
                continue
            if len(content) > MAX_RIDING_BYTES:
                places[index] = (len(body), content)
                body += content
            elif index < 0 or index in wanted:
                packed[index] = DataRef.of_bytes(content)
        if not body:
            return packed
        digest = hashlib.sha256(body).hexdigest()
        key = task_payload_key(*ref, digest)
        if not self._packed.get(key):
            await self._servers.objects.put(key, bytes(body))
            self._packed.put(key, True)
        for index, (offset, content) in places.items():
            if index < 0 or index in wanted:
                digest = hashlib.sha256(content).hexdigest()
                packed[index] = DataRef(key=key, offset=offset, length=len(content), sha256=digest)
        return packed

    async def _check(
        self, ref: ObjectRef, where: str, owner: TaskRef, wrong_of: Callable[[str, str, str], str] = misplaced
    ) -> None:
        if wrong := wrong_of(ref.key, owner.namespace, owner.session):
            raise Parked(Reason.PAYLOAD_NOT_FOUND, shorten(f"{where}.key: {wrong}; {MEND}"))
        size = self._sizes.get(ref.key)
        if size is None:
            try:
                size = await self._servers.objects.stat(ref.key)
            except InvalidKey as error:
                message = f"{where}.key: {error}; store the object under another key"
                raise Parked(Reason.PAYLOAD_NOT_FOUND, shorten(message)) from error
            except ObjectMissing as error:
                message = f"{where}: object {ref.key} does not exist in the store; upload it"
                raise Parked(Reason.PAYLOAD_NOT_FOUND, message) from error
            self._sizes.put(ref.key, size)
        end = (ref.offset or 0) + (ref.length or 0)
        if end > size:
            self._sizes.pop(ref.key)
            message = f"{where}: object {ref.key} has {size} bytes, the payload needs {end}; upload all of it"
            raise Parked(Reason.PAYLOAD_NOT_FOUND, message)

    async def message(
        self, task: Task, run: RunId, span: Span, n: int, options: TaskOptions, inputs: Inputs
    ) -> RunMessage:
        """The queue message of one submission; what is too long goes to an object that it names."""
        if (environment := options.environment) is not None:
            ref = ObjectRef(key=environment.object, sha256=environment.sha256)
            await self._check(ref, "options.environment", run.of_task, misplaced_environment)
        elements = {
            index: element
            for index in range(*span)
            if (element := _element(index, options, inputs)) != ElementSpec()
        }
        wanted = {*inputs.dependencies.get(-1, ())}
        for element in elements.values():
            wanted |= set(element.dependencies or ())
        whole = RunMessage(
            namespace=run.namespace,
            session=run.session,
            session_name=task.spec.session,
            task=run.task,
            task_name=task.metadata.name,
            partition=options.partition or "",
            start=span[0],
            end=span[1],
            n=n,
            single=task.spec.total == 1,
            options=options,
            outputs=tuple(task.spec.outputs or [DEFAULT_OUTPUT]),
            payload=inputs.payloads.get(-1),
            payload_id=inputs.payload_ids.get(-1, ""),
            dependencies=tuple(inputs.dependencies.get(-1, ())),
            elements=elements,
            locators={result: inputs.locators[result] for result in sorted(wanted)},
        )
        raw = whole.encode()
        if len(raw) <= MAX_MESSAGE_BYTES:
            return whole
        if len(raw) > MAX_SPILL_BYTES:
            message = f"elements {span[0]} to {span[1] - 1} take {len(raw)} bytes to describe, more than"
            message = f"{message} {MAX_SPILL_BYTES}; give them fewer dependencies and options"
            raise Parked(Reason.DEPENDENCY_INVALID, message)
        spill = await self._servers.objects.put(message_key(run, n), raw)
        return whole.model_copy(update={**_SPILLED, "spill": spill})

    async def _locate(self, ref: TaskRef, result: str) -> DataRef | None:
        implied = split_result_id(result)
        if implied is not None:
            uid, index, output = implied
            fold = self._state.folds.get(uid)
            run = fold.run_of(index) if fold is not None else None
            kept = await self._book.run_with(ref._replace(task=uid), index, run)
            outcome = outcome_of(kept, index)
            if kept is not None and outcome is not None and output in outcome.outputs:
                return kept.ref(outcome.outputs[output])
            if outcome is not None:
                # A fold that knows of the element's end by a status alone does not know this: the next
                # look asks for what became of the result in the child's hands.
                self._state.handed(uid, {result}.intersection(outcome.delegated))
        entry = await self._book.entry(ResultName(ref.namespace, ref.session, result))
        return confined_entry(entry, ref.namespace, ref.session).ref if entry is not None else None


_SPILLED: dict[str, object] = {
    "elements": {},
    "locators": {},
    "dependencies": (),
    "payload": None,
    "payload_id": "",
    "options": TaskOptions(),
}


def _element(index: int, options: TaskOptions, inputs: Inputs) -> ElementSpec:
    if inputs.items is None:
        return ElementSpec()
    item = inputs.items[index]
    ids = item.output_ids if isinstance(item, ManifestItem) else None
    return ElementSpec(
        payload=inputs.payloads.get(index),
        payload_id=inputs.payload_ids.get(index, ""),
        dependencies=tuple(inputs.dependencies[index]) if index in inputs.dependencies else None,
        outputs=tuple(item.outputs) if item.outputs else None,
        output_ids=tuple(ids) if ids else None,
        options=_options(index, item.options, options) if item.options else None,
    )


def _options(index: int, own: TaskOptions, inherited: TaskOptions) -> TaskOptions:
    """Options in force for an element that has some of its own.

    Raises:
        Parked: they are too many or too long together.
    """
    if fault := too_many_settings(own, inherited):
        raise Parked(Reason.MANIFEST_INVALID, f"item {index}: options.options: {fault}")
    return merge_options(own, inherited)
