"""What Tasks leave on the data plane, written by the same functions as in production."""

import asyncio
import secrets
import uuid
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from nats.aio.client import Client

from armonik_operator.journal.fold import TaskFold
from armonik_sdk.api.messages import RunMessage
from armonik_sdk.api.names import JOURNAL, RESULTS, TASKS, RunId, bucket_subject, inventory_key
from armonik_sdk.api.records import Inventory, Outcome, OutcomeKind, Owner, Piece, Record, RecordKind
from armonik_sdk.api.results import RunResults
from armonik_sdk.dataplane.nats.queue import publish_run

RUN: Final = 500
"""Elements of a run, at most, as the operator cuts them."""
AT_ONCE: Final = 256
PARTITION: Final = "default"
OWNER: Final = Owner(pod=str(uuid.uuid4()), process=secrets.token_hex(8), name="default-abcde")
PIECE: Final = Piece(length=8, sha256="0" * 64, inline="MTIzNDU2Nzg=")


@dataclass
class Made:
    """A Task with traces."""

    name: str
    uid: str
    total: int
    fold: TaskFold


class Filler:
    """Writes journal, results, inventory and queue of the Tasks of one Session."""

    def __init__(self, client: Client, namespace: str, session: str) -> None:
        self._client = client
        self._js = client.jetstream(timeout=60)
        self._namespace = namespace
        self._session = session

    async def tasks(
        self, prefix: str, tasks: int, elements: int, ended: int, *, queue: bool = False
    ) -> AsyncIterator[Made]:
        """Tasks of `elements`, of which the first `ended` have ended; the rest is queued, if asked for."""
        together = max(1, AT_ONCE // max(1, elements // RUN))
        for first in range(0, tasks, together):
            made = [
                Made(f"{prefix}-{number:06}", str(uuid.uuid4()), elements, TaskFold())
                for number in range(first, min(tasks, first + together))
            ]
            runs = [(task, start) for task in made for start in range(0, ended, RUN)]
            await self._inventory(made)
            for at in range(0, len(runs), AT_ONCE):
                await self._finish(runs[at : at + AT_ONCE], ended)
            if queue:
                rest = [(task, start) for task in made for start in range(ended, elements, RUN)]
                for at in range(0, len(rest), AT_ONCE):
                    await self._queue(rest[at : at + AT_ONCE])
            for task in made:
                yield task

    async def _inventory(self, made: Iterable[Made]) -> None:
        entries = [
            (
                bucket_subject(TASKS, inventory_key(self._namespace, task.uid)),
                Inventory(uid=task.uid, name=task.name, session=self._session).encode(),
            )
            for task in made
        ]
        await asyncio.gather(*(self._js.publish(*entry) for entry in entries))

    async def _finish(self, runs: list[tuple[Made, int]], ended: int) -> None:
        """From the submission to the end, with the entries in RESULTS."""
        spans = [(task, start, min(start + RUN, ended)) for task, start in runs]
        firsts = [_first(task, start, end) for task, start, end in spans]
        await self._append(spans, firsts)
        taken = [_next(record, kind=RecordKind.DISPATCHED, epoch=1, owner=OWNER) for record in firsts]
        await self._append(spans, taken)
        done = [
            _next(
                record, kind=RecordKind.DONE, outcomes=tuple(map(_outcome, range(record.start, record.end)))
            )
            for record in taken
        ]
        sequences = await self._append(spans, done)
        entries = [
            (
                bucket_subject(RESULTS, self._run(task, start).results),
                RunResults(
                    sequence=sequence, end=end, outcomes=record.outcomes, done=True, time=NOW.timestamp()
                ).encode(),
            )
            for (task, start, end), record, sequence in zip(spans, done, sequences, strict=True)
        ]
        await asyncio.gather(*(self._js.publish(*entry) for entry in entries))

    async def _queue(self, runs: list[tuple[Made, int]]) -> None:
        """Submitted and queued; every fifth one is held by an agent."""
        spans = [(task, start, min(start + RUN, task.total)) for task, start in runs]
        firsts = [_first(task, start, end) for task, start, end in spans]
        await self._append(spans, firsts)
        await asyncio.gather(
            *(self._publish(task, record) for (task, _, _), record in zip(spans, firsts, strict=True))
        )
        taken = [_next(record, kind=RecordKind.DISPATCHED, epoch=1, owner=OWNER) for record in firsts[::5]]
        await self._append(spans[::5], taken)

    async def _publish(self, task: Made, record: Record) -> None:
        run = self._run(task, record.start)
        message = RunMessage(
            namespace=self._namespace,
            session=self._session,
            task=task.uid,
            task_name=task.name,
            partition=PARTITION,
            start=record.start,
            end=record.end,
            n=record.n,
        )
        await publish_run(self._client, run, PARTITION, message)

    async def _append(self, spans: list[tuple[Made, int, int]], records: list[Record]) -> list[int]:
        """Records of different runs, appended and folded; their sequences."""
        acks = await asyncio.gather(
            *(
                self._js.publish(self._run(task, start).journal, record.encode(), stream=JOURNAL)
                for (task, start, _), record in zip(spans, records, strict=True)
            )
        )
        for (task, _, _), record, ack in zip(spans, records, acks, strict=True):
            task.fold.session = self._session
            task.fold.add(record, ack.seq, NOW)
        return [ack.seq for ack in acks]

    def _run(self, task: Made, start: int) -> RunId:
        return RunId(self._namespace, self._session, task.uid, start)


NOW: Final = datetime.now(UTC)


def _first(task: Made, start: int, end: int) -> Record:
    return Record(
        record_id=secrets.token_hex(8),
        kind=RecordKind.SUBMITTED,
        start=start,
        end=end,
        n=1,
        partition=PARTITION,
        task_name=task.name,
    )


def _next(record: Record, **changes: object) -> Record:
    return record.model_copy(update={**changes, "record_id": secrets.token_hex(8)})


def _outcome(index: int) -> Outcome:
    return Outcome(index=index, kind=OutcomeKind.COMPLETED, outputs={"result": PIECE}, seconds=0.25)
