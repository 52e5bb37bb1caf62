"""Objects of a kind and their changes, as long as somebody looks."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from typing import Final

import aiohttp

from armonik_sdk.apiserver import Kind
from armonik_sdk.backoff import Backoff
from armonik_sdk.cli.cluster.access import Cluster
from armonik_sdk.cli.views.reading import Object, text
from armonik_sdk.client.errors import Unavailable
from armonik_sdk.client.transport.shared_watch import Expired

log = logging.getLogger(__name__)

LONGEST_DELAY: Final = 10.0
"""Seconds between attempts while the apiserver does not answer."""

SHORT: Final = 1.0
"""Seconds of a watch that ended before its time."""

Change = tuple[str, list[Object]]
"""`LISTED` for a page of a list, `ADDED`, `MODIFIED` or `DELETED` for one object."""


async def changes(
    cluster: Cluster, kind: Kind, *, everywhere: bool = False, labels: str = "", fields: str = ""
) -> AsyncIterator[Change]:
    """All objects, then what changes, without end; an interruption is made up by another list.

    Objects that a later list brings unchanged are left out. What is kept is a version for each object.
    """
    backoff, known = Backoff(0.5, LONGEST_DELAY), dict[str, str]()
    namespace, first = "" if everywhere else cluster.namespace, True
    while True:
        version = ""
        try:
            async for page in cluster.pages(kind, everywhere=everywhere, labels=labels, fields=fields):
                version = text(page, "metadata", "resourceVersion")
                if fresh := [found for found in page.get("items", ()) if _is_new(known, found)]:
                    yield "LISTED", fresh
            first = False
            while True:
                begun = time.monotonic()
                async for event, found in cluster.kube.watch(
                    kind, namespace, version, labels=labels, fields=fields
                ):
                    version = text(found, "metadata", "resourceVersion")
                    backoff.reset()
                    if event == "DELETED":
                        known.pop(text(found, "metadata", "uid"), None)
                        yield event, [found]
                    elif event != "BOOKMARK" and _is_new(known, found):
                        yield event, [found]
                if time.monotonic() - begun < SHORT:  # a server that closes each watch is not asked in turns
                    await asyncio.sleep(backoff.failed())
        except Expired as error:
            log.info("listing %s again: %s", kind.plural, error)
        except (Unavailable, aiohttp.ClientError, TimeoutError) as error:
            if first:
                raise
            log.warning("%s cannot be watched (%s); trying again", kind.plural, error)
        await asyncio.sleep(backoff.failed())


def _is_new(known: dict[str, str], found: Object) -> bool:
    """Whether this version was not seen yet; it is from now on."""
    uid, version = text(found, "metadata", "uid"), text(found, "metadata", "resourceVersion")
    if known.get(uid) == version:
        return False
    known[uid] = version
    return True
