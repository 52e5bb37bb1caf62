"""Parses the sub-tasks that a worker of whole runs sends with the end of an element (ADR 0007)."""

import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from armonik_agent.data.elements import Element
from armonik_agent.data.shared_folder import plain_name
from armonik_agent.data.subtask_lines import Lines, line_of
from armonik_sdk.api.bounds import MAX_CREATED, MAX_INLINE_BYTES
from armonik_sdk.api.kinds import Dependency, Payload, TaskOptions
from armonik_sdk.api.kinds.options import merge_options
from armonik_sdk.api.messages import ManifestItem

INLINE_TOTAL_BYTES = 4 * 1024 * 1024
"""Of payloads that ride in the manifest of one element's sub-tasks; others are results of their own."""


@dataclass
class ParsedSubtasks:
    """Sub-tasks and payloads of one element, to be kept once it has succeeded."""

    items: Lines = field(default_factory=Lines)
    handed_over: set[str] = field(default_factory=set)
    """Ids of the element's outputs that sub-tasks make."""
    made: dict[str, bytes] = field(default_factory=dict)
    """Payloads too long for a manifest, as results by a new id."""
    files: dict[str, str] = field(default_factory=dict)
    """The same in the folder: name of the file by the id."""
    inline: int = 0
    """Bytes of payloads that ride in the manifest."""


def parse_subtasks(
    entries: object, element: Element, ids: dict[str, str], blobs: list[memoryview]
) -> ParsedSubtasks:
    """Sub-tasks in the order in which they were submitted; `ids` are those of the element's outputs by name.

    Raises:
        ValueError: the worker does not keep to what was agreed.
    """
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError("sub-tasks are a list of objects")
    if len(entries) > MAX_CREATED:
        raise ValueError(f"more than {MAX_CREATED} sub-tasks of one element")
    parsed, results, payloads = ParsedSubtasks(), list[str](), dict[int | str, Payload]()
    uses = Counter(_place(entry) for entry in entries)
    for entry in entries:
        place = _place(entry)
        if place not in payloads:
            payloads[place] = _payload(place, uses[place], blobs, parsed)
        names = entry.get("needs", [])
        if not isinstance(names, list):
            raise ValueError("a sub-task needs no list")  # noqa: TRY004 - one kind of error
        needs = [_needed(name, results, element) for name in names]
        result = _result(entry.get("output"), ids, parsed)
        item = ManifestItem(
            payload=payloads[place],
            depends_on=[Dependency(result=name) for name in needs],
            options=merge_options(_options(entry), element.options),
            output_ids=[result],
        )
        parsed.items.grow(line_of(item))
        results.append(result)
    return parsed


def _place(entry: dict[str, Any]) -> int | str:
    place = entry.get("payload")
    if type(place) is int or (isinstance(place, str) and plain_name(place)):
        return place
    raise ValueError("the payload of a sub-task is a blob or a file")


def _payload(place: int | str, uses: int, blobs: list[memoryview], parsed: ParsedSubtasks) -> Payload:
    if isinstance(place, int):
        if not 0 <= place < len(blobs):
            raise ValueError("the payload of a sub-task is no blob of the worker's frame")
        data = bytes(blobs[place])
        if len(data) <= MAX_INLINE_BYTES and parsed.inline + uses * len(data) <= INLINE_TOTAL_BYTES:
            parsed.inline += uses * len(data)
            return Payload.of(data)
    result = str(uuid.uuid4())
    if isinstance(place, int):
        parsed.made[result] = data
    else:
        parsed.files[result] = place
    return Payload(result=result)


def _needed(name: Any, results: list[str], element: Element) -> str:
    if type(name) is int and 0 <= name < len(results):
        return results[name]
    if isinstance(name, str) and name in element.dependencies:
        return name
    raise ValueError("a sub-task needs what is neither made before it nor a dependency of its element")


def _result(output: Any, ids: dict[str, str], parsed: ParsedSubtasks) -> str:
    if output is None:
        return str(uuid.uuid4())
    if not isinstance(output, str) or output not in ids or ids[output] in parsed.handed_over:
        raise ValueError("a sub-task is handed what is no output of its element, or another's")
    parsed.handed_over.add(ids[output])
    return ids[output]


def _options(entry: dict[str, Any]) -> TaskOptions:
    given = {name: entry[name] for name in ("options", "partition", "priority") if name in entry}
    return TaskOptions.model_validate(given)
