"""What a client reads from the apiserver as it comes, and what becomes of it in silence."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio import client

from armonik_sdk.apiserver import PODS, TASKS
from armonik_sdk.client.transport import kube as module
from armonik_sdk.client.transport.kube import Kube

DEADLINE = 10.0


class SilentWatches:
    """An apiserver with one Task, which is done once somebody watches it."""

    def __init__(self, *, begins: bool) -> None:
        self._begins = begins
        self._read = asyncio.Semaphore(0)
        self.task: dict[str, Any] = {"metadata": {"name": "t", "uid": "u", "resourceVersion": "1"}}

    async def one(self, _: web.Request) -> web.Response:
        answer = web.json_response(self.task)
        self._read.release()
        return answer

    async def log(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        if self._begins:
            await answer.prepare(request)
        await asyncio.sleep(2 * DEADLINE)
        return answer

    async def all(self, request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            return web.json_response({"metadata": {"resourceVersion": "1"}, "items": []})
        answer = web.StreamResponse()
        if self._begins:
            await answer.prepare(request)
        for _ in range(2):  # before it watches, and again once it does
            await self._read.acquire()
        self.task = {**self.task, "done": True}
        await asyncio.sleep(2 * DEADLINE)
        return answer


@pytest.fixture(params=[True, False], ids=["after its head", "at once"])
async def kube(request: pytest.FixtureRequest) -> AsyncIterator[Kube]:
    stub, app = SilentWatches(begins=request.param), web.Application()
    app.add_routes([web.get(TASKS.path("ns"), stub.all), web.get(TASKS.one("ns", "t"), stub.one)])
    app.add_routes([web.get(f"{PODS.one('ns', 'p')}/log", stub.log)])
    server = TestServer(app, handler_cancellation=True, shutdown_timeout=0.1)
    await server.start_server()
    kube = Kube(client.Configuration(host=str(server.make_url("")).rstrip("/")), "ns", in_cluster=False)
    yield kube
    await kube.close()
    await server.close()


async def test_a_wait_ends_although_its_watch_has_fallen_silent(
    kube: Kube, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WATCH_SECONDS", 1)
    monkeypatch.setattr(module, "WATCH_MARGIN", 0.1)
    async with asyncio.timeout(DEADLINE):
        found = await kube.until(TASKS, "ns", "t", "u", lambda task: "done" in task)
    assert found["done"]


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's table of connections is Linux' own")
async def test_the_kernel_probes_the_server_of_a_log_that_is_followed(kube: Kube) -> None:
    lines = kube.log_lines("ns", "p", {"follow": "true"})
    reading = asyncio.ensure_future(anext(lines))
    async with asyncio.timeout(DEADLINE):
        while not _probed(int(kube.server.rpartition(":")[2])):  # noqa: ASYNC110 - the kernel sets no event
            await asyncio.sleep(0.01)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)


def _probed(port: int) -> bool:
    """Whether the timer of a connection to this port is that of probes."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(row[2].endswith(f":{port:04X}") and row[5].startswith("02:") for row in rows)
