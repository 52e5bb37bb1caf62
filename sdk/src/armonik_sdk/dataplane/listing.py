"""Listing the subjects of a stream: all of them, however many, whoever writes meanwhile.

Not by a consumer: what a new one tells of itself may be overtaken by what it delivers, so nats-py's `keys()`
and `watch()` now and then say "nothing there" of a bucket that is full. The stream's own account has no such
race.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from nats.aio.client import Client

from armonik_sdk.dataplane.errors import QueueUnavailable
from armonik_sdk.dataplane.requests import REQUEST_TIMEOUT, UNREACHABLE


class Page(NamedTuple):
    """One answer: the subjects from an offset on, in order, and how many there are in all."""

    subjects: list[str]
    total: int


async def subjects(client: Client, stream: str, pattern: str) -> set[str]:
    """Subjects that match and hold a message, as the stream's leader knows them.

    Whatever stands there all the while is in it; what comes or goes meanwhile may be.

    Raises:
        QueueUnavailable: no usable answer.
    """

    async def read(offset: int) -> Page:
        info = await _info(client, stream, {"subjects_filter": pattern, "offset": offset})
        return Page(sorted(info["state"].get("subjects") or {}), int(info.get("total", 0)))

    return await collect(read)


async def collect(read: Callable[[int], Awaitable[Page]]) -> set[str]:
    """All subjects from pages that may shift between two reads.

    Each page begins with the last subject already known. If it begins behind that one, earlier subjects went
    away and others slipped before the offset unseen: it is read again from further ahead.
    """
    found: set[str] = set()
    last, offset, back = "", 0, 1
    while True:
        page, total = await read(offset)
        if offset > 0 and (not page or page[0] > last):
            offset, back = max(0, offset - back), back * 2
            continue
        found.update(page)
        if offset + len(page) >= total:
            return found
        last, offset, back = page[-1], offset + len(page) - 1, 1


async def _info(client: Client, stream: str, request: dict[str, Any]) -> dict[str, Any]:
    try:
        answer = await client.request(
            f"$JS.API.STREAM.INFO.{stream}", json.dumps(request).encode(), timeout=REQUEST_TIMEOUT * 4
        )
    except UNREACHABLE as error:
        raise QueueUnavailable(f"stream {stream} could not be listed: {error}") from error
    info: dict[str, Any] = json.loads(answer.data)
    if "error" in info:
        raise QueueUnavailable(f"stream {stream} could not be listed: {info['error'].get('description')}")
    return info
