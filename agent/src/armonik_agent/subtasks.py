"""Sub-tasks that a worker of whole runs tells of with the end of an element (ADR 0007)."""

import uuid
from dataclasses import dataclass, field
from typing import Any

from armonik_agent.elements import Element
from armonik_agent.folder import plain_name
from armonik_agent.worker_api import MAX_CREATED
from armonik_sdk.api.const import MAX_INLINE_BYTES
from armonik_sdk.api.kinds import Dependency, Payload, TaskOptions
from armonik_sdk.api.kinds.options import merge_options
from armonik_sdk.api.messages import ManifestItem


@dataclass
class Told:
    """What follows from it, once the element has succeeded."""

    items: list[ManifestItem] = field(default_factory=list)
    handed_over: set[str] = field(default_factory=set)
    """Ids of the element's outputs that sub-tasks make."""
    made: dict[str, bytes] = field(default_factory=dict)
    """Payloads too long for a manifest, as results by a new id."""
    files: dict[str, str] = field(default_factory=dict)
    """The same in the folder: name of the file by the id."""


def read(entries: object, element: Element, ids: dict[str, str], blobs: list[memoryview]) -> Told:
    """Sub-tasks in the order in which they were submitted; `ids` are those of the element's outputs by name.

    Raises:
        ValueError: the worker does not keep to what was agreed.
    """
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError("sub-tasks are a list of objects")
    if len(entries) > MAX_CREATED:
        raise ValueError(f"more than {MAX_CREATED} sub-tasks of one element")
    told, results, payloads = Told(), list[str](), dict[int | str, Payload]()
    for entry in entries:
        place = entry.get("payload")
        if type(place) is not int and not (isinstance(place, str) and plain_name(place)):
            raise ValueError("the payload of a sub-task is a blob or a file")
        if place not in payloads:
            payloads[place] = _payload(place, blobs, told)
        names = entry.get("needs", [])
        if not isinstance(names, list):
            raise ValueError("a sub-task needs no list")  # noqa: TRY004 - one kind of error
        needs = [_needed(name, results, element) for name in names]
        result = _result(entry.get("output"), ids, told)
        told.items.append(
            ManifestItem(
                payload=payloads[place],
                depends_on=[Dependency(result=name) for name in needs],
                options=merge_options(_options(entry), element.options),
                output_ids=[result],
            )
        )
        results.append(result)
    return told


def _payload(place: int | str, blobs: list[memoryview], told: Told) -> Payload:
    if isinstance(place, int):
        if not 0 <= place < len(blobs):
            raise ValueError("the payload of a sub-task is no blob of the worker's frame")
        data = bytes(blobs[place])
        if len(data) <= MAX_INLINE_BYTES:
            return Payload.of(data)
    made = str(uuid.uuid4())
    if isinstance(place, int):
        told.made[made] = data
    else:
        told.files[made] = place
    return Payload(result=made)


def _needed(name: Any, results: list[str], element: Element) -> str:
    if type(name) is int and 0 <= name < len(results):
        return results[name]
    if isinstance(name, str) and name in element.dependencies:
        return name
    raise ValueError("a sub-task needs what is neither made before it nor a dependency of its element")


def _result(output: Any, ids: dict[str, str], told: Told) -> str:
    if output is None:
        return str(uuid.uuid4())
    if not isinstance(output, str) or output not in ids or ids[output] in told.handed_over:
        raise ValueError("a sub-task is handed what is no output of its element, or another's")
    told.handed_over.add(ids[output])
    return ids[output]


def _options(entry: dict[str, Any]) -> TaskOptions:
    given = {name: entry[name] for name in ("options", "partition", "priority") if name in entry}
    return TaskOptions.model_validate(given)
