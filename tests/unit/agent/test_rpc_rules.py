"""Rules of HTTP/2 for requests, and what follows when a peer breaks one (RFC 9113)."""

import asyncio

import grpc
import grpc.aio
import pytest
from hpack import Encoder
from tests.unit.agent.rpc_pair import PATH, Pair, Pipe, echo

from armonik_agent.rpc import frames, headers, server
from armonik_agent.rpc.frames import Code, FrameReader, frame

REQUEST = [(":method", "POST"), (":scheme", "http"), (":path", "/a.B/C"), ("te", "trailers")]
END = frames.END_HEADERS | frames.END_STREAM
MESSAGE = b"\x00" + frames.number(2) + b"hi"


def block(*pairs: tuple[str, str]) -> bytes:
    return Encoder().encode(pairs, huffman=False)


def begin(stream: int, flags: int = frames.END_HEADERS, *pairs: tuple[str, str]) -> bytes:
    return frame(frames.HEADERS, flags, stream, block(*(pairs or REQUEST)))


def sent(pipe: Pipe) -> list[tuple[int, int, int]]:
    """What ended a stream or the connection: kind, stream, code."""
    found = [one for data in pipe.written for one in FrameReader().read(data)]
    resets = [
        (kind, stream, int.from_bytes(payload[-4:], "big"))
        for kind, _, stream, payload in found
        if kind in (frames.RST_STREAM, frames.GOAWAY)
    ]
    pipe.written.clear()
    return resets


def connected(method: server.Method = echo) -> Pair:
    pair = Pair(method)
    pair.carry()
    sent(pair.back)
    return pair


def setting(key: int, value: int) -> bytes:
    return frames.settings({key: value})


BROKEN_CONNECTION = {
    "data of a stream that has not begun": (frame(frames.DATA, 0, 7, b"x"), Code.PROTOCOL_ERROR),
    "a reset of a stream that has not begun": (
        frame(frames.RST_STREAM, 0, 7, frames.number(8)),
        Code.PROTOCOL_ERROR,
    ),
    "room for a stream that has not begun": (
        frame(frames.WINDOW_UPDATE, 0, 7, frames.number(8)),
        Code.PROTOCOL_ERROR,
    ),
    "a reset of no stream": (frame(frames.RST_STREAM, 0, 0, frames.number(8)), Code.PROTOCOL_ERROR),
    "a priority of no stream": (frame(frames.PRIORITY, 0, 0, bytes(5)), Code.PROTOCOL_ERROR),
    "half a priority": (frame(frames.PRIORITY, 0, 1, bytes(4)), Code.FRAME_SIZE_ERROR),
    "a goodbye of a stream": (frame(frames.GOAWAY, 0, 1, bytes(8)), Code.PROTOCOL_ERROR),
    "half a goodbye": (frame(frames.GOAWAY, 0, 0, bytes(4)), Code.FRAME_SIZE_ERROR),
    "an acknowledgement that says more": (frame(frames.SETTINGS, 1, 0, bytes(6)), Code.FRAME_SIZE_ERROR),
    "pushes that are neither on nor off": (setting(frames.ENABLE_PUSH, 2), Code.PROTOCOL_ERROR),
    "frames that may not be as long as they must": (
        setting(frames.MAX_FRAME_SIZE, 16_383),
        Code.PROTOCOL_ERROR,
    ),
    "frames that may be longer than they can": (setting(frames.MAX_FRAME_SIZE, 2**24), Code.PROTOCOL_ERROR),
    "a window that settings make too large": (
        setting(4, 9)
        + begin(1)
        + frame(frames.WINDOW_UPDATE, 0, 1, frames.number(1))
        + setting(4, 2**31 - 1),
        Code.FLOW_CONTROL_ERROR,
    ),
    "headers of a stream that has ended": (
        begin(1) + frame(frames.DATA, 1, 1, MESSAGE) + begin(1),
        Code.STREAM_CLOSED,
    ),
    "a stream behind a later one": (begin(5) + begin(3), Code.STREAM_CLOSED),
}


@pytest.mark.parametrize("name", BROKEN_CONNECTION)
async def test_a_broken_rule_of_the_connection_ends_it(name: str) -> None:
    data, code = BROKEN_CONNECTION[name]
    pair = connected(lambda request, _: request)
    pair.server.data_received(data)
    assert sent(pair.back)[-1][::2] == (frames.GOAWAY, code)
    assert pair.back.closed


WITHOUT = {name: [pair for pair in REQUEST if pair[0] != name] for name in (":method", ":scheme", ":path")}
MALFORMED = {
    **{f"no {name}": pairs for name, pairs in WITHOUT.items()},
    **{f"{name} twice": [pair, *REQUEST] for pair in REQUEST[:3] for name in pair[:1]},
    "an empty path": [*REQUEST[:2], (":path", "")],
    "an unknown pseudo-header": [(":what", "ever"), *REQUEST],
    "a pseudo-header of answers": [(":status", "200"), *REQUEST],
    "a pseudo-header behind others": [*REQUEST, (":authority", "localhost")],
    "a name with capitals": [*REQUEST, ("X-Name", "value")],
    "a header of HTTP/1.1": [*REQUEST, ("connection", "keep-alive")],
    "another te": [*REQUEST[:3], ("te", "trailers, deflate")],
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_a_malformed_request_ends_its_stream_and_no_other(name: str) -> None:
    pair = connected()
    call = pair.client.call(PATH, b"before", 60)
    pair.client._next = 5
    pair.carry()
    pair.server.data_received(begin(3, frames.END_HEADERS, *MALFORMED[name]))
    assert (frames.RST_STREAM, 3, Code.PROTOCOL_ERROR) in sent(pair.back)
    assert 3 not in pair.server.streams
    pair.server.data_received(frame(frames.DATA, 1, 3, MESSAGE))
    assert sent(pair.back) == [], "the peer did not know that yet"
    assert await pair.until(call) == b"before"
    assert await pair.until(pair.client.call(PATH, b"after", 60)) == b"after"


BROKEN_STREAM = {
    "headers that end nothing": (begin(1, frames.END_HEADERS, ("a", "b")), Code.PROTOCOL_ERROR),
    "pseudo-headers behind the message": (begin(1, END), Code.PROTOCOL_ERROR),
    "more room than there can be": (
        frame(frames.WINDOW_UPDATE, 0, 1, frames.number(2**31 - 1)),
        Code.FLOW_CONTROL_ERROR,
    ),
    "data behind the end": (
        frame(frames.DATA, 1, 1, MESSAGE) + frame(frames.DATA, 0, 1, b"x"),
        Code.STREAM_CLOSED,
    ),
    "headers behind the end": (
        frame(frames.DATA, 1, 1, MESSAGE) + begin(1, END, ("a", "b")),
        Code.STREAM_CLOSED,
    ),
    "data behind a reset": (
        frame(frames.RST_STREAM, 0, 1, frames.number(8)) + frame(frames.DATA, 0, 1, b"x"),
        Code.STREAM_CLOSED,
    ),
}


@pytest.mark.parametrize("name", BROKEN_STREAM)
async def test_a_broken_rule_of_a_stream_ends_it_and_cancels_its_call(name: str) -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def method(request: bytes, _: server.Context) -> bytes:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return request

    data, code = BROKEN_STREAM[name]
    pair = connected(method)
    pair.server.data_received(begin(1))
    ends = frame(frames.DATA, 1, 1, MESSAGE)
    if data.startswith(ends):
        pair.server.data_received(ends)
        await begun.wait()
        data = data[len(ends) :]
    pair.server.data_received(data)
    assert sent(pair.back) == [(frames.RST_STREAM, 1, code)]
    assert not pair.back.closed
    assert not pair.server.streams
    if begun.is_set():
        await cancelled.wait()


async def test_trailers_end_a_request() -> None:
    pair = connected(lambda request, _: request)
    pair.server.data_received(begin(1) + frame(frames.DATA, 0, 1, MESSAGE) + begin(1, END, ("a", "b")))
    assert MESSAGE in bytes(pair.back.all)
    assert sent(pair.back) == []


async def test_the_numbers_of_streams_that_were_given_up_are_bounded() -> None:
    pair = connected()
    for number in range(1, 4 * server.MAX_CALLS, 2):
        pair.server.data_received(begin(number, frames.END_HEADERS, *REQUEST[:3], (":path", "")))
    assert len(pair.server._given_up) == server.MAX_CALLS


async def test_data_of_an_answer_that_was_not_asked_for_ends_the_connection() -> None:
    pair = connected()
    call = pair.client.call(PATH, b"", 60)
    pair.client.data_received(frame(frames.DATA, 0, 3, b"x"))
    with pytest.raises(grpc.aio.AioRpcError, match="has not begun"):
        await call
    assert sent(pair.there)[-1][::2] == (frames.GOAWAY, Code.PROTOCOL_ERROR)


def test_headers_of_answers_are_not_held_to_the_rules_of_requests() -> None:
    pairs = [(":status", "200"), ("content-type", "application/grpc")]
    assert headers.HeaderReader().read(block(*pairs)) == dict(pairs)
