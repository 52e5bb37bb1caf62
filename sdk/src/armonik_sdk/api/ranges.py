"""Sets of element indexes as sorted, disjoint, half-open spans.

A Task may have millions of elements; its fold and its status hold spans, never one entry an element.
The text form is Kubernetes' own for indexed Jobs: inclusive intervals, `0-497,500`.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from armonik_sdk.api.errors import InvalidIntervals

_INTERVAL = re.compile(r"(0|[1-9][0-9]{0,11})(?:-(0|[1-9][0-9]{0,11}))?", re.ASCII)

Span = tuple[int, int]
"""`[start, end)` with `start < end`."""


@dataclass(frozen=True, slots=True)
class Ranges:
    """An immutable set of non-negative integers; equal sets compare equal.

    Build it with `Ranges.of`, `Ranges.single` or `Ranges.parse`; the constructor trusts its argument to be
    sorted, disjoint and without touching neighbours.
    """

    spans: tuple[Span, ...] = ()

    @classmethod
    def of(cls, spans: Iterable[Span]) -> "Ranges":
        """The union of any `[start, end)` spans, in any order; empty ones are ignored.

        Raises:
            InvalidIntervals: a span starts below zero or ends before it starts.
        """
        merged: list[Span] = []
        for start, end in sorted(spans):
            if start < 0 or end < start:
                raise InvalidIntervals(f"[{start}, {end}) is not a span of indexes")
            if start == end:
                continue
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(merged[-1][1], end))
            else:
                merged.append((start, end))
        return cls(tuple(merged))

    @classmethod
    def single(cls, index: int) -> "Ranges":
        """The set of one index."""
        return cls.of([(index, index + 1)])

    @classmethod
    def indexes(cls, indexes: Iterable[int]) -> "Ranges":
        """The set of these indexes."""
        return cls.of((index, index + 1) for index in indexes)

    @classmethod
    def parse(cls, text: str) -> "Ranges":
        """Read inclusive intervals, `0-497,500`; the empty text is the empty set.

        Raises:
            InvalidIntervals: the text is anything else, or its intervals are not in ascending order.
        """
        spans: list[Span] = []
        for part in text.split(",") if text else []:
            match = _INTERVAL.fullmatch(part)
            if match is None:
                raise InvalidIntervals(f"{part!r} in {text[:80]!r} is neither an index nor an interval")
            start = int(match[1])
            end = int(match[2] or match[1]) + 1
            if end <= start or (spans and start < spans[-1][1]):
                raise InvalidIntervals(f"{part!r} in {text[:80]!r} is out of order")
            spans.append((start, end))
        return cls.of(spans)

    def __str__(self) -> str:
        return ",".join(str(start) if end == start + 1 else f"{start}-{end - 1}" for start, end in self.spans)

    def __len__(self) -> int:
        return sum(end - start for start, end in self.spans)

    def __bool__(self) -> bool:
        return bool(self.spans)

    def __iter__(self) -> Iterator[int]:
        for start, end in self.spans:
            yield from range(start, end)

    def __contains__(self, index: int) -> bool:
        at = bisect_right(self.spans, index, key=lambda span: span[0]) - 1
        return at >= 0 and index < self.spans[at][1]

    def __or__(self, other: "Ranges") -> "Ranges":
        if not other.spans or not self.spans:
            return self if not other.spans else other
        return Ranges.of((*self.spans, *other.spans))

    def __and__(self, other: "Ranges") -> "Ranges":
        found: list[Span] = []
        mine, theirs = 0, 0
        while mine < len(self.spans) and theirs < len(other.spans):
            start = max(self.spans[mine][0], other.spans[theirs][0])
            end = min(self.spans[mine][1], other.spans[theirs][1])
            if start < end:
                found.append((start, end))
            if self.spans[mine][1] < other.spans[theirs][1]:
                mine += 1
            else:
                theirs += 1
        return Ranges(tuple(found))

    def __sub__(self, other: "Ranges") -> "Ranges":
        if not self.spans or not other.spans:
            return self
        return self & other.complement(self.spans[-1][1])

    def complement(self, end: int) -> "Ranges":
        """The indexes of `[0, end)` that are not in this set."""
        gaps: list[Span] = []
        start = 0
        for span in self.spans:
            if span[0] >= end:
                break
            if start < span[0]:
                gaps.append((start, span[0]))
            start = span[1]
        if start < end:
            gaps.append((start, end))
        return Ranges(tuple(gaps))

    def issubset(self, other: "Ranges") -> bool:
        """Whether every index of this set is in the other."""
        return not self - other
