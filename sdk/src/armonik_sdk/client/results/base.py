"""Base of results: reading them whole, in pieces or into a file, and their description."""

import asyncio
import hashlib
import secrets
from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from armonik_sdk.api.names import result_journal, result_key
from armonik_sdk.api.results import ResultEntry, ResultRecord, ResultRecordKind, ResultState
from armonik_sdk.client.deadline import Deadline
from armonik_sdk.client.errors import Refused, ResultAborted, ResultDamaged, ResultDeleted, WaitTimeout
from armonik_sdk.client.results.location import Found, Undecided
from armonik_sdk.client.results.stream import PollBackoff
from armonik_sdk.client.transport.connection import Connection
from armonik_sdk.client.transport.data_plane import DataPlane

Content = bytes | str | Path | Iterable[bytes] | AsyncIterable[bytes]
"""What is uploaded: all at once, a file, or pieces of any size."""

CHUNK_BYTES: Final = 4 * 1024 * 1024
"""Bytes of a result that are read in one request."""
CONFIRM_SECONDS: Final = 10.0
"""Seconds to wait until the operator shows a written record; the record counts from its append on."""


@dataclass(frozen=True)
class ResultInfo:
    """What is known of a result."""

    id: str
    state: ResultState
    name: str = ""
    size: int | None = None
    """Bytes; of a complete result."""
    task: str = ""
    """UID of the task that makes or made it; empty for what clients upload."""
    index: int = 0
    """The task's element."""
    created: datetime | None = None
    """When a client made it."""
    ended: datetime | None = None
    """When it was completed, aborted or deleted; of an output, when the run that made it was committed."""
    manual_deletion: bool = False
    reason: str = ""
    """Why it was aborted."""


class BaseResult(ABC):
    """A result by its id: wait for it, read it, delete it."""

    def __init__(self, connection: Connection, namespace: str, result: str) -> None:
        self._connection = connection
        self._namespace = namespace
        self.id = result

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id})"

    @abstractmethod
    async def wait(self, timeout: float | None = None) -> Found:
        """Until it is complete; where its bytes are.

        Raises:
            ResultAborted: it will never be; the message says why.
            ResultDeleted: its data was removed.
            WaitTimeout: the time, in seconds, is over.
        """

    @abstractmethod
    async def _look(self) -> Found | Undecided: ...

    @abstractmethod
    async def _session_uid(self) -> str: ...

    async def result(self, timeout: float | None = None) -> bytes:
        """Wait for it and return its bytes, checked against the checksum of the commit.

        Raises:
            ResultAborted, ResultDeleted, WaitTimeout: as `wait`.
            ResultDamaged: the bytes are missing or altered.
        """
        place = (await self.wait(timeout)).place
        return place if isinstance(place, bytes) else await (await self._connection.link()).get(place)

    async def chunks(self, timeout: float | None = None, *, size: int = CHUNK_BYTES) -> AsyncIterator[bytes]:
        """Wait for it and return its bytes in pieces, of which one is in memory at a time.

        The last piece comes only when the checksum of all of them is right.

        Args:
            timeout: seconds to wait for the result; the transfer may take longer.
            size: bytes of a piece.

        Raises:
            as `result`.
        """
        ref, link = (await self.wait(timeout)).place, await self._connection.link()
        if isinstance(ref, bytes):
            yield ref
            return
        digest, length, at = hashlib.sha256(), ref.length or 0, 0
        while at < length:
            part = min(size, length - at)
            piece = ref.model_copy(update={"offset": (ref.offset or 0) + at, "length": part, "sha256": None})
            data = await link.get(piece)
            digest.update(data)
            at += part
            if len(data) != part:
                raise ResultDamaged(f"{self.id} is shorter than the {length} bytes that were committed")
            if at == length and ref.sha256 is not None and digest.hexdigest() != ref.sha256:
                raise ResultDamaged(f"the bytes of {self.id} are not those that were committed")
            yield data

    async def download(
        self, path: Path | str, timeout: float | None = None, *, seen: Callable[[int], None] | None = None
    ) -> int:
        """Wait for it and write it into a file, which appears complete or not at all; its size in bytes.

        Args:
            path: the file.
            timeout: seconds to wait for the result; the transfer may take longer.
            seen: is given the number of bytes that are written, after each piece.

        Raises:
            as `result`; OSError: the file cannot be written.
        """
        target = Path(path)
        part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
        size = 0
        try:
            with await asyncio.to_thread(part.open, "wb") as file:
                async for data in self.chunks(timeout):
                    size += await asyncio.to_thread(file.write, data)
                    if seen is not None:
                        seen(size)
            await asyncio.to_thread(part.replace, target)
        finally:
            await asyncio.to_thread(part.unlink, missing_ok=True)
        return size

    async def delete(self) -> None:
        """Remove its data; one that has none any more is fine. Tasks that wait for it end with the reason.

        Raises:
            Refused: a task may still make it.
            NotFound: there is no such result.
        """
        session, link = await self._session_uid(), await self._connection.link()
        subject, key = (make(self._namespace, session, self.id) for make in (result_journal, result_key))
        head, entry = await link.result_head(subject), await link.entry(key)
        if head is not None and head[0].kind is ResultRecordKind.DELETED:
            return
        awaited = entry is not None and entry.state is ResultState.CREATED and bool(entry.task)
        try:
            if awaited or (head is None and not isinstance(await self._look(), Found)):
                raise Refused(f"{self.id} cannot be deleted: a task may still make it")
        except (ResultAborted, ResultDeleted):
            return
        known, sequence = head or (ResultRecord(record_id="", kind=ResultRecordKind.DELETED), 0)
        await append_record(link, subject, known, sequence, kind=ResultRecordKind.DELETED, ref=None)
        await wait_until_visible(link, key, lambda entry: entry.state is ResultState.DELETED)


async def pieces(content: Content) -> AsyncIterator[bytes]:
    """The content in pieces; files are read in another thread."""
    if isinstance(content, str):
        content = content.encode()
    if isinstance(content, bytes | bytearray | memoryview):
        view = memoryview(content)
        for at in range(0, len(view), CHUNK_BYTES):
            yield bytes(view[at : at + CHUNK_BYTES])
    elif isinstance(content, Path):
        with await asyncio.to_thread(content.open, "rb") as file:
            while data := await asyncio.to_thread(file.read, CHUNK_BYTES):
                yield data
    elif isinstance(content, AsyncIterable):
        async for data in content:
            yield data
    else:
        for data in content:
            yield data


async def append_record(
    link: DataPlane, subject: str, record: ResultRecord, sequence: int, **changes: object
) -> None:
    """Append what follows a client's record."""
    following = record.model_copy(update={**changes, "record_id": secrets.token_hex(8)})
    await link.append_result(subject, following, sequence)


async def wait_until_visible(
    link: DataPlane, key: str, done: Callable[[ResultEntry], bool]
) -> ResultEntry | None:
    """The entry, once the operator has seen what was written; None if it takes too long."""
    deadline, patience = Deadline(CONFIRM_SECONDS), PollBackoff()
    async with link.news(key) as news:
        while True:
            entry = await link.entry(key)
            if entry is not None and done(entry):
                return entry
            try:
                changes = await news.next(deadline.left(patience.seconds, key))
            except WaitTimeout:
                return None
            content = changes.get(key)
            if content and done(entry := ResultEntry.model_validate_json(content)):
                return entry
            patience = PollBackoff() if changes else patience.longer()


def describe(result: str, entry: ResultEntry) -> ResultInfo:
    """What an entry says."""
    return ResultInfo(
        id=result,
        state=entry.state,
        name=entry.name,
        size=entry.ref.length if entry.ref is not None else None,
        task=entry.task,
        index=entry.index,
        created=moment(entry.created),
        ended=moment(entry.ended),
        manual_deletion=entry.manual_deletion,
        reason=entry.reason,
    )


def moment(seconds: float) -> datetime | None:
    """A time of the stream; None for one that is not known."""
    return datetime.fromtimestamp(seconds, UTC) if seconds else None
