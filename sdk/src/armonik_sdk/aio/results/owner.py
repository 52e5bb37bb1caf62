"""What futures and results of maps ask of their session."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from armonik_sdk.grid.protocol import Failure, GridSession, GridTask, LogLine, Place

if TYPE_CHECKING:
    from armonik_sdk.aio.results.future import Future
    from armonik_sdk.aio.results.mapping import MapCore

T = TypeVar("T")


class ClientOfResults(Protocol):
    """The client of a session."""

    loop: asyncio.AbstractEventLoop
    closed: bool

    def on_loop(self) -> bool:
        """Whether this is the thread of the loop."""
        ...

    def check_process(self) -> None:
        """Whether this is the process that made it; raises NotConnected."""
        ...

    def run(self, made: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop, and wait for it in another thread."""
        ...


class Owner(Protocol):
    """A session, as its results see it."""

    name: str

    @property
    def client(self) -> ClientOfResults:
        """Its client."""
        ...

    @property
    def grid(self) -> GridSession:
        """The session itself."""
        ...

    @property
    def on_loop(self) -> Callable[[], bool]:
        """Whether this is the thread of the loop."""
        ...

    def run(self, made: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop, and wait for it in another thread."""
        ...

    async def run_async(self, made: Coroutine[Any, Any, T]) -> T:
        """The same from a coroutine, which may be of another loop."""
        ...

    def spawn_soon(self, made: Coroutine[Any, Any, Any]) -> None:
        """Run it beside, from any thread."""
        ...

    def soon(self, call: Callable[[], object]) -> None:
        """Call it on the loop, from any thread."""
        ...

    def placed_some(self) -> None:
        """Something that calls may wait for is part of a Task, or never will be. On the loop."""
        ...

    def spawn(self, made: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """The same on the loop."""
        ...

    async def read(self, place: Place) -> bytes:
        """The bytes at a place."""
        ...

    def cancel_future(self, future: "Future[Any]") -> None:
        """Cancel the element of a future."""
        ...

    def warn_foreign(self, future: "Future[Any]") -> None:
        """Say once that futures of another session are fetched."""
        ...

    async def exception_of(
        self, failure: Failure, task: GridTask, index: int, function: str
    ) -> BaseException:
        """What `result()` raises for an element that ended so."""
        ...

    def map_again(self, of: "MapCore", elements: Sequence[int]) -> "MapCore":
        """Send elements of a map once more."""
        ...

    async def logs_of(self, task: str, index: int) -> list[LogLine]:
        """What one element printed so far."""
        ...
