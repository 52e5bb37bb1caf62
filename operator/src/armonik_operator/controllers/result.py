"""Applies records that clients write about results to RESULTS (protocol rule 20).

A record may be read again after a restart: a transition that was made is not made twice.
"""

import logging
import time
from functools import partial

from armonik_operator.cache.inbox import EarlyRecord, ResultJournalEntry
from armonik_operator.cache.keys import WorkKey
from armonik_operator.cache.state import ClusterState
from armonik_operator.clients.servers import Clients
from armonik_operator.results import transitions
from armonik_operator.results.store import ResultName, ResultStore
from armonik_operator.util.text import shorten
from armonik_sdk.api.const import MAX_RESULT_NAME
from armonik_sdk.api.keys import misplaced
from armonik_sdk.api.kinds import Session, SessionState
from armonik_sdk.api.names import JOURNAL, TaskRef, result_journal, split_result_id, uploads
from armonik_sdk.api.records import OutcomeKind
from armonik_sdk.api.results import ResultEntry, ResultRecord, ResultRecordKind, ResultState
from armonik_sdk.dataplane.result_lookup import outcome_of

log = logging.getLogger(__name__)


def shortened(record: ResultRecord) -> ResultRecord:
    """A record as an entry of RESULTS can hold it: a client of ours keeps to that, another may not."""
    return record.model_copy(update={"name": record.name[:MAX_RESULT_NAME], "reason": shorten(record.reason)})


def _wrong(record: ResultRecord, name: ResultName) -> str:
    """What is wrong with where a client says that it uploaded a result; empty if nothing is."""
    wrong = misplaced(record.ref.key, name.namespace, name.session) if record.ref is not None else ""
    return shorten(f"ref.key: {wrong}; upload the result again under a new id") if wrong else ""


class ResultReconciler:
    """Handles the keys of results of clients."""

    def __init__(self, servers: Clients, state: ClusterState, book: ResultStore) -> None:
        self._servers = servers
        self._state = state
        self._book = book

    async def handle(self, key: WorkKey) -> float | None:
        """Apply all records of one result; returns the seconds after which to look again."""
        inbox = self._state.inbox
        first = inbox.peek_result(key)
        if first is None:
            return None
        early = EarlyRecord(first.session, key.name)
        session = self._state.session_with(first.session)
        if session is None:
            left, dropped = inbox.early.put(key.namespace, early, time.monotonic())
            for one in dropped:
                self._forget(key._replace(name=one.name))
            if left > 0:  # the Session's event wakes it
                return left
        inbox.early.forget(key.namespace, early)
        while (entry := inbox.peek_result(key)) is not None:
            await self._apply(entry, session)
            inbox.done_result(entry)
        return None

    def _forget(self, key: WorkKey) -> None:
        """Drop records: too many are kept for Sessions that are unknown."""
        self._state.inbox.drop_results(key)
        log.info("the records of result %s/%s are dropped: unknown session", *key[1:])

    async def _apply(self, received: ResultJournalEntry, session: Session | None) -> None:
        record, at = shortened(received.record), received.time.timestamp()
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
            await self._book.move(name, partial(transitions.given_up, record=record, reason=reason, at=at))
        elif record.kind is ResultRecordKind.CREATED:
            await self._book.move(name, partial(transitions.created, record=record, at=at))
        elif record.kind is ResultRecordKind.UPLOADED and (wrong := _wrong(record, name)):
            await self._book.move(name, partial(transitions.given_up, record=record, reason=wrong, at=at))
        elif record.kind is ResultRecordKind.UPLOADED:
            await self._book.move(name, partial(transitions.uploaded, record=record, at=at))
        else:
            reason = record.reason or "given up by a client"
            await self._book.move(name, partial(transitions.given_up, record=record, reason=reason, at=at))

    async def _delete(self, name: ResultName, at: float) -> None:
        """First nobody finds the bytes any more, then they go; those in a pack go with the Session."""
        entry = await self._book.entry(name)
        implied = await self._implied(name) if entry is None else None
        if entry is None and implied is None:
            # Nothing is deleted, also not by the next operator, which may read this after the commit.
            await self._drop(name, "it is not there")
            return
        after = await self._book.move(name, lambda now: transitions.deleted(now or implied, at))
        if (parts := split_result_id(name.result)) is not None:
            if after is None or after.state is not ResultState.DELETED:
                return
            self._state.removed.add(name.session, parts[0], name.result)
        elif entry is not None and entry.state is not ResultState.DELETED:
            folder = f"{uploads(name.namespace, name.session)}{name.result}/"
            await self._servers.objects.delete_many(folder)

    async def _implied(self, name: ResultName) -> ResultEntry | None:
        """The entry that an output of a Task would have, if it is committed."""
        parts = split_result_id(name.result)
        if parts is None:
            return None
        task, index, output = parts
        run = await self._book.run_with(TaskRef(name.namespace, name.session, task), index)
        outcome = outcome_of(run, index)
        if outcome is None or outcome.kind is not OutcomeKind.COMPLETED or output not in outcome.outputs:
            log.info("result %s cannot be deleted: it is not committed", name.result)
            return None
        return ResultEntry(state=ResultState.COMPLETED, task=task, index=index)

    async def _drop(self, name: ResultName, why: str) -> None:
        log.info("the records of result %s are dropped: %s", name.result, why)
        js = self._servers.client.jetstream(timeout=10)
        await js.purge_stream(JOURNAL, subject=result_journal(*name))
