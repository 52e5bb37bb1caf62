"""The server's time is asked for again and again: a host's clock may be set while the agent runs."""

import asyncio
import json
import time
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import nats.errors
import pytest

from armonik_agent.server_clock import ServerClock


class Server:
    """Answers with its time, which is an hour ahead; does not answer every second time."""

    def __init__(self) -> None:
        self.asked = 0
        self.told = asyncio.Event()

    async def request(self, *_: Any, **__: Any) -> Any:
        self.asked += 1
        if self.asked % 2:
            raise nats.errors.TimeoutError
        self.told.set()
        ahead = datetime.fromtimestamp(time.time() + 3600, UTC)
        return SimpleNamespace(data=json.dumps({"ts": ahead.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}).encode())


async def test_the_offset_is_measured_again_while_the_agent_runs() -> None:
    clock, server = ServerClock(), Server()
    keeping = asyncio.create_task(clock.keep(server, 0.0))  # type: ignore[arg-type]  # it only asks
    async with asyncio.timeout(60):
        for _ in range(2):
            server.told.clear()
            await server.told.wait()
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    assert server.asked >= 3  # one that is not answered is not the last
    assert clock.now() - time.time() == pytest.approx(3600, abs=60)
