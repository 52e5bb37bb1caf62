"""Journal entries that were read and not worked on: records of runs, and records of results. Pure."""

from collections import OrderedDict, deque
from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from armonik_operator.cache.keys import WorkKey
from armonik_operator.journal.backlog import MAX_BYTES, Backlog
from armonik_operator.util.commons import Commons
from armonik_operator.util.sets_by_key import discard
from armonik_sdk.api.names import split_result_id
from armonik_sdk.api.results import ResultRecord, ResultRecordKind

MAX_RESULTS: Final = 20_000
"""Records of results above which the reader of the journal waits, once the replay is over."""
KEPT: Final = 1_000
"""Results that a namespace may have in `EarlyRecords`."""
KEPT_SECONDS: Final = 60.0


@dataclass(frozen=True)
class ResultJournalEntry:
    """A client's record of a result, as it was read from the journal."""

    namespace: str
    session: str
    """UID."""
    result: str
    record: ResultRecord
    time: datetime

    @property
    def key(self) -> WorkKey:
        """What the work queue calls the result."""
        return WorkKey("result", self.namespace, f"{self.session}/{self.result}")

    @property
    def deletes_output_of(self) -> str | None:
        """UID of the Task whose output it asks to delete; None if it asks for nothing of the kind."""
        parts = split_result_id(self.result) if self.record.kind is ResultRecordKind.DELETED else None
        return parts[0] if parts is not None else None


class Inbox:
    """What the journal reader puts in and the reconcilers take out: put, peek, done.

    `runs` bounds its own bytes. The number of results is bounded by the reader, which waits while `full`.
    """

    def __init__(self, commons: Commons | None = None) -> None:
        self.runs = Backlog((commons or Commons()).pool("records that wait", MAX_BYTES))
        """The newest record of each run."""
        self.unreadable: dict[str, set[int]] = {}
        """First elements of runs with a record that was not understood, by UID of the Task."""
        self.early = EarlyRecords()
        """Results of Sessions that no watch has shown yet."""
        self._results: dict[WorkKey, deque[ResultJournalEntry]] = {}
        self._waiting = 0
        self._deletions: dict[str, set[str]] = {}
        """Outputs that clients ask to delete, by UID of the Task."""

    @property
    def results_waiting(self) -> int:
        """Number of records of results."""
        return self._waiting

    @property
    def full(self) -> bool:
        """Whether the reader of the journal has to wait."""
        return self._waiting > MAX_RESULTS

    def put_result(self, entry: ResultJournalEntry) -> bool:
        """Take in a record; False if an earlier one of this kind waits, as only the first has an effect."""
        waiting = self._results.setdefault(entry.key, deque())
        if any(before.record.kind is entry.record.kind for before in waiting):
            return False
        waiting.append(entry)
        self._waiting += 1
        if (task := entry.deletes_output_of) is not None:
            self._deletions.setdefault(task, set()).add(entry.result)
        return True

    def peek_result(self, key: WorkKey) -> ResultJournalEntry | None:
        """The next record of a result; it stays until it is done."""
        waiting = self._results.get(key)
        return waiting[0] if waiting else None

    def done_result(self, entry: ResultJournalEntry) -> None:
        """It was worked on. Does nothing if the inbox was cleared meanwhile."""
        waiting = self._results.get(entry.key)
        if not waiting or waiting[0] is not entry:
            return
        self._drop(waiting.popleft())
        if not waiting:
            del self._results[entry.key]

    def drop_results(self, key: WorkKey) -> None:
        """Forget all records of a result."""
        for entry in self._results.pop(key, ()):
            self._drop(entry)

    def deletions(self, task: str) -> Set[str]:
        """Outputs of a Task that a client asks to delete; RESULTS says whether they are deleted already."""
        return self._deletions.get(task, frozenset())

    def _drop(self, entry: ResultJournalEntry) -> None:
        self._waiting -= 1
        if (task := entry.deletes_output_of) is not None:
            discard(self._deletions, task, entry.result)

    def forget(self, uid: str) -> None:
        """Forget the records of a Task: nobody will work on them."""
        self.runs.forget(uid)
        self.unreadable.pop(uid, None)

    def clear(self) -> None:
        """The journal lost records: forget what was read of it. It is read again."""
        self.runs.clear()
        self.unreadable.clear()
        self._results.clear()
        self._deletions.clear()
        self._waiting = 0


class EarlyRecord(NamedTuple):
    """A result of a Session, as the work queue names it."""

    session: str
    """UID."""
    name: str


class EarlyRecords:
    """Results of Sessions that no watch has shown yet, by namespace, the oldest first.

    The watch may be behind the journal, so such a record is kept until its Session comes, or for
    `KEPT_SECONDS`. Anybody with the password of the clients of a namespace can make up Sessions, so the
    number of records of a namespace is bounded; the oldest is dropped first.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._since: dict[str, OrderedDict[EarlyRecord, float]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._since.values()))

    def put(self, namespace: str, record: EarlyRecord, now: float) -> tuple[float, list[EarlyRecord]]:
        """Keep this one aside. Seconds until it is over, which may be none, and those that give way to it."""
        own = self._since.setdefault(namespace, OrderedDict())
        left = own.setdefault(record, now) + KEPT_SECONDS - now
        gone = [own.popitem(last=False)[0] for _ in range(len(own) - self._kept)]
        return left, gone

    def forget(self, namespace: str, record: EarlyRecord) -> None:
        """It is worked on."""
        own = self._since.get(namespace, OrderedDict())
        own.pop(record, None)
        if not own:
            self._since.pop(namespace, None)

    def of(self, namespace: str, session: str) -> list[EarlyRecord]:
        """What waits for a Session, which has come."""
        return [record for record in self._since.get(namespace, ()) if record.session == session]
