"""What the operator appends is applied at once; where another head is first, that one is."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

from armonik_operator.cache.keys import JournalEntry
from armonik_operator.clients.servers import Clients
from armonik_operator.commits.record_applier import RecordApplier
from armonik_operator.queueing.journal_writer import JournalWriter
from armonik_sdk.api.names import RunId
from armonik_sdk.api.records import Record, RecordKind
from armonik_sdk.dataplane.errors import Conflict
from armonik_sdk.dataplane.head import Head

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Journal:
    """Run 10 has a head already; batches are refused."""

    def __init__(self) -> None:
        self.stored: list[int] = []

    async def submit_all(self, records: Any) -> int:
        raise Conflict("one of them is not the first")

    async def submit(self, run: RunId, mine: Record) -> int:
        if run.start == 10:
            raise Conflict("there is one", head=Head(record(10, "earlier"), 7, NOW))
        self.stored.append(run.start)
        return 20 + run.start


class Applier:
    def __init__(self) -> None:
        self.applied: list[tuple[int, str, int]] = []

    async def apply(self, entry: JournalEntry) -> None:
        self.applied.append((entry.run.start, entry.record.record_id, entry.sequence))


def record(start: int, name: str) -> Record:
    return Record(record_id=name, kind=RecordKind.SUBMITTED, start=start, end=start + 10, n=1)


async def test_of_runs_that_begin_one_has_a_head_which_is_applied_instead() -> None:
    journal, applier = Journal(), Applier()
    servers = cast("Clients", SimpleNamespace(journal=journal, objects=None))
    writer = JournalWriter(servers, cast("RecordApplier", applier))
    runs = [(RunId("n", "s", "t", start), record(start, "mine")) for start in (0, 10, 20)]
    assert await writer.append_first_records(runs) == 1
    assert journal.stored == [0]
    assert applier.applied == [(0, "mine", 20), (10, "earlier", 7)]
