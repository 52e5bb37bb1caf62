"""What a peer can make either end hold in memory, and how many calls it takes at once."""

import asyncio
import gzip

import grpc
import grpc.aio
import pytest
from tests.unit.agent.rpc_pair import PATH, REQUEST, Pair, echo

from armonik_agent.rpc import connection, frames, headers, server
from armonik_agent.rpc.frames import FrameReader, frame
from armonik_agent.rpc.room import Room

LIMIT = 1_000_000


class Holding:
    """A method that holds its requests until it is let."""

    def __init__(self) -> None:
        self.held: list[int] = []
        self.let = asyncio.Event()

    async def __call__(self, request: bytes, _: server.Context) -> bytes:
        self.held.append(len(request))
        await self.let.wait()
        return b""


async def carry_all(pair: Pair) -> None:
    """Carry until nothing moves."""
    quiet = 0
    while quiet < 3:
        quiet = 0 if pair.carry() else quiet + 1
        await asyncio.sleep(0)


def received(pair: Pair) -> int:
    """Bytes of requests that the server holds and has not given to a method."""
    return sum(len(stream.received) for stream in pair.server.streams.values())


async def test_long_requests_take_turns_in_memory() -> None:
    method = Holding()
    pair = Pair(method, LIMIT)
    calls = [pair.client.call(PATH, bytes(600_000), 60) for _ in range(5)]
    short = pair.client.call(PATH, bytes(1000), 60)
    await carry_all(pair)
    assert sorted(method.held) == [1000, 600_000]
    assert received(pair) <= 4 * frames.DEFAULT_WINDOW
    method.let.set()
    for call in (*calls, short):
        assert await pair.until(call) == b""
    assert method.held.count(600_000) == 5
    assert not pair.server.streams


async def test_a_turn_is_given_back_by_whoever_gives_up() -> None:
    method = Holding()
    pair = Pair(method, LIMIT)
    first, second, third = [pair.client.call(PATH, bytes(size), 60) for size in (900_000, 900_001, 900_002)]
    await carry_all(pair)
    second.cancel()
    await carry_all(pair)
    assert method.held == [900_000]
    first.cancel()
    await carry_all(pair)
    assert method.held == [900_000, 900_002]
    pair.server.connection_lost(None)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert pair.server._room._free == LIMIT
    third.cancel()


async def test_compressed_requests_are_unpacked_one_after_the_other() -> None:
    method = Holding()
    pair = Pair(method, LIMIT)
    pair.carry()
    packed = gzip.compress(bytes(900_000))
    block = headers.write((":method", "POST"), (":scheme", "http")) + PATH
    block += headers.write(("grpc-encoding", "gzip"))
    for number in (1, 3, 5):
        message = b"\x01" + frames.number(len(packed)) + packed
        pair.server.data_received(
            frame(frames.HEADERS, frames.END_HEADERS, number, block)
            + frame(frames.DATA, frames.END_STREAM, number, message)
        )
    await asyncio.sleep(0)
    assert method.held == [900_000]
    method.let.set()
    for _ in range(10):
        await asyncio.sleep(0)
    assert method.held == [900_000] * 3


async def test_a_request_that_says_it_is_too_long_is_refused_at_its_first_bytes() -> None:
    pair = Pair(echo, LIMIT)
    pair.carry()
    pair.server.data_received(frame(frames.HEADERS, frames.END_HEADERS, 1, REQUEST))
    pair.back.written.clear()
    pair.server.data_received(frame(frames.DATA, 0, 1, b"\x00" + frames.number(LIMIT + 1)))
    kinds = [one[0] for written in pair.back.written for one in FrameReader().read(written)]
    assert kinds == [frames.HEADERS, frames.RST_STREAM]
    assert not pair.server.streams


async def test_more_than_one_message_is_refused() -> None:
    pair = Pair(echo, LIMIT)
    pair.carry()
    pair.server.data_received(frame(frames.HEADERS, frames.END_HEADERS, 1, REQUEST))
    pair.server.data_received(frame(frames.DATA, 0, 1, b"\x00" + frames.number(1) + b"abc"))
    assert not pair.server.streams


async def test_a_peer_that_sends_more_than_it_may_loses_the_connection() -> None:
    method = Holding()
    pair = Pair(method, LIMIT)
    first = pair.client.call(PATH, bytes(900_000), 60)
    await carry_all(pair)
    pair.server.data_received(frame(frames.HEADERS, frames.END_HEADERS, 3, REQUEST))
    head = b"\x00" + frames.number(900_000)
    for part in (head, *[bytes(frames.MAX_FRAME)] * 4):
        if not pair.back.closed:
            pair.server.data_received(frame(frames.DATA, 0, 3, part))
    assert pair.back.closed
    first.cancel()


async def test_padding_takes_no_room_from_a_request() -> None:
    pair = Pair(echo, LIMIT)
    pair.carry()
    pair.server.data_received(frame(frames.HEADERS, frames.END_HEADERS, 1, REQUEST))
    stream = pair.server.streams[1]
    for part in (b"\x00", frames.number(3000), *[b"x" * 10] * 299):
        pair.server.data_received(frame(frames.DATA, frames.PADDED, 1, b"\xff" + part + bytes(255)))
    assert stream.room == frames.DEFAULT_WINDOW - 2995


async def test_who_does_not_read_answers_to_pings_loses_the_connection() -> None:
    pair = Pair(echo)
    pair.carry()
    pair.server.pause_writing()
    ping = frame(frames.PING, 0, 0, bytes(8)) * 10_000
    for _ in range(2 * connection.MAX_UNREAD_BYTES // len(ping)):
        if not pair.back.closed:
            pair.server.data_received(ping)
    assert pair.back.closed


async def test_a_message_waits_while_the_peer_does_not_read() -> None:
    pair = Pair(echo)
    await carry_all(pair)
    pair.client.pause_writing()
    calls = [pair.client.call(PATH, bytes(size), 60) for size in (10, 50_000)]
    found = [kind for data in pair.there.written for kind, *_ in FrameReader().read(data)]
    assert found == [frames.HEADERS, frames.HEADERS]
    pair.client.resume_writing()
    assert [len(await pair.until(call)) for call in calls] == [10, 50_000]


async def test_a_long_message_is_given_to_the_transport_in_parts() -> None:
    pair = Pair(echo)
    pair.carry()
    pair.carry()
    call = pair.client.call(PATH, bytes(50_000_000), 60)
    pair.there.written.clear()
    pair.client.data_received(frame(frames.WINDOW_UPDATE, 0, 1, frames.number(2**30)))
    assert max(map(len, pair.there.written)) <= connection.PART_BYTES + 16 * 9
    call.cancel()


async def test_no_more_calls_are_begun_than_the_server_takes() -> None:
    method = Holding()
    pair = Pair(method)
    await carry_all(pair)
    pair.client.data_received(frames.settings({frames.MAX_CONCURRENT_STREAMS: 2}))
    calls = [pair.client.call(PATH, bytes(size), 60) for size in range(5)]
    await carry_all(pair)
    assert method.held == [0, 1]
    calls[2].cancel()
    calls[0].cancel()
    await carry_all(pair)
    assert method.held == [0, 1, 3]
    method.let.set()
    for call in (calls[1], calls[3], calls[4]):
        assert await pair.until(call) == b""
    assert not pair.client._waiting


async def test_a_call_that_waits_for_its_turn_ends_at_its_deadline() -> None:
    pair = Pair(echo)
    pair.client.data_received(frames.settings({frames.MAX_CONCURRENT_STREAMS: 0}))
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await pair.client.call(PATH, b"", 0.01)
    assert error.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    lost = pair.client.call(PATH, b"", 60)
    pair.client.connection_lost(None)
    with pytest.raises(grpc.aio.AioRpcError) as gone:
        await lost
    assert gone.value.code() is grpc.StatusCode.UNAVAILABLE


def test_a_header_block_that_resizes_the_table_is_read_anew_each_time() -> None:
    """The sizes alternate between 0 and the default; then an entry is added, and named by its index."""
    reader = headers.HeaderReader()
    shrink, restore = b"\x20\x88", b"\x3f\xe1\x1f\x88"
    for block in (restore, shrink, restore):
        assert reader.read(block) == {":status": "200"}
    assert reader.read(b"\x40\x01a\x01b") == {"a": "b"}
    assert reader.read(b"\xbe") == {"a": "b"}


def test_turns_are_granted_in_order_and_once() -> None:
    granted: list[str] = []
    room = Room(10)
    first = room.take(8, lambda: granted.append("first"))
    second = room.take(5, lambda: granted.append("second"))
    third = room.take(1, lambda: granted.append("third"))
    assert (first.granted, second.granted, third.granted) == (True, False, False)
    first.shrink(5)
    assert granted == ["second"]
    first.release()
    first.release()
    assert granted == ["second", "third"]
    second.release()
    third.release()
    assert room._free == 10
