"""What has ended in a run and is not committed yet: packs go up, records follow, elements go on meanwhile."""

import asyncio
import time
from collections.abc import Callable

from armonik_agent.commit import Committer
from armonik_agent.outputs import Ended, pack, riding
from armonik_agent.site import Site
from armonik_agent.transitions import Change, merged, progressed
from armonik_sdk.api.const import MAX_RESULT_INLINE_BYTES
from armonik_sdk.api.records import Record
from armonik_sdk.dataplane.errors import StoreUnavailable

COMMIT_SECONDS = 1.0
COMMIT_BYTES = 64 * 1024
COMMIT_OUTCOMES = 100
"""Outcomes in the head above which commits become rarer in proportion: each repeats all of them."""
BUFFER_BYTES = 1024 * 1024
"""Outputs in memory above which the next pack goes up even while a commit is under way."""


class Buffer:
    """Outcomes on their way into the journal, at most one commit at a time."""

    def __init__(self, site: Site, committer: Committer, single: bool) -> None:
        self._site, self._committer, self._single = site, committer, single
        self._room = MAX_RESULT_INLINE_BYTES - riding(committer.head.outcomes)
        """Bytes of outputs that may still ride in the run's records."""
        self._ended: list[Ended] = []
        self._bytes = 0
        self._since = 0.0
        self._ready = Change()
        self._commit: asyncio.Task[Record] | None = None
        self._packs = 0

    def keep(self, ended: Ended) -> None:
        """An element has ended."""
        self._ended.append(ended)
        self._bytes += ended.size
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
        if not self.begin() and self._bytes >= BUFFER_BYTES:
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
            StoreUnavailable: the object store stayed down; what was held is dropped.
        """
        if not self._ended:
            return
        ended, self._ended, self._bytes = self._ended, [], 0
        self._packs += 1
        key, store = f"{self._committer.prefix}/pack-{self._packs}", self._site.store
        room, single = self._room, self._single
        change = await self._site.patiently(lambda: pack(store, key, ended, room, single))
        self._room -= riding(change.outcomes)
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
            return await self._committer.append(lambda head: make(head, change))
        except StoreUnavailable:
            self._ready = merged(change, self._ready)
            raise
