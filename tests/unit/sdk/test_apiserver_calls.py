"""One call to an apiserver has a bound whatever the server does: hang, refuse for now, fall silent."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio import client

from armonik_sdk import apiserver as module
from armonik_sdk.apiserver import ATTEMPTS, TASKS, NoAnswer, Request, Transport, pause

DEADLINE = 20.0
LIST = Request("GET", TASKS.path("ns"), query={"limit": "500"})
ONE = Request("GET", TASKS.one("ns", "t"))

Reply = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Stub:
    """An apiserver that does to each request what `reply` says."""

    reply: Reply
    address: str = ""
    came: list[float] = field(default_factory=list)
    """When the requests came, by the server's clock."""

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.came.append(time.monotonic())
        return await self.reply(request)


async def hang(_: web.Request) -> web.StreamResponse:
    await asyncio.sleep(2 * DEADLINE)
    return web.Response()


async def half_a_list(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    answer.content_length = 1_000
    await answer.prepare(request)
    await answer.write(b'{"items": [')
    return await hang(request)


async def trickle(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    answer.content_length = 100_000
    await answer.prepare(request)
    while True:
        await answer.write(b" ")
        await asyncio.sleep(0.02)


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    stub = Stub(hang)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", stub.serve)
    server = TestServer(app, handler_cancellation=True, shutdown_timeout=0.1)
    await server.start_server()
    stub.address = str(server.make_url("")).rstrip("/")
    yield stub
    await server.close()


@pytest.fixture
async def transport(stub: Stub) -> AsyncIterator[Transport]:
    transport = Transport(client.Configuration(host=stub.address))
    yield transport
    await transport.close()


@pytest.mark.parametrize("reply", [hang, half_a_list, trickle])
@pytest.mark.parametrize("request_", [LIST, ONE], ids=str)
async def test_a_call_ends_with_its_bound_however_its_attempts_end(
    stub: Stub, transport: Transport, monkeypatch: pytest.MonkeyPatch, reply: Reply, request_: Request
) -> None:
    monkeypatch.setattr(module, "CALL_TIMEOUT", 0.5)
    stub.reply = reply
    async with asyncio.timeout(DEADLINE):
        with pytest.raises(NoAnswer, match=r"TimeoutError"):
            await transport.request(request_)


@pytest.mark.parametrize("reply", [hang, half_a_list])
async def test_a_list_that_falls_silent_is_asked_for_again_within_its_call(
    stub: Stub, transport: Transport, monkeypatch: pytest.MonkeyPatch, reply: Reply
) -> None:
    monkeypatch.setattr(module, "REQUEST_TIMEOUT", 0.2)

    async def first_silent(request: web.Request) -> web.StreamResponse:
        return await (reply(request) if len(stub.came) == 1 else whole(request))

    async def whole(_: web.Request) -> web.StreamResponse:
        return web.json_response({"items": [1]})

    stub.reply = first_silent
    async with asyncio.timeout(DEADLINE):
        answer = await transport.request(LIST)
    assert (answer.body, len(stub.came)) == ({"items": [1]}, 2)


def refusing(stub: Stub, status: int, seconds: float, **answer: object) -> Reply:
    """Refuse whoever comes in the first seconds after the first request."""

    async def reply(_: web.Request) -> web.StreamResponse:
        if stub.came[-1] - stub.came[0] < seconds:
            return web.json_response({"message": "too much"}, status=status, **answer)  # type: ignore[arg-type]
        return web.json_response({"fine": True})

    return reply


@pytest.mark.parametrize("status", [429, 503])
async def test_a_retry_waits_as_long_as_the_answer_asks(
    stub: Stub, transport: Transport, status: int
) -> None:
    stub.reply = refusing(stub, status, 1.0, headers={"Retry-After": "1"})
    answer = await transport.request(ONE)
    assert answer.body == {"fine": True}
    assert len(stub.came) == 2, "it asked again before the time that the server named"


async def test_a_server_that_names_a_long_time_holds_no_call_for_it(
    stub: Stub, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_AFTER_MOST", 0.1)
    stub.reply = refusing(stub, 429, 3600.0, headers={"Retry-After": "3600"})
    async with asyncio.timeout(DEADLINE):
        with pytest.raises(NoAnswer, match="429: too much"):
            await transport.request(ONE)


@pytest.mark.parametrize("asked", [None, "", "soon", "-1", "nan", "inf", "0"])
async def test_a_retry_after_that_is_no_number_is_ignored(
    stub: Stub, transport: Transport, asked: str | None
) -> None:
    headers = {"Retry-After": asked} if asked is not None else {}
    stub.reply = refusing(stub, 429, 0.1, headers=headers)
    async with asyncio.timeout(DEADLINE):
        assert (await transport.request(ONE)).body == {"fine": True}


def test_a_pause_is_what_was_asked_for_with_jitter_and_a_bound() -> None:
    for attempt in range(1, ATTEMPTS):
        assert 0 < pause(attempt, "") <= 2.0
        pauses = {pause(attempt, "3") for _ in range(20)}
        assert min(pauses) >= 3.0
        assert max(pauses) <= 3.0 * 1.25
        assert len(pauses) > 1, "all that were refused together would come back together"
        assert pause(attempt, "3600") <= module.RETRY_AFTER_MOST * 1.25
