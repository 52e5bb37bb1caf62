"""Whether the object store can be used; who needs it is queued again when that changes."""

import asyncio
import logging
from collections.abc import Callable

from armonik_operator.cache.keys import WorkKey
from armonik_operator.cache.state import ClusterState
from armonik_operator.util.concurrency import in_portions
from armonik_sdk.api.const import Reason
from armonik_sdk.dataplane.errors import DataPlaneError
from armonik_sdk.dataplane.s3.store import S3Store

log = logging.getLogger(__name__)

RETRY_SECONDS = 2.0


class StoreReadiness:
    """Keeps `ClusterState.store_error`."""

    def __init__(
        self, state: ClusterState, enqueue: Callable[[WorkKey], None], mended: Callable[[str], None]
    ) -> None:
        """`mended` is called with the reason for which Tasks were held back."""
        self._state = state
        self._enqueue = enqueue
        self._mended = mended

    async def make_bucket(self, store: S3Store) -> None:
        """Make the bucket, at some time. Work that needs no store does not wait for it."""
        while True:
            try:
                await store.ensure_bucket()
            except DataPlaneError as error:
                log.warning("the object store is not ready: %s; trying again", error)
                self.note(str(error))
            else:
                self.note("")
                return
            await asyncio.sleep(RETRY_SECONDS)

    def note(self, error: str) -> None:
        """Take in why the store cannot be used; empty when it can."""
        before, self._state.store_error = self._state.store_error, error
        if bool(before) != bool(error):
            keys = [WorkKey("session", *name) for name in self._state.sessions]
            in_portions(map(self._enqueue, keys))
        if not error:
            self._mended(Reason.STORE_UNAVAILABLE)
