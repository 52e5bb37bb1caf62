"""What packages are installed for: the Python and the platform of a partition's workers.

A partition remembers what its workers were. One that never had a pod has nothing to remember, so a call that
does nothing is sent there, in a session of its own: work makes a pod start.
"""

import asyncio
import logging
import platform
import re
import secrets
import time
from collections.abc import Mapping
from typing import Final, NamedTuple

from armonik_sdk.aio.calls.encoding import encode, template_of
from armonik_sdk.aio.calls.options import FUNCTION_LABEL, CallOptions, label_of
from armonik_sdk.api.kinds import SessionState
from armonik_sdk.client.errors import ClientError, WaitTimeout
from armonik_sdk.client.manifest import Element
from armonik_sdk.functions import PackagesNotInstalled
from armonik_sdk.grid.protocol import Grid, GridSession, GridTask, Submission

log = logging.getLogger("armonik_sdk")

POD_SECONDS: Final = 600.0
"""How long the first pod of a partition may take: a node may have to be added, an image to be pulled."""
WORKER_SECONDS: Final = 60.0
"""How long a partition may take to be there, and to say what its workers run once one has been called."""
LOOK_SECONDS: Final = 1.0
IMAGE: Final = "build an image with them: FROM …/armonik-worker-python, RUN … pip install …"
GLIBC: Final = (17, 28, *range(31, 41))
"""Minor versions of glibc 2 that uv has a name for."""


class Target(NamedTuple):
    """What the workers run."""

    python: str
    """`3.11`"""
    platform: str = ""
    """Machine and glibc, as uv names them: `x86_64-manylinux_2_36`. Empty: as this machine."""


async def target_of(grid: Grid, partition: str) -> Target:
    """What the workers of a partition run; one that never had a pod gets one.

    Raises:
        WaitTimeout: none has said it in time.
        PackagesNotInstalled: packages cannot be installed for what they run.
    """
    said = await grid.worker(partition)
    if not said.get("python"):
        await _there(grid, partition)
        said = await _asked(grid, partition)
    return Target(said["python"], platform_of(said.get("platform", "")))


def platform_of(said: str) -> str:
    """The name that uv has for a worker's platform: of the newest glibc that it knows and the worker has.

    Raises:
        PackagesNotInstalled: there is none.
    """
    if not said:
        return ""
    found = re.fullmatch(r"(x86_64|aarch64)-manylinux_2_(\d+)", said)
    known = [minor for minor in GLIBC if found and minor <= int(found[2])]
    if not found or not known:
        raise PackagesNotInstalled(
            f"packages: none can be installed from here for workers of platform {said}; {IMAGE}"
        )
    return f"{found[1]}-manylinux_2_{known[-1]}"


async def _there(grid: Grid, partition: str) -> None:
    """Wait until the partition exists: it may have been made just now."""
    end = time.monotonic() + WORKER_SECONDS
    while partition not in (known := [info.name async for info in grid.partitions()]):
        if time.monotonic() >= end:
            names = ", ".join(known) or "none"
            raise WaitTimeout(
                f"packages: there is no partition {partition} after {WORKER_SECONDS:g} s, only: {names}"
            )
        await asyncio.sleep(LOOK_SECONDS)


async def _asked(grid: Grid, partition: str) -> Mapping[str, str]:
    """Send a call, and wait for what the worker says of itself; nothing of it is left."""
    log.info("no worker of partition %s has said yet which Python it runs: a call makes one start", partition)
    session = await grid.open(None, partitions=(partition,), defaults=None, ttl_seconds=0, attach=False)
    try:
        return await _said(grid, partition, await _call(session))
    finally:
        try:
            await session.set_state(SessionState.CANCELLED)
        except ClientError as error:
            log.warning("session %s is not needed any more, and is not cancelled: %s", session.name, error)


async def _call(session: GridSession) -> GridTask:
    # By its name, which each Python has: bytecode would have to be of the workers' version.
    template = template_of(platform.python_version, CallOptions(max_retries=0))
    return await session.submit(
        Submission(
            name=f"which-python-{secrets.token_hex(4)}",
            items=[Element(payload=encode(template, session, ()).payload)],
            options=template.options.of_task(template.function),
            labels={FUNCTION_LABEL: label_of(template.function)},
        )
    )


async def _said(grid: Grid, partition: str, task: GridTask) -> Mapping[str, str]:
    begun, limit, why = time.monotonic(), POD_SECONDS, ""
    while not (said := await grid.worker(partition)).get("python"):
        info, passed = await task.info(), time.monotonic() - begun
        if passed >= limit:
            raise WaitTimeout(
                f"packages: no worker of partition {partition} has said within {limit:.0f} s which Python it "
                f"runs: {why or 'the call that was sent to it waits'}"
            )
        if limit == POD_SECONDS and info.succeeded + info.failed + info.cancelled >= info.total:
            limit = min(limit, passed + WORKER_SECONDS)
            why = "it was called, and does not say it; is it a worker of functions?"
        elif info.why and info.why != why:
            why = info.why
            log.info("no worker of partition %s runs yet: %s", partition, why)
        await asyncio.sleep(LOOK_SECONDS)
    return said
