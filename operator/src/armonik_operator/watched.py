"""Whether the watch has told of everything that stands.

Each kind has a watch of its own, and none waits for another or for the journal. Until all have told what they
list first, what is only not told yet looks gone: children of a Session that seems to be deleted would never
be made, and a closed Session would be over whose Tasks are not known.
"""

import asyncio
import logging
from collections.abc import Collection
from typing import Final

from armonik_operator.adapters.kube import PARTITIONS, SESSIONS, TASKS, Kube
from armonik_operator.errors import KubeUnavailable

log = logging.getLogger(__name__)

_MIN_DELAY: Final = 0.1
_MAX_DELAY: Final = 2.0


class Watched:
    """UIDs that the watch has told of, until it has told of all."""

    def __init__(self) -> None:
        self._told: set[str] | None = set()

    def note(self, uid: str, *, deleted: bool) -> None:
        """The watch tells of an object."""
        if self._told is None:
            return
        if deleted:
            self._told.discard(uid)
        else:
            self._told.add(uid)

    async def all(self, kube: Kube, spaces: Collection[str | None]) -> None:
        """Wait until it has told of all Sessions, Partitions and Tasks; at once, if it had before."""
        delay = _MIN_DELAY
        while self._told is not None:
            try:
                standing = await _uids(kube, spaces)
            except KubeUnavailable as error:
                log.warning("the apiserver does not answer: %s; trying again", error)
            else:
                if not (untold := standing - self._told):
                    self._told = None
                    return
                log.info("the watch has not told of %d objects yet", len(untold))
            await asyncio.sleep(delay)
            delay = min(_MAX_DELAY, 2 * delay)


async def _uids(kube: Kube, spaces: Collection[str | None]) -> set[str]:
    places = [(kind, space) for kind in (SESSIONS, PARTITIONS, TASKS) for space in spaces]
    return {obj["metadata"]["uid"] for kind, space in places for obj in await kube.list(kind, space)}
