"""What the cases of the table of bounds share: servers, and values of an exact length."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api_requests import Api
from nats.aio.client import Client

from armonik_operator.clients.servers import Clients
from armonik_sdk.api.names import RunId
from armonik_sdk.api.records import Wire
from armonik_sdk.dataplane.s3.store import S3Store

PROTOCOL = Path(__file__).parents[2] / "docs" / "protocol.md"
RUN = RunId("ns", "session-uid", "task-uid", 0)


@dataclass(frozen=True)
class World:
    """Real servers."""

    client: Client
    store: S3Store
    servers: Clients
    api: Api
    folder: Path


Case = Callable[[World, int], Awaitable[str]]
"""Makes what a row is about, above its bound by the given bytes or entries; says what has become of it."""


def refused(said: object, *parts: object) -> str:
    """What has become of it, when a refusal says this."""
    missing = [part for part in parts if str(part) not in str(said)]
    return f"refused without {missing}: {said}" if missing else "refused"


def table() -> dict[str, str]:
    """What happens above each bound, by the first cell of its row."""
    section = PROTOCOL.read_text().split("\n## Bounds\n", 1)[1].split("\n## ", 1)[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| ")]
    return {row[0].strip(): re.split(r"\W", row[4].strip())[0] for row in rows[1:]}


def padded(make: Callable[[str], Wire], size: int) -> Any:
    """What `make` makes of a text so long that it takes `size` bytes."""
    made = make("x" * (size - len(make("x").encode()) + 1))
    assert len(made.encode()) == size
    return made
