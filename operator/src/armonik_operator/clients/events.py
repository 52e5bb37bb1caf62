"""Records Kubernetes Events: one for each condition that is new and bad, for `kubectl describe`.

Hints for people, never a record: there is a bound on how many may wait, and on how many are made a second;
what is beyond it is left out. The conditions stay.
"""

import asyncio
import logging
from collections.abc import Iterable
from datetime import UTC, datetime

from armonik_operator.clients.kube import EVENTS, Kube
from armonik_operator.errors import KubeError, KubeUnavailable
from armonik_operator.manifests.event import About, build_event, is_bad
from armonik_operator.util.bounded_cache import BoundedCache
from armonik_sdk.api.kinds import Condition, find_condition

log = logging.getLogger(__name__)

WAITING = 200
"""Events that may wait to be made."""
RATE = 10.0
"""Events made in a second at most."""
REMEMBERED = 10_000
"""Objects whose last Events are remembered."""


class EventRecorder:
    """Records conditions that are new and bad with `record`; `run` creates the Events."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._queue: asyncio.Queue[tuple[About, Condition]] = asyncio.Queue(WAITING)
        self._recorded: BoundedCache[str, dict[str, str]] = BoundedCache(REMEMBERED)

    def record(self, about: About, before: Iterable[Condition], now: Iterable[Condition]) -> None:
        """Queue an Event for each bad condition in `now` that `before` does not have."""
        before, now = list(before), list(now)
        recorded = self._recorded.get(about.uid)
        if recorded is None:
            recorded = {}
            self._recorded.put(about.uid, recorded)
        for condition in now:
            if not is_bad(condition):
                recorded.pop(condition.type, None)
                continue
            old = find_condition(before, condition.type)
            unchanged = old is not None and (old.status, old.reason) == (condition.status, condition.reason)
            if unchanged or recorded.get(condition.type) == condition.reason:
                continue
            recorded[condition.type] = condition.reason
            if self._queue.full():
                log.warning("no room for an event: %s %s: %s", about.kind, about.name, condition.reason)
            else:
                self._queue.put_nowait((about, condition))

    @property
    def waiting(self) -> int:
        """Events that are queued."""
        return self._queue.qsize()

    async def run(self) -> None:
        """Create queued Events until cancelled."""
        while True:
            about, condition = await self._queue.get()
            event = build_event(about, condition, datetime.now(UTC))
            try:
                await self._kube.create(EVENTS, event, about.namespace)
            except (KubeError, KubeUnavailable) as error:
                log.warning("event %s of %s/%s not made: %s", condition.reason, *about[1:3], error)
            await asyncio.sleep(1.0 / RATE)
