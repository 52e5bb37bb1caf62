"""Our two ends of gRPC against gRPC's own, over a real unix socket."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from agent_bench import eventually

from armonik_agent.rpc import Channel, Server

pytestmark = pytest.mark.integration
METHOD = "/test.Echo/Say"
BIG = 20_000_000
OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def _same(message: Any) -> Any:
    return message


class Echo:
    """What both kinds of server serve: the request says what becomes of it."""

    def __init__(self) -> None:
        self.begun, self.ended = threading.Event(), threading.Event()

    def say(self, request: bytes, context: Any) -> bytes:
        """For gRPC's server of threads."""
        if request.startswith(b"code "):
            context.abort(grpc.StatusCode[request[5:].decode()], "says 100 % no: ü\n")
        if request == b"raise":
            raise ValueError("broken")
        if request == b"time":
            return f"{context.time_remaining():.0f}".encode()
        if request == b"wait":
            context.add_callback(self.ended.set)
            self.begun.set()
            self.ended.wait(60)
        return request

    async def say_aio(self, request: bytes, context: Any) -> bytes:
        """For our server."""
        if request.startswith(b"code "):
            await context.abort(grpc.StatusCode[request[5:].decode()], "says 100 % no: ü\n")
        if request == b"raise":
            raise ValueError("broken")
        if request == b"wait":
            self.begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.ended.set()
        return request


def _handlers(method: Any) -> Any:
    return grpc.method_handlers_generic_handler(
        "test.Echo", {"Say": grpc.unary_unary_rpc_method_handler(method, _same, _same)}
    )


@pytest.fixture
def echo() -> Echo:
    """Fresh events."""
    return Echo()


@pytest.fixture
def theirs(tmp_path: Path, echo: Echo) -> Iterator[grpc.Server]:
    """gRPC's server, as PyPI `armonik`'s worker has it."""
    server = grpc.server(ThreadPoolExecutor(4), options=[*OPTIONS, ("grpc.max_connection_age_ms", 2**31 - 1)])
    server.add_generic_rpc_handlers((_handlers(echo.say),))
    server.add_insecure_port(f"unix://{tmp_path}/theirs")
    server.start()
    yield server
    echo.ended.set()
    server.stop(None).wait()


@pytest.fixture
async def calls(tmp_path: Path, theirs: grpc.Server) -> AsyncIterator[Any]:
    """Our client of their server."""
    channel = Channel(tmp_path / "theirs", BIG)
    yield channel.unary_unary(METHOD, _same, _same)
    await channel.close()


@pytest.fixture
async def ours(tmp_path: Path, echo: Echo) -> AsyncIterator[Server]:
    """Our server."""
    server = Server(max_request_bytes=BIG)
    server.add_generic_rpc_handlers((_handlers(echo.say_aio),))
    await server.start(tmp_path / "ours")
    yield server
    await server.stop(0)


@pytest.fixture(params=["aio", "threads"])
async def theirs_calls(request: Any, tmp_path: Path, ours: Server) -> AsyncIterator[Any]:
    """gRPC's clients of our server."""
    address = f"unix://{tmp_path}/ours"
    if request.param == "aio":
        async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel:
            stub = channel.unary_unary(METHOD)

            async def call(message: bytes, timeout: float) -> Any:
                return await stub(message, timeout=timeout)

            yield call
        return
    with grpc.insecure_channel(address, options=OPTIONS) as plain:
        threads = plain.unary_unary(METHOD)

        async def call_in_thread(message: bytes, timeout: float) -> Any:
            return await asyncio.to_thread(threads, message, timeout=timeout)

        yield call_in_thread


CODES = [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]
SIZES = [0, 1, 16_379, 16_380, 65_530, 1_000_000, BIG]


@pytest.mark.parametrize("size", SIZES)
async def test_our_client_gets_back_what_it_sent(calls: Any, size: int) -> None:
    message = bytes(range(256)) * (size // 256) + bytes(size % 256)
    assert await calls(message, timeout=60) == message


@pytest.mark.parametrize("size", SIZES)
async def test_our_server_sends_back_what_it_got(theirs_calls: Any, size: int) -> None:
    message = bytes(range(256)) * (size // 256) + bytes(size % 256)
    assert await theirs_calls(message, timeout=60) == message


async def test_our_client_reads_every_code(calls: Any) -> None:
    for code in CODES:
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await calls(f"code {code.name}".encode(), timeout=60)
        assert (error.value.code(), error.value.details()) == (code, "says 100 % no: ü\n")
    with pytest.raises(grpc.aio.AioRpcError, match="broken") as raised:
        await calls(b"raise", timeout=60)
    assert raised.value.code() is grpc.StatusCode.UNKNOWN
    assert await calls(b"still there", timeout=60) == b"still there"


async def test_our_server_says_every_code(theirs_calls: Any) -> None:
    for code in CODES:
        with pytest.raises(grpc.RpcError) as error:
            await theirs_calls(f"code {code.name}".encode(), timeout=60)
        assert (error.value.code(), error.value.details()) == (code, "says 100 % no: ü\n")
    with pytest.raises(grpc.RpcError, match="broken") as raised:
        await theirs_calls(b"raise", timeout=60)
    assert raised.value.code() is grpc.StatusCode.UNKNOWN
    assert await theirs_calls(b"still there", timeout=60) == b"still there"


async def test_many_calls_beside_each_other_get_their_own_answers(calls: Any, theirs_calls: Any) -> None:
    for call in (calls, theirs_calls):
        messages = [bytes([number % 256]) * (number * 700) for number in range(200)]
        assert await asyncio.gather(*(call(message, timeout=60) for message in messages)) == messages


async def test_our_client_sends_a_later_deadline_than_it_keeps(calls: Any) -> None:
    assert await calls(b"time", timeout=1000) == b"1001"
    assert await calls(b"time", timeout=1_000_000) == b"1000001"


async def test_our_client_gives_up_in_time_and_the_server_learns_of_it(calls: Any, echo: Echo) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await calls(b"wait", timeout=0.5)
    assert error.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert await asyncio.to_thread(echo.ended.wait, 30)


async def test_a_server_learns_that_our_client_cancelled(calls: Any, echo: Echo) -> None:
    call = calls(b"wait", timeout=60)
    await asyncio.to_thread(echo.begun.wait, 30)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await asyncio.to_thread(echo.ended.wait, 30)


async def test_our_server_cancels_what_its_client_gave_up(theirs_calls: Any, echo: Echo) -> None:
    with pytest.raises(grpc.RpcError) as error:
        await theirs_calls(b"wait", timeout=0.5)
    assert error.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert await asyncio.to_thread(echo.ended.wait, 30)


async def test_our_server_leaves_no_socket(tmp_path: Path, ours: Server) -> None:
    assert (tmp_path / "ours").exists()
    await ours.stop(0)
    assert not (tmp_path / "ours").exists()


async def test_our_server_refuses_what_is_too_long(theirs_calls: Any) -> None:
    with pytest.raises(grpc.RpcError) as error:
        await theirs_calls(bytes(BIG + 1), timeout=60)
    assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert await theirs_calls(b"still there", timeout=60) == b"still there"


async def test_our_client_survives_its_server(
    tmp_path: Path, theirs: grpc.Server, calls: Any, echo: Echo
) -> None:
    assert await calls(b"first", timeout=60) == b"first"
    call = calls(b"wait", timeout=60)
    await asyncio.to_thread(echo.begun.wait, 30)
    theirs.stop(None)
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    assert error.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
    echo.ended.set()
    await asyncio.to_thread(theirs.wait_for_termination, 30)
    with pytest.raises(grpc.aio.AioRpcError) as gone:
        await calls(b"nobody is there", timeout=60)
    assert gone.value.code() is grpc.StatusCode.UNAVAILABLE
    (tmp_path / "theirs").unlink(missing_ok=True)
    again = grpc.server(ThreadPoolExecutor(1))
    again.add_generic_rpc_handlers((_handlers(echo.say),))
    again.add_insecure_port(f"unix://{tmp_path}/theirs")
    again.start()
    assert await calls(b"back", timeout=60) == b"back"
    again.stop(None).wait()


async def test_our_client_continues_where_a_server_renews_connections(tmp_path: Path, echo: Echo) -> None:
    options = [("grpc.max_connection_age_ms", 200), ("grpc.max_connection_age_grace_ms", 60_000)]
    server = grpc.server(ThreadPoolExecutor(2), options=options)
    server.add_generic_rpc_handlers((_handlers(echo.say),))
    server.add_insecure_port(f"unix://{tmp_path}/renewing")
    server.start()
    channel = Channel(tmp_path / "renewing", BIG)
    call = channel.unary_unary(METHOD, _same, _same)
    assert await call(b"one", timeout=60) == b"one"
    first = channel._connection
    assert first is not None

    async def closed() -> bool:
        return not first.open

    await eventually(closed)
    assert await call(b"two", timeout=60) == b"two"
    assert channel._connection is not first
    await channel.close()
    server.stop(None).wait()


async def test_our_client_notices_a_server_that_closes_at_once(tmp_path: Path) -> None:
    server = await asyncio.start_unix_server(lambda _, writer: writer.close(), str(tmp_path / "closing"))
    channel = Channel(tmp_path / "closing", BIG)
    for _ in range(20):
        with pytest.raises(grpc.aio.AioRpcError, match="connection lost") as error:
            await channel.unary_unary(METHOD, _same, _same)(b"", timeout=5)
        assert error.value.code() is grpc.StatusCode.UNAVAILABLE
    await channel.close()
    server.close()


async def test_our_client_reads_what_a_server_compresses(tmp_path: Path) -> None:
    server = grpc.aio.server(compression=grpc.Compression.Gzip)

    async def say(request: bytes, context: Any) -> bytes:
        return request * 1000

    server.add_generic_rpc_handlers((_handlers(say),))
    server.add_insecure_port(f"unix://{tmp_path}/gzip")
    await server.start()
    channel = Channel(tmp_path / "gzip", BIG)
    assert await channel.unary_unary(METHOD, _same, _same)(b"x", timeout=60) == b"x" * 1000
    await channel.close()
    await server.stop(None)


async def test_our_client_refuses_answers_that_are_too_long(
    tmp_path: Path, theirs: grpc.Server, echo: Echo
) -> None:
    channel = Channel(tmp_path / "theirs", 1000)
    call = channel.unary_unary(METHOD, _same, _same)
    with pytest.raises(grpc.aio.AioRpcError, match="the limit is 1000 bytes") as error:
        await call(bytes(100_000), timeout=60)
    assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert await call(b"still there", timeout=60) == b"still there"
    await channel.close()


@pytest.mark.parametrize("size", [10, 100_000])
async def test_our_server_reads_what_a_client_compresses(tmp_path: Path, ours: Server, size: int) -> None:
    address = f"unix://{tmp_path}/ours"
    async with grpc.aio.insecure_channel(address, compression=grpc.Compression.Gzip) as channel:
        assert await channel.unary_unary(METHOD)(bytes(size), timeout=60) == bytes(size)


async def test_our_server_refuses_what_unpacks_to_too_much(tmp_path: Path, ours: Server) -> None:
    address = f"unix://{tmp_path}/ours"
    async with grpc.aio.insecure_channel(address, OPTIONS, compression=grpc.Compression.Gzip) as channel:
        with pytest.raises(grpc.aio.AioRpcError, match="one message") as error:
            await channel.unary_unary(METHOD)(bytes(BIG + 1), timeout=60)
        assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED
