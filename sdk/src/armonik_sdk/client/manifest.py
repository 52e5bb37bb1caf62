"""Makes a Task's manifest and the objects it needs from what a caller submits. Pure."""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pydantic import ValidationError

from armonik_sdk.api.bounds import (
    MAX_INLINE_BYTES,
    MAX_ITEM_TEXT,
    MAX_ITEMS,
    MAX_LINE_BYTES,
    MAX_RIDING_BYTES,
    MAX_SPEC_BYTES,
)
from armonik_sdk.api.errors import FieldProblem, InvalidManifest
from armonik_sdk.api.kinds import (
    Dependency,
    Item,
    ItemsRef,
    ObjectMeta,
    ObjectRef,
    Payload,
    Task,
    TaskOptions,
    TaskSpec,
)
from armonik_sdk.api.kinds.task import of_task_alone
from armonik_sdk.api.names import client_object_key
from armonik_sdk.client.errors import Refused

Data = bytes | str
"""What a worker gets as input; text is sent as UTF-8."""

REMEMBERED: Final = 10_000
"""Payloads of a long list of items that are remembered, so that equal ones are stored once."""
PIECE_BYTES: Final = 64 * 1024
"""Bytes of a long list that are made at a time; then others get a turn."""
INLINE_ITEMS: Final = 16
"""Items that are in the manifest; more cost the apiserver more than an object costs the store (ADR 0033)."""
_ROOM: Final = 1024
"""Bytes of a spec kept free for what the apiserver adds."""


@dataclass(frozen=True)
class Element:
    """One element that differs from the others; what it leaves out comes from the task."""

    payload: Data | Payload | None = None
    depends_on: Sequence[Dependency] = ()
    outputs: Sequence[str] | None = None
    options: TaskOptions | None = None


@dataclass(frozen=True)
class Draft:
    """A Task as the caller describes it. At most one of `count` and `items`; none means one element."""

    namespace: str
    session: str
    """Name."""
    session_uid: str
    name: str
    nonce: str
    """Random: makes the keys of uploads unique."""
    payload: Data | Payload | None = None
    count: int | None = None
    items: Sequence[Data | Element] | None = None
    depends_on: Sequence[Dependency] = ()
    outputs: Sequence[str] | None = None
    options: TaskOptions | None = None
    ttl_seconds_after_finished: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What to do: upload first, then create the Task."""

    task: Task
    uploads: tuple[tuple[str, bytes], ...]
    """Key and content."""
    streams: tuple[tuple[str, Callable[[], Iterator[bytes]]], ...] = ()
    """Key and content of what may be long, made piece by piece while it is sent. Items are checked then."""


@dataclass
class Pack:
    """Payloads put one after the other into one object."""

    key: str
    _content: bytearray = field(default_factory=bytearray)
    _known: dict[bytes, ObjectRef] = field(default_factory=dict)

    def add(self, data: bytes) -> Payload:
        """Put it in; equal data is stored once."""
        digest = hashlib.sha256(data)
        ref = self._known.get(digest.digest())
        if ref is None:
            ref = ObjectRef(
                key=self.key, offset=len(self._content), length=len(data), sha256=digest.hexdigest()
            )
            self._known[digest.digest()] = ref
            self._content += data
        return Payload(object=ref)

    @property
    def uploads(self) -> list[tuple[str, bytes]]:
        """The object, if anything was put in."""
        return [(self.key, bytes(self._content))] if self._known else []


@dataclass
class Stream:
    """Payloads put one after the other into one object, of which little is in memory."""

    key: str
    length: int = 0
    fresh: bytes = b""
    """What the last call of `add` brought: empty where equal data was added lately."""
    _known: OrderedDict[bytes, ObjectRef] = field(default_factory=OrderedDict)

    def add(self, data: bytes) -> Payload:
        """Put it in; equal data is stored once, as far as it is remembered."""
        digest = hashlib.sha256(data)
        ref = self._known.get(digest.digest())
        self.fresh = data if ref is None else b""
        if ref is None:
            ref = ObjectRef(key=self.key, offset=self.length, length=len(data), sha256=digest.hexdigest())
            self.length += len(data)
            self._known[digest.digest()] = ref
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return Payload(object=ref)


def plan(draft: Draft, inline_items: int = INLINE_ITEMS) -> Plan:
    """Decide where payloads and items are stored, and write the manifest.

    Payloads up to 32 KiB are in the manifest as long as it stays below 128 KiB; otherwise they are packed
    into one object. More items than `inline_items`, or more than fit, are listed in an object (`itemsRef`);
    up to 1,000 that depend on Tasks by name are not.

    Raises:
        Refused: the manifest breaks a rule; the message names the field.
    """
    if draft.items is not None and not draft.items:
        raise Refused("items: a task needs at least one element")
    try:
        if draft.items is None or len(draft.items) <= inline_items or _are_to_be_seen(draft.items):
            for inline_bytes in (MAX_INLINE_BYTES, 0):
                found = _inline_items(draft, inline_bytes)
                if _size(found.task) <= MAX_SPEC_BYTES - _ROOM:
                    return found
        if draft.items is not None:
            found = _listed_items(draft)
            if _size(found.task) <= MAX_SPEC_BYTES - _ROOM:
                return found
    except (ValidationError, InvalidManifest) as error:
        raise refused("Task", error) from error
    raise Refused(f"the spec of task {draft.name} is above {MAX_SPEC_BYTES} bytes: name fewer dependencies")


def _are_to_be_seen(items: Sequence[Data | Element]) -> bool:
    """Whether they depend on Tasks by name, which explanations of why a Task waits find in the manifest."""
    return len(items) <= MAX_ITEMS and any(
        needed.task for item in items if isinstance(item, Element) for needed in item.depends_on
    )


def _inline_items(draft: Draft, inline_bytes: int) -> Plan:
    pack = Pack(client_object_key(draft.namespace, draft.session_uid, f"{draft.nonce}-payloads"))
    fields = _common(draft, pack, inline_bytes)
    if draft.count is not None:
        fields["count"] = draft.count
    if draft.items is not None:
        fields["items"] = [_item(item, pack, inline_bytes) for item in draft.items]
    return Plan(_task(draft, fields), tuple(pack.uploads))


def _listed_items(draft: Draft) -> Plan:
    """Each item is made twice, for its payload and for its line, so that none has to be kept."""

    def key(what: str) -> str:
        return client_object_key(draft.namespace, draft.session_uid, f"{draft.nonce}-{what}")

    pack = Pack(key("payload"))
    fields = _common(draft, pack, MAX_INLINE_BYTES)
    items = draft.items or ()
    # What rides in the queue message is in the lines: nobody has to fetch it.
    riding = MAX_RIDING_BYTES if len(items) <= MAX_ITEMS else 0

    def payloads() -> Iterator[bytes]:
        stream = Stream(key("payloads"))
        for item in items:
            stream.fresh = b""
            _item(item, stream, riding)
            yield stream.fresh

    def lines() -> Iterator[bytes]:
        stream = Stream(key("payloads"))
        for number, item in enumerate(items):
            made = _item(item, stream, riding)
            if wrong := of_task_alone(made.options):  # in a manifest the model looks
                raise Refused(f"items[{number}].{wrong}")
            line = json.dumps(made.to_object(), separators=(",", ":")).encode()
            if len(line) > MAX_LINE_BYTES:
                message = f"items[{number}]: it takes {len(line)} bytes as a line, more than {MAX_LINE_BYTES}"
                raise Refused(f"{message}; give it fewer dependencies and options")
            yield line + b"\n"

    streams = [(key("items"), lambda: _pieces(lines()))]
    if any(_packs(item, riding) for item in items):
        streams.insert(0, (key("payloads"), lambda: _pieces(payloads())))
    fields["items_ref"] = ItemsRef(object=key("items"), count=len(items))
    return Plan(_task(draft, fields), tuple(pack.uploads), tuple(streams))


def _packs(item: Data | Element, inline_bytes: int) -> bool:
    payload = item.payload if isinstance(item, Element) else item
    raw = payload.encode() if isinstance(payload, str) else payload
    return isinstance(raw, bytes) and len(raw) > inline_bytes


def _pieces(parts: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of a useful length."""
    piece = bytearray()
    try:
        for part in parts:
            piece += part
            if len(piece) >= PIECE_BYTES:
                yield bytes(piece)
                piece.clear()
    except ValidationError as error:
        raise refused("Task", error) from error
    if piece:
        yield bytes(piece)


def _common(draft: Draft, pack: Pack, inline_bytes: int) -> dict[str, object]:
    fields: dict[str, object] = {"session": draft.session}
    if draft.session_uid:
        fields["session_uid"] = draft.session_uid
    if draft.payload is not None:
        fields["payload"] = _payload(draft.payload, pack, inline_bytes)
    if draft.depends_on:
        fields["depends_on"] = list(draft.depends_on)
    if draft.outputs is not None:
        fields["outputs"] = list(draft.outputs)
    if draft.options is not None:
        fields["options"] = draft.options
    if draft.ttl_seconds_after_finished is not None:
        fields["ttl_seconds_after_finished"] = draft.ttl_seconds_after_finished
    return fields


def _item(item: Data | Element, pack: Pack | Stream, inline_bytes: int) -> Item:
    element = item if isinstance(item, Element) else Element(payload=item)
    fields: dict[str, object] = {}
    if element.payload is not None:
        fields["payload"] = _payload(element.payload, pack, inline_bytes, MAX_ITEM_TEXT)
    if element.depends_on:
        fields["depends_on"] = list(element.depends_on)
    if element.outputs is not None:
        fields["outputs"] = list(element.outputs)
    if element.options is not None:
        fields["options"] = element.options
    return Item.model_validate(fields)


def _payload(
    data: Data | Payload, pack: Pack | Stream, inline_bytes: int, most_text: int = MAX_INLINE_BYTES
) -> Payload:
    if isinstance(data, Payload):
        return data
    raw = data.encode() if isinstance(data, str) else data
    return Payload.of(raw, most_text=most_text) if len(raw) <= inline_bytes else pack.add(raw)


def _task(draft: Draft, fields: dict[str, object]) -> Task:
    meta = ObjectMeta(name=draft.name, namespace=draft.namespace, labels=dict(draft.labels))
    return Task(metadata=meta, spec=TaskSpec.model_validate(fields))


def _size(task: Task) -> int:
    return len(json.dumps(task.to_object()["spec"]).encode())


def dependencies(needed: Iterable[Dependency]) -> list[Dependency]:
    """The dependencies, each once, in the order given."""
    kept: list[Dependency] = []
    for dependency in needed:
        if dependency not in kept:
            kept.append(dependency)
    return kept


_PLACES: Final = {
    "ObjectMeta": "metadata",
    "SessionSpec": "spec",
    "TaskSpec": "spec",
    "Item": "spec.items[]",
    "Payload": "payload",
}
"""Fields of a manifest whose models are built one by one."""


def refused(kind: str, error: ValidationError | InvalidManifest) -> Refused:
    """The error with the path of each field at fault."""
    found = error
    if isinstance(found, ValidationError):
        found = InvalidManifest.from_validation(found.title, found)
    place = _PLACES.get(found.kind, "")
    problems = [FieldProblem(".".join(filter(None, (place, p.field))), p.message) for p in found.problems]
    return Refused(str(InvalidManifest(kind, problems)))
