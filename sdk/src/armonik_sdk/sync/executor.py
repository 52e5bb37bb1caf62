"""An executor with a session of its own, where none is given. Written by hand; its neighbours are not."""

import concurrent.futures
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from armonik_sdk.aio.executor import Executor as SessionExecutor
from armonik_sdk.aio.executor import HasSession
from armonik_sdk.aio.results.future import Future
from armonik_sdk.client.errors import NotConnected

if TYPE_CHECKING:
    from armonik_sdk.sync.client import Client


class Executor(SessionExecutor):
    """Runs calls on the grid, wherever an executor of `concurrent.futures` is wanted.

    ```python
    with Executor() as executor:
        print(list(executor.map(abs, [-1, 2])))
    ```
    """

    def __init__(
        self,
        max_workers: int | None = None,
        *,
        session: HasSession | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        partition: str | None = None,
        packages: Sequence[str] | Path | None = None,
    ) -> None:
        """Submit to this session; without one, connect and make one.

        Args:
            max_workers: for callers that ask how much to submit at a time; it bounds nothing.
            session: where calls run.
            initializer: runs once in each process that runs its calls.
            initargs: arguments of that.
            partition: where calls run; the session's default when left out, `python` of its own session.
            packages: of its own session, as `Client.session` takes them.

        Raises:
            ValueError: max_workers is not positive; or packages are for a session that was given.
            TypeError: the initializer cannot be called.
            NotConnected: there is no cluster, where it is needed.
        """
        self._client: Client | None = None
        """Of its own session, until it is closed here."""
        if max_workers is not None and max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        if session is not None and packages is not None:
            raise ValueError("packages: the session that was given has its own; name them where it is made")
        if session is None:
            from armonik_sdk.sync.client import connect  # it makes sessions, and these executors

            self._client = connect()
            session = self._own_session(self._client, partition, packages)
        self._own = self._client
        super().__init__(
            max_workers, session=session, initializer=initializer, initargs=initargs, partition=partition
        )

    def _own_session(
        self, client: "Client", partition: str | None, packages: Sequence[str] | Path | None
    ) -> HasSession:
        try:
            return client.session(partitions=[partition or "python"], on_exit="cancel", packages=packages)
        except BaseException:
            client.close()
            raise

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; its own session is closed when all have ended.

        Args:
            wait: until all that was submitted has ended.
            cancel_futures: cancel what was submitted and has not begun; of a session that was given, what
                runs as well.
        """
        super().shutdown(wait, cancel_futures=cancel_futures)
        with self._lock:  # somebody else may shut it down in the same moment
            client, self._client = self._client, None
        if client is None:
            return
        if wait:
            self._finish(client)
        else:
            threading.Thread(target=self._finish, args=(client,), name="armonik-shutdown").start()

    def _cancel(self, futures: set[Future[Any]]) -> None:
        if self._own is None:
            super()._cancel(futures)
            return
        try:
            self._own._core.run(self._session.cancel_waiting())
        except (NotConnected, concurrent.futures.CancelledError):
            if not self._own._core.closed:  # else all has ended, and it was shut down meanwhile
                raise

    def _finish(self, client: "Client") -> None:
        super().shutdown(wait=True)
        with client:
            client._core.run(self._session.close())
