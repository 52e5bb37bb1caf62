"""What the watches need to begin, and whether they last.

kopf can begin and end watches when definitions of kinds change. It is not used for that where all namespaces
are served: kopf begins once the kinds are there, and one that goes away ends the process, which is restarted.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable
from typing import Final

from armonik_operator.clients.kube import PARTITIONS, SESSIONS, TASKS, Kube
from armonik_operator.errors import KubeError, KubeUnavailable, WatchEnded

log = logging.getLogger(__name__)

KINDS: Final = (SESSIONS, PARTITIONS, TASKS)
PODS_WATCHED: Final = "pods"
_NAMED: Final = "watcher for "
_PROBE_SECONDS: Final = 0.5
_SAY_SECONDS: Final = 30.0
_CHECK_SECONDS: Final = 10.0
ENDED_SECONDS: Final = 120.0
"""Seconds without a watch of a kind after which the process ends: kopf makes none again."""


async def until_served(kube: Kube, waits: Callable[[str], None]) -> None:
    """Wait until the apiserver serves the kinds; `waits` is called with why, and with nothing at the end."""
    said = -_SAY_SECONDS
    while True:
        try:
            missing = await kube.unserved(KINDS)
        except (KubeUnavailable, KubeError) as error:
            why = f"the apiserver does not say which kinds it serves: {error}"
        else:
            if not missing:
                waits("")
                return
            why = f"{', '.join(missing)} are not served yet; without crds.manage: kubectl apply -f crds/"
        waits(why)
        if time.monotonic() - said >= _SAY_SECONDS:
            log.info("waiting for the kinds: %s", why)
            said = time.monotonic()
        await asyncio.sleep(_PROBE_SECONDS)


def unwatched(tasks: Iterable[str]) -> list[str]:
    """Kinds without a watch, by the names of all asyncio tasks: kopf names that of a watch after its kind."""
    watched = {name.removeprefix(_NAMED).split(".")[0] for name in tasks if name.startswith(_NAMED)}
    return [plural for plural in (*(kind.plural for kind in KINDS), PODS_WATCHED) if plural not in watched]


def _task_names() -> list[str]:
    return [task.get_name() for task in asyncio.all_tasks()]


async def guard(names: Callable[[], Collection[str]] = _task_names) -> None:
    """Look after the watches until cancelled.

    Args:
        names: of all asyncio tasks.

    Raises:
        WatchEnded: there was no watch of a kind for `ENDED_SECONDS`.
    """
    there = time.monotonic()
    while True:
        missing = unwatched(names())
        if not missing:
            there = time.monotonic()
        elif time.monotonic() - there > ENDED_SECONDS:
            raise WatchEnded(f"there is no watch of {', '.join(missing)} any more")
        await asyncio.sleep(_CHECK_SECONDS)
