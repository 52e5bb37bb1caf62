"""Records of runs that were read from the journal and are not processed yet. Pure.

Records are cumulative, so of each run only the newest one is kept, as the bytes that were read: a replay, or
a Task that is blocked, holds as many records as it has runs, however long its journal is. What a forgotten
record said that no later one says is kept apart (`Before`). Above a bound in bytes the largest namespace
keeps only the places of its records, and reads them again when it works on them. A place takes about 200
bytes: a Task of a million short runs has a million of them.
"""

import logging
import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal

from pydantic import Field

from armonik_operator.util.commons import Pool
from armonik_sdk.api.const import MAX_ELEMENTS
from armonik_sdk.api.errors import explain
from armonik_sdk.api.fields import Index
from armonik_sdk.api.names import RunId
from armonik_sdk.api.records import Record, RecordKind, Wire

log = logging.getLogger(__name__)

MAX_BYTES: Final = 64 * 1024 * 1024
"""Bytes of all records that wait."""
DROPPED: Final = 1_000
"""Rows of runs that were worked on that are dropped together at least."""
_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Glance(Wire):
    """What is looked at of a record before it is worked on: a quarter of the time of reading all of it."""

    version: Literal[1] = 1
    kind: RecordKind
    start: Index
    end: Annotated[int, Field(gt=0, le=MAX_ELEMENTS)]


@dataclass(slots=True)
class Before:
    """What earlier records of a run said that its newest one does not."""

    first: int = 0
    """Sequence of the earliest one; 0 when there is none."""
    end: int = 0
    """The highest end of the run: its owner may have given its tail away."""
    submitted: tuple[int, datetime] | None = None
    """Sequence and time of the first submission."""
    dispatched: datetime | None = None
    """Time of the last dispatch."""

    def note(self, glance: Glance, sequence: int, time: datetime) -> None:
        """A record of the run was read, and is or will be forgotten."""
        self.first = self.first or sequence
        self.end = max(self.end, glance.end)
        if glance.kind is RecordKind.SUBMITTED:
            self.submitted = self.submitted or (sequence, time)
        if glance.kind is RecordKind.DISPATCHED:
            self.dispatched = time


@dataclass(slots=True)
class Waiting:
    """The newest record of a run."""

    run: RunId
    data: bytes | None
    """None: it has to be read again, by its sequence."""
    sequence: int
    time: datetime
    before: Before

    def record(self) -> Record | None:
        """What was read; None when it is not understood, or was not kept."""
        try:
            record = Record.model_validate_json(self.data or b"")
        except ValueError as error:
            if self.data is not None:
                where = self.run.journal
                log.warning("record %d on %s is not understood: %s", self.sequence, where, explain(error))
            return None
        return record if record.start == self.run.start else None  # else it is another run's


class _Runs:
    """What waits of one Task, a row of numbers for each run: as objects they take four times as much.

    Rows are in the order in which the runs were read of first. Those in front that were worked on are dropped
    together, so that the next one is found at once.
    """

    def __init__(self, namespace: str, session: str, task: str) -> None:
        self.run = RunId(sys.intern(namespace), sys.intern(session), sys.intern(task), 0)
        self.data: dict[int, bytes] = {}
        """What was read, by first element; of others it has to be read again."""
        self._rows: dict[int, int] = {}
        """By first element; numbered from the first row that there ever was."""
        self._columns = tuple(array("q") for _ in range(8))
        """First element; sequence and time of the newest record; of `Before` first, end, submitted and its
        time, dispatched."""
        self._dropped = 0
        self._done = 0
        """Rows in front that were worked on and are not dropped yet."""

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[int]:
        """First elements of the runs, in order."""
        for at in range(self._done, len(self._columns[0])):
            if self._waits(at):
                yield self._columns[0][at]

    def sequence(self, start: int) -> int:
        """Of the newest record of a run; 0 when none waits."""
        row = self._rows.get(start)
        return self._columns[1][row - self._dropped] if row is not None else 0

    def put(self, waiting: Waiting) -> None:
        """Take in a record, in the place of the one before."""
        before, start = waiting.before, waiting.run.start
        submitted = before.submitted or (0, _EPOCH)
        values = (
            start,
            waiting.sequence,
            _ticks(waiting.time),
            before.first,
            before.end,
            submitted[0],
            _ticks(submitted[1]),
            _ticks(before.dispatched or _EPOCH),
        )
        at = self._rows.setdefault(start, self._dropped + len(self._columns[0])) - self._dropped
        if at == len(self._columns[0]):
            for column, value in zip(self._columns, values, strict=True):
                column.append(value)
        else:
            for column, value in zip(self._columns, values, strict=True):
                column[at] = value
        if waiting.data is not None:
            self.data[start] = waiting.data

    def get(self, start: int) -> Waiting | None:
        """The newest record of a run."""
        row = self._rows.get(start)
        if row is None:
            return None
        at = row - self._dropped
        _, sequence, time, first, end, number, submitted, dispatched = [
            column[at] for column in self._columns
        ]
        before = Before(
            first=first,
            end=end,
            submitted=(number, _moment(submitted)) if number else None,
            dispatched=_moment(dispatched) if dispatched else None,
        )
        return Waiting(self.run._replace(start=start), self.data.get(start), sequence, _moment(time), before)

    def drop(self, start: int) -> None:
        """It was worked on."""
        del self._rows[start]
        self.data.pop(start, None)
        while self._done < len(self._columns[0]) and not self._waits(self._done):
            self._done += 1
        if self._done >= DROPPED and 2 * self._done >= len(self._columns[0]):
            for column in self._columns:
                del column[: self._done]
            self._dropped, self._done = self._dropped + self._done, 0

    def _waits(self, at: int) -> bool:
        return self._rows.get(self._columns[0][at]) == self._dropped + at


class Backlog:
    """What waits, by Task; of each Task in the order in which its runs were read of first."""

    def __init__(self, most: int | Pool = MAX_BYTES) -> None:
        """`most`: its own bound, or one that it shares."""
        pool = most if isinstance(most, Pool) else Pool(most)
        self._tasks: dict[str, _Runs] = {}
        self._bytes: dict[str, int] = {}
        self._part = pool.join(self._shed)

    def __len__(self) -> int:
        return len(self._tasks)

    def __contains__(self, uid: str) -> bool:
        return uid in self._tasks

    @property
    def size(self) -> int:
        """Bytes of all records that are kept."""
        return self._part.size

    def add(self, run: RunId, glance: Glance, data: bytes, sequence: int, time: datetime) -> Waiting | None:
        """A record was read; the one that it replaces, if that was not worked on."""
        runs = self._tasks.get(run.task)
        if runs is None:
            runs = self._tasks[sys.intern(run.task)] = _Runs(run.namespace, run.session, run.task)
        old = runs.get(run.start)
        if old is not None and sequence <= old.sequence:
            return None
        before = old.before if old is not None else Before()
        before.note(glance, sequence, time)
        self._count(runs, -len(old.data or b"") if old is not None else 0)
        runs.put(Waiting(run, data, sequence, time, before))
        self._count(runs, len(data))
        return old

    def of(self, uid: str) -> Iterator[Waiting]:
        """What waits of a Task."""
        runs = self._tasks.get(uid)
        for start in list(runs or ()):
            if runs is not None and (waiting := runs.get(start)) is not None:
                yield waiting

    def first(self, uid: str) -> Waiting | None:
        """What is to be worked on next of a Task; it stays until it is done."""
        runs = self._tasks.get(uid)
        return runs.get(next(iter(runs))) if runs else None

    def done(self, waiting: Waiting) -> None:
        """It was worked on. What has replaced it meanwhile stays."""
        runs, start = self._tasks.get(waiting.run.task), waiting.run.start
        if runs is None or runs.sequence(start) != waiting.sequence:
            return
        self._count(runs, -len(runs.data.get(start, b"")))
        runs.drop(start)
        if not runs:
            del self._tasks[waiting.run.task]

    def forget(self, uid: str) -> None:
        """A Task is gone."""
        if (runs := self._tasks.pop(uid, None)) is not None:
            self._count(runs, -sum(map(len, runs.data.values())))

    def clear(self) -> None:
        """Forget all."""
        self._tasks.clear()
        self._bytes.clear()
        self._part.add(-self._part.size)

    def _count(self, runs: _Runs, size: int) -> None:
        namespace = runs.run.namespace
        left = self._bytes.get(namespace, 0) + size
        if left:
            self._bytes[namespace] = left
        else:
            self._bytes.pop(namespace, None)
        self._part.add(size)

    def _shed(self) -> bool:
        """The namespace with the most bytes keeps only the places of what waits."""
        if not self._bytes:
            return False
        largest = max(self._bytes, key=lambda namespace: self._bytes[namespace])
        for runs in self._tasks.values():
            if runs.run.namespace == largest:
                self._count(runs, -sum(map(len, runs.data.values())))
                runs.data.clear()
        return True


def _ticks(time: datetime) -> int:
    return (time - _EPOCH) // _MICROSECOND


def _moment(ticks: int) -> datetime:
    return _EPOCH + ticks * _MICROSECOND
