"""Works on what clients say of results: records of the journal become entries of RESULTS (protocol rule 20).

Every record may come again after a restart: a move that was made is no move any more.
"""

import logging
import time
from functools import partial

from armonik_operator import resultmoves
from armonik_operator.results import ResultBook, ResultName, outcome_of
from armonik_operator.state import Key, ReceivedResult, Servers, State
from armonik_sdk.api.kinds import Session, SessionState
from armonik_sdk.api.names import JOURNAL, result_journal, split_result_id, uploads
from armonik_sdk.api.records import (
    OutcomeKind,
    ResultEntry,
    ResultRecordKind,
    ResultState,
)

log = logging.getLogger(__name__)

UNKNOWN = 60.0
"""Seconds for which the Session of a record may be unknown: the watch may be behind the journal."""
_AGAIN = 0.5


class ResultWorker:
    """Handles the keys of results that clients speak of."""

    def __init__(self, servers: Servers, state: State, book: ResultBook) -> None:
        self._servers = servers
        self._state = state
        self._book = book
        self._unknown: dict[Key, float] = {}

    async def handle(self, key: Key) -> float | None:
        """Take in all records of one result; returns the seconds after which to look again."""
        records = self._state.results.get(key)
        if not records:
            return None
        session = self._state.session_with(records[0].session)
        if session is None:
            since = self._unknown.setdefault(key, time.monotonic())
            if time.monotonic() - since < UNKNOWN:
                return _AGAIN
        self._unknown.pop(key, None)
        while records:
            await self._take(records[0], session)
            if records:  # the journal may have been lost meanwhile
                records.popleft()
                self._state.backlog -= 1
        if self._state.results.get(key) is records:
            del self._state.results[key]
        return None

    async def _take(self, received: ReceivedResult, session: Session | None) -> None:
        record, at = received.record, received.time.timestamp()
        name = ResultName(received.namespace, received.session, received.result)
        if session is None:
            await self._drop(name, "its session is gone")
            return
        if record.kind is ResultRecordKind.DELETED:
            await self._delete(name, at)
            return
        if session.spec.desired_state is SessionState.PURGED:
            await self._drop(name, f"session {session.metadata.name} is purged")
            return
        over = session.metadata.deletion_timestamp is not None
        if over or session.spec.desired_state is SessionState.CANCELLED:
            reason = f"session {session.metadata.name} is {'being deleted' if over else 'cancelled'}"
            await self._book.move(name, partial(resultmoves.given_up, record=record, reason=reason, at=at))
        elif record.kind is ResultRecordKind.CREATED:
            await self._book.move(name, partial(resultmoves.created, record=record, at=at))
        elif record.kind is ResultRecordKind.UPLOADED:
            await self._book.move(name, partial(resultmoves.uploaded, record=record, at=at))
        else:
            reason = record.reason or "given up by a client"
            await self._book.move(name, partial(resultmoves.given_up, record=record, reason=reason, at=at))

    async def _delete(self, name: ResultName, at: float) -> None:
        """First nobody finds the bytes any more, then they go; those in a pack go with the Session."""
        entry = await self._book.entry(name)
        if entry is None and (implied := await self._implied(name)) is not None:
            entry = implied
            await self._book.move(name, lambda now: resultmoves.deleted(now or implied, at))
        else:
            await self._book.move(name, lambda now: resultmoves.deleted(now, at))
        if (parts := split_result_id(name.result)) is not None:
            self._state.removed.setdefault(parts[0], set()).add(name.result)
        elif entry is not None and entry.state is not ResultState.DELETED:
            folder = f"{uploads(name.namespace, name.session)}{name.result}/"
            await self._servers.objects.delete_many(folder)

    async def _implied(self, name: ResultName) -> ResultEntry | None:
        """The entry that an output of a Task would have, if it is committed."""
        parts = split_result_id(name.result)
        if parts is None:
            return None
        task, index, output = parts
        run = await self._book.run_with(name.namespace, name.session, task, index)
        outcome = outcome_of(run, index)
        if outcome is None or outcome.kind is not OutcomeKind.COMPLETED or output not in outcome.outputs:
            log.info("result %s cannot be deleted: it is not committed", name.result)
            return None
        return ResultEntry(state=ResultState.COMPLETED, task=task, index=index)

    async def _drop(self, name: ResultName, why: str) -> None:
        log.info("what a client says of result %s is dropped: %s", name.result, why)
        js = self._servers.client.jetstream(timeout=10)
        await js.purge_stream(JOURNAL, subject=result_journal(*name))
