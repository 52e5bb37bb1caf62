"""What a notebook shows of a client, a session, a map: what is known, and what the grid says at once."""

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Final, TypeVar

from armonik_sdk.aio.core.client import ClientCore
from armonik_sdk.aio.core.session import SessionCore
from armonik_sdk.aio.results.mapping import MapCore
from armonik_sdk.client.errors import ClientError
from armonik_sdk.grid import html
from armonik_sdk.grid.protocol import PartitionInfo, SessionInfo, TaskInfo

log = logging.getLogger("armonik_sdk")
T = TypeVar("T")

ASK_SECONDS: Final = 3.0
"""How long a cell may wait for it."""
MOST_ROWS: Final = 20


def client_html(core: ClientCore) -> str:
    """A client, with its partitions and sessions."""
    partitions = _asked(core, lambda: _some(core.partitions())) or []
    sessions = _asked(core, lambda: _some(core.sessions())) or []
    rows = [
        ("partitions", html.table(["name", "ready", "pods", "why"], map(_partition, partitions))),
        ("sessions", html.table(["name", "phase", "ended", "failed"], map(_session, sessions))),
        ("state", "closed" if core.closed else ""),
    ]
    return html.facts(f"Client of {core.namespace}", rows)


def session_html(core: SessionCore) -> str:
    """A session, and why its work waits."""
    info = _asked(core.client, core.info)
    rows = [("partitions", html.text(", ".join(core.grid.partitions)))]
    if info is not None:
        waits = _asked(core.client, core.grid.why) if info.ended < info.total else None
        rows += [
            ("phase", html.text(info.phase)),
            ("calls", html.bar(info.ended, info.total)),
            ("failed", str(info.failed or "")),
            ("waits", html.text(waits.gist if waits else "")),
        ]
    return html.facts(f"Session {core.name}", rows)


def map_html(core: MapCore) -> str:
    """A map, how far it is, and why it is not further."""
    info = _asked(core.client, core.info) if core.placed and len(core) else None
    rows = [("task", html.text(core.name)), ("calls", f"{len(core):,}")]
    if info is not None:
        rows += _task(info)
    return html.facts(f"Map of {core.function}", rows)


def _task(info: TaskInfo) -> list[tuple[str, str]]:
    ended = info.succeeded + info.failed + info.cancelled
    counts = {"failed": info.failed, "running": info.running, "queued": info.queued, "waiting": info.pending}
    return [
        ("phase", html.text(info.phase)),
        ("elements", html.bar(ended, info.total)),
        *((name, f"{count:,}" if count else "") for name, count in counts.items()),
        ("waits", html.text(info.why)),
    ]


def _partition(info: PartitionInfo) -> tuple[object, ...]:
    return info.name, "yes" if info.ready else "no", info.pods, info.why


def _session(info: SessionInfo) -> tuple[object, ...]:
    return info.name, info.phase, f"{info.ended:,}/{info.total:,}", info.failed


async def _some(found: AsyncIterator[list[T]]) -> list[T]:
    """The first of them."""
    rows: list[T] = []
    async for some in found:
        rows += itertools.islice(some, MOST_ROWS - len(rows))
        if len(rows) >= MOST_ROWS:
            break
    return rows


def _asked(client: Any, make: Callable[[], Coroutine[Any, Any, T]]) -> T | None:
    """What the grid answers at once; None where this thread must not wait, or there is no answer."""
    if client.closed or client.on_loop():
        return None

    async def ask() -> T:
        async with asyncio.timeout(ASK_SECONDS):
            return await make()

    try:
        answer: T = client.run(ask())
    except (ClientError, TimeoutError) as error:
        log.debug("not shown: %s: %s", type(error).__name__, error)
        return None
    return answer
