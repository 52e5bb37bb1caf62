"""The local grid itself: sessions over one scheduler."""

import secrets
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from armonik_sdk.api.kinds import PartitionSpec, TaskOptions
from armonik_sdk.client.errors import AlreadyExists, NotFound, Refused
from armonik_sdk.functions import here
from armonik_sdk.grid.local.inline import Inline
from armonik_sdk.grid.local.processes import Processes
from armonik_sdk.grid.local.scheduler import Scheduler
from armonik_sdk.grid.local.session import LocalSession
from armonik_sdk.grid.local.store import Store
from armonik_sdk.grid.protocol import PartitionInfo, SessionInfo

WORKERS: Final = 2


def check_workers(workers: int | None, *, inline: bool = False) -> int:
    """How many calls run at a time.

    Raises:
        ValueError: there cannot be as many.
    """
    if workers is None:
        return 1 if inline else WORKERS
    if workers < 1 or (inline and workers != 1):
        raise ValueError(f"workers: {'1 with inline=True' if inline else 'at least 1'}, not {workers}")
    return workers


class LocalEngine:
    """Runs functions on this machine. Everything is gone when it is closed."""

    namespace = "local"

    def __init__(self, workers: int | None = None, *, inline: bool = False) -> None:
        """Run at most `workers` calls at a time, or with `inline` one in this process.

        Raises:
            ValueError: there cannot be as many workers.
        """
        workers = check_workers(workers, inline=inline)
        folder = Path(tempfile.mkdtemp(prefix="armonik-"))
        self._store = Store(folder)
        self._processes = Inline(folder) if inline else Processes(folder)
        self._scheduler = Scheduler(self._processes, workers)
        self._sessions: dict[str, LocalSession] = {}
        self._partitions: set[str] = {"python", "default"}

    async def open(
        self,
        name: str | None,
        *,
        partitions: Sequence[str],
        defaults: TaskOptions | None,
        ttl_seconds: int | None,
        attach: bool,
    ) -> LocalSession:
        """Make a session, or attach to the one of this name.

        Raises:
            AlreadyExists: there is one, and arguments for a new one were given.
            Refused: it breaks a rule.
        """
        if name is not None and name in self._sessions:
            if not attach:
                raise AlreadyExists(f"there is a session {name} already")
            return self._sessions[name]
        if not partitions:
            raise Refused("spec.partitions: at least one")
        made = LocalSession(
            self._scheduler, self._store, name or f"session-{secrets.token_hex(5)}", partitions, defaults
        )
        self._sessions[made.name] = made
        return made

    async def sessions(self) -> AsyncIterator[SessionInfo]:
        """All sessions."""
        for session in list(self._sessions.values()):
            yield await session.info()

    async def partitions(self) -> AsyncIterator[PartitionInfo]:
        """All partitions: any name is one."""
        for name in sorted(self._partitions):
            yield PartitionInfo(name, ready=True, pods=self._scheduler.workers)

    async def apply_partition(self, name: str, spec: PartitionSpec) -> PartitionInfo:
        """Know its name; where there are no pods, nothing else of it matters."""
        if not spec.template:
            raise NotFound(f"partition {name} has no template")
        self._partitions.add(name)
        return PartitionInfo(name, ready=True, pods=self._scheduler.workers)

    async def worker(self, partition: str) -> Mapping[str, str]:
        """What workers say of themselves: they are what this process is, on its platform."""
        return {"python": here().py}

    async def close(self) -> None:
        """End all processes, and remove all data."""
        await self._scheduler.close()
        await self._processes.close()
        self._store.close()
