"""Reads the journal from its first record and hands each record to the Task it belongs to.

An ephemeral consumer that acknowledges nothing (protocol rule 11); after a gap or a loss it is made again
behind the last record that was read.
"""

import asyncio
import hashlib
import logging
import re
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import nats.errors
import nats.js.errors
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from armonik_operator.cache.inbox import ResultJournalEntry
from armonik_operator.cache.keys import WorkKey
from armonik_operator.cache.state import ClusterState
from armonik_operator.errors import JournalLost
from armonik_operator.journal.backlog import Glance
from armonik_operator.journal.replay import Replay
from armonik_operator.journal.unreadable_heads import newer
from armonik_operator.util.work_queue import WorkQueue
from armonik_sdk.api.errors import explain
from armonik_sdk.api.names import ALL_RECORDS, JOURNAL, RunId, split_result_journal
from armonik_sdk.api.records import RecordKind
from armonik_sdk.api.results import ResultRecord
from armonik_sdk.dataplane.nats.requests import UNREACHABLE

log = logging.getLogger(__name__)

BATCH = 256
REMEMBERED = 64
"""Newest records that are known by their content: others in their places show that they were lost."""
_SUBJECT = re.compile(
    r"armonik\.journal\.(?P<namespace>[a-z0-9-]{1,63})\.[A-Za-z0-9-]{1,63}"
    r"\.(result\.[A-Za-z0-9._-]{1,253}|[A-Za-z0-9-]{1,63}\.\d{1,12})",
    re.ASCII,
)
"""Namespace, UIDs, and what a result may be called, as the apiserver and the clients make them."""
_SHORT_REPLY = 9
_TIME_TOKEN = 7
IDLE = 30.0
"""Seconds after which the server forgets a consumer that nobody pulls from."""
QUIET = 1.0
"""Seconds for which records that nothing waits for are left lying: a short Task is then worked on once."""


class JournalReader:
    """Reads the journal in a loop; `caught_up` is set when the records at the start were read."""

    def __init__(
        self, js: JetStreamContext, state: ClusterState, queue: WorkQueue[WorkKey], replay: Replay
    ) -> None:
        self._js = js
        self._state = state
        self._queue = queue
        self._replay: Replay | None = replay
        self._last = 0
        self._newest: deque[tuple[int, bytes]] = deque(maxlen=REMEMBERED)
        self._created: object = None
        self.caught_up = asyncio.Event()
        self.reconnected = asyncio.Event()
        self.beat: Callable[[], None] = _nothing
        """Called in each round of the loop: liveness is that it goes round."""

    def over(self) -> None:
        """End the replay, after it was checked: from now on all records are new."""
        self._replay = None

    @property
    def read(self) -> int:
        """Sequence of the last record that was read."""
        return self._last

    async def run(self, until: int) -> None:
        """Read until cancelled; `until` is the last sequence at the start.

        Raises:
            JournalLost: the stream, or its newest records, are not there any more. What was folded is no
                longer what the journal says, so the process has to start again.
        """
        while True:
            self.beat()
            try:
                await self._consume(until)
            except (*UNREACHABLE, nats.js.errors.Error) as error:
                log.info("creating the journal's consumer again: %s: %s", type(error).__name__, error)
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
                self.beat()
                if self._last >= until:
                    self.caught_up.set()
                if self.caught_up.is_set() and self._state.inbox.full:
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
                        log.info("a record was missed, reading again from %d", self._last + 1)
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
            found = await self._at(sequence)
            if found is not None and found != known:
                raise JournalLost(f"record {sequence} of the journal is not the one that was read")
            if found is not None:
                return

    async def _at(self, sequence: int) -> bytes | None:
        """Digest of the record at a sequence; None when it was purged with its Task."""
        try:
            found = await self._js.get_msg(JOURNAL, seq=sequence)
        except nats.js.errors.NotFoundError:
            return None
        return _digest(found.subject or "", found.data or b"")

    def _receive(self, subject: str, data: bytes, sequence: int, time: datetime) -> None:
        shaped = _SUBJECT.fullmatch(subject)
        if shaped is None or not self._state.settings.serves(shaped["namespace"]):
            log.debug("record %d is on %r, which is no subject of a record", sequence, subject)
            return
        result = split_result_journal(subject)
        try:
            if result is not None:
                self._receive_result(*result, ResultRecord.model_validate_json(data), time)
                return
            run = RunId.from_journal(subject)
            if self._state.namespace_of(run.task) not in (None, run.namespace):
                log.warning("record %d on %s is ignored: its task is in another namespace", sequence, subject)
                return
            if self._replay is not None and self._replay.skips(run, data, sequence):
                return
            glance = Glance.model_validate_json(data)
        except ValueError as error:
            log.warning("record %d on %s cannot be read: %s", sequence, subject, explain(error))
            self._not_understood(subject, data)
            return
        replaced = self._state.inbox.runs.add(run, glance, data, sequence, time)
        if self._replay is not None:
            self._replay.noted(run.task, sequence, replaced)
        key = WorkKey("task", run.namespace, run.task)
        if is_deferrable(glance.kind):
            self._queue.add_after(key, QUIET)
        else:
            self._queue.add(key)

    def _not_understood(self, subject: str, data: bytes) -> None:
        """Queue its Task, which ends the run unless a later operator can read it."""
        try:
            run = RunId.from_journal(subject)
        except ValueError:
            return  # no run's: who appended it harms only himself
        if not newer(data):
            self._state.inbox.unreadable.setdefault(run.task, set()).add(run.start)
            self._queue.add(WorkKey("task", run.namespace, run.task))

    def _receive_result(
        self, namespace: str, session: str, result: str, record: ResultRecord, time: datetime
    ) -> None:
        entry = ResultJournalEntry(namespace, session, result, record, time)
        if self._state.inbox.put_result(entry):
            self._queue.add(entry.key)


def is_deferrable(kind: RecordKind) -> bool:
    """Whether a record of this kind affects only counters that are shown about once a second."""
    return kind in (RecordKind.SUBMITTED, RecordKind.DISPATCHED)


def _digest(subject: str, data: bytes) -> bytes:
    return hashlib.sha256(subject.encode() + b"\0" + data).digest()


def stored_at(reply: str) -> datetime:
    """When the server stored a delivered message, from its reply subject, cut to microseconds.

    As a read of the head gives it. The client library divides nanoseconds as floats, which is one microsecond
    off half of the time.
    """
    tokens = reply.split(".")
    nanoseconds = int(tokens[_TIME_TOKEN if len(tokens) == _SHORT_REPLY else _TIME_TOKEN + 2])
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=nanoseconds // 1000)


def _nothing() -> None:
    """Default callback."""


def _end_if_cancelled() -> None:
    """On Python 3.11 a fetch swallows a cancellation that comes together with a message."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
