"""Waiting for several futures and maps, and seeing how far they are."""

from collections.abc import AsyncIterator, Iterable, Sequence
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from armonik_sdk.aio.core.progress import HasSessionCore, ProgressCore
from armonik_sdk.aio.map_result import MapResult
from armonik_sdk.aio.results.future import Future
from armonik_sdk.aio.results.gathering import completed, value_at

R = TypeVar("R")


async def gather(
    *things: Future[Any] | MapResult[Any], errors: Literal["raise", "return"] = "raise"
) -> list[Any]:
    """The values of futures, and lists of values of maps, in the order given.

    Args:
        things: what to wait for.
        errors: `return` gives exceptions in the place of values.

    Raises:
        Exception: what the first that failed raised; the others are not cancelled.
    """
    values: list[Any] = []
    for at, thing in enumerate(things):
        if isinstance(thing, MapResult):
            values.append(await thing.results(errors=errors))
        else:
            values.append(await value_at(things, at, errors))
    return values


async def as_completed(
    futures: Iterable[Future[R]], timeout: float | None = None
) -> AsyncIterator[Future[R]]:
    """The futures, each when it has ended.

    Raises:
        WaitTimeout: the time, in seconds, is over; nothing is cancelled.
    """
    async for future in completed(futures, timeout):
        yield future


class Progress:
    """Shows how far work is, in a `with` block, or while its values are iterated."""

    def __init__(self, things: Sequence[object], label: str | None = None) -> None:
        self._things, self._core = tuple(things), ProgressCore(things, label)

    async def __aenter__(self) -> Self:
        self._core.begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._core.client.closed:
            await self._core.stop()
        self._core.close()

    async def __aiter__(self) -> AsyncIterator[Any]:
        """The values of futures and maps, in the order in which they were given.

        Raises:
            TypeError: a session is among them, which has no values.
            Exception: what the first call that failed raised.
        """
        for thing in self._things:
            if not isinstance(thing, Future | MapResult):
                raise TypeError(f"progress: {thing!r} has no values; use a `with` block")
        async with self:
            for at, thing in enumerate(self._things):
                if isinstance(thing, MapResult):
                    async for value in thing:
                        yield value
                elif isinstance(thing, Future):
                    yield await value_at(self._things, at, "raise")


def progress(*things: Future[Any] | MapResult[Any] | HasSessionCore, label: str | None = None) -> Progress:
    """How far these are: on a terminal a bar and the reason for waiting, in a notebook the same as HTML.

    Where there is neither, a line every 10 seconds, on standard error.

    ```python
    for value in progress(session.map(square, range(1_000))):
        ...
    ```

    Args:
        things: futures, results of maps, sessions; what is shown together is counted together.
        label: the text before the bar; names of functions and sessions when left out.

    Raises:
        ValueError: nothing is named, or things of several clients.
        TypeError: it is no such thing.
    """
    return Progress(things, label)
