"""Reads the journal from its first record and hands each record to the Task it belongs to.

An ephemeral consumer that acknowledges nothing (protocol rule 11); after a gap or a loss it is made again
behind the last record that was read.
"""

import asyncio
import hashlib
import logging
from collections import deque
from datetime import UTC, datetime, timedelta
from typing import Any

import nats.errors
import nats.js.errors
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from pydantic import ValidationError

from armonik_operator.errors import JournalLost
from armonik_operator.state import Key, Received, ReceivedResult, State
from armonik_operator.workqueue import WorkQueue
from armonik_sdk.api.names import ALL_RECORDS, JOURNAL, RunId, split_result_journal
from armonik_sdk.api.records import Record, RecordKind, ResultRecord
from armonik_sdk.dataplane.requests import UNREACHABLE

log = logging.getLogger(__name__)

BATCH = 256
BACKLOG = 20_000
"""Records read but not worked on; above it the loop waits, once the replay is over and they are worked on."""
REMEMBERED = 64
"""Newest records that are known by their content: others in their places tell that they were lost."""
_SHORT_REPLY = 9
_TIME_TOKEN = 7
IDLE = 30.0
"""Seconds after which the server forgets a consumer that nobody pulls from."""
QUIET = 1.0
"""Seconds for which records that nothing waits for are left lying: a short Task is then worked on once."""


class FoldLoop:
    """The loop; `caught_up` is set when everything that stood in the journal at the start was read."""

    def __init__(self, js: JetStreamContext, state: State, queue: WorkQueue[Key]) -> None:
        self._js = js
        self._state = state
        self._queue = queue
        self._last = 0
        self._newest: deque[tuple[int, bytes]] = deque(maxlen=REMEMBERED)
        self._created: object = None
        self.caught_up = asyncio.Event()
        self.reconnected = asyncio.Event()

    @property
    def read(self) -> int:
        """Sequence of the last record that was read."""
        return self._last

    async def run(self, until: int) -> None:
        """Read for ever; `until` is the last sequence at the start.

        Raises:
            JournalLost: the stream, or its newest records, are not there any more. What was folded is no
                longer what the journal says, so the process has to start afresh.
        """
        while True:
            try:
                await self._consume(until)
            except (*UNREACHABLE, nats.js.errors.Error) as error:
                log.info("the journal's consumer is made again: %s: %s", type(error).__name__, error)
                await asyncio.sleep(0.5)

    async def _consume(self, until: int) -> None:
        self.reconnected.clear()
        await self._compare()
        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=self._last + 1,
            ack_policy=AckPolicy.NONE,
            inactive_threshold=IDLE,
        )
        subscription = await self._js.pull_subscribe(ALL_RECORDS, stream=JOURNAL, config=config)
        expected = 1
        try:
            while not self.reconnected.is_set():
                _end_if_cancelled()
                if self._last >= until:
                    self.caught_up.set()
                if self.caught_up.is_set() and self._state.backlog > BACKLOG:
                    await asyncio.sleep(0.05)
                    continue
                try:
                    messages = await subscription.fetch(BATCH, timeout=1.0)
                except TimeoutError:
                    pending = (await subscription.consumer_info()).num_pending
                    if not pending:
                        self.caught_up.set()
                    continue
                for message in messages:
                    place = message.metadata.sequence
                    if place.consumer != expected:
                        log.info("a record was missed; reading again from %d", self._last + 1)
                        return
                    expected += 1
                    self._last = place.stream
                    self._newest.append((place.stream, _digest(message.subject, message.data)))
                    self._receive(message.subject, message.data, place.stream, stored_at(message.reply))
        finally:
            await subscription.unsubscribe()

    async def _compare(self) -> None:
        try:
            info: Any = await self._js.stream_info(JOURNAL)
        except nats.js.errors.NotFoundError as error:
            raise JournalLost("the stream JOURNAL is gone") from error
        if self._created is None:
            self._created = info.created
        if info.created != self._created:
            raise JournalLost(f"the stream JOURNAL was made again at {info.created}")
        if info.state.last_seq < self._last:
            raise JournalLost(f"the journal ends at {info.state.last_seq}, but {self._last} was read already")
        for sequence, known in reversed(self._newest):
            stands = await self._at(sequence)
            if stands is not None and stands != known:
                raise JournalLost(f"record {sequence} of the journal is not the one that was read")
            if stands is not None:
                return

    async def _at(self, sequence: int) -> bytes | None:
        """What tells the record at a sequence from others; None when it was purged with its Task."""
        try:
            found = await self._js.get_msg(JOURNAL, seq=sequence)
        except nats.js.errors.NotFoundError:
            return None
        return _digest(found.subject or "", found.data or b"")

    def _receive(self, subject: str, data: bytes, sequence: int, time: datetime) -> None:
        made = split_result_journal(subject)
        try:
            if made is not None:
                self._receive_result(*made, ResultRecord.model_validate_json(data), time)
                return
            run = RunId.from_journal(subject)
            record = Record.model_validate_json(data)
        except (ValueError, ValidationError) as error:
            log.warning("record %d on %s is not understood: %s", sequence, subject, error)
            return
        received = Received(run, record, sequence, time)
        self._state.received.setdefault(run.task, deque()).append(received)
        self._state.backlog += 1
        key = Key("task", run.namespace, run.task)
        if can_lie(record.kind):
            self._queue.add_after(key, QUIET)
        else:
            self._queue.add(key)

    def _receive_result(
        self, namespace: str, session: str, result: str, record: ResultRecord, time: datetime
    ) -> None:
        key = Key("result", namespace, f"{session}/{result}")
        received = ReceivedResult(namespace, session, result, record, time)
        self._state.results.setdefault(key, deque()).append(received)
        self._state.backlog += 1
        self._queue.add(key)


def can_lie(kind: RecordKind) -> bool:
    """Whether nothing waits for a record of this kind but numbers that are shown about once a second."""
    return kind in (RecordKind.SUBMITTED, RecordKind.DISPATCHED)


def _digest(subject: str, data: bytes) -> bytes:
    return hashlib.sha256(subject.encode() + b"\0" + data).digest()


def stored_at(reply: str) -> datetime:
    """When the server stored a delivered message, by the token of its reply subject, cut to microseconds.

    As a read of the head gives it. The client library divides nanoseconds as floats, which is one microsecond
    off half of the time.
    """
    tokens = reply.split(".")
    nanoseconds = int(tokens[_TIME_TOKEN if len(tokens) == _SHORT_REPLY else _TIME_TOKEN + 2])
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=nanoseconds // 1000)


def _end_if_cancelled() -> None:
    """On Python 3.11 a fetch swallows a cancellation that comes together with a message."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
