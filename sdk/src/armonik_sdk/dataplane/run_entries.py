"""The entries of runs in RESULTS: what is too long for an entry is in an object that the entry names."""

import hashlib
import logging

from nats.aio.client import Client
from pydantic import ValidationError

from armonik_sdk.api.bounds import MAX_ELEMENTS, MAX_ENTRY_OBJECT_BYTES
from armonik_sdk.api.errors import explain
from armonik_sdk.api.keys import confined
from armonik_sdk.api.names import RESULTS, run_results_object
from armonik_sdk.api.records import Committed
from armonik_sdk.api.results import RunResults
from armonik_sdk.dataplane.errors import ChecksumMismatch, ObjectMissing, TooLarge, Unreadable
from armonik_sdk.dataplane.nats.buckets import Bucket
from armonik_sdk.dataplane.nats.requests import REQUEST_TIMEOUT
from armonik_sdk.dataplane.s3.store import ObjectStore

log = logging.getLogger(__name__)


class RunEntries(Bucket[RunResults]):
    """As `Bucket`. Reads return the whole entry; writes take entries of any length.

    All reads raise what `read` does, all writes what `_encoded` does.
    """

    def __init__(
        self,
        client: Client,
        store: ObjectStore,
        *,
        lost_is_empty: bool = False,
        timeout: float = REQUEST_TIMEOUT,
    ) -> None:
        """`lost_is_empty`: an entry that cannot be read any more says nothing, so it is written again."""
        super().__init__(client, RESULTS, RunResults, timeout=timeout)
        self._store = store
        self._lost_is_empty = lost_is_empty

    async def read(self, key: str, data: bytes) -> RunResults:
        """The whole entry.

        Raises:
            Unreadable: it is not understood.
            ObjectMissing, ChecksumMismatch, StoreUnavailable: its object cannot be read.
        """
        try:
            namespace, session = key.split(".")[:2]
            entry = confined(await super().read(key, data), namespace, session)
            return confined(await self._whole(entry), namespace, session)
        except (ObjectMissing, ChecksumMismatch, Unreadable) as error:
            if not self._lost_is_empty:
                raise
            log.warning("what is kept of run %s is lost: %s", key, error)
            return RunResults(sequence=0, end=MAX_ELEMENTS)

    async def _whole(self, entry: RunResults) -> RunResults:
        if entry.manifest is None:
            return entry
        try:
            held = Committed.model_validate_json(await self._store.get(entry.manifest))
        except ValidationError as error:
            raise Unreadable(f"object {entry.manifest.key} is not understood: {explain(error)}") from error
        return entry.model_copy(update={"outcomes": held.outcomes, "objects": held.objects, "manifest": None})

    async def _encoded(self, key: str, value: RunResults) -> bytes:
        """The bytes of an entry, after those of its object were stored.

        The object's key follows from its bytes: who writes the same again writes the same object.

        Raises:
            StoreUnavailable: the object could not be written.
            TooLarge: it is longer than one may be.
        """
        if len(value.encode()) > value.most_bytes:
            held = Committed(outcomes=value.outcomes, objects=value.objects).encode()
            if len(held) > MAX_ENTRY_OBJECT_BYTES:
                message = f"what is kept of run {key} takes {len(held)} bytes, and at most"
                raise TooLarge(f"{message} {MAX_ENTRY_OBJECT_BYTES} are taken")
            digest = hashlib.sha256(held).hexdigest()
            manifest = await self._store.put(run_results_object(key, digest), held)
            value = value.model_copy(update={"outcomes": (), "objects": (), "manifest": manifest})
        return await super()._encoded(key, value)
