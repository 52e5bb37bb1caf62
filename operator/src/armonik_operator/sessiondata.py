"""Removing the data of a Session from NATS and the object store. Every step may be repeated."""

import logging
from collections.abc import Mapping

import nats.errors
import nats.js.errors

from armonik_operator.state import Servers
from armonik_sdk.api.names import (
    JOURNAL,
    RESULTS,
    bucket_stream,
    bucket_subject,
    journal_of_session,
    queue_of_session,
    result_key,
    results_of_session,
)
from armonik_sdk.api.records import ResultState
from armonik_sdk.dataplane.errors import DataPlaneError, QueueUnavailable, StoreUnavailable
from armonik_sdk.dataplane.queue import purge

log = logging.getLogger(__name__)

UNREACHABLE = (QueueUnavailable, StoreUnavailable, nats.errors.Error, TimeoutError, OSError)
"""What is raised when a server cannot be reached."""
UNANSWERED = (*UNREACHABLE, DataPlaneError, nats.js.errors.Error)
"""The same, and whatever else a server that is coming up may answer."""
_TIMEOUT = 30.0


async def remove_data(servers: Servers, namespace: str, uid: str, *, purging: bool = False) -> int:
    """Queue, journal, results, objects: in this order, so that no replay brings back what is gone.

    A purge leaves the results that are marked for manual deletion. Returns the number of objects.

    Raises:
        one of UNANSWERED: a server did not answer; the rest stands.
    """
    await purge(servers.client, queue_of_session(namespace, uid))
    js = servers.client.jetstream(timeout=_TIMEOUT)
    await js.purge_stream(JOURNAL, subject=journal_of_session(namespace, uid))
    kept = await _kept(servers, namespace, uid) if purging else {}
    for pattern in (
        await _patterns(servers, namespace, uid, kept) if kept else {results_of_session(namespace, uid)}
    ):
        await js.purge_stream(bucket_stream(RESULTS), subject=bucket_subject(RESULTS, pattern))
    return await servers.objects.delete_many(f"{namespace}/{uid}/", keep=set(kept.values()))


async def _kept(servers: Servers, namespace: str, uid: str) -> dict[str, str]:
    """Complete results that are marked for manual deletion: keys of their entries and of their objects."""
    keys = await servers.results.keys(result_key(namespace, uid, ">"))
    entries = await servers.results.get_many(keys)
    return {
        key: entry.ref.key
        for key, entry in entries.items()
        if entry.manual_deletion and entry.state is ResultState.COMPLETED and entry.ref is not None
    }


async def _patterns(servers: Servers, namespace: str, uid: str, kept: Mapping[str, str]) -> set[str]:
    """What to purge of RESULTS so that nothing but the kept keys stands: Task by Task, result by result."""
    own = result_key(namespace, uid, "")
    keys = await servers.results.keys(results_of_session(namespace, uid))
    tasks = {".".join(key.split(".")[:3]) + ".>" for key in keys if not key.startswith(own)}
    return tasks | {key for key in keys if key.startswith(own) and key not in kept}
