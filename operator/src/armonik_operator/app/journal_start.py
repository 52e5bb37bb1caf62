"""Before records are worked on: streams are made, statuses read, and the epoch of the journal is set."""

import asyncio
import logging
from collections.abc import Mapping
from typing import NamedTuple

from nats.aio.client import Client

from armonik_operator.cache.state import ClusterState
from armonik_operator.clients.kube import TASKS, Kube
from armonik_operator.clients.servers import SERVER_ERRORS
from armonik_operator.errors import KubeError, KubeUnavailable
from armonik_operator.journal.backlog import Waiting
from armonik_operator.journal.epoch import JournalEpoch, created
from armonik_operator.journal.loss import JournaledStatus, ended_by
from armonik_operator.journal.replay import Replay
from armonik_operator.sources.cache_sync import CacheSync
from armonik_operator.status.outage import OutageReporter
from armonik_operator.util.index_set import IndexSet
from armonik_sdk.api.ranges import Ranges
from armonik_sdk.dataplane.nats import streams

log = logging.getLogger(__name__)

RETRY_SECONDS = 2.0
SLICE = 500
"""Records that are read in one go."""


class Prepared(NamedTuple):
    """Streams and buckets are there, and the statuses were read."""

    replay: Replay
    snapshots: Mapping[str, streams.Snapshot]
    """Streams and buckets at the start."""


class JournalStart:
    """Compares the journal with the statuses, and sets the epoch of what is written from now on."""

    def __init__(self, kube: Kube, state: ClusterState, watched: CacheSync) -> None:
        self._kube = kube
        self._state = state
        self._watched = watched

    async def prepare(self, client: Client, outage: OutageReporter, *, whole: bool) -> Prepared:
        """Make streams and buckets and read the statuses; tries again until the servers answer.

        `whole`: nothing of the journal may be skipped, as records were lost.
        """
        await self._watched.wait_for_sync(self._kube, self._state.settings.spaces)
        while True:
            try:
                before = await streams.take_snapshots(client)
                await streams.ensure(client, store_bytes=self._state.settings.nats_store_bytes)
                snapshots = await streams.take_snapshots(client)
                created_at, last = await streams.journal_state(client)
                statuses = await self._statuses()
            except (KubeUnavailable, KubeError) as error:
                log.warning("the statuses of Tasks are not read: %s; trying again", error)
            except SERVER_ERRORS as error:
                log.warning("the servers are not ready: %s; trying again", error)
                outage.error = error
            else:
                marks = [known.mark for known in statuses.values()]
                life = JournalEpoch.of(int(created_at.timestamp()), last, marks, self._state.life)
                await self._state.begin_life(life)
                return Prepared(Replay(statuses, whole=whole or before.keys() != snapshots.keys()), snapshots)
            await asyncio.sleep(RETRY_SECONDS)

    async def _statuses(self) -> dict[str, JournaledStatus]:
        """Of all Tasks; none may keep the operator from starting. Only after a loss they are listed."""
        if (delivered := self._watched.statuses()) is not None:
            return delivered
        return {
            obj["metadata"]["uid"]: JournaledStatus.of(obj)
            for space in self._state.settings.spaces
            async for obj in self._kube.each(TASKS, space)
            if obj.get("status")
        }

    async def check_statuses(self, replay: Replay, read: int) -> None:
        """Look for losses that only a status shows, once the journal was read up to `read`.

        Has to be called before any of the records is worked on. A Task may have a million of them.
        """
        state = self._state
        for uid, task in list(state.tasks.items()):
            ended = await _ended(replay.asked(uid, state.inbox.runs.of(uid)))
            if replay.status_contradicts_journal(uid, ended, state.life, created(task), read):
                log.warning("the journal has lost records that the status of task %s knows", uid)
                await state.begin_life(state.life.after_loss())
                return


async def _ended(records: list[Waiting]) -> Ranges:
    """Elements that have ended by these records; others get a turn meanwhile."""
    ended = IndexSet()
    for at in range(0, len(records), SLICE):
        for span in ended_by(records[at : at + SLICE]).spans:
            ended.add(*span)
        await asyncio.sleep(0)
    return ended.ranges
