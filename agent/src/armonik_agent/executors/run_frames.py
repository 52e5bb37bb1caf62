"""Frames of the call that gives a worker a whole run: elements out, ends of elements in (ADR 0007)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from armonik_agent.data.elements import Element
from armonik_agent.executors.executor import ElementEnd, Produced
from armonik_agent.executors.verdict import Disposition, ExecutionResult
from armonik_agent.worker import subtasks
from armonik_sdk.api.bounds import MAX_DETAIL_BYTES
from armonik_sdk.api.const import FailureReason
from armonik_sdk.api.errors import explain
from armonik_sdk.api.records import OutcomeKind

SILENCE_SECONDS = 30.0
"""How much longer than the longest limit of what it has a worker may say nothing."""
FRAME_BYTES = 4 * 1024 * 1024
"""Of inputs that travel in messages, in one frame."""


class ElementsFrame:
    """Elements that have options and limit in common."""

    def __init__(self, first: Element, printed: int = 0) -> None:
        """Begin with the options of an element; `printed` bytes are kept of what each prints."""
        self._options, self._bytes = first.options, 0
        self._places: dict[str, int] = {}
        self._entries: list[dict[str, Any]] = []
        self.blobs: list[bytes] = []
        self.head: dict[str, Any] = {
            "elements": self._entries,
            "options": first.options.options or {},
            "limit": first.max_duration,
            "executions": first.max_retries + 1,
        }
        if printed:
            self.head["printed"] = printed

    def _add_environment(self, element: Element, held: Mapping[str, bytes]) -> None:
        """What functions import from; the same for all elements of a frame, since their options are."""
        made = element.options.environment
        if made is not None and "environment" not in self.head:
            place = self._place(element.environment, held)
            self.head["environment"] = {
                "sha256": made.sha256,
                "place": element.environment if place is None else place,
            }

    def takes(self, element: Element) -> bool:
        """Whether another one fits."""
        return element.options is self._options and self._bytes < FRAME_BYTES

    def add(self, element: Element, held: Mapping[str, bytes], attempt: int) -> None:
        """Put one in, with those of its inputs that are held in memory."""
        self._add_environment(element, held)
        entry: dict[str, Any] = {"index": element.index, "id": element.task_id}
        if attempt > 1:
            entry["attempt"] = attempt
        payload = self._place(element.payload_id, held)
        entry["payload"] = element.payload_id if payload is None else payload
        if element.dependencies:
            entry["dependencies"] = {name: self._place(name, held) for name in element.dependencies}
            entry["needs"] = element.needs
        entry["outputs"] = output_ids(element)
        self._entries.append(entry)

    def _place(self, name: str, held: Mapping[str, bytes]) -> int | None:
        if name not in held:
            return None
        if name not in self._places:
            self._places[name] = len(self.blobs)
            self.blobs.append(held[name])
            self._bytes += len(held[name])
        return self._places[name]


def output_ids(element: Element) -> dict[str, str]:
    """Ids of what an element must produce, by the names that its worker knows."""
    return {element.outputs.get(result, result): result for result in element.expected}


def parse_end(
    element: Element, entry: Mapping[str, Any], blobs: list[memoryview], printed: int = 0
) -> ElementEnd:
    """What the worker says of the end of an element, judged, with what it printed: at most `printed` bytes.

    Raises:
        ValueError: the worker does not keep to what was agreed.
    """
    end = _judged(element, entry, blobs)
    text = parse_beside("printed", entry, blobs, printed)
    return replace(end, printed=text) if text else end


def _judged(element: Element, entry: Mapping[str, Any], blobs: list[memoryview]) -> ElementEnd:
    seconds = entry.get("seconds", 0.0)
    if not isinstance(seconds, int | float) or not 0 <= seconds < math.inf:  # NaN fails this, too
        raise ValueError(f"seconds are no finite number of at least 0: {seconds!r}"[:200])
    # The worker's word alone: what it says of one element must not decide how others are queued.
    seconds = float(min(seconds, element.max_duration + SILENCE_SECONDS))
    if isinstance(entry.get("outputs"), dict):
        return _completed(element, entry, blobs, seconds)
    if "error" in entry:
        text = str(entry["error"]) or "the worker gave no details"
        detail = parse_beside("detail", entry, blobs, MAX_DETAIL_BYTES)
        result = ExecutionResult(Disposition.FINAL, text, detail=detail)
    elif entry.get("timeout"):
        text = f"longer than {element.max_duration:g} s"
        reason = FailureReason.MAX_DURATION_EXCEEDED
        result = ExecutionResult(Disposition.FINAL, text, OutcomeKind.TIMEOUT, reason)
    else:
        text = str(entry.get("failed", "")) or "the worker gave no details"
        detail = parse_beside("detail", entry, blobs, MAX_DETAIL_BYTES)
        result = ExecutionResult(Disposition.FAILED, text, detail=detail)
    return ElementEnd(element, result, seconds)


def parse_beside(name: str, entry: Mapping[str, Any], blobs: Sequence[memoryview], most: int) -> bytes:
    """What the worker says beside how the element ended; one that is too long is left out.

    Raises:
        ValueError: it is no blob of the frame.
    """
    number = entry.get(name)
    if number is None:
        return b""
    if type(number) is not int or not 0 <= number < len(blobs):
        raise ValueError(f"{name} of an element is no blob of the worker's frame")
    return bytes(blobs[number]) if len(blobs[number]) <= most else b""


def _completed(
    element: Element, entry: Mapping[str, Any], blobs: list[memoryview], seconds: float
) -> ElementEnd:
    """What a completed element leaves; it fails should something be missing."""
    outputs, ids = entry["outputs"], output_ids(element)
    try:
        parsed = subtasks.parse_subtasks(entry.get("children", []), element, ids, blobs)
    except ValueError as error:  # what the function asked for cannot be: its element pays, and no other
        result = ExecutionResult(Disposition.FINAL, f"sub-tasks refused: {explain(error)}")
        return ElementEnd(element, result, seconds)
    ids = {name: result for name, result in ids.items() if result not in parsed.handed_over}
    missing = ", ".join(result for name, result in ids.items() if name not in outputs)
    if missing:
        reason = FailureReason.OUTPUT_MISSING
        result = ExecutionResult(Disposition.FINAL, f"never written: {missing}", reason=reason)
        return ElementEnd(element, result, seconds)
    data, files = dict(parsed.made), dict(parsed.files)
    for name, result_id in ids.items():
        number = outputs[name]
        if number is None:
            files[result_id] = result_id
        elif type(number) is not int or not 0 <= number < len(blobs):
            raise ValueError("an output is no blob of the worker's frame")
        else:
            data[result_id] = bytes(blobs[number])
    produced = Produced(data, files, parsed.items, frozenset(parsed.handed_over))
    completed = ExecutionResult(Disposition.COMPLETED)
    return ElementEnd(element, completed, seconds, produced, frozenset(files.values()))
