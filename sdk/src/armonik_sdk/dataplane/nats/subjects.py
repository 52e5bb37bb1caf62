"""Lists all subjects of a stream, also many and during writes.

Not by a consumer: the state of a new one may arrive after its messages, so nats-py's `keys()`
and `watch()` sometimes report a full bucket as empty. The stream's own account has no such
race.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

from nats.aio.client import Client
from pydantic_core import from_json

from armonik_sdk.dataplane.errors import QueueUnavailable
from armonik_sdk.dataplane.nats.connection import api_prefix
from armonik_sdk.dataplane.nats.requests import REQUEST_TIMEOUT, UNREACHABLE

AT_ONCE: Final = 2_000
"""Subjects that a caller gets at once: a page of the server has 100,000, which would hold the loop."""


class Page(NamedTuple):
    """One answer: the subjects from an offset on, in order, and how many there are in all."""

    subjects: list[str]
    total: int


class Pages:
    """Subjects from pages that may shift between two reads, one page in memory at a time.

    Subjects that exist during the whole listing are in them; those that come or go meanwhile may be.

    Each page begins with the last subject already known. If it begins behind that one, earlier subjects went
    away and others slipped before the offset unseen: it is read again from further ahead.
    """

    def __init__(self, read: Callable[[int], Awaitable[Page]]) -> None:
        self._read = read
        self._last, self._offset, self._back = "", 0, 1
        self._over = False
        self._page: list[str] = []
        """New subjects of the page that was read last."""
        self._given = 0
        """Of them."""

    async def next(self) -> list[str]:
        """The next subjects, ascending, `AT_ONCE` at most; empty when there are no more.

        Others get a turn before each. After an error it may be called again.

        Raises:
            QueueUnavailable: no usable answer.
        """
        if self._given >= len(self._page):
            self._page, self._given = await self._following(), 0
        await asyncio.sleep(0)
        part = self._page[self._given : self._given + AT_ONCE]
        self._given += len(part)
        return part

    async def _following(self) -> list[str]:
        """What is new in the next page."""
        self._page = []  # two of them are never in memory
        while not self._over:
            page, total = await self._read(self._offset)
            if self._offset > 0 and (not page or page[0] > self._last):
                self._offset, self._back = max(0, self._offset - self._back), self._back * 2
                continue
            new = [subject for subject in page if subject > self._last]
            self._over = not page or self._offset + len(page) >= total
            if not self._over:
                self._last, self._offset, self._back = page[-1], self._offset + len(page) - 1, 1
            if new:
                return new
        return []


def pages(client: Client, stream: str, pattern: str) -> Pages:
    """Subjects that match and hold a message, as the stream's leader knows them."""

    async def read(offset: int) -> Page:
        info = await _info(client, stream, {"subjects_filter": pattern, "offset": offset})
        return Page(sorted(info["state"].get("subjects") or {}), int(info.get("total", 0)))

    return Pages(read)


async def subjects(client: Client, stream: str, pattern: str) -> set[str]:
    """The same, all at once.

    Raises:
        QueueUnavailable: no usable answer.
    """
    return await collect(pages(client, stream, pattern))


async def collect(left: Pages) -> set[str]:
    """All that is left."""
    found: set[str] = set()
    while page := await left.next():
        found.update(page)
    return found


async def _info(client: Client, stream: str, request: dict[str, Any]) -> dict[str, Any]:
    try:
        answer = await client.request(
            f"{api_prefix(client)}.STREAM.INFO.{stream}",
            json.dumps(request).encode(),
            timeout=REQUEST_TIMEOUT * 4,
        )
    except UNREACHABLE as error:
        raise QueueUnavailable(f"stream {stream} could not be listed: {error}") from error
    info: dict[str, Any] = from_json(answer.data, cache_strings="none")  # in half the time of `json`
    if "error" in info:
        raise QueueUnavailable(f"stream {stream} could not be listed: {info['error'].get('description')}")
    return info
