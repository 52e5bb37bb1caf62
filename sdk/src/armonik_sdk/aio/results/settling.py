"""Futures of a Task get their values, or why there are none, as its elements end."""

from collections.abc import Sequence
from typing import Any, Final

from armonik_sdk.aio.errors import DependencyFailed
from armonik_sdk.aio.results.causes import add_cause
from armonik_sdk.aio.results.future import Future
from armonik_sdk.aio.results.owner import Owner
from armonik_sdk.grid.protocol import Ended, GridTask, Place, parts

SMALL_BYTES: Final = 4 * 1024
"""Largest value that is fetched with its neighbours once it is there: about what a future takes. Others are
fetched when they are asked for."""
Pairs = list[tuple[Ended, Future[Any]]]


class Settling:
    """The futures of a session that have not ended. On the loop."""

    def __init__(self, session: Owner) -> None:
        self._session = session
        self._open: set[Future[Any]] = set()

    def follow(self, task: GridTask, futures: Sequence[Future[Any]]) -> None:
        """Settle these futures as the elements of the Task end."""
        self._open.update(futures)
        self._session.spawn(self._follow(task, dict(enumerate(futures))))

    def give_up(self, error: BaseException) -> None:
        """Nobody settles futures any more."""
        for future in list(self._open):
            future.fail(error)

    async def _follow(self, task: GridTask, waiting: dict[int, Future[Any]]) -> None:
        """Settle them; those that have ended are forgotten, and their values with them."""
        try:
            async for outcomes in task.outcomes():
                self._end(task, [(ended, waiting.pop(ended.index)) for ended in outcomes])
        except Exception as error:  # noqa: BLE001 - it is the futures'
            for future in waiting.values():
                future.fail(error)

    def _end(self, task: GridTask, pairs: Pairs) -> None:
        """Elements have ended: most have their value with them."""
        together: dict[int, Future[Any]] = {}
        read: list[Ended] = []
        for ended, future in pairs:
            if ended.place is None:
                self._session.spawn(self._settle(task, ended, future))
            elif not isinstance(ended.place, bytes) and (future.watched or ended.size <= SMALL_BYTES):
                read.append(ended)
                together[ended.index] = future
            else:
                self._succeed(future, ended.place, ended.size)
        for part in parts(read):
            self._session.spawn(self._fetch(task, [(ended, together[ended.index]) for ended in part]))

    def _succeed(self, future: Future[Any], place: Place, size: int = 0) -> None:
        future.needs = ()
        future.succeed(place, size)
        self._open.discard(future)

    async def _fetch(self, task: GridTask, pairs: Pairs) -> None:
        """Read values in one go. One that is damaged concerns none of its neighbours."""
        try:
            data = await task.read([ended for ended, _ in pairs])
        except Exception:  # noqa: BLE001 - each by itself meets it again, and says whose it is
            for ended, future in pairs:
                self._session.spawn(self._settle(task, ended, future))
            return
        for ended, future in pairs:
            self._succeed(future, data[ended.index])

    async def _settle(self, task: GridTask, ended: Ended, future: Future[Any]) -> None:
        needs, future.needs = future.needs, ()
        try:
            if ended.handed_over:
                ended = await task.handed(ended.index)
            if ended.failure is not None:
                error = await self._session.exception_of(ended.failure, task, ended.index, future.function)
                if isinstance(error, DependencyFailed):
                    await add_cause(error, needs)
                future.fail(error)
            elif isinstance(ended.place, bytes) or not future.watched:
                future.succeed(ended.place, ended.size)
            else:
                future.succeed((await task.read([ended]))[ended.index])
        except Exception as error:  # noqa: BLE001 - it is the future's
            future.fail(error)
        finally:
            self._open.discard(future)
