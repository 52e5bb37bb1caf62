"""What clients say of results: records on the result's own subject of the journal, by compare-and-set.

The client is the writer, the operator reads; which of several writers comes first, the server decides.
"""

import asyncio
import logging

import nats.js.errors
from nats.aio.client import Client
from nats.js.api import Header

from armonik_sdk.api.names import JOURNAL
from armonik_sdk.api.records import ResultRecord
from armonik_sdk.dataplane.errors import Conflict, QueueUnavailable
from armonik_sdk.dataplane.journal import ATTEMPTS, REQUEST_TIMEOUT, UNREACHABLE, WRONG_LAST_SEQUENCE

log = logging.getLogger(__name__)


class ResultLog:
    """Appends and leader reads of the records of results."""

    def __init__(self, client: Client, *, timeout: float = REQUEST_TIMEOUT) -> None:
        self._js = client.jetstream(timeout=timeout)

    async def head(self, subject: str) -> tuple[ResultRecord, int] | None:
        """The last record and its sequence, read from the leader; None when there is none.

        Raises:
            QueueUnavailable: no answer within the retries.
        """
        for attempt in range(ATTEMPTS):
            try:
                message = await self._js.get_last_msg(JOURNAL, subject)
            except nats.js.errors.NotFoundError:
                return None
            except UNREACHABLE as error:
                log.info("head of %s not read (%s: %s)", subject, type(error).__name__, error)
                await asyncio.sleep(min(2.0, 0.1 * 2**attempt))
            else:
                return ResultRecord.model_validate_json(message.data or b""), int(message.seq or 0)
        raise QueueUnavailable(f"the head of {subject} could not be read in {ATTEMPTS} attempts")

    async def append(self, subject: str, record: ResultRecord, expected: int) -> int:
        """Append after the record with this sequence (0: if there is none); the new record's sequence.

        A lost answer looks like a refusal when the record is sent again: the head says which it was.

        Raises:
            Conflict: another record came first.
            QueueUnavailable: no answer within the retries. The record may or may not stand.
        """
        headers = {str(Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value): str(expected)}
        for attempt in range(ATTEMPTS):
            try:
                ack = await self._js.publish(subject, record.encode(), stream=JOURNAL, headers=dict(headers))
            except nats.js.errors.APIError as error:
                if error.err_code != WRONG_LAST_SEQUENCE and not isinstance(error, UNREACHABLE):
                    raise QueueUnavailable(f"append to {subject} refused: {error}") from error
            except UNREACHABLE as error:
                log.info("append to %s unanswered (%s: %s)", subject, type(error).__name__, error)
                await asyncio.sleep(min(2.0, 0.1 * 2**attempt))
            else:
                return int(ack.seq)
            head = await self.head(subject)
            if head is not None and head[0].record_id == record.record_id:
                return head[1]
            if (head[1] if head else 0) != expected:
                raise Conflict(f"{subject} has another head than {expected}")
        raise QueueUnavailable(f"append to {subject} unanswered in {ATTEMPTS} attempts")
