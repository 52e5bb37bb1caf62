"""Results with an id of their own, which clients create and upload."""

import asyncio
import secrets
from collections.abc import Sequence
from typing import Final

from armonik_sdk.api.const import MAX_RESULT_NAME
from armonik_sdk.api.names import (
    result_journal,
    result_key,
    upload_key,
)
from armonik_sdk.api.results import ResultEntry, ResultRecord, ResultRecordKind, ResultState
from armonik_sdk.client.deadline import Deadline
from armonik_sdk.client.errors import NotFound, Refused
from armonik_sdk.client.results.base import (
    BaseResult,
    Content,
    ResultInfo,
    append_record,
    describe,
    pieces,
    wait_until_visible,
)
from armonik_sdk.client.results.location import Found, Undecided, resolve
from armonik_sdk.client.results.stream import PollBackoff
from armonik_sdk.client.transport.connection import Connection
from armonik_sdk.client.transport.data_plane import DataPlane

AT_ONCE: Final = 32
"""Requests in flight when many results are made."""


class ClientResult(BaseResult):
    """A result with an id of its own: a client uploads it, or a task shall make it."""

    def __init__(self, connection: Connection, namespace: str, session: str, result: str) -> None:
        super().__init__(connection, namespace, result)
        self._session = session
        self._key = result_key(namespace, session, result)
        self._subject = result_journal(namespace, session, result)

    async def info(self) -> ResultInfo:
        """Name, state, size, times.

        Raises:
            NotFound: the session has no such result.
        """
        link = await self._connection.link()
        entry = await link.entry(self._key)
        if entry is None:
            head = await self._head(link)
            entry = ResultEntry(
                state=ResultState.CREATED, name=head[0].name, manual_deletion=head[0].manual_deletion
            )
        return describe(self.id, entry)

    async def status(self) -> ResultState:
        """Created until it is uploaded, then Completed; Aborted or Deleted.

        Raises:
            NotFound: the session has no such result.
        """
        return (await self.info()).state

    async def upload(self, content: Content) -> ResultInfo:
        """Store its bytes and complete it, once. Until this returns nobody sees any of them.

        Memory stays small whatever the size, if the content comes in pieces or from a file.

        Raises:
            Refused: it is complete already, or a task makes it.
            NotFound: the session has no such result.
            ResultAborted, ResultDeleted: it was, before the upload ended.
            Unavailable: object store or NATS do not answer; it may be tried again.
        """
        link = await self._connection.link()
        record, sequence = await self._head(link)
        if record.kind is ResultRecordKind.UPLOADED:
            raise Refused(f"{self.id} is complete already; make another result for other data")
        entry = await link.entry(self._key)
        resolve(self.id, entry, ())  # raises what became of it
        if record.kind is not ResultRecordKind.CREATED or (entry is not None and entry.task):
            raise Refused(f"{self.id} cannot be uploaded: a task makes it, or it was given up")
        key = upload_key(self._namespace, self._session, self.id, secrets.token_hex(8))
        ref = await link.put_stream(key, pieces(content))
        await append_record(link, self._subject, record, sequence, kind=ResultRecordKind.UPLOADED, ref=ref)
        entry = await wait_until_visible(
            link, self._key, lambda entry: entry.state is not ResultState.CREATED
        )
        if entry is None:  # the operator is away: it is committed nevertheless
            entry = ResultEntry(
                state=ResultState.COMPLETED,
                name=record.name,
                manual_deletion=record.manual_deletion,
                ref=ref,
            )
        resolve(self.id, entry, ())
        return describe(self.id, entry)

    async def abort(self, reason: str = "") -> None:
        """Say that it will never be uploaded: tasks that wait for it end with the reason.

        Raises:
            Refused: it is complete.
            NotFound: the session has no such result.
        """
        link = await self._connection.link()
        record, sequence = await self._head(link)
        if record.kind is ResultRecordKind.UPLOADED:
            raise Refused(f"{self.id} is complete; delete it")
        if record.kind is ResultRecordKind.CREATED:
            changes = {"kind": ResultRecordKind.ABORTED, "reason": reason[:1024]}
            await append_record(link, self._subject, record, sequence, **changes)
        await wait_until_visible(link, self._key, lambda entry: entry.state is not ResultState.CREATED)

    async def wait(self, timeout: float | None = None) -> Found:
        """Until it is complete; where its bytes are.

        Raises:
            ResultAborted: it will never be; the message says why.
            ResultDeleted: its data was removed.
            NotFound: the session has no such result.
            WaitTimeout: the time, in seconds, is over.
        """
        deadline, patience = Deadline(timeout), PollBackoff()
        link = await self._connection.link()
        async with link.news(self._key) as news:
            entry = await link.entry(self._key)
            if entry is None:
                await self._head(link)
            while not isinstance(found := resolve(self.id, entry, ()), Found):
                changes = await news.next(deadline.left(patience.seconds, repr(self)))
                patience = PollBackoff() if changes else patience.longer()
                content = changes.get(self._key)
                entry = link.parse_entry(self._key, content) if content else await link.entry(self._key)
            return found

    async def _look(self) -> Found | Undecided:
        link = await self._connection.link()
        entry = await link.entry(self._key)
        if entry is None:
            await self._head(link)
        return resolve(self.id, entry, ())

    async def _session_uid(self) -> str:
        return self._session

    async def _head(self, link: DataPlane) -> tuple[ResultRecord, int]:
        head = await link.result_head(self._subject)
        if head is None:
            raise NotFound(f"the session has no result {self.id} that a client made")
        return head


async def create_results(
    connection: Connection, namespace: str, session: str, names: Sequence[str], manual_deletion: bool
) -> list[ClientResult]:
    """One result for each name, in their order; see `SessionHandle.create_results`."""
    if any(len(name) > MAX_RESULT_NAME for name in names):
        raise Refused(f"names: a result's name has at most {MAX_RESULT_NAME} characters")
    link = await connection.link()
    results = [ClientResult(connection, namespace, session, secrets.token_hex(16)) for _ in names]
    bounded = asyncio.Semaphore(AT_ONCE)

    async def create(result: ClientResult, name: str) -> None:
        record = ResultRecord(
            record_id=secrets.token_hex(8),
            kind=ResultRecordKind.CREATED,
            name=name,
            manual_deletion=manual_deletion,
        )
        async with bounded:
            await link.append_result(result_journal(namespace, session, result.id), record, 0)

    try:
        async with asyncio.TaskGroup() as group:
            for result, name in zip(results, names, strict=True):
                group.create_task(create(result, name))
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None  # callers handle the client's errors, which no group is
    return results
