"""The NATS server's time, with which the times in records are compared (protocol rule 22)."""

import asyncio
import json
import logging
import time

from nats.aio.client import Client

from armonik_sdk.api.names import JOURNAL
from armonik_sdk.dataplane.errors import QueueUnavailable
from armonik_sdk.dataplane.nats.journal import parse_time
from armonik_sdk.dataplane.nats.requests import REQUEST_TIMEOUT, UNREACHABLE

log = logging.getLogger(__name__)

CALIBRATE_SECONDS = 60.0
"""Between two questions for the server's time."""


class ServerClock:
    """This host's clock, corrected by its offset from the NATS server's."""

    def __init__(self) -> None:
        self._offset = 0.0

    def now(self) -> float:
        """Seconds since the epoch on the server's clock."""
        return time.time() + self._offset

    async def calibrate(self, client: Client) -> None:
        """Ask the server for its time.

        Raises:
            QueueUnavailable: no answer.
        """
        try:
            reply = await client.request(f"$JS.API.STREAM.INFO.{JOURNAL}", b"", timeout=REQUEST_TIMEOUT)
        except UNREACHABLE as error:
            raise QueueUnavailable(f"the server does not answer with its time: {error}") from error
        stamp = json.loads(reply.data).get("ts")
        if stamp:
            self._offset = parse_time(stamp).timestamp() - time.time()

    async def keep(self, client: Client, seconds: float = CALIBRATE_SECONDS) -> None:
        """Ask the server again and again, until cancelled: a host's clock drifts, or is set meanwhile."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await self.calibrate(client)
            except QueueUnavailable as error:
                log.info("%s", error)  # the last known offset is used
