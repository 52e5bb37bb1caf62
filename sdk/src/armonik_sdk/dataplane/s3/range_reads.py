"""Plans few range requests for many small pieces of objects. Pure."""

from collections.abc import Iterable
from typing import Final, TypeVar

from armonik_sdk.api.kinds.data import ObjectRef

GAP_BYTES: Final = 64 * 1024
"""Unwanted bytes between two pieces that cost less to read than a request of their own."""

Name = TypeVar("Name")


def plan_spans(
    wanted: Iterable[tuple[Name, ObjectRef]], most: int, gap: int = GAP_BYTES
) -> list[tuple[ObjectRef, tuple[tuple[Name, ObjectRef], ...]]]:
    """Spans to read, each with what lies in it: neighbours in one object are read together.

    Args:
        wanted: what to read, by any name; every length must be known.
        most: bytes that one request may read, except for a single piece that is longer.
        gap: unwanted bytes that may be read between two pieces.
    """
    spans: list[tuple[ObjectRef, tuple[tuple[Name, ObjectRef], ...]]] = []
    parts: list[tuple[Name, ObjectRef]] = []
    end = 0
    for name, ref in sorted(wanted, key=lambda part: (part[1].key, part[1].offset or 0)):
        start, reach = ref.offset or 0, (ref.offset or 0) + (ref.length or 0)
        if parts:
            first = parts[0][1]
            near = start - end <= gap and max(end, reach) - (first.offset or 0) <= most
            if ref.key != first.key or not near:
                spans.append((_span(parts, end), tuple(parts)))
                parts, end = [], 0
        parts.append((name, ref))
        end = max(end, reach)
    return [*spans, (_span(parts, end), tuple(parts))] if parts else spans


def cut(span: ObjectRef, ref: ObjectRef, data: bytes) -> memoryview:
    """The piece `ref` of what was read for `span`."""
    at = (ref.offset or 0) - (span.offset or 0)
    return memoryview(data)[at : at + (ref.length or 0)]


def _span(parts: list[tuple[Name, ObjectRef]], end: int) -> ObjectRef:
    start = parts[0][1].offset or 0
    return ObjectRef(key=parts[0][1].key, offset=start, length=end - start)
