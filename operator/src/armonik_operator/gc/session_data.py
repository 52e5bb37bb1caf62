"""Removes the data of a Session from NATS and the object store. Every step may be repeated."""

import logging
from collections.abc import Collection, Sequence

from armonik_operator.clients.servers import Clients
from armonik_operator.util.concurrency import gather_bounded
from armonik_sdk.api.names import (
    JOURNAL,
    RESULTS,
    bucket_stream,
    bucket_subject,
    journal_of_session,
    queue_of_session,
    result_key,
    results_of_session,
    uploads,
)
from armonik_sdk.api.results import ResultEntry, ResultState
from armonik_sdk.dataplane.nats.queue import purge

log = logging.getLogger(__name__)

_TIMEOUT = 30.0
AT_ONCE = 1_000
"""Entries of results that are in memory at a time."""


async def remove_data(servers: Clients, namespace: str, uid: str, *, purging: bool = False) -> int:
    """Remove queue, journal, results, objects: in this order, so that no replay restores removed data.

    A purge leaves the results that are marked for manual deletion. Returns the number of objects.

    Raises:
        one of SERVER_ERRORS: a server did not answer; the rest is still there.
    """
    await purge(servers.client, queue_of_session(namespace, uid))
    await _purge(servers, JOURNAL, journal_of_session(namespace, uid))
    kept = KeptResults(servers, namespace, uid)
    prefix = f"{namespace}/{uid}/"
    if purging and await kept.any():
        await kept.purge_others()
        return await servers.objects.delete_many(prefix, kept.objects)
    await _purge(servers, bucket_stream(RESULTS), bucket_subject(RESULTS, results_of_session(namespace, uid)))
    return await servers.objects.delete_many(prefix)


async def _purge(servers: Clients, stream: str, subject: str) -> None:
    await servers.client.jetstream(timeout=_TIMEOUT).purge_stream(stream, subject=subject)


class KeptResults:
    """Complete results of a Session that are marked for manual deletion; read a page at a time."""

    def __init__(self, servers: Clients, namespace: str, uid: str) -> None:
        self._servers = servers
        self._own = result_key(namespace, uid, "")
        self._all = results_of_session(namespace, uid)
        self._uploads = uploads(namespace, uid)
        self._elsewhere: set[str] = set()
        """Their objects that are not where clients of ours put them."""

    async def any(self) -> bool:
        """Whether there is one."""
        bucket = self._servers.results
        async for part in bucket.key_parts(f"{self._own}>", AT_ONCE):
            if any(map(_stays, (await bucket.get_many(part)).values())):
                return True
        return False

    async def purge_others(self) -> None:
        """Purge all other entries of the Session: by Task, by result."""
        bucket, last = self._servers.results, ""
        async for part in bucket.key_parts(self._all, AT_ONCE):
            own = [key for key in part if key.startswith(self._own)]
            for task in sorted({key.split(".")[2] for key in part} - {"result", last}):
                pattern = f"{self._own.removesuffix('result.')}{task}.>"
                await _purge(self._servers, bucket_stream(RESULTS), bucket_subject(RESULTS, pattern))
                last = task
            entries = await bucket.get_many(own)
            staying = {key: entry for key, entry in entries.items() if _stays(entry)}
            for key, entry in staying.items():
                self._note(key.removeprefix(self._own), entry)
            await gather_bounded(bucket.delete, [key for key in own if key not in staying])

    async def objects(self, keys: Sequence[str]) -> Collection[str]:
        """Those of these objects that hold a result that stays. To be asked after the others are purged."""
        ids = {key: self._id_of(key) for key in keys}
        wanted = {f"{self._own}{result}" for result in ids.values() if result}
        entries = await self._servers.results.get_many(wanted)
        named = {entry.ref.key for entry in entries.values() if _stays(entry) and entry.ref is not None}
        return (named | self._elsewhere).intersection(keys)

    def _note(self, result: str, entry: ResultEntry) -> None:
        if entry.ref is not None and self._id_of(entry.ref.key) != result:
            self._elsewhere.add(entry.ref.key)

    def _id_of(self, key: str) -> str:
        """The result that an upload is of, by its key; empty for other objects."""
        if not key.startswith(self._uploads):
            return ""
        return key.removeprefix(self._uploads).rpartition("/")[0]


def _stays(entry: ResultEntry) -> bool:
    return entry.manual_deletion and entry.state is ResultState.COMPLETED and entry.ref is not None
