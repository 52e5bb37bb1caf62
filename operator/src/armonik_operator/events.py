"""Kubernetes Events: one for each condition that is new and bad, so that `kubectl describe` tells it.

Hints for people, never a record: there is a bound on how many may wait, and on how many are made a second;
what is beyond it is left out. The conditions stay.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Iterable
from datetime import UTC, datetime

from armonik_operator.adapters.kube import EVENTS, Kube
from armonik_operator.errors import KubeError, KubeUnavailable
from armonik_operator.resources.event import About, build_event, is_bad
from armonik_sdk.api.kinds import Condition, find_condition

log = logging.getLogger(__name__)

WAITING = 200
"""Events that may wait to be made."""
RATE = 10.0
"""Events made in a second at most."""
REMEMBERED = 10_000
"""Objects of which it is known what was told last."""


class Announcer:
    """`tell` takes note at once; `run` makes the Events."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._queue: asyncio.Queue[tuple[About, Condition]] = asyncio.Queue(WAITING)
        self._told: OrderedDict[str, dict[str, str]] = OrderedDict()

    def tell(self, about: About, before: Iterable[Condition], now: Iterable[Condition]) -> None:
        """An object's conditions were these and are written as those."""
        before, now = list(before), list(now)
        told = self._told.setdefault(about.uid, {})
        self._told.move_to_end(about.uid)
        if len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
        for condition in now:
            if not is_bad(condition):
                told.pop(condition.type, None)
                continue
            old = find_condition(before, condition.type)
            known = old is not None and (old.status, old.reason) == (condition.status, condition.reason)
            if known or told.get(condition.type) == condition.reason:
                continue
            told[condition.type] = condition.reason
            if self._queue.full():
                log.warning("no room for an event: %s %s: %s", about.kind, about.name, condition.reason)
            else:
                self._queue.put_nowait((about, condition))

    @property
    def waiting(self) -> int:
        """Events still to be made."""
        return self._queue.qsize()

    async def run(self) -> None:
        """Make Events for ever."""
        while True:
            about, condition = await self._queue.get()
            event = build_event(about, condition, datetime.now(UTC))
            try:
                await self._kube.create(EVENTS, event, about.namespace)
            except (KubeError, KubeUnavailable) as error:
                log.warning("event %s of %s/%s not made: %s", condition.reason, *about[1:3], error)
            await asyncio.sleep(1.0 / RATE)
