"""Removes objects of Tasks that nothing names: when a Task ends, and once a day (protocol rule 7).

An object is removed only when nothing can ever name it. What a run's owners wrote is named by the run's head
and its entry in RESULTS, and no owner but the newest can commit any more. So the objects are listed first,
and then what names them is read. What cannot be read counts as naming everything.
"""

import asyncio
import logging
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from armonik_operator.cache.keys import WorkKey
from armonik_operator.cache.state import ClusterState
from armonik_operator.clients.servers import SERVER_ERRORS, Clients
from armonik_operator.journal.fold import TaskFold
from armonik_sdk.api.const import ConditionType
from armonik_sdk.api.kinds import is_true
from armonik_sdk.api.names import RESULTS, NamespacedName, RunId, as_index, detail_key, inventory_key
from armonik_sdk.api.results import RunResults
from armonik_sdk.dataplane.errors import ChecksumMismatch, ObjectMissing, Unreadable
from armonik_sdk.dataplane.nats.buckets import Bucket
from armonik_sdk.dataplane.record_overflow import load_overflow
from armonik_sdk.dataplane.run_entries import RunEntries
from armonik_sdk.dataplane.s3.listing import Stored
from armonik_sdk.dataplane.s3.store import S3Store

log = logging.getLogger(__name__)

KIND: Final = "garbage"
"""Of keys of the work queue that look through the objects of a Task that has ended."""
OLD: Final = 24 * 3600.0
"""Seconds for which an object is left alone, whoever may have written it."""
AT_ONCE: Final = -math.inf
"""The same of owners when the Task has ended; the store's clock may be ahead of this one."""
FIRST: Final = 3600.0
"""Seconds after the operator's start until the first pass."""
EACH: Final = 24 * 3600.0
"""Seconds between two passes."""
PAGE: Final = 1_000
"""Objects that are looked at at a time."""
PAUSE: Final = 1.0
"""Seconds between two pages."""
CLIENTS: Final = frozenset({"results", "client", "nothing"})
"""Names beside those of a Session's Tasks; what is below them belongs to no Task."""
_OWNERSHIP = re.compile(r"(\d+)-[0-9a-f]+")


@dataclass(frozen=True)
class RunNames:
    """What the head and the entry in RESULTS say of the objects of a run."""

    closed: float
    """Ownerships with a lower epoch can commit nothing any more."""
    named: frozenset[str]
    items: frozenset[str] = frozenset()
    """Objects with the items of children; these name others of the same ownership."""


@dataclass(frozen=True)
class TaskNames:
    """What names the objects of a Task."""

    over: bool = False
    """It has finished, or is gone: it submits nothing any more."""
    details: frozenset[str] = frozenset()
    """Objects with details that its status names, or that the next write will name."""
    runs: Mapping[int, RunNames] = field(default_factory=dict)
    """By first element; of a run that is not in it all is kept."""


def garbage(prefix: str, stored: Iterable[Stored], task: TaskNames, old: float = OLD) -> list[str]:
    """The objects below a Task's prefix that nothing names or can name later.

    Args:
        prefix: of the Task; it ends with a slash.
        stored: its objects, listed before what names them was read.
        task: what names them.
        old: seconds after which what an owner wrote may go.
    """
    return [
        each.key
        for each in stored
        if (parts := each.key.removeprefix(prefix).split("/"))
        and (
            (each.age >= OLD and _nameless(each.key, parts, task))
            or (each.age >= old and _fenced(each.key, parts, task))
        )
    ]


def starts(prefix: str, stored: Iterable[Stored]) -> set[int]:
    """First elements of the runs that objects belong to."""
    parts = (each.key.removeprefix(prefix).split("/") for each in stored)
    return {start for part in parts if len(part) > 1 and (start := as_index(part[0])) is not None}


def leaves_garbage(fold: TaskFold) -> bool:
    """Whether a finished Task had runs with several owners: most had not, and need no listing."""
    return any(run.epoch > 1 for run in fold.runs.values())


def _nameless(key: str, parts: list[str], task: TaskNames) -> bool:
    """Objects of the operator without a name; a reader may still hold their key, so they must be old."""
    if len(parts) == 1:
        if parts[0].startswith("detail-"):
            return key not in task.details
        return task.over and parts[0].startswith("payloads-")
    if len(parts) == 2 and (start := as_index(parts[0])) is not None:
        if parts[1].startswith("message-"):
            return task.over
        run = task.runs.get(start)
        return run is not None and parts[1].startswith("results-") and key not in run.named
    return False


def _fenced(key: str, parts: list[str], task: TaskNames) -> bool:
    """Objects of an owner that can commit nothing more, and has not committed them."""
    start = as_index(parts[0]) if len(parts) > 2 else None
    run = task.runs.get(start) if start is not None else None
    epoch = _OWNERSHIP.fullmatch(parts[1]) if run is not None else None
    if run is None or epoch is None or int(epoch[1]) >= run.closed or key in run.named:
        return False
    ownership = key.removesuffix("/".join(parts[2:]))
    return parts[2].startswith("manifest-") or not any(name.startswith(ownership) for name in run.items)


class Garbage:
    """Removes unnamed objects of living Sessions."""

    def __init__(
        self, servers: Clients, store: S3Store, state: ClusterState, clock: Callable[[], float]
    ) -> None:
        self._servers = servers
        self._store = store
        self._state = state
        self._clock = clock
        self._raw = Bucket(servers.client, RESULTS, RunResults)
        self._entries = RunEntries(servers.client, servers.objects)

    async def run(self) -> None:
        """Make a pass once a day, until cancelled."""
        await asyncio.sleep(FIRST)
        while True:
            try:
                await self.collect(PAUSE)
            except SERVER_ERRORS as error:
                log.warning("removing unnamed objects failed, trying again later: %s", error)
            await asyncio.sleep(EACH)

    async def collect(self, pause: float = 0.0) -> int:
        """Make a pass over all living Sessions, page by page; returns how many objects were removed.

        Raises:
            one of SERVER_ERRORS: a server did not answer.
        """
        removed = 0
        for uid, name in list(self._state.session_names.items()):
            if uid not in self._state.leaving:
                removed += await self._below(
                    NamespacedName(name.namespace, uid), f"{name.namespace}/{uid}/", OLD, pause
                )
        return removed

    async def of_task(self, key: WorkKey) -> float | None:
        """Remove the unnamed objects of one finished Task. A failure is left to the next pass."""
        task = self._state.living(key.name)
        session = task.status.session_uid if task is not None and task.status is not None else ""
        if not session or not self._over(key.name):
            return None
        prefix = f"{key.namespace}/{session}/{key.name}/"
        try:
            await self._below(NamespacedName(key.namespace, session), prefix, AT_ONCE, 0.0)
        except SERVER_ERRORS as error:
            log.info("objects of task %s/%s are left to the next pass: %s", key.namespace, key.name, error)
        return None

    async def _below(self, session: NamespacedName, prefix: str, old: float, pause: float) -> int:
        removed, after = 0, ""
        while page := await self._store.page(prefix, after, PAGE, self._clock()):
            after = page[-1].key
            for task, objects in groupby(page, lambda each: each.key.split("/")[2]):
                if task not in CLIENTS:
                    removed += await self._collect(session, task, list(objects), old)
            if len(page) < PAGE:
                break
            await asyncio.sleep(pause)
        return removed

    async def _collect(self, session: NamespacedName, task: str, stored: list[Stored], old: float) -> int:
        """Remove the unnamed ones of some objects of a Task."""
        prefix = f"{session.namespace}/{session.name}/{task}/"
        aged = [each for each in stored if each.age >= old or each.age >= OLD]
        if not aged:
            return 0
        known = TaskNames(
            over=self._over(task) or await self._gone(session.namespace, task),
            details=self._details(session, task),
            runs={
                start: names
                for start in starts(prefix, aged)
                if (names := await self._names(RunId(session.namespace, session.name, task, start)))
                is not None
            },
        )
        found = garbage(prefix, aged, known, old)
        if found:
            log.info("removing %d objects of task %s that nothing names", len(found), prefix.rstrip("/"))
            await self._store.delete(found)
        return len(found)

    def _over(self, task: str) -> bool:
        known = self._state.living(task)
        status = known.status if known is not None else None
        return status is not None and is_true(status.conditions, ConditionType.FINISHED)

    async def _gone(self, namespace: str, task: str) -> bool:
        """Whether a Task was deleted, and its data is removed elsewhere."""
        if self._state.lives(task) or task in self._state.deleted:
            return False
        return await self._servers.inventory.get(inventory_key(namespace, task)) is None

    def _details(self, session: NamespacedName, task: str) -> frozenset[str]:
        known = self._state.living(task)
        named = {known.status.detail_ref} if known is not None and known.status is not None else set()
        if known is not None:
            named.add(detail_key(session.namespace, session.name, task, self._state.life.epoch))
        return frozenset(named)

    async def _names(self, run: RunId) -> RunNames | None:
        """What names objects of a run; None when its head is missing or something cannot be read."""
        try:
            head = await self._servers.journal.head(run)
            if head is None:
                return None
            record = await load_overflow(self._servers.objects, head.record)
            named = {*record.objects, *(child.items for child in record.children)}
            manifests = [head.record.manifest]
            if (raw := await self._raw.get(run.results)) is not None:
                manifests.append(raw[0].manifest)
            if (kept := await self._entries.get(run.results)) is not None:
                named |= {*kept[0].objects}
        except (ObjectMissing, ChecksumMismatch, Unreadable) as error:
            log.warning("objects of run %s are kept: %s", run.journal, error)
            return None
        named |= {ref.key for ref in manifests if ref is not None}
        closed = math.inf if record.kind.terminal else record.epoch
        return RunNames(closed, frozenset(named), frozenset(child.items for child in record.children))
