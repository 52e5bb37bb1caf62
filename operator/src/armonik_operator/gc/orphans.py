"""Removes data without an owner: of deleted Sessions, abandoned uploads, consumers, CONTROL entries.

A stale agent may write after all data of its Session was removed, and a deletion may have given up on a
server that did not answer; only the operator deletes (protocol rule 7). So the data is listed periodically
and compared with the existing objects. Only Sessions of this installation are touched: they have an entry in
CONTROL. So a bucket may be shared.
"""

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from armonik_operator.clients.kube import PARTITIONS, PODS, SESSIONS, TASKS, Kind
from armonik_operator.clients.servers import SERVER_ERRORS, Clients
from armonik_operator.errors import KubeError, KubeUnavailable
from armonik_operator.gc.session_data import remove_data
from armonik_operator.queueing.priority_bands import PriorityBands
from armonik_operator.settings import Settings
from armonik_operator.util.concurrency import gather_bounded, in_turns
from armonik_sdk.api.const import PARTITION_LABEL
from armonik_sdk.api.names import (
    ALL_RECORDS,
    JOURNAL,
    QUEUE,
    NamespacedName,
    bands_key,
    control_key,
    environments,
    result_key,
    uploads,
)
from armonik_sdk.dataplane.nats.streams import consumers
from armonik_sdk.dataplane.nats.subjects import pages
from armonik_sdk.dataplane.s3.store import S3Store

log = logging.getLogger(__name__)

YOUNG = 3600.0
"""Seconds for which data of a Session that is gone is left alone: somebody may still be at work."""
ABANDONED = 24 * 3600.0
"""Seconds after which an upload that no result names is taken for one that nobody will complete."""
FORGET = 24 * 3600.0
"""Seconds after which CONTROL forgets who is gone."""
AT_ONCE = 1_000
"""Entries that are in memory at a time."""

Owner = tuple[str, str]
"""Namespace and UID."""


@dataclass
class Living:
    """Existing objects: UIDs, and of Partitions namespace and name."""

    sessions: set[str] = field(default_factory=set)
    others: set[str] = field(default_factory=set)
    """Tasks and pods."""
    partitions: set[tuple[str, str]] = field(default_factory=set)


class OrphanCollector:
    """Removes data without an owner once it is old enough, one pass at a time."""

    def __init__(
        self,
        servers: Clients,
        bands: PriorityBands,
        store: S3Store,
        settings: Settings,
        clock: Callable[[], float],
    ) -> None:
        self._servers = servers
        self._bands = bands
        self._store = store
        self._settings = settings
        self._clock = clock
        self._orphans: dict[Owner, float] = {}

    async def collect(self) -> None:
        """Make one pass. A server that does not answer ends it; the next pass starts from the beginning."""
        try:
            records, objects = await self._with_records(), await self._with_objects()
            keys = await self._servers.control.keys()
            queues = await consumers(self._servers.client, QUEUE)
            living = await self._living()  # after the data, so that nothing new is taken for old
            await self._collect(records, objects, keys, living)
            async for owner in in_turns(sorted(objects)):
                if owner[1] in living.sessions:
                    await self._collect_uploads(*owner)
            for namespace in sorted({each[0] for each in objects}):
                await self._store.give_up(environments(namespace), self._abandoned())
            await self._forget(keys, records, living)
            for namespace, partition in queues:
                if self._settings.serves(namespace) and (namespace, partition) not in living.partitions:
                    log.info("removing the consumers of deleted partition %s/%s", namespace, partition)
                    await self._bands.remove(NamespacedName(namespace, partition))
        except (*SERVER_ERRORS, KubeUnavailable, KubeError) as error:
            log.warning("collecting orphans was interrupted, trying again later: %s", error)

    async def _with_records(self) -> set[Owner]:
        """Owners of records, read in parts: of a million subjects only their owners are kept."""
        found: set[Owner] = set()
        journal, results = (
            pages(self._servers.client, JOURNAL, ALL_RECORDS),
            self._servers.results.key_pages(),
        )
        while records := await journal.next():
            found |= {owner(parts) for subject in records if len(parts := subject.split(".")[2:4]) == 2}
        while keys := await results.next():
            found |= {owner(parts) for key in keys if len(parts := key.split(".")[:2]) == 2}
        return {each async for each in in_turns(found) if self._settings.serves(each[0])}

    async def _with_objects(self) -> set[Owner]:
        """Owners of objects. Some servers list a folder for a while after its last object was deleted."""
        found: set[Owner] = set()
        for namespace in await self._store.folders(""):
            if self._settings.serves(namespace):
                found |= {(namespace, uid) for uid in await self._store.folders(f"{namespace}/")}
        return found

    async def _living(self) -> Living:
        living = Living()
        living.sessions = {meta["uid"] for meta in await self._metadata(SESSIONS)}
        for kind, labels in ((TASKS, ""), (PODS, PARTITION_LABEL)):
            living.others |= {meta["uid"] for meta in await self._metadata(kind, labels)}
        found = await self._metadata(PARTITIONS)
        living.partitions = {(meta["namespace"], meta["name"]) for meta in found}
        return living

    async def _metadata(self, kind: Kind, labels: str = "") -> list[dict[str, str]]:
        kube, spaces = self._servers.kube, self._settings.spaces
        return [
            {part: meta[part] for part in ("uid", "namespace", "name")}
            for space in spaces
            async for meta in kube.metadata(kind, space, labels=labels)
        ]

    async def _collect(
        self, records: set[Owner], objects: set[Owner], keys: set[str], living: Living
    ) -> None:
        now = self._clock()
        orphans = {
            owner
            async for owner in in_turns(records | objects)
            if owner[1] not in living.sessions and control_key(*owner) in keys
        }
        self._orphans = {owner: self._orphans.get(owner, now) for owner in orphans}
        for owner in orphans:
            entry = await self._servers.control.get(control_key(*owner))
            since = min(self._orphans[owner], entry[0].at if entry is not None else now)
            if now - since < YOUNG:
                continue
            removed = await remove_data(self._servers, *owner)
            if removed or owner in records:
                log.info("removed the data left of deleted session %s/%s", *owner)

    async def _collect_uploads(self, namespace: str, uid: str) -> None:
        """Remove uploads of a living Session that no result names: broken off, or superseded.

        Of incomplete uploads also those of agents.
        """
        if broken := await self._store.give_up(f"{namespace}/{uid}/", self._abandoned()):
            log.info("dropped %d incomplete uploads of session %s/%s", broken, namespace, uid)
        prefix, after = uploads(namespace, uid), ""
        while page := await self._store.page(prefix, after, AT_ONCE, self._clock()):
            after = page[-1].key
            old = {each.key for each in page if each.age >= ABANDONED}
            # The key of an upload says whose it is, so only these results are read.
            ids = {key.removeprefix(prefix).rpartition("/")[0] for key in old}
            entries = await self._servers.results.get_many(result_key(namespace, uid, each) for each in ids)
            named = {entry.ref.key for entry in entries.values() if entry.ref is not None}
            if orphans := old - named:
                log.info(
                    "removing %d uploads of session %s/%s that no result names", len(orphans), namespace, uid
                )
                await self._store.delete(orphans)

    def _abandoned(self) -> datetime:
        """What was begun before is continued by nobody."""
        return datetime.fromtimestamp(self._clock() - ABANDONED, UTC)

    async def _forget(self, keys: set[str], records: set[Owner], living: Living) -> None:
        """Delete CONTROL entries of Sessions without data, and of Tasks and pods deleted a day ago."""
        there = living.sessions | living.others
        gone = []
        of_partitions = {bands_key(*partition) async for partition in in_turns(living.partitions)}
        async for key in in_turns(sorted(keys - of_partitions)):
            namespace, *_, uid = key.split(".")
            if self._settings.serves(namespace) and uid not in there and (namespace, uid) not in records:
                gone.append(key)
        for at in range(0, len(gone), AT_ONCE):
            found = await self._servers.control.get_many(gone[at : at + AT_ONCE])
            old = [key for key, control in found.items() if self._clock() - control.at >= FORGET]
            await gather_bounded(self._servers.control.delete, old)


def owner(parts: list[str]) -> Owner:
    """Namespace and Session's UID: one object each for all records of a Session."""
    return sys.intern(parts[0]), sys.intern(parts[1])
