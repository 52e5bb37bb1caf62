"""Bands of priority of Partitions: a consumer is made, announced to the agents, and only then used."""

import asyncio
from collections.abc import Mapping

import nats.js.errors

from armonik_operator.clients.servers import Clients
from armonik_sdk.api.kinds import Item, TaskOptions
from armonik_sdk.api.names import DEFAULT_BAND, NamespacedName, band_of, bands_key
from armonik_sdk.api.ranges import Span
from armonik_sdk.api.records import BandsInUse
from armonik_sdk.dataplane.errors import QueueUnavailable
from armonik_sdk.dataplane.nats.requests import UNREACHABLE
from armonik_sdk.dataplane.nats.streams import delete_consumers, ensure_consumer


class PriorityBands:
    """Opens a band when something is queued in it for the first time; it stays open with its Partition."""

    def __init__(self, servers: Clients) -> None:
        self._servers = servers
        self._open: set[tuple[NamespacedName, int]] = set()
        self._lock = asyncio.Lock()

    async def open(self, place: NamespacedName, band: int) -> None:
        """Make sure that agents look into the band.

        Raises:
            QueueUnavailable: no answer.
        """
        if band == DEFAULT_BAND or (place, band) in self._open:  # the Partition opens the lowest
            return
        async with self._lock:
            if (place, band) not in self._open:
                await self._ensure(place, band)
                await self._tell(place, band)
                self._open.add((place, band))

    async def restore(self, place: NamespacedName) -> None:
        """Make sure that every band in use has its consumer.

        Raises:
            QueueUnavailable: no answer.
        """
        known = await self._servers.bands.get(bands_key(*place))
        for band in (DEFAULT_BAND, *(known[0].bands if known is not None else ())):
            await self._ensure(place, band)

    async def remove(self, place: NamespacedName) -> None:
        """The Partition is gone."""
        await delete_consumers(self._servers.client, *place)
        await self._servers.bands.delete(bands_key(*place))
        self._open = {(where, band) for where, band in self._open if where != place}

    def reconnected(self) -> None:
        """NATS is back, perhaps without its newest consumers."""
        self._open.clear()

    async def _ensure(self, place: NamespacedName, band: int) -> None:
        try:
            await ensure_consumer(self._servers.client, *place, band)
        except (*UNREACHABLE, nats.js.errors.APIError) as error:
            raise QueueUnavailable(f"no consumer of band {band} of partition {place}: {error}") from error

    async def _tell(self, place: NamespacedName, band: int) -> None:
        def with_it(known: BandsInUse | None) -> BandsInUse | None:
            bands = known.bands if known is not None else ()
            return None if band in bands else BandsInUse(bands=tuple(sorted({*bands, band})))

        await self._servers.bands.change(bands_key(*place), with_it)


def band_of_run(options: TaskOptions, items: Mapping[int, Item] | None, span: Span) -> int:
    """A run is queued where the most urgent of its elements belongs."""
    here = (items.get(index) for index in range(*span)) if items is not None else ()
    own = [item.options.priority for item in here if item is not None and item.options is not None]
    return band_of(max([options.priority or 0, *(priority for priority in own if priority)]))
