"""The server's time: what stands in records is compared with no other clock (protocol rule 22)."""

import json
import time

from nats.aio.client import Client

from armonik_sdk.api.names import JOURNAL
from armonik_sdk.dataplane.errors import QueueUnavailable
from armonik_sdk.dataplane.journal import parse_time
from armonik_sdk.dataplane.requests import REQUEST_TIMEOUT, UNREACHABLE


class ServerClock:
    """The NATS server's clock, as far as this host's has to be corrected."""

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
            raise QueueUnavailable(f"the server does not tell its time: {error}") from error
        stamp = json.loads(reply.data).get("ts")
        if stamp:
            self._offset = parse_time(stamp).timestamp() - time.time()
