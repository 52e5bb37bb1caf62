"""The runs of one Task: the whole head of open runs, 40 bytes of ended ones. Pure.

A Task of long elements has a run for each of them, and all that have ended stay in its fold until the Task
ends: as objects they take 360 bytes each.
"""

from array import array
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Mapping, ValuesView
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from armonik_sdk.api.ranges import Span
from armonik_sdk.api.records import RecordKind

_NOT_KEPT: Final = datetime.fromtimestamp(0, UTC)
_KINDS: Final = (RecordKind.DONE, RecordKind.CANCELLED)


@dataclass(frozen=True, slots=True)
class RunHead:
    """What the fold keeps of a run's last record; of one that has ended nothing from `time` on."""

    start: int
    end: int
    n: int
    epoch: int
    kind: RecordKind
    sequence: int
    time: datetime = _NOT_KEPT
    partition: str = ""
    owner_pod: str = ""
    remaining: int = 0
    """Elements that have not ended."""
    not_before: float = 0.0
    """Earliest next execution of any of them, in seconds since the epoch."""
    trouble: str = ""
    """What became of executions that have to be repeated, in words."""


class RunHeads(Mapping[int, RunHead]):
    """Heads by the first index of their run."""

    def __init__(self) -> None:
        self._open: dict[int, RunHead] = {}
        self._begun: list[int] = []
        """First indexes of the open ones, ascending."""
        self._ended = tuple(array("q") for _ in range(6))
        """Of the ended ones, ascending by the first column: start, end, n, epoch, kind, sequence."""

    @property
    def open(self) -> ValuesView[RunHead]:
        """Those whose head is not terminal; a view that follows."""
        return self._open.values()

    def put(self, head: RunHead) -> None:
        """Take in a head, in the place of the one before."""
        if not head.kind.terminal:
            self._drop_ended(head.start)
            if head.start not in self._open:
                insort(self._begun, head.start)
            self._open[head.start] = head
            return
        self._drop_open(head.start)
        row = (head.start, head.end, head.n, head.epoch, _KINDS.index(head.kind), head.sequence)
        at = self._place(head.start)
        for column, value in zip(self._ended, row, strict=True):
            if at < 0:
                column.insert(-at - 1, value)
            else:
                column[at] = value

    def drop(self, start: int) -> None:
        """Forget a run."""
        self._drop_open(start)
        self._drop_ended(start)

    def before(self, index: int) -> RunHead | None:
        """The last run that begins at an index or before it."""
        begun, ended = bisect_right(self._begun, index) - 1, bisect_right(self._ended[0], index) - 1
        if begun < 0 and ended < 0:
            return None
        if ended < 0 or (begun >= 0 and self._begun[begun] > self._ended[0][ended]):
            return self._open[self._begun[begun]]
        return self._row(ended)

    def between(self, low: int, high: int) -> list[Span]:
        """Spans of the runs that begin behind `low` and before `high`."""
        begun = self._begun[bisect_right(self._begun, low) : bisect_left(self._begun, high)]
        starts, ends = self._ended[:2]
        ended = range(bisect_right(starts, low), bisect_left(starts, high))
        return [(start, self._open[start].end) for start in begun] + [(starts[i], ends[i]) for i in ended]

    def spans(self) -> Iterator[Span]:
        """Of all runs."""
        yield from zip(*self._ended[:2], strict=True)
        for head in self._open.values():
            yield head.start, head.end

    def __getitem__(self, start: int) -> RunHead:
        if (head := self._open.get(start)) is not None:
            return head
        if (at := self._place(start)) < 0:
            raise KeyError(start)
        return self._row(at)

    def __iter__(self) -> Iterator[int]:
        yield from self._ended[0]
        yield from self._open

    def __len__(self) -> int:
        return len(self._ended[0]) + len(self._open)

    def _place(self, start: int) -> int:
        """Row of an ended run; where it belongs, as -1 - row, when it is not there."""
        starts = self._ended[0]
        at = bisect_left(starts, start)
        return at if at < len(starts) and starts[at] == start else -at - 1

    def _row(self, at: int) -> RunHead:
        start, end, n, epoch, kind, sequence = (column[at] for column in self._ended)
        return RunHead(start, end, n, epoch, _KINDS[kind], sequence)

    def _drop_open(self, start: int) -> None:
        if self._open.pop(start, None) is not None:
            del self._begun[bisect_left(self._begun, start)]

    def _drop_ended(self, start: int) -> None:
        if (at := self._place(start)) >= 0:
            for column in self._ended:
                del column[at]
