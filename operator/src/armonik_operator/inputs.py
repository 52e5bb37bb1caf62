"""What a Task's elements need: payloads in the object store, and the bytes behind its dependencies."""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from armonik_operator.reconcile.task import DependencyState, Needs
from armonik_operator.state import Named, Servers, State
from armonik_sdk.api.const import DEFAULT_OUTPUT
from armonik_sdk.api.kinds import Dependency, Item, ObjectRef, Payload, Task, TaskOptions, merge_options
from armonik_sdk.api.messages import MAX_MESSAGE_BYTES, ElementSpec, ManifestItem, RunMessage
from armonik_sdk.api.names import (
    RunId,
    message_key,
    result_id,
    result_key,
    split_result_id,
    task_payload_key,
)
from armonik_sdk.api.ranges import Span
from armonik_sdk.api.records import OutcomeKind, ResultState, RunResults

KEPT = 256
"""Tasks whose prepared inputs are kept in memory."""


@dataclass
class Inputs:
    """Everything about a Task's inputs that its messages need."""

    items: list[Item] | None = None
    payloads: dict[int, ObjectRef] = field(default_factory=dict)
    """By index; -1 is the Task's own."""
    payload_ids: dict[int, str] = field(default_factory=dict)
    dependencies: dict[int, list[str]] = field(default_factory=dict)
    locators: dict[str, ObjectRef] = field(default_factory=dict)
    needs: Needs = field(default_factory=lambda: Needs(DependencyState.READY))


class Preparer:
    """Resolves dependencies, packs payloads, builds messages."""

    def __init__(self, servers: Servers, state: State) -> None:
        self._servers = servers
        self._state = state
        self._items: OrderedDict[str, list[Item]] = OrderedDict()

    async def items(self, task: Task) -> list[Item] | None:
        """The items of a Task, from its spec or its object; None if its elements are equal."""
        if task.spec.items is not None:
            return task.spec.items
        if task.spec.items_ref is None:
            return None
        uid = task.metadata.uid
        if uid not in self._items:
            raw = await self._servers.objects.get(ObjectRef(key=task.spec.items_ref.object))
            self._items[uid] = [ManifestItem.model_validate_json(line) for line in raw.splitlines() if line]
            while len(self._items) > KEPT:
                self._items.popitem(last=False)
        return self._items[uid]

    async def resolve(self, task: Task) -> Inputs:
        """Look at everything the Task depends on; `needs` says whether all of it is there."""
        found = Inputs(items=await self.items(task))
        cache: dict[str, RunResults | None] = {}
        sources: list[tuple[int, Payload | None, Iterable[Dependency]]] = [
            (-1, task.spec.payload, task.spec.depends_on or [])
        ]
        sources += [(i, item.payload, item.depends_on or []) for i, item in enumerate(found.items or [])]
        for index, payload, dependencies in sources:
            wanted: list[str] = []
            for dependency in dependencies:
                ids, needs = await self._ids(task, dependency)
                if needs.state is not DependencyState.READY:
                    found.needs = needs
                    return found
                wanted += ids
            needed = [*wanted, *([payload.result] if payload is not None and payload.result else [])]
            for result in needed:
                ref, needs = await self._locate(task, result, cache)
                if ref is None:
                    found.needs = needs
                    return found
                found.locators[result] = ref
            if wanted:
                found.dependencies[index] = wanted
            if payload is not None and payload.result:
                found.payloads[index] = found.locators[payload.result]
                found.payload_ids[index] = payload.result
            elif payload is not None and payload.object is not None:
                found.payloads[index] = payload.object
        return found

    async def pack(self, task: Task, session_uid: str, inputs: Inputs) -> None:
        """Put the payloads that stand in the manifest into one object (protocol step S3)."""
        sources = [(-1, task.spec.payload), *((i, item.payload) for i, item in enumerate(inputs.items or []))]
        contents = [(i, p.content()) for i, p in sources if p is not None]
        inline = [(i, content) for i, content in contents if content is not None]
        if not inline:
            return
        key = task_payload_key(task.metadata.namespace or "", session_uid, task.metadata.uid)
        await self._servers.objects.put(key, b"".join(content for _, content in inline))
        offset = 0
        for index, content in inline:
            digest = hashlib.sha256(content).hexdigest()
            inputs.payloads[index] = ObjectRef(key=key, offset=offset, length=len(content), sha256=digest)
            offset += len(content)

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

    async def _ids(self, task: Task, dependency: Dependency) -> tuple[list[str], Needs]:
        if dependency.result is not None:
            return [dependency.result], Needs(DependencyState.READY)
        name = str(dependency.task)
        other = self._state.task_named(task.metadata.namespace or "", name)
        if other is None or other.spec.session != task.spec.session:
            message = f"task {name} does not exist in session {task.spec.session}; create it"
            return [], Needs(DependencyState.MISSING, message)
        indexes = range(other.spec.total) if dependency.index is None else [dependency.index]
        fold = self._state.fold(other.metadata.uid)
        ended = fold.ended
        if any(index not in ended for index in indexes):
            return [], Needs(DependencyState.WAITING, f"task {name} has not ended")
        completed = fold.outcomes.get(OutcomeKind.COMPLETED)
        items = await self.items(other)
        ids = []
        for index in indexes:
            if completed is None or index not in completed:
                message = f"element {index} of task {name} ended as {fold.kind_of(index)}"
                return [], Needs(DependencyState.ABORTED, message)
            own = items[index].outputs if items is not None else None
            outputs = [dependency.output] if dependency.output else own or other.spec.outputs
            ids += [result_id(other.metadata.uid, index, out) for out in outputs or [DEFAULT_OUTPUT]]
        return ids, Needs(DependencyState.READY)

    async def _locate(
        self, task: Task, result: str, cache: dict[str, RunResults | None]
    ) -> tuple[ObjectRef | None, Needs]:
        implied = split_result_id(result)
        fold = self._state.folds.get(implied[0]) if implied else None
        if implied is not None and fold is not None:
            run = fold.run_of(implied[1])
            if run is None or fold.kind_of(implied[1]) is None:
                return None, Needs(DependencyState.WAITING, f"result {result} is not written yet")
            key = RunId(task.metadata.namespace or "", fold.session, implied[0], run.start).results
            if key not in cache:
                entry = await self._servers.run_results.get(key)
                cache[key] = entry[0] if entry else None
            standing = cache[key]
            outcome = (
                next((o for o in standing.outcomes if o.index == implied[1]), None) if standing else None
            )
            if standing is not None and outcome is not None and implied[2] in outcome.outputs:
                return standing.ref(outcome.outputs[implied[2]]), Needs(DependencyState.READY)
        session = fold.session if fold is not None else ""
        if not session:
            owner = self._state.sessions.get(Named(task.metadata.namespace or "", task.spec.session))
            session = owner.metadata.uid if owner else ""
        own = await self._servers.results.get(result_key(task.metadata.namespace or "", session, result))
        if own is None:
            return None, Needs(DependencyState.MISSING, f"result {result} does not exist; upload it")
        if own[0].state is ResultState.COMPLETED and own[0].ref is not None:
            return own[0].ref, Needs(DependencyState.READY)
        if own[0].state in (ResultState.ABORTED, ResultState.DELETED):
            return None, Needs(DependencyState.ABORTED, f"result {result} is {own[0].state}: {own[0].reason}")
        return None, Needs(DependencyState.WAITING, f"result {result} is not written yet")


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
