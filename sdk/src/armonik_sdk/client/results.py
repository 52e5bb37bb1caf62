"""Outputs of tasks, and results that clients make."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Final

from armonik_sdk.api.names import (
    result_id,
    result_journal,
    result_key,
    results_of_session,
    run_before,
    split_result_id,
    upload_key,
)
from armonik_sdk.api.records import (
    OutcomeKind,
    ResultEntry,
    ResultRecord,
    ResultRecordKind,
    ResultState,
)
from armonik_sdk.client.collect import Patience
from armonik_sdk.client.connection import Connection
from armonik_sdk.client.deadline import Deadline
from armonik_sdk.client.errors import NotFound, Refused, ResultAborted, ResultDeleted
from armonik_sdk.client.link import Link
from armonik_sdk.client.readable import (
    Content,
    Readable,
    ResultInfo,
    describe,
    moment,
    pieces,
    say,
    shown,
)
from armonik_sdk.client.resolve import Found, Undecided, resolve

if TYPE_CHECKING:
    from armonik_sdk.client.handles import TaskHandle

MAX_NAME: Final = 253
"""Longest name of a result, in characters."""
AT_ONCE: Final = 32
"""Requests in flight when many results are made or listed."""


class ResultHandle(Readable):
    """An output of a task."""

    def __init__(self, task: "TaskHandle", result: str) -> None:
        super().__init__(task.connection, task.namespace, result)
        self._task = task

    async def status(self) -> ResultState:
        """Created while it is awaited, then Completed or Aborted; Deleted when its data was removed."""
        try:
            return ResultState.COMPLETED if isinstance(await self._look(), Found) else ResultState.CREATED
        except ResultAborted:
            return ResultState.ABORTED
        except ResultDeleted:
            return ResultState.DELETED

    async def wait(self, timeout: float | None = None) -> Found:
        """Until it is complete; where its bytes are.

        Raises:
            ResultAborted: it will never be; the message is the owner's error.
            ResultDeleted: its data was removed.
            WaitTimeout: the time, in seconds, is over.
        """
        deadline = Deadline(timeout)
        task = self._task
        link = await self._connection.link()
        prefix, own = await self._keys()
        fresh = task.fresh
        patience, finished = Patience.of(fresh=fresh), False
        async with link.news(f"{prefix}*", own) as news:
            found = Undecided.AWAITED if fresh else await self._look()
            while not isinstance(found, Found):
                if finished and found is Undecided.AWAITED:
                    raise await task.aborted(self.id)
                changed = await news.next(deadline.left(patience.seconds, repr(self)))
                told = {key: content for key, content in changed.items() if content and key != own}
                heard = resolve(self.id, None, (await link.runs(told)).values())
                if isinstance(heard, Found):
                    return heard
                if changed and len(told) == len(changed):
                    continue  # it was about other results
                if not changed and patience.asks:
                    finished = await task.finished()
                patience = Patience() if changed else patience.longer()
                found = await self._look()
            return found

    async def _session_uid(self) -> str:
        return await self._task.session_uid()

    async def _look(self) -> Found | Undecided:
        link = await self._connection.link()
        prefix, own = await self._keys()
        run = f"{prefix}0"
        if self._task.total > 1:
            _, index, _ = split_result_id(self.id) or ("", 0, "")
            run = f"{prefix}{run_before(await link.run_keys(f'{prefix}*'), index) or 0}"
        runs, entry = await asyncio.gather(link.runs({run: None}), link.entry(own))
        return resolve(self.id, entry, runs.values())

    async def _keys(self) -> tuple[str, str]:
        task = self._task
        own = result_key(task.namespace, await task.session_uid(), self.id)
        return await task.runs_prefix(), own


class ClientResult(Readable):
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
        await say(link, self._subject, record, sequence, kind=ResultRecordKind.UPLOADED, ref=ref)
        entry = await shown(link, self._key, lambda entry: entry.state is not ResultState.CREATED)
        if entry is None:  # the operator is away: it is committed all the same
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
            await say(link, self._subject, record, sequence, **changes)
        await shown(link, self._key, lambda entry: entry.state is not ResultState.CREATED)

    async def wait(self, timeout: float | None = None) -> Found:
        """Until it is complete; where its bytes are.

        Raises:
            ResultAborted: it will never be; the message says why.
            ResultDeleted: its data was removed.
            NotFound: the session has no such result.
            WaitTimeout: the time, in seconds, is over.
        """
        deadline, patience = Deadline(timeout), Patience()
        link = await self._connection.link()
        async with link.news(self._key) as news:
            entry = await link.entry(self._key)
            if entry is None:
                await self._head(link)
            while not isinstance(found := resolve(self.id, entry, ()), Found):
                told = await news.next(deadline.left(patience.seconds, repr(self)))
                patience = Patience() if told else patience.longer()
                content = told.get(self._key)
                entry = ResultEntry.model_validate_json(content) if content else await link.entry(self._key)
            return found

    async def _look(self) -> Found | Undecided:
        link = await self._connection.link()
        entry = await link.entry(self._key)
        if entry is None:
            await self._head(link)
        return resolve(self.id, entry, ())

    async def _session_uid(self) -> str:
        return self._session

    async def _head(self, link: Link) -> tuple[ResultRecord, int]:
        head = await link.result_head(self._subject)
        if head is None:
            raise NotFound(f"the session has no result {self.id} that a client made")
        return head


async def create_results(
    connection: Connection, namespace: str, session: str, names: Sequence[str], manual_deletion: bool
) -> list[ClientResult]:
    """One result for each name, in their order; see `SessionHandle.create_results`."""
    if any(len(name) > MAX_NAME for name in names):
        raise Refused(f"names: a result's name has at most {MAX_NAME} characters")
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

    async with asyncio.TaskGroup() as group:
        for result, name in zip(results, names, strict=True):
            group.create_task(create(result, name))
    return results


async def listing(link: Link, namespace: str, session: str) -> AsyncIterator[ResultInfo]:
    """Every result of a session: those with an entry of their own, then committed outputs."""
    own = result_key(namespace, session, "")
    keys = sorted(await link.result_keys(f"{own}>"))
    for at in range(0, len(keys), AT_ONCE):
        entries = await link.entries(keys[at : at + AT_ONCE])
        for key in sorted(entries):
            yield describe(key.removeprefix(own), entries[key])
    known = {key.removeprefix(own) for key in keys}
    found_keys = await link.run_keys(results_of_session(namespace, session))
    runs = sorted(key for key in found_keys if not key.startswith(own))
    for at in range(0, len(runs), AT_ONCE):
        found = await link.runs(dict.fromkeys(runs[at : at + AT_ONCE]))
        for key in sorted(found):
            task, run = key.split(".")[2], found[key]
            for outcome in run.outcomes:
                for output, piece in outcome.outputs.items():
                    result = result_id(task, outcome.index, output)
                    if outcome.kind is OutcomeKind.COMPLETED and result not in known:
                        yield ResultInfo(
                            id=result,
                            state=ResultState.COMPLETED,
                            size=piece.length,
                            task=task,
                            index=outcome.index,
                            ended=moment(run.time),
                        )
