"""The grid of this machine, in a block."""

from types import TracebackType
from typing import Final

import armonik_sdk.aio as aio
from armonik_sdk.aio.core.client import ClientCore
from armonik_sdk.grid.local.engine import LocalEngine, check_workers
from armonik_sdk.sync.client import Client
from armonik_sdk.sync.portal import begin

NOT_ENTERED: Final = "the grid is used in a `with` block, or an `async with` block"


class LocalGrid:
    """A grid of processes on this machine, with the same client, futures and envelopes as a cluster.

    ```python
    with LocalGrid(workers=2) as client, client.session() as session:
        assert session.submit(abs, -1).result() == 1
    ```

    With `inline=True` the functions run in this process, one at a time, so that a debugger stops in them and
    what they print is seen at once. Each runs in a thread; time limits are not kept, and a function that is
    cancelled while it runs is not ended. What ends its process ends the program.

    In `async` code `async with` gives a client of `armonik_sdk.aio`. The end of the block removes all
    processes and all data.
    """

    def __init__(self, workers: int | None = None, *, inline: bool = False) -> None:
        """Run at most `workers` calls at a time, 2 when left out; with `inline` one, in this process.

        Raises:
            ValueError: workers is below 1, or not 1 with inline.
        """
        check_workers(workers, inline=inline)
        self._workers, self._inline = workers, inline
        self._client: Client | None = None
        self._async: aio.Client | None = None

    def __enter__(self) -> Client:
        self._client = Client(begin(self._open))
        return self._client

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is None:
            raise RuntimeError(NOT_ENTERED)
        self._client.close()

    async def __aenter__(self) -> aio.Client:
        self._async = aio.Client(await self._open())
        return self._async

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._async is None:
            raise RuntimeError(NOT_ENTERED)
        await self._async.close()

    async def _open(self) -> ClientCore:
        return ClientCore(LocalEngine(self._workers, inline=self._inline))
