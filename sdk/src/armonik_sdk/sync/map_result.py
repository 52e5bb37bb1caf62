# Generated from armonik_sdk.aio by hack/generate/sync.py; do not edit.
"""The result of a map: a lazy sequence of values."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, TypeVar, overload

from armonik_sdk.aio.core.shown import map_html
from armonik_sdk.aio.results.future import Future
from armonik_sdk.aio.results.mapping import MapCore
from armonik_sdk.grid.protocol import LogLine, TaskInfo
from armonik_sdk.sync.portal import iterate, run

R = TypeVar("R")


class MapResult(Sequence[R]):
    """The values of many calls, one Task whatever their number; no object is kept for each.

    As an argument of `submit` or `map` it is one dependency, and arrives as a lazy sequence.
    """

    def __init__(self, core: MapCore) -> None:
        self._core = core

    def __repr__(self) -> str:
        return repr(self._core)

    def _repr_html_(self) -> str:
        return map_html(self._core)

    def __reduce__(self) -> Any:
        return self._core.reduce()

    def __len__(self) -> int:
        return len(self._core)

    @property
    def task(self) -> str:
        """Name of the Task."""
        return self._core.name

    def __iter__(self) -> Iterator[R]:
        """The values in order; raises at the first call that failed."""
        for batch in iterate(self._core, self._core.batches("index")):
            for at, raw in batch:
                yield self._core.value(raw, at)

    def get(self, index: int, timeout: float | None = None) -> R:
        """One value; waits for it.

        Raises:
            IndexError: there is none.
            WaitTimeout: the time, in seconds, is over.
            Exception: what the call raised.
        """
        raw = run(self._core, self._core.raw(index, timeout))
        value: R = self._core.value(raw, self._core.checked(index))
        return value

    @overload
    def __getitem__(self, at: int) -> R: ...

    @overload
    def __getitem__(self, at: slice) -> "MapResult[R]": ...

    def __getitem__(self, at: int | slice) -> Any:
        """Some of the values, as a slice. One by its index is waited for."""
        if isinstance(at, slice):
            return MapResult(self._core.slice(at))
        return self.get(at)

    def future(self, index: int) -> Future[R]:
        """A future of one value."""
        return self._core.future(index)

    def as_completed(self, *, errors: Literal["raise", "return"] = "raise") -> Iterator[tuple[int, Any]]:
        """Index and value of each call as it ends.

        Args:
            errors: `return` gives the exception in the place of the value.
        """
        for batch in iterate(self._core, self._core.batches("completion")):
            for at, raw in batch:
                if errors == "return" and isinstance(raw, BaseException):
                    yield (at, raw)
                else:
                    yield (at, self._core.value(raw, at))

    def results(
        self, timeout: float | None = None, *, errors: Literal["raise", "return"] = "raise"
    ) -> list[R]:
        """All values in order.

        Args:
            timeout: seconds for all of them.
            errors: `return` gives exceptions in the place of values.

        Raises:
            WaitTimeout: the time is over; nothing is cancelled.
            Exception: what the first call that failed raised.
        """
        values: list[Any] = []
        for batch in iterate(self._core, self._core.batches("index", timeout)):
            for at, raw in batch:
                if errors == "return" and isinstance(raw, BaseException):
                    values.append(raw)
                else:
                    values.append(self._core.value(raw, at))
        return values

    def failures(self) -> Iterator[tuple[int, BaseException]]:
        """Index and exception of each call that failed, as they end."""
        for batch in iterate(self._core, self._core.failures()):
            yield from batch

    def retry_failed(self) -> "MapResult[R]":
        """Wait for all calls and submit those that failed once more; the indexes stay the same."""
        return MapResult(run(self._core, self._core.retry_failed()))

    def wait(self, timeout: float | None = None) -> TaskInfo:
        """Until every call has ended, well or not.

        Raises:
            WaitTimeout: the time, in seconds, is over; nothing is cancelled.
        """
        return run(self._core, self._core.wait(timeout))

    def info(self) -> TaskInfo:
        """How far it is."""
        return run(self._core, self._core.info())

    def why(self) -> str:
        """Why it is not further, and what can be done about it; empty when all has ended."""
        return run(self._core, self._core.why())

    def cancel(self, indexes: Iterable[int] | None = None) -> None:
        """End these calls, or all that have not ended."""
        run(self._core, self._core.cancel(indexes))

    def logs(self) -> Iterator[LogLine]:
        """What the functions printed so far."""
        for lines in iterate(self._core, self._core.logs()):
            yield from lines
