"""Finds results that a worker asks for beside its inputs: any complete result of its own Session."""

from nats.aio.client import Client

from armonik_sdk.api.kinds import ObjectRef
from armonik_sdk.api.names import RunId
from armonik_sdk.api.results import ResultState
from armonik_sdk.dataplane.result_lookup import ResultReader
from armonik_sdk.dataplane.s3.store import ObjectStore


class Results:
    """Reads of the bucket RESULTS."""

    def __init__(self, client: Client, store: ObjectStore) -> None:
        self._reader = ResultReader(client, store)

    async def find(self, run: RunId, result: str) -> tuple[ResultState | None, ObjectRef | None]:
        """State of a result of the run's Session, and its bytes' place if it is complete; None: unknown.

        Raises:
            QueueUnavailable, StoreUnavailable: no answer.
            ObjectMissing, ChecksumMismatch, Unreadable: its entry cannot be read.
        """
        location = await self._reader.find(run.namespace, run.session, result)
        return location.state, location.ref
