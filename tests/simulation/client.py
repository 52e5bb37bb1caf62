"""A program of a user's that makes results, with the SDK's own code, on the simulated servers."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import nats.errors

from armonik_sdk.api.names import result_journal
from armonik_sdk.api.results import ResultRecord, ResultRecordKind
from armonik_sdk.client.errors import ClientError
from armonik_sdk.client.results.client_result import ClientResult
from armonik_sdk.client.transport.connection import Connection
from armonik_sdk.client.transport.data_plane import DataPlane
from armonik_sdk.dataplane.credentials import Credentials
from armonik_sdk.dataplane.errors import DataPlaneError
from armonik_sdk.dataplane.nats.connection import connect_nats
from simulation.store import SimulatedStore

GIVEN_UP = (ClientError, DataPlaneError, nats.errors.Error, TimeoutError)
"""What a call may end with when servers are away; whether it had an effect is not known then."""
Job = Callable[[ClientResult, DataPlane], Awaitable[object]]


class ResultClient:
    """One program; it does one thing after the other, and gives up what does not succeed."""

    def __init__(self, credentials: Credentials, store: SimulatedStore, namespace: str) -> None:
        self._credentials = credentials
        self._store = store
        self._namespace = namespace
        self._jobs: asyncio.Queue[tuple[str, str, Job]] = asyncio.Queue()
        self._link: DataPlane | None = None
        self.busy = 0
        """Jobs that have not ended."""

    async def link(self) -> DataPlane:
        """Its connection, as handles ask for it."""
        assert self._link is not None
        return self._link

    async def serve(self) -> None:
        """The program."""
        client = await connect_nats(self._credentials, "client")
        self._link = DataPlane(client, cast("Any", self._store), [])
        while True:
            session, result, job = await self._jobs.get()
            handle = ClientResult(cast("Connection", self), self._namespace, session, result)
            try:
                await job(handle, self._link)
            except GIVEN_UP:
                pass
            finally:
                self.busy -= 1

    def make(self, session: str, result: str) -> None:
        """Create a result under an id of the test's choice."""

        async def job(handle: ClientResult, link: DataPlane) -> None:
            record = ResultRecord(record_id=f"made-{result}", kind=ResultRecordKind.CREATED, name=result)
            await link.append_result(result_journal(self._namespace, session, result), record, 0)

        self._do(session, result, job)

    def upload(self, session: str, result: str, content: bytes) -> None:
        """Upload it."""
        self._do(session, result, lambda handle, _: handle.upload(content))

    def abort(self, session: str, result: str) -> None:
        """Give it up."""
        self._do(session, result, lambda handle, _: handle.abort("not needed"))

    def delete(self, session: str, result: str) -> None:
        """Delete it."""
        self._do(session, result, lambda handle, _: handle.delete())

    def _do(self, session: str, result: str, job: Job) -> None:
        self.busy += 1
        self._jobs.put_nowait((session, result, job))
