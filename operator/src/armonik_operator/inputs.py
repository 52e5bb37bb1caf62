"""What a Task's elements need: payloads in the object store, and the bytes behind its dependencies."""

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from pydantic import ValidationError

from armonik_operator.errors import Parked
from armonik_operator.pins import Pins
from armonik_operator.results import ResultBook, ResultName, outcome_of
from armonik_operator.state import Servers, State
from armonik_operator.texts import shorten
from armonik_sdk.api.const import DEFAULT_OUTPUT, PARENT_LABEL, Reason
from armonik_sdk.api.kinds import (
    Dependency,
    Item,
    ObjectRef,
    Payload,
    Task,
    TaskOptions,
    merge_options,
)
from armonik_sdk.api.kinds.task import ONE_PARTITION
from armonik_sdk.api.messages import MAX_MESSAGE_BYTES, ElementSpec, ManifestItem, RunMessage
from armonik_sdk.api.names import (
    RunId,
    message_key,
    nothing_key,
    result_id,
    split_result_id,
    task_payload_key,
)
from armonik_sdk.api.ranges import Span
from armonik_sdk.api.records import DataRef
from armonik_sdk.dataplane.errors import ObjectMissing

log = logging.getLogger(__name__)

KEPT_KEYS = 10_000
"""Objects that are known to be in the store."""
RIDING_BYTES = 1024
"""Largest payload that rides in the queue message; a message that gets too long goes to an object."""
KEPT = 256
"""Tasks whose prepared inputs are kept in memory."""


@dataclass
class Inputs:
    """Everything about a Task's inputs that its messages need."""

    items: list[Item] | None = None
    payloads: dict[int, DataRef] = field(default_factory=dict)
    """By index; -1 is the Task's own."""
    payload_ids: dict[int, str] = field(default_factory=dict)
    dependencies: dict[int, list[str]] = field(default_factory=dict)
    locators: dict[str, DataRef] = field(default_factory=dict)


class Items:
    """The items of Tasks, from their specs or their objects."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._read: OrderedDict[str, list[Item]] = OrderedDict()
        self._dependent: OrderedDict[str, list[int]] = OrderedDict()

    async def of(self, task: Task) -> list[Item] | None:
        """The items; None if the elements are equal.

        Raises:
            Parked: their object is missing or not understood.
        """
        if task.spec.items is not None or task.spec.items_ref is None:
            return task.spec.items
        uid = task.metadata.uid
        if uid not in self._read:
            ref = task.spec.items_ref
            items = await self.read(ref.object, ref.count)
            if PARENT_LABEL not in task.metadata.labels:  # a child's were grouped by partition
                _one_partition(items, ref.object)
            self._read[uid] = items
            if len(self._read) > KEPT:
                self._read.popitem(last=False)
        return self._read[uid]

    async def dependent(self, task: Task) -> list[int]:
        """Indexes of the items that depend on something of their own."""
        uid = task.metadata.uid
        if uid not in self._dependent:
            self._dependent[uid] = [
                index
                for index, item in enumerate(await self.of(task) or ())
                if item.depends_on or (item.payload is not None and item.payload.result is not None)
            ]
            if len(self._dependent) > KEPT:
                self._dependent.popitem(last=False)
        return self._dependent[uid]

    async def owed(self, task: Task, index: int) -> list[str]:
        """Results with an id of their own that the element has to produce; those of children have some."""
        try:
            items = await self.of(task)
        except Parked as parked:
            log.warning("what task %s owes is not known: %s", task.metadata.name, parked.message)
            return []
        item = items[index] if items is not None else None
        return list(item.output_ids or ()) if isinstance(item, ManifestItem) else []

    async def read(self, key: str, count: int) -> list[Item]:
        """The items in an object.

        Raises:
            Parked: it is missing or not understood.
        """
        try:
            raw = await self._servers.objects.get(ObjectRef(key=key))
        except ObjectMissing as error:
            message = f"itemsRef.object {key} does not exist in the store; upload it"
            raise Parked(Reason.PAYLOAD_NOT_FOUND, message) from error
        items: list[Item] = []
        for number, line in enumerate(raw.splitlines(), start=1):
            try:
                items.append(ManifestItem.model_validate_json(line))
            except ValidationError as error:
                first = error.errors(include_url=False)[0]
                where = ".".join(map(str, first["loc"])) or "the line"
                message = (
                    f"itemsRef.object {key}, line {number}: {where}: {first['msg']};"
                    " upload an object with one item in JSON a line"
                )
                raise Parked(Reason.PAYLOAD_NOT_FOUND, shorten(message)) from error
        if len(items) != count:
            message = f"itemsRef.object {key} has {len(items)} lines, but itemsRef.count is {count}"
            raise Parked(Reason.PAYLOAD_NOT_FOUND, f"{message}; upload an object with as many items")
        return items


def _one_partition(items: list[Item], key: str) -> None:
    for number, item in enumerate(items, start=1):
        if item.options is not None and item.options.partition is not None:
            message = f"itemsRef.object {key}, line {number}: options.partition: {ONE_PARTITION}"
            raise Parked(Reason.PAYLOAD_NOT_FOUND, message)


def output_names(task: Task, items: list[Item] | None, index: int) -> list[str]:
    """Names of the implied outputs of an element."""
    item = items[index] if items is not None else Item()
    if item.outputs is not None:
        return item.outputs
    if isinstance(item, ManifestItem) and item.output_ids:
        return []
    return task.spec.outputs or [DEFAULT_OUTPUT]


class Preparer:
    """Finds the bytes behind what is ready, packs payloads, builds messages."""

    def __init__(self, servers: Servers, state: State, book: ResultBook, items: Items, pins: Pins) -> None:
        self._servers = servers
        self._state = state
        self._book = book
        self._items = items
        self._pins = pins
        self._packed: OrderedDict[str, dict[int, DataRef]] = OrderedDict()
        self._there: OrderedDict[str, int] = OrderedDict()

    async def prepare(
        self, task: Task, session_uid: str, spans: Iterable[Span], *, again: bool = False
    ) -> Inputs:
        """Everything that the messages of these elements need; their dependencies are complete.

        With `again` they were once: what was deleted since is named all the same, and the agent ends who
        needs it (`InputMissing`), as if it had come to it later.

        Raises:
            Parked: an object is missing.
        """
        found = Inputs(items=await self._items.of(task))
        found.payloads.update(await self._pack(task, session_uid, found))
        sources: list[tuple[int, Payload | None, Iterable[Dependency]]] = [
            (-1, task.spec.payload, task.spec.depends_on or [])
        ]
        if (items := found.items) is not None:
            indexes = (i for span in spans for i in range(*span))
            sources += [(i, items[i].payload, items[i].depends_on or []) for i in indexes]
        cache: dict[tuple[object, ...], list[str]] = {}
        for index, payload, dependencies in sources:
            wanted: list[str] = []
            for dependency in dependencies:
                key = (dependency.task, dependency.index, dependency.output, dependency.result)
                if key not in cache:
                    cache[key] = await self._ids(task, dependency)
                wanted += cache[key]
            if wanted:
                found.dependencies[index] = wanted
            if payload is not None and payload.result is not None:
                found.payload_ids[index] = payload.result
            elif payload is not None and payload.object is not None:
                found.payloads[index] = DataRef.model_validate(payload.object)
                await self._check(payload.object, index)
            for result in [*wanted, *([payload.result] if payload is not None and payload.result else [])]:
                if result not in found.locators:
                    ref = await self._locate(task, session_uid, result)
                    if ref is None and not again:
                        message = f"result {result} is not in the store any more; run what made it again"
                        raise Parked(Reason.DEPENDENCY_NOT_FOUND, message)
                    gone = nothing_key(task.metadata.namespace or "", session_uid, result)
                    found.locators[result] = ref or DataRef(key=gone)
            if payload is not None and payload.result is not None:
                found.payloads[index] = found.locators[payload.result]
        return found

    async def _pack(self, task: Task, session_uid: str, inputs: Inputs) -> dict[int, DataRef]:
        """Put the payloads that stand in the manifest into one object, once (protocol step S3).

        Small ones need no object: they ride in the queue message (ADR 0005).
        """
        uid = task.metadata.uid
        if uid in self._packed:
            return self._packed[uid]
        sources = [(-1, task.spec.payload), *((i, item.payload) for i, item in enumerate(inputs.items or []))]
        contents = [(i, p.content()) for i, p in sources if p is not None]
        inline = [(i, content) for i, content in contents if content is not None]
        key = task_payload_key(task.metadata.namespace or "", session_uid, uid)
        packed: dict[int, DataRef] = {}
        body = bytearray()
        for index, content in inline:
            if len(content) <= RIDING_BYTES:
                packed[index] = DataRef.of_bytes(content)
                continue
            digest = hashlib.sha256(content).hexdigest()
            packed[index] = DataRef(key=key, offset=len(body), length=len(content), sha256=digest)
            body += content
        if body:
            await self._servers.objects.put(key, bytes(body))
        self._packed[uid] = packed
        if len(self._packed) > KEPT:
            self._packed.popitem(last=False)
        return packed

    async def _check(self, ref: ObjectRef, index: int) -> None:
        where = "payload.object" if index < 0 else f"items[{index}].payload.object"
        if ref.key not in self._there:
            try:
                self._there[ref.key] = await self._servers.objects.stat(ref.key)
            except ObjectMissing as error:
                message = f"{where}: object {ref.key} does not exist in the store; upload it"
                raise Parked(Reason.PAYLOAD_NOT_FOUND, message) from error
            if len(self._there) > KEPT_KEYS:
                self._there.popitem(last=False)
        end, size = (ref.offset or 0) + (ref.length or 0), self._there[ref.key]
        if end > size:
            del self._there[ref.key]
            message = f"{where}: object {ref.key} has {size} bytes, the payload needs {end}; upload all of it"
            raise Parked(Reason.PAYLOAD_NOT_FOUND, message)

    async def message(
        self, task: Task, run: RunId, span: Span, n: int, options: TaskOptions, inputs: Inputs
    ) -> RunMessage:
        """The queue message of one submission; what is too long goes to an object that it names."""
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
        spill = await self._servers.objects.put(message_key(run, n), raw)
        return whole.model_copy(
            update={"elements": {}, "locators": {}, "dependencies": (), "payload": None, "spill": spill}
        )

    async def _ids(self, task: Task, dependency: Dependency) -> list[str]:
        if dependency.result is not None:
            return [dependency.result]
        pin = (await self._pins.of(task)).get(str(dependency.task))
        other = self._state.task_named(task.metadata.namespace or "", str(dependency.task))
        if pin is not None:
            other = self._state.last_seen(pin.uid)
        if pin is not None and other is None:
            return await self._ids_of_gone(task, pin.uid, dependency)
        if other is None:
            raise Parked(Reason.DEPENDENCY_NOT_FOUND, f"task {dependency.task} was deleted; create it")
        items = await self._items.of(other)
        ids: list[str] = []
        for index in range(other.spec.total) if dependency.index is None else [dependency.index]:
            names = output_names(other, items, index)
            wanted = names if dependency.output is None else [dependency.output]
            ids += [result_id(other.metadata.uid, index, name) for name in wanted]
            if dependency.output is None:
                ids += await self._items.owed(other, index)
        return ids

    async def _ids_of_gone(self, task: Task, uid: str, dependency: Dependency) -> list[str]:
        """Outputs of a Task that was deleted after it had ended; RESULTS remembers them."""
        namespace, session = task.metadata.namespace or "", self._state.fold(task.metadata.uid).session
        kept = await self._book.of_task(namespace, session, uid)
        ids: list[str] = []
        for outcome in sorted((o for run in kept for o in run.outcomes), key=lambda o: o.index):
            own = [result_id(uid, outcome.index, name) for name in outcome.outputs]
            for result in [*own, *outcome.delegated]:
                parts = split_result_id(result)
                if parts is None or parts[0] != uid:
                    continue
                if dependency.index in (None, parts[1]) and dependency.output in (None, parts[2]):
                    ids.append(result)
        return ids

    async def _locate(self, task: Task, session_uid: str, result: str) -> DataRef | None:
        namespace, implied = task.metadata.namespace or "", split_result_id(result)
        if implied is not None:
            uid, index, output = implied
            fold = self._state.folds.get(uid)
            run = fold.run_of(index) if fold is not None else None
            kept = await self._book.run_with(namespace, session_uid, uid, index, run)
            outcome = outcome_of(kept, index)
            if kept is not None and outcome is not None and output in outcome.outputs:
                return kept.ref(outcome.outputs[output])
            if fold is not None and outcome is not None:
                # A fold that knows of the element's end by a status alone has not heard of this: the next
                # look asks for what became of the result in the child's hands.
                fold.delegated.update({result}.intersection(outcome.delegated))
        entry = await self._book.entry(ResultName(namespace, session_uid, result))
        return entry.ref if entry is not None else None


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
        options=merge_options(item.options, options) if item.options else None,
    )
