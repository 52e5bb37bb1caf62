"""Collects what belongs to nobody any more: data of dead Sessions, abandoned uploads, consumers, CONTROL.

A stale agent may write after everything of its Session was removed, and a deletion may have given up on a
server that did not answer (protocol step L4). So once in a while the data is listed and compared with what
lives. Only Sessions that this installation has known are touched: they have an entry in CONTROL. So a bucket
may be shared.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from armonik_operator.adapters.kube import PARTITIONS, PODS, SESSIONS, TASKS, Kind
from armonik_operator.bands import Bands
from armonik_operator.errors import KubeUnavailable
from armonik_operator.load import Place
from armonik_operator.sessiondata import UNANSWERED, remove_data
from armonik_operator.settings import Settings
from armonik_operator.state import Servers
from armonik_sdk.api.const import PARTITION_LABEL
from armonik_sdk.api.names import (
    ALL_RECORDS,
    JOURNAL,
    QUEUE,
    bands_key,
    control_key,
    result_key,
    uploads,
)
from armonik_sdk.dataplane.listing import subjects
from armonik_sdk.dataplane.objects import S3Store
from armonik_sdk.dataplane.topology import consumers

log = logging.getLogger(__name__)

YOUNG = 3600.0
"""Seconds for which data of a Session that is gone is left alone: somebody may still be at work."""
ABANDONED = 24 * 3600.0
"""Seconds after which an upload that no result names is taken for one that nobody will complete."""
FORGET = 24 * 3600.0
"""Seconds after which CONTROL forgets who is gone."""
AT_ONCE = 1_000
"""Entries that one pass removes at most; the next goes on."""

Owner = tuple[str, str]
"""Namespace and UID."""


@dataclass
class Living:
    """What there is: UIDs, and of Partitions namespace and name."""

    sessions: set[str] = field(default_factory=set)
    others: set[str] = field(default_factory=set)
    """Tasks and pods."""
    partitions: set[tuple[str, str]] = field(default_factory=set)


class Housekeeper:
    """One pass after the other; what it finds without an owner goes when it is old enough."""

    def __init__(
        self, servers: Servers, bands: Bands, store: S3Store, settings: Settings, clock: Callable[[], float]
    ) -> None:
        self._servers = servers
        self._bands = bands
        self._store = store
        self._settings = settings
        self._clock = clock
        self._orphans: dict[Owner, float] = {}

    async def tidy(self) -> None:
        """One pass. A server that does not answer ends it; the next begins anew."""
        try:
            records, objects = await self._with_records(), await self._with_objects()
            keys = await self._servers.control.keys()
            queues = await consumers(self._servers.client, QUEUE)
            living = await self._living()  # after the data, so that nothing new is taken for old
            await self._collect(records, objects, keys, living)
            for owner in sorted(objects):
                if owner[1] in living.sessions:
                    await self._collect_uploads(*owner)
            await self._forget(keys, records, living)
            for namespace, partition in queues:
                if self._settings.serves(namespace) and (namespace, partition) not in living.partitions:
                    log.info("removing the consumer of partition %s/%s, which is gone", namespace, partition)
                    await self._bands.remove(Place(namespace, partition))
        except (*UNANSWERED, KubeUnavailable) as error:
            log.warning("tidying goes on later: %s", error)

    async def _with_records(self) -> set[Owner]:
        journal = await subjects(self._servers.client, JOURNAL, ALL_RECORDS)
        found = [subject.split(".")[2:4] for subject in journal]
        found += [key.split(".")[:2] for key in await self._servers.results.keys()]
        return {(namespace, uid) for namespace, uid in found if self._settings.serves(namespace)}

    async def _with_objects(self) -> set[Owner]:
        """Some servers show a folder for a while after its last object went."""
        found: set[Owner] = set()
        for namespace in await self._store.folders(""):
            if self._settings.serves(namespace):
                found |= {(namespace, uid) for uid in await self._store.folders(f"{namespace}/")}
        return found

    async def _living(self) -> Living:
        living = Living()
        living.sessions = {obj["metadata"]["uid"] for obj in await self._list(SESSIONS)}
        for kind, labels in ((TASKS, ""), (PODS, PARTITION_LABEL)):
            living.others |= {obj["metadata"]["uid"] for obj in await self._list(kind, labels)}
        found = await self._list(PARTITIONS)
        living.partitions = {(obj["metadata"]["namespace"], obj["metadata"]["name"]) for obj in found}
        return living

    async def _list(self, kind: Kind, labels: str = "") -> list[dict[str, dict[str, str]]]:
        spaces = self._settings.spaces
        return [obj for space in spaces for obj in await self._servers.kube.list(kind, space, labels=labels)]

    async def _collect(
        self, records: set[Owner], objects: set[Owner], keys: set[str], living: Living
    ) -> None:
        now = self._clock()
        known = {owner for owner in records | objects if control_key(*owner) in keys}
        orphans = {owner for owner in known if owner[1] not in living.sessions}
        self._orphans = {owner: self._orphans.get(owner, now) for owner in orphans}
        for owner in orphans:
            entry = await self._servers.control.get(control_key(*owner))
            since = min(self._orphans[owner], entry[0].at if entry is not None else now)
            if now - since < YOUNG:
                continue
            removed = await remove_data(self._servers, *owner)
            if removed or owner in records:
                log.info("removed what was left of a session that is gone: %s/%s", *owner)

    async def _collect_uploads(self, namespace: str, uid: str) -> None:
        """Uploads of a living Session that no result names: broken off, or another one came first."""
        since = datetime.fromtimestamp(self._clock() - ABANDONED, UTC)
        if broken := await self._store.give_up(uploads(namespace, uid), since):
            log.info("dropped %d uploads of session %s/%s that were broken off", broken, namespace, uid)
        ages = await self._store.ages(uploads(namespace, uid), self._clock())
        old = {key for key, age in ages.items() if age >= ABANDONED}
        if not old:
            return
        results = self._servers.results
        entries = await results.get_many(await results.keys(result_key(namespace, uid, ">")))
        named = {entry.ref.key for entry in entries.values() if entry.ref is not None}
        if orphans := old - named:
            log.info(
                "removing %d uploads of session %s/%s that no result names", len(orphans), namespace, uid
            )
            await self._store.delete(orphans)

    async def _forget(self, keys: set[str], records: set[Owner], living: Living) -> None:
        """Entries of Sessions without data, Tasks and pods that are gone for long."""
        there = living.sessions | living.others
        gone = []
        of_partitions = {bands_key(*partition) for partition in living.partitions}
        for key in sorted(keys - of_partitions):
            namespace, *_, uid = key.split(".")
            if self._settings.serves(namespace) and uid not in there and (namespace, uid) not in records:
                gone.append(key)
        old = await self._servers.control.get_many(gone[:AT_ONCE])
        for key, control in old.items():
            if self._clock() - control.at >= FORGET:
                await self._servers.control.delete(key)
