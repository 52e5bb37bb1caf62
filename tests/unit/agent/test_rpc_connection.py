"""The two ends of a connection beside each other, over bytes that arrive in any pieces."""

import asyncio

import grpc
import grpc.aio
import pytest
from hpack import Encoder
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.agent.rpc_pair import PATH, REQUEST, Pair, echo

from armonik_agent.rpc import frames, headers, server, status
from armonik_agent.rpc.frames import BrokenConnection, Code, FrameReader


@given(st.binary(max_size=200_000), st.integers(1, 70_000))
def test_a_message_of_any_size_in_any_pieces_comes_back(message: bytes, size: int) -> None:
    size = max(size, len(message) // 500)

    async def run() -> None:
        pair = Pair(echo)
        for _ in range(2):
            assert await pair.until(pair.client.call(PATH, message, 60), size) == message
        assert not pair.client.streams
        assert not pair.server.streams

    asyncio.run(run())


@given(st.integers(1, 40_000), st.integers(1, 40_000))
def test_no_more_is_sent_than_the_peer_has_room_for(first: int, more: int) -> None:
    async def run() -> None:
        pair = Pair(echo)
        pair.carry()
        pair.client.data_received(frames.settings({frames.INITIAL_WINDOW_SIZE: first}))
        pair.there.written.clear()
        call = pair.client.call(PATH, b"x" * 100_000, 60)

        def sent() -> int:
            found = [one for data in pair.there.written for one in FrameReader().read(data)]
            return sum(len(payload) for kind, _, _, payload in found if kind == frames.DATA)

        assert sent() == first
        pair.client.data_received(frames.frame(frames.WINDOW_UPDATE, 0, 1, frames.number(more)))
        assert sent() == first + more
        call.cancel()

    asyncio.run(run())


async def test_calls_beside_each_other_get_their_own_answers() -> None:
    waiting = asyncio.Event()

    async def method(request: bytes, _: server.Context) -> bytes:
        if request == b"slow":
            await waiting.wait()
        return request

    pair = Pair(method)
    slow, quick = pair.client.call(PATH, b"slow", 60), pair.client.call(PATH, b"quick", 60)
    assert await pair.until(quick) == b"quick"
    assert not slow.done()
    waiting.set()
    assert await pair.until(slow) == b"slow"


async def test_a_call_that_is_given_up_is_cancelled_at_the_other_end() -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def method(request: bytes, _: server.Context) -> bytes:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return request

    pair = Pair(method)
    call = pair.client.call(PATH, b"", 60)
    pair.carry()
    await begun.wait()
    call.cancel()
    await asyncio.sleep(0)
    pair.carry()
    await cancelled.wait()
    assert not pair.client.streams
    assert not pair.server.streams


async def test_a_method_that_fails_or_refuses_says_so() -> None:
    async def method(request: bytes, context: server.Context) -> bytes:
        if request == b"refuse":
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such thing: 100 % Ünheard of\n")
        raise ValueError("broken")

    pair = Pair(method)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await pair.until(pair.client.call(PATH, b"refuse", 60))
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    assert refused.value.details() == "no such thing: 100 % Ünheard of\n"
    with pytest.raises(grpc.aio.AioRpcError, match="broken") as failed:
        await pair.until(pair.client.call(PATH, b"fail", 60))
    assert failed.value.code() is grpc.StatusCode.UNKNOWN


@pytest.mark.parametrize("refuses", [True, False])
async def test_a_plain_function_answers_before_anything_else_is_read(refuses: bool) -> None:
    def method(request: bytes, context: server.Context) -> bytes:
        return context.refuse(grpc.StatusCode.NOT_FOUND, "no") if refuses else request

    pair = Pair(method)
    call = pair.client.call(PATH, b"plain", 60)
    pair.carry()
    assert call.done(), "no turn of the event loop was needed"
    assert not pair.client.streams
    assert not pair.server.streams
    if refuses:
        assert isinstance(error := call.exception(), grpc.aio.AioRpcError)
        assert error.code() is grpc.StatusCode.NOT_FOUND
    else:
        assert call.result() == b"plain"


async def test_an_answer_that_waits_for_room_is_forgotten_once_it_has_gone() -> None:
    pair = Pair(echo)
    pair.carry()
    pair.carry()
    pair.server.data_received(frames.settings({frames.INITIAL_WINDOW_SIZE: 10}))
    call = pair.client.call(PATH, b"x" * 30, 60)
    while not pair.server.streams or not any(one.pending for one in pair.server.streams.values()):
        pair.carry()
        await asyncio.sleep(0)
    pair.server.data_received(frames.frame(frames.WINDOW_UPDATE, 0, 1, frames.number(100)))
    assert not pair.server.streams
    assert await pair.until(call) == b"x" * 30


async def test_calls_end_at_their_own_deadlines() -> None:
    async def method(request: bytes, _: server.Context) -> bytes:
        await asyncio.Event().wait()
        return request

    pair = Pair(method)
    late, soon, now = [pair.client.call(PATH, b"", seconds) for seconds in (60, 0.02, 0.001)]
    for call in (now, soon):
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await call
        assert error.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert not late.done()
    assert list(pair.client.streams) == [1]
    late.cancel()


async def test_an_answer_that_is_not_what_it_should_be_fails_its_call_alone() -> None:
    def read(message: bytes) -> bytes:
        if message == b"bad":
            raise ValueError("unreadable")
        return message

    pair = Pair(echo)
    bad, good = pair.client.call(PATH, b"bad", 60, read), pair.client.call(PATH, b"good", 60, read)
    assert await pair.until(good) == b"good"
    with pytest.raises(grpc.aio.AioRpcError, match="unreadable") as error:
        await bad
    assert error.value.code() is grpc.StatusCode.INTERNAL


async def test_too_long_a_request_is_refused_and_the_connection_continues() -> None:
    pair = Pair(echo, limit=1000)
    with pytest.raises(grpc.aio.AioRpcError, match="the limit is 1000 bytes") as refused:
        await pair.until(pair.client.call(PATH, b"x" * 100_000, 60))
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert await pair.until(pair.client.call(PATH, b"x" * 1000, 60)) == b"x" * 1000
    assert not pair.client.streams
    assert not pair.server.streams


async def test_what_is_not_served_is_unimplemented() -> None:
    pair = Pair(echo)
    with pytest.raises(grpc.aio.AioRpcError, match=r"/a\.B/D is not served") as refused:
        await pair.until(pair.client.call(headers.write((":path", "/a.B/D")), b"", 60))
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_calls_of_a_lost_connection_are_unavailable() -> None:
    pair = Pair(echo)
    call = pair.client.call(PATH, b"", 60)
    pair.client.connection_lost(None)
    with pytest.raises(grpc.aio.AioRpcError, match="closed") as lost:
        await call
    assert lost.value.code() is grpc.StatusCode.UNAVAILABLE
    assert not pair.client.open


async def test_a_server_that_goes_away_answers_what_it_has_begun() -> None:
    let = asyncio.Event()

    async def method(request: bytes, _: server.Context) -> bytes:
        await let.wait()
        return request

    pair = Pair(method)
    call = pair.client.call(PATH, b"begun", 60)
    pair.carry()
    pair.server.say_goodbye()
    pair.carry()
    assert not pair.client.open
    let.set()
    assert await pair.until(call) == b"begun"
    assert pair.there.closed


async def test_calls_that_a_server_going_away_did_not_see_are_unavailable() -> None:
    pair = Pair(echo)
    call = pair.client.call(PATH, b"", 60)
    pair.client.data_received(frames.frame(frames.GOAWAY, 0, 0, frames.number(0) + frames.number(0)))
    with pytest.raises(grpc.aio.AioRpcError) as gone:
        await call
    assert gone.value.code() is grpc.StatusCode.UNAVAILABLE


HEADER = st.tuples(
    st.text("abcdefgh-", min_size=1, max_size=200), st.text(st.characters(codec="utf-8"), max_size=300)
)


@given(st.lists(st.lists(HEADER, max_size=6), max_size=8), st.booleans())
def test_headers_are_read_as_any_encoder_writes_them(
    blocks: list[list[tuple[str, str]]], huffman: bool
) -> None:
    encoder, reader = Encoder(), headers.HeaderReader()
    for block in [*blocks, *blocks]:  # the second time they name the table's entries
        assert reader.read(encoder.encode(block, huffman=huffman)) == dict(block)


KNOWN = st.sampled_from(
    [
        (":method", "POST"),
        (":method", "GET"),
        (":scheme", "http"),
        (":status", "200"),
        (":status", "404"),
        (":path", "/a.B/C"),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
    ]
)


@given(st.lists(HEADER | KNOWN, max_size=6))
def test_headers_are_written_so_that_they_can_be_read(block: list[tuple[str, str]]) -> None:
    assert headers.HeaderReader().read(headers.write(*block)) == dict(block)


def _headers(flags: int, payload: bytes) -> bytes:
    return frames.frame(frames.HEADERS, flags, 1, payload)


BROKEN = {
    "too long a frame": (b"\x00\x40\x01" + bytes(6), Code.FRAME_SIZE_ERROR),
    "data of no stream": (frames.frame(frames.DATA, 0, 0, b"x"), Code.PROTOCOL_ERROR),
    "headers of no stream": (frames.frame(frames.HEADERS, 4, 0, b""), Code.PROTOCOL_ERROR),
    "headers cut by another frame": (
        _headers(0, b"") + frames.frame(frames.PING, 0, 0, bytes(8)),
        Code.PROTOCOL_ERROR,
    ),
    "headers without end": (
        _headers(0, b"") + frames.frame(9, 0, 1, bytes(16_384)) * 5,
        Code.ENHANCE_YOUR_CALM,
    ),
    "a continuation of nothing": (frames.frame(frames.CONTINUATION, 4, 1, b""), Code.PROTOCOL_ERROR),
    "unreadable headers": (_headers(4, b"\xff\xff\xff\xff\xff\x7f"), Code.COMPRESSION_ERROR),
    "more padding than payload": (_headers(4 | 8, b"\x09x"), Code.PROTOCOL_ERROR),
    "padded and empty": (_headers(4 | 8, b""), Code.FRAME_SIZE_ERROR),
    "no room for a priority": (_headers(4 | 0x20, b"abc"), Code.FRAME_SIZE_ERROR),
    "a server's stream number": (frames.frame(frames.HEADERS, 4, 2, REQUEST), Code.PROTOCOL_ERROR),
    "a short ping": (frames.frame(frames.PING, 0, 0, b"x"), Code.FRAME_SIZE_ERROR),
    "a ping of a stream": (frames.frame(frames.PING, 0, 1, bytes(8)), Code.PROTOCOL_ERROR),
    "settings of a stream": (frames.frame(frames.SETTINGS, 0, 1), Code.PROTOCOL_ERROR),
    "half a setting": (frames.frame(frames.SETTINGS, 0, 0, b"xyz"), Code.FRAME_SIZE_ERROR),
    "too large a window": (frames.settings({frames.INITIAL_WINDOW_SIZE: 2**31}), Code.FLOW_CONTROL_ERROR),
    "a window beyond its end": (frames.frame(8, 0, 0, frames.number(2**31 - 1)), Code.FLOW_CONTROL_ERROR),
    "a window that does not grow": (frames.frame(8, 0, 0, frames.number(0)), Code.PROTOCOL_ERROR),
    "half a window update": (frames.frame(8, 0, 0, b"x"), Code.FRAME_SIZE_ERROR),
    "half a reset": (frames.frame(frames.RST_STREAM, 0, 1, b"x"), Code.FRAME_SIZE_ERROR),
    "a push": (frames.frame(frames.PUSH_PROMISE, 4, 1, bytes(4)), Code.PROTOCOL_ERROR),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_rule_ends_the_connection_and_is_named(name: str) -> None:
    data, code = BROKEN[name]
    pair = Pair(echo)
    pair.carry()
    pair.back.written.clear()
    pair.server.data_received(data)
    sent = [one for written in pair.back.written for one in FrameReader().read(written)]
    assert [(kind, int.from_bytes(payload[4:], "big")) for kind, _, _, payload in sent] == [
        (frames.GOAWAY, code)
    ]
    assert pair.back.closed


def test_what_is_no_http2_is_hung_up_on() -> None:
    pair = Pair(echo)
    pair.server.data_received(b"GET / HTTP/1.1\r\n\r\n")
    assert pair.back.closed


@given(
    st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255), st.integers(0, 9), st.binary(max_size=40)))
)
def test_no_frames_whatever_they_are_break_the_server_otherwise(sent: list[frames.Frame]) -> None:
    async def run() -> None:
        pair = Pair(echo)
        pair.carry()
        for one in sent:
            if not pair.back.closed:
                pair.server.data_received(frames.frame(*one))
        for call in list(pair.server._calls.values()):
            await asyncio.wait([call], timeout=5)

    asyncio.run(run())


@pytest.mark.parametrize("code", list(grpc.StatusCode))
def test_every_status_is_read_as_it_was_said(code: grpc.StatusCode) -> None:
    said = {"grpc-status": str(code.value[0]), "grpc-message": "it%20is"}
    read = status.of_headers(said)
    if code is grpc.StatusCode.OK:
        assert read is None
    else:
        assert read is not None
        assert (read.code(), read.details()) == (code, "it is")


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({":status": "200"}, grpc.StatusCode.INTERNAL),
        ({":status": "404"}, grpc.StatusCode.UNIMPLEMENTED),
        ({":status": "503"}, grpc.StatusCode.UNAVAILABLE),
        ({":status": "418"}, grpc.StatusCode.UNKNOWN),
        ({"grpc-status": "99"}, grpc.StatusCode.UNKNOWN),
        ({"grpc-status": "²"}, grpc.StatusCode.UNKNOWN),
    ],
)
def test_an_answer_without_a_usable_status_fails(said: dict[str, str], code: grpc.StatusCode) -> None:
    read = status.of_headers(said)
    assert read is not None
    assert read.code() is code


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (Code.REFUSED_STREAM, grpc.StatusCode.UNAVAILABLE),
        (Code.CANCEL, grpc.StatusCode.CANCELLED),
        (Code.ENHANCE_YOUR_CALM, grpc.StatusCode.RESOURCE_EXHAUSTED),
        (Code.NO_ERROR, grpc.StatusCode.INTERNAL),
        (4711, grpc.StatusCode.INTERNAL),
    ],
)
def test_a_reset_is_a_failure_of_its_kind(number: int, code: grpc.StatusCode) -> None:
    assert status.of_reset(number).code() is code


def test_a_broken_connection_names_the_rule() -> None:
    with pytest.raises(BrokenConnection, match="FRAME_SIZE_ERROR: a frame of 16385 bytes"):
        list(FrameReader().read(b"\x00\x40\x01" + bytes(6)))
