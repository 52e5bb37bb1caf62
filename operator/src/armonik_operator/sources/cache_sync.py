"""Waits until the watches have delivered every existing object, and keeps what statuses say until then.

Each kind has a watch of its own, and none waits for another or for the journal. Until all have delivered
their first list, an object that was not delivered yet looks deleted: children of a Session that seems to be
deleted would never be made, and a closed Session would be over whose Tasks are not known.

The metadata of all objects is listed once. What was made later does not count, so a user who makes objects
all the time does not keep the operator from its work. Specs and statuses come from the watches alone.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, NamedTuple

from armonik_operator.clients.kube import PARTITIONS, SESSIONS, TASKS, Kind, Kube
from armonik_operator.errors import KubeError, KubeUnavailable, NotFound, WatchEnded
from armonik_operator.journal.loss import JournaledStatus
from armonik_sdk.backoff import Backoff

log = logging.getLogger(__name__)

FEW: Final = 100
"""Objects that are read one by one; of more the metadata is listed again."""
_MIN_DELAY: Final = 0.5
_MAX_DELAY: Final = 10.0
"""Seconds without an event after which what is missing is looked for: only what was deleted before the watch
began, or is behind, needs that."""
STALLED_SECONDS: Final = 120.0
"""Seconds without an event, while the apiserver answers, after which a watch is taken for dead: a slow one
delivers many objects in this time."""


class _Listed(NamedTuple):
    kind: Kind
    namespace: str
    name: str
    version: str


class CacheSync:
    """Versions that the watches have delivered, by UID, until they have delivered all."""

    def __init__(self, deliver: Callable[[str, str | None, dict[str, Any]], None]) -> None:
        """`deliver` takes in an event that the watch owes; it has to call `note`."""
        self._deliver = deliver
        self._delivered: dict[str, str] | None = {}
        self._statuses: dict[str, JournaledStatus] = {}
        self._missing: dict[str, _Listed] = {}
        self._progress = asyncio.Event()

    def note(self, plural: str, obj: Mapping[str, Any], *, deleted: bool = False) -> None:
        """The watch delivered an object, or its deletion."""
        if self._delivered is None:
            return
        uid, version = obj["metadata"]["uid"], obj["metadata"].get("resourceVersion", "")
        if deleted:
            self._delivered.pop(uid, None)
            self._statuses.pop(uid, None)
        else:
            self._delivered[uid] = version
            if plural == TASKS.plural and obj.get("status"):
                self._statuses[uid] = JournaledStatus.of(obj)
        missing = self._missing.get(uid)
        if missing is not None and (deleted or not _behind(version, missing.version)):
            del self._missing[uid]
            self._progress.set()

    def statuses(self) -> dict[str, JournaledStatus] | None:
        """What the statuses of all Tasks say, by UID, as delivered; once, and None from then on."""
        if self._delivered is None:
            return None
        found, self._statuses, self._delivered = self._statuses, {}, None
        return found

    async def wait_for_sync(self, kube: Kube, spaces: Collection[str | None]) -> None:
        """Wait until the watches have delivered all Sessions, Partitions and Tasks that exist now.

        Raises:
            WatchEnded: they deliver nothing, although the apiserver lists what they owe.
        """
        while self._delivered is not None:
            try:
                there = await _all(kube, spaces)
            except (KubeUnavailable, KubeError) as error:
                log.warning("the existing objects are not listed: %s; trying again", error)
                await asyncio.sleep(_MIN_DELAY)
                continue
            known = self._delivered
            self._missing = {
                uid: listed
                for uid, listed in there.items()
                if uid not in known or _behind(known[uid], listed.version)
            }
            break
        backoff, moved = Backoff(_MIN_DELAY, _MAX_DELAY), time.monotonic()
        while self._missing:
            before = len(self._missing)
            self._progress.clear()
            # Not wait_for: on Python 3.11 it may swallow a cancellation.
            try:
                async with asyncio.timeout(backoff.seconds):
                    await self._progress.wait()
            except TimeoutError:
                log.info("the watches have not delivered %d objects yet", len(self._missing))
                try:
                    await self._look(kube, spaces)
                except (KubeUnavailable, KubeError):  # the next round asks again
                    moved = time.monotonic()
                backoff.failed()
            if len(self._missing) < before:
                moved = time.monotonic()
            elif time.monotonic() - moved > STALLED_SECONDS:
                raise WatchEnded(
                    f"the watches have not delivered {before} objects for {STALLED_SECONDS:.0f} s"
                )

    async def _look(self, kube: Kube, spaces: Collection[str | None]) -> None:
        """Look for what is missing: it may be deleted."""
        if len(self._missing) > FEW:
            there = await _all(kube, spaces)
            self._missing = {uid: listed for uid, listed in self._missing.items() if uid in there}
            return
        for uid, listed in list(self._missing.items()):
            try:
                found = await kube.get(listed.kind, listed.name, listed.namespace)
            except NotFound:
                found = None
            if found is None or found["metadata"]["uid"] != uid:
                self._missing.pop(uid, None)
            elif uid in self._missing:
                self._deliver(listed.kind.plural, "MODIFIED", found)


async def _all(kube: Kube, spaces: Collection[str | None]) -> dict[str, _Listed]:
    places = [(kind, space) for kind in (SESSIONS, PARTITIONS, TASKS) for space in spaces]
    return {
        meta["uid"]: _Listed(kind, meta["namespace"], meta["name"], meta.get("resourceVersion", ""))
        for kind, space in places
        async for meta in kube.metadata(kind, space)
    }


def _behind(version: str, listed: str) -> bool:
    """Whether what was delivered is older than what was listed; versions that are no numbers do not say."""
    return version.isdecimal() and listed.isdecimal() and int(version) < int(listed)
