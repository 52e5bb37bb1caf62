"""Tracks whether NATS, the object store and the apiserver answer; bounds the handlers at the store."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass

from armonik_operator.errors import KubeError, KubeUnavailable, StoreBusy
from armonik_sdk.apiserver import PROBE_TIMEOUT
from armonik_sdk.circuit import FAILURES, Circuit
from armonik_sdk.dataplane.errors import StoreUnavailable

log = logging.getLogger(__name__)

STORE_HANDLERS = 10
"""Handlers that may use the object store at once. The others of the work queue's workers stay free of it."""
BUSY_SECONDS = 0.5
"""After which a handler that found no room is called again."""
LOOK_DOWN = 2.0
"""Seconds between two looks at a dependency that is down."""
LOOK_UP = 5.0
"""Seconds between two looks at one that is up, so that an outage is noticed also when nobody calls it."""
LOOK_AGAIN = 0.5
"""Seconds before the next look at one that has just not answered, and does not count as down yet."""
KNOWN_SECONDS = LOOK_UP + FAILURES * (PROBE_TIMEOUT + LOOK_AGAIN)
"""Seconds after which the apiserver or the store that falls silent counts as down, at the latest."""


@dataclass
class _Visit:
    """One call of a handler; it holds its permit to its end, so that it is not refused halfway."""

    permitted: bool = False


_visit: ContextVar[_Visit | None] = ContextVar("visit", default=None)


class StoreDoor:
    """Bounds the number of handlers that use the object store. Other callers are not limited."""

    def __init__(self, most: int = STORE_HANDLERS) -> None:
        self._most = most
        self._inside = 0

    @contextlib.contextmanager
    def handler(self) -> Iterator[None]:
        """Scope of one call of a handler."""
        visit = _Visit()
        token = _visit.set(visit)
        try:
            yield
        finally:
            _visit.reset(token)
            self._inside -= visit.permitted

    def admit(self) -> None:
        """Admit a request to the store.

        Raises:
            StoreBusy: too many handlers use it now; call this one again later.
        """
        visit = _visit.get()
        if visit is None or visit.permitted:
            return
        if self._inside >= self._most:
            raise StoreBusy(f"{self._inside} handlers use the object store")
        self._inside += 1
        visit.permitted = True


class Availability:
    """Circuits of the servers that the operator depends on."""

    def __init__(self) -> None:
        self.nats = Circuit("NATS")
        self.nats.down("not connected yet")
        self.store = Circuit("the object store", self._store_changed)
        self.apiserver = Circuit("the apiserver")
        self.door = StoreDoor()
        self.on_store_change: list[Callable[[], None]] = []

    def by_name(self) -> dict[str, Circuit]:
        """Circuits by their names in metrics."""
        return {"nats": self.nats, "store": self.store, "apiserver": self.apiserver}

    def _store_changed(self) -> None:
        for noted in self.on_store_change:
            noted()


async def probe_until_up(circuit: Circuit, probe: Callable[[], Awaitable[object]]) -> None:
    """Probe a dependency until cancelled; no other request reaches it while it is down."""
    while True:
        try:
            await probe()
        except (StoreUnavailable, KubeUnavailable, KubeError) as error:
            log.debug("%s: %s", circuit.name, error)
            await asyncio.sleep(LOOK_AGAIN if circuit.up else LOOK_DOWN)
        else:
            await asyncio.sleep(LOOK_UP)


def busy(error: BaseException) -> bool:
    """Whether a handler failed only because the limit of handlers at the store was reached."""
    if isinstance(error, BaseExceptionGroup):
        return all(busy(each) for each in error.exceptions)
    return isinstance(error, StoreBusy)
