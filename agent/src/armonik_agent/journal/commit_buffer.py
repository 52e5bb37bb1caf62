"""Buffers what has ended in a run: uploads packs and appends records while elements are executed."""

import asyncio
import time
from collections.abc import Callable

from armonik_agent.context import AgentContext
from armonik_agent.journal.packing import FinishedElement, inline_bytes, pack, without_object
from armonik_agent.journal.run_writer import RunWriter
from armonik_agent.journal.transitions import Change, merged, progressed, too_long
from armonik_sdk.api.const import MAX_RESULT_INLINE_BYTES
from armonik_sdk.api.records import Record
from armonik_sdk.dataplane.errors import StoreUnavailable, TooLarge

COMMIT_SECONDS = 1.0
COMMIT_BYTES = 64 * 1024
COMMIT_OUTCOMES = 100
"""Outcomes in the head above which commits become rarer in proportion: each repeats all of them."""
BUFFER_BYTES = 1024 * 1024
"""Outputs and printed texts in memory above which the next pack goes up even while a commit is under way."""


class CommitBuffer:
    """Outcomes on their way into the journal, at most one commit at a time."""

    def __init__(self, site: AgentContext, committer: RunWriter, single: bool) -> None:
        self._site, self._committer, self._single = site, committer, single
        self._room = MAX_RESULT_INLINE_BYTES - inline_bytes(committer.head.outcomes)
        """Bytes of outputs that may still ride in the run's records."""
        self._ended: list[FinishedElement] = []
        self._bytes = self._printed = 0
        """Of outputs, and of what elements printed: that alone makes no commit more frequent."""
        self._since = 0.0
        self._ready = Change()
        self._commit: asyncio.Task[Record] | None = None
        self._packs = 0
        self.dropped: set[int] = set()
        """Elements whose outputs the object store did not take: they are executed again."""

    def keep(self, ended: FinishedElement) -> None:
        """An element has ended."""
        self._ended.append(ended)
        self._bytes += ended.size
        self._printed += len(ended.printed)
        self._since = self._since or time.monotonic()

    def add(self, change: Change) -> None:
        """Anything else that the next record shall say."""
        self._ready = merged(self._ready, change)
        self._since = self._since or time.monotonic()

    async def go_on(self) -> None:
        """Begin a commit if one is due; it is not waited for, and none begins while NATS is away.

        Raises:
            Fenced, StoreUnavailable: the last one failed.
        """
        if self._commit is not None and self._commit.done():
            await self.settle()
        if not self.begin() and self._bytes + self._printed >= BUFFER_BYTES:
            await self.pack()

    def begin(self) -> bool:
        """Begin one if it is due and none is under way; how the last one ended is left to `go_on`."""
        if not self._since or self._commit is not None:
            return False
        rarer = max(1.0, len(self._committer.head.outcomes) / COMMIT_OUTCOMES)
        since = time.monotonic() - self._since
        due = since >= COMMIT_SECONDS * rarer or self._bytes >= COMMIT_BYTES * rarer
        if not due or not self._site.connection.present.is_set():
            return False
        self._commit = asyncio.create_task(self._append(progressed))
        return True

    async def commit(self) -> Record:
        """Commit everything now; waits for NATS as long as it takes.

        Raises:
            Fenced: the run is no longer this process's.
            StoreUnavailable: a pack could not be uploaded; its elements are executed again.
        """
        await self.settle()
        return await self._append(progressed) if self._since else self._committer.head

    async def end(self, make: Callable[[Record, Change], Record]) -> Record:
        """Append the run's last record here, with all that was packed; nothing if it has ended already.

        Raises:
            Fenced: the run is no longer this process's.
            StoreUnavailable: the record's manifest could not be written.
        """
        if self._committer.head.kind.terminal:
            return self._committer.head
        return await self._take(make)

    async def settle(self) -> None:
        """Wait for the commit that is under way.

        Raises:
            Fenced, StoreUnavailable: it failed.
        """
        if self._commit is not None:
            try:
                await self._commit
            finally:
                self._commit = None

    async def pack(self) -> None:
        """Upload what is held in memory.

        Raises:
            StoreUnavailable: the object store stayed down; the elements whose outputs were held are dropped.
        """
        if not self._ended:
            return
        ended, self._ended = self._ended, []
        self._bytes = self._printed = 0
        self._packs += 1
        key, store = f"{self._committer.prefix}/pack-{self._packs}", self._site.store
        room, single, outage = self._room, self._single, self._site.text_outage
        try:
            change = await self._site.patiently(lambda: pack(store, key, ended, room, single, outage))
        except StoreUnavailable:
            self.dropped.update(one.index for one in ended if one.size)
            self.add(without_object(ended))
            raise
        self._room -= inline_bytes(change.outcomes)
        self.add(change)

    async def drop(self) -> None:
        """Forget everything: the run is somebody else's."""
        if self._commit is not None:
            self._commit.cancel()
            await asyncio.gather(self._commit, return_exceptions=True)

    async def _append(self, make: Callable[[Record, Change], Record]) -> Record:
        await self.pack()
        return await self._take(make)

    async def _take(self, make: Callable[[Record, Change], Record]) -> Record:
        change, self._ready = self._ready, Change()
        self._since = time.monotonic() if self._ended else 0.0
        try:
            try:
                return await self._committer.append(lambda head: make(head, change))
            except TooLarge as error:
                shorter = too_long(change, str(error))
                return await self._committer.append(lambda head: make(head, shorter))
        except StoreUnavailable:
            self._ready = merged(change, self._ready)
            raise
