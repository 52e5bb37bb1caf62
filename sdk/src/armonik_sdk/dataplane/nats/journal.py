"""Appends to the journal by compare-and-set; only here an outcome is committed.

Each append names the record it follows; the server refuses it when another one is the last of the run's
subject. The refusal alone does not say who wrote, so the head decides (protocol rule 2).
"""

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Generic, NamedTuple

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js.api import RawStreamMsg
from pydantic import ValidationError

from armonik_sdk.api.errors import explain
from armonik_sdk.api.names import JOURNAL, RunId
from armonik_sdk.api.records import Record
from armonik_sdk.dataplane.errors import Conflict, QueueUnavailable, Unreadable
from armonik_sdk.dataplane.head import Head, JournalHead, R
from armonik_sdk.dataplane.nats.requests import (
    REQUEST_TIMEOUT,
    UNREACHABLE,
    WRONG_LAST_SEQUENCE,
    Write,
    atomic,
    bounded,
    expected_sequence,
    unreachable,
    write_all,
    write_error,
)

log = logging.getLogger(__name__)

ATTEMPTS = 5
"""Requests until QueueUnavailable is raised."""


class Append(NamedTuple, Generic[R]):
    """A record that is being appended."""

    subject: str
    record: R
    expected: int
    """Sequence of the subject's last record; 0: it has none."""


class Log(Generic[R]):
    """Appends and leader reads on subjects of the stream JOURNAL whose records are all of one model."""

    def __init__(self, client: Client, model: type[R], *, timeout: float = REQUEST_TIMEOUT) -> None:
        self._client = client
        self._timeout = timeout
        self._js = client.jetstream(timeout=timeout)
        self._model: type[R] = model

    async def head(self, subject: str) -> JournalHead[R] | None:
        """The subject's last record, read from the leader; None when there is none.

        Raises:
            QueueUnavailable: no answer within the retries.
            Unreadable: it is not understood.
        """
        for attempt in range(ATTEMPTS):
            try:
                message = await self._js.get_last_msg(JOURNAL, subject)
            except nats.js.errors.NotFoundError:
                return None
            except UNREACHABLE as error:
                log.info("head of %s not read (%s: %s)", subject, type(error).__name__, error)
                await _pause(attempt)
            else:
                return _read(message, self._model)
        raise QueueUnavailable(f"the head of {subject} could not be read in {ATTEMPTS} attempts")

    async def at(self, sequence: int) -> bytes | None:
        """The message at a sequence of the stream, as it was sent; None when it was purged.

        Raises:
            QueueUnavailable: no answer within the retries.
        """
        for attempt in range(ATTEMPTS):
            try:
                message = await self._js.get_msg(JOURNAL, seq=sequence)
            except nats.js.errors.NotFoundError:
                return None
            except UNREACHABLE as error:
                log.info("record %d not read (%s: %s)", sequence, type(error).__name__, error)
                await _pause(attempt)
            else:
                return message.data or b""
        raise QueueUnavailable(f"record {sequence} could not be read in {ATTEMPTS} attempts")

    async def append(self, subject: str, record: R, expected: int, after: str | None = None) -> int:
        """Append `record` if the head's sequence is `expected` (0: if the subject has no record).

        `after` is the id of the record expected there: a journal that lost its newest records gives their
        sequences away again (protocol rule 12), so an equal sequence alone proves nothing.

        A lost answer, or a refusal, is settled by reading the head: this record is there (by its id) and
        the append succeeded; the expected one still does and it is sent again; anything else is a conflict.

        Returns:
            The record's sequence.

        Raises:
            Conflict: another record is the head; the error carries it.
            QueueUnavailable: no answer within the retries, or no room (QueueFull). The record may or may not
                be stored.
            NotSendable: it is too long, or nobody could read it.
        """
        data = self._encoded(subject, record)
        headers = expected_sequence(expected)
        last = QueueUnavailable(f"append to {subject} unanswered in {ATTEMPTS} attempts")
        for attempt in range(ATTEMPTS):
            try:
                ack = await self._js.publish(subject, data, stream=JOURNAL, headers=dict(headers))
            except nats.js.errors.APIError as error:
                if error.err_code != WRONG_LAST_SEQUENCE:
                    last = write_error(f"append to {subject} refused", error)
                    if not isinstance(error, UNREACHABLE):
                        raise last from error
                    await _pause(attempt)
            except nats.errors.MaxPayloadError as error:
                raise unreachable(f"append to {subject}", error) from error
            except UNREACHABLE as error:
                log.info("append to %s unanswered (%s: %s)", subject, type(error).__name__, error)
                await _pause(attempt)
            else:
                return int(ack.seq)
            head = await self.head(subject)
            if head is not None and head.record.record_id == record.record_id:
                return head.sequence
            if (head.sequence if head else 0) != expected or (
                head is not None and after is not None and head.record.record_id != after
            ):
                raise Conflict(f"{subject} has another head than {expected}", head)
        raise last

    @property
    def atomic(self) -> bool:
        """Whether the server that is connected stores several records all or none."""
        return atomic(self._client)

    async def append_all(self, appends: Sequence[Append[R]]) -> int:
        """Append all of these or none; asked once. Returns and raises as `write_all`, and NotSendable."""
        writes = [
            Write(subject, self._encoded(subject, record), expected) for subject, record, expected in appends
        ]
        return await write_all(self._client, JOURNAL, writes, self._timeout)

    def _encoded(self, subject: str, record: R) -> bytes:
        """The bytes of a record, which were read once: what nobody can read must never be a head."""
        data = bounded(subject, record)
        try:
            self._model.model_validate_json(data)
        except ValidationError as error:
            raise Unreadable(f"a record for {subject} would not be understood: {explain(error)}") from error
        return data


class Journal:
    """The log of runs."""

    def __init__(self, client: Client, *, timeout: float = REQUEST_TIMEOUT) -> None:
        self._log = Log(client, Record, timeout=timeout)

    async def head(self, run: RunId) -> Head | None:
        """The run's last record; as `Log.head`."""
        head = await self._log.head(run.journal)
        if head is not None and head.record.start != run.start:
            what = f"record {head.sequence} on {run.journal}"
            raise Unreadable(f"{what} is another run's: it begins at {head.record.start}", head.sequence)
        return head

    async def at(self, sequence: int) -> bytes | None:
        """The record at a sequence of the stream; as `Log.at`."""
        return await self._log.at(sequence)

    async def append(self, run: RunId, record: Record, expected: int, after: str | None = None) -> int:
        """Append a record of a run; as `Log.append`."""
        return await self._log.append(run.journal, record, expected, after)

    async def submit(self, run: RunId, record: Record) -> int:
        """Append the first record of a run. The operator alone may (protocol rule 3)."""
        return await self.append(run, record, 0)

    async def submit_all(self, records: Sequence[tuple[RunId, Record]]) -> int:
        """Append the first records of at most `MAX_BATCH` runs, all or none; as `Log.append_all`."""
        return await self._log.append_all([Append(run.journal, record, 0) for run, record in records])

    @property
    def atomic(self) -> bool:
        """As `Log.atomic`."""
        return self._log.atomic

    async def split(self, run: RunId, kept: Record, expected: int, given: Record) -> int:
        """What the owner keeps of a run, and the first record of what it gives away: both or none.

        The one case in which an agent begins a run's journal (protocol rule 6).

        Returns:
            Sequence of `kept`.

        Raises:
            Conflict, QueueUnavailable: as `Log.append_all`.
        """
        tail = run._replace(start=given.start)
        appends = [Append(run.journal, kept, expected), Append(tail.journal, given, 0)]
        return await self._log.append_all(appends) - 1


def read_head(message: RawStreamMsg) -> Head:
    """A record of a run as the server returned it."""
    return _read(message, Record)


def _read(message: RawStreamMsg, model: type[R]) -> JournalHead[R]:
    stored = message.time
    time = stored if isinstance(stored, datetime) else parse_time(str(stored))
    sequence = int(message.seq or 0)
    try:
        record = model.model_validate_json(message.data or b"")
    except ValidationError as error:
        raise Unreadable(
            f"record {sequence} on {message.subject} is not understood: {explain(error)}", sequence
        ) from error
    return JournalHead(record, sequence, time)


def parse_time(text: str) -> datetime:
    """The server's time stamp, whose nanoseconds Python cannot hold."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}.{fraction[:6]:0<6}").replace(tzinfo=UTC)


async def _pause(attempt: int) -> None:
    await asyncio.sleep(min(2.0, 0.1 * 2**attempt))
