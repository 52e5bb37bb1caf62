"""Removing the data of a Session from NATS and the object store. Every step may be repeated."""

import logging

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
    results_of_session,
)
from armonik_sdk.dataplane.errors import DataPlaneError, QueueUnavailable, StoreUnavailable
from armonik_sdk.dataplane.queue import purge

log = logging.getLogger(__name__)

UNREACHABLE = (QueueUnavailable, StoreUnavailable, nats.errors.Error, TimeoutError, OSError)
"""What is raised when a server cannot be reached."""
UNANSWERED = (*UNREACHABLE, DataPlaneError, nats.js.errors.Error)
"""The same, and whatever else a server that is coming up may answer."""
_TIMEOUT = 30.0


async def remove_data(servers: Servers, namespace: str, uid: str) -> int:
    """Queue, journal, results, objects: in this order, so that no replay brings back what is gone.

    Returns the number of objects.

    Raises:
        one of UNANSWERED: a server did not answer; the rest stands.
    """
    await purge(servers.client, queue_of_session(namespace, uid))
    js = servers.client.jetstream(timeout=_TIMEOUT)
    await js.purge_stream(JOURNAL, subject=journal_of_session(namespace, uid))
    results = bucket_subject(RESULTS, results_of_session(namespace, uid))
    await js.purge_stream(bucket_stream(RESULTS), subject=results)
    return await servers.objects.delete_many(f"{namespace}/{uid}/")
