"""Appends the operator's records to the journal, and applies each as soon as it is stored."""

import logging
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime

from armonik_operator.cache.keys import JournalEntry
from armonik_operator.clients.servers import Clients
from armonik_operator.commits.record_applier import RecordApplier
from armonik_sdk.api.names import RunId
from armonik_sdk.api.records import Record
from armonik_sdk.dataplane.errors import Conflict, QueueUnavailable
from armonik_sdk.dataplane.head import Head
from armonik_sdk.dataplane.nats.requests import MAX_BATCH
from armonik_sdk.dataplane.record_overflow import spill

log = logging.getLogger(__name__)


class JournalWriter:
    """First records and successors, each by compare-and-set; an append may be repeated."""

    def __init__(self, servers: Clients, applier: RecordApplier) -> None:
        self._servers = servers
        self._applier = applier

    async def append_first_records(self, records: Sequence[tuple[RunId, Record]]) -> int:
        """Append the first records of runs, in order, up to a run that has one already; returns how many.

        In one batch, or else one after the other: two operators that split differently must not begin runs
        within each other's, as they would if some were refused and the ones behind were not.
        """
        if len(records) > 1:
            spilled = [(run, await self._spill(run, record)) for run, record in records]
            try:
                last = await self._servers.journal.submit_all(spilled)
            except (Conflict, QueueUnavailable) as error:
                log.info("%d runs are begun one by one: %s", len(records), error)
            else:
                for sequence, (run, record) in enumerate(records, start=last - len(records) + 1):
                    await self._apply(run, record, sequence)
                return len(records)
        for number, (run, record) in enumerate(records):
            if not await self.append_first_record(run, record):
                return number
        return len(records)

    async def append_unqueued(self, records: Sequence[tuple[RunId, Record]]) -> None:
        """Append the only records of runs that are never queued; a run that has one already keeps it."""
        left = list(records)
        while left:
            part = left[:MAX_BATCH]
            done = await self.append_first_records(part)
            left = left[done + (done < len(part)) :]

    async def append_first_record(self, run: RunId, record: Record) -> bool:
        """Append the first record of a run; False if there is one already, which is then applied instead."""
        try:
            sequence = await self._servers.journal.submit(run, await self._spill(run, record))
        except Conflict as conflict:
            if conflict.head is not None:
                await self.apply_head(run, conflict.head)
            return False
        await self._apply(run, record, sequence)
        return True

    async def append(self, run: RunId, record: Record, head: Head) -> bool:
        """Append the successor of a head; False when the run has another head meanwhile."""
        try:
            spilled = await self._spill(run, record)
            sequence = await self._servers.journal.append(
                run, spilled, head.sequence, after=head.record.record_id
            )
        except Conflict as conflict:
            log.info("run %s has another head: %s", run.journal, conflict)
            return False
        await self._apply(run, record, sequence)
        return True

    async def supersede(self, run: RunId, record: Record, sequence: int) -> None:
        """Append after a record that cannot be read; it is applied when the journal is read."""
        try:
            await self._servers.journal.append(run, await self._spill(run, record), sequence)
        except Conflict as conflict:
            log.info("run %s has another head: %s", run.journal, conflict)

    async def apply_head(self, run: RunId, head: Head) -> None:
        """Apply a head that was read."""
        await self._applier.apply(JournalEntry(run, head.record, head.sequence, head.time))

    async def _apply(self, run: RunId, record: Record, sequence: int) -> None:
        """Apply what was appended, with the time of the stream (protocol rule 22): no append returns it."""
        moment = datetime.now(UTC)
        if record.kind.terminal:
            head = await self._servers.journal.head(run)
            moment = head.time if head is not None and head.sequence == sequence else moment
        await self._applier.apply(JournalEntry(run, record, sequence, moment))

    async def _spill(self, run: RunId, record: Record) -> Record:
        prefix = run.objects(record.epoch, secrets.token_hex(4))
        return await spill(self._servers.objects, record, prefix)
