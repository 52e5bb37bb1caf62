"""One HTTP/2 connection, the part that client and server share: frames in, frames out, flow control."""

import asyncio
import zlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import cast

from armonik_agent.rpc import frames
from armonik_agent.rpc.frames import PREFIX_BYTES, BrokenConnection, Code, frame, number
from armonik_agent.rpc.headers import HeaderReader, Headers
from armonik_agent.rpc.room import Turn

GRANT_BYTES = 16 * 1024 * 1024
"""Bytes received after which the peer gets a WINDOW_UPDATE for as many; it may be ahead by 2 GiB."""
PART_BYTES = 16 * frames.MAX_FRAME
"""Of a message that is given to the transport in one go; more follows as the peer reads."""
MAX_UNREAD_BYTES = 4 * 1024 * 1024
"""Of answers that a peer does not read, to its PINGs and SETTINGS for instance. It ends the connection."""


@dataclass(slots=True)
class Stream:
    """One call."""

    number: int
    window: int
    """Bytes that we may send."""
    room: int = frames.DEFAULT_WINDOW
    """Bytes that the peer may send."""
    length: int | None = None
    """Of the message that the peer sends, as soon as that is known."""
    compressed: bool = False
    turn: Turn | None = None
    """Its place among long messages."""
    received: bytes | bytearray = b""
    """As it came; a bytearray once there was more than one piece of it."""
    headers: Headers | None = None
    """The first ones."""
    ended: bool = False
    """The peer has said all."""
    pending: memoryview | None = None
    """What is still to be sent of our message."""
    after: bytes = b""
    """Frames to be sent behind it; without any, its last frame ends the stream."""

    def take(self, part: bytes) -> None:
        """More was received."""
        if not self.received:
            self.received = part
        elif isinstance(self.received, bytearray):
            self.received += part
        else:
            self.received = bytearray(self.received)
            self.received += part
        if self.length is None and len(self.received) >= PREFIX_BYTES:
            self.length = int.from_bytes(self.received[1:PREFIX_BYTES], "big")
            self.compressed = self.received[0] != 0


class Connection(asyncio.Protocol, ABC):
    """What every end of a connection does; `limit`: bytes that a message may have.

    A subclass says what headers, data and resets mean.
    """

    transport: asyncio.Transport

    def __init__(self, limit: int, settings: dict[int, int], greeting: bytes = b"") -> None:
        self.limit = limit
        self._greeting = greeting + frames.settings(settings)
        self._stream_room = settings.get(frames.INITIAL_WINDOW_SIZE, frames.DEFAULT_WINDOW)
        self._full = False
        """Whether the transport holds enough that the peer has not read."""
        self._reader, self._headers = frames.FrameReader(), HeaderReader()
        self._block: tuple[int, int, bytearray] | None = None
        self._window = self._initial_window = frames.DEFAULT_WINDOW
        self._ungranted = 0
        self.streams: dict[int, Stream] = {}
        self.most_streams = frames.MAX_WINDOW
        """As many as the peer takes at once."""

    @abstractmethod
    def _on_headers(self, number: int, headers: Headers, ended: bool) -> None:
        """Headers of a stream, which need not be known."""

    @abstractmethod
    def _is_idle(self, number: int) -> bool:
        """Whether the stream has not begun."""

    @abstractmethod
    def _on_data(self, stream: Stream) -> None:
        """More was received, perhaps the last of it."""

    def _on_stray_data(self, number: int) -> None:
        """Data of a stream that has ended here: the peer did not know that yet."""

    @abstractmethod
    def _on_too_long(self, stream: Stream) -> None:
        """The message that has begun is longer than the limit."""

    @abstractmethod
    def _on_surplus(self, stream: Stream) -> None:
        """More was received than the one message."""

    def _on_settings(self) -> None:
        """The peer sent its settings."""

    @abstractmethod
    def _on_reset(self, stream: Stream, code: int) -> None:
        """The peer ended a stream, or broke its rules; it is forgotten."""

    @abstractmethod
    def _on_goaway(self, last: int) -> None:
        """The peer takes no streams beyond this one."""

    @abstractmethod
    def _on_lost(self, reason: str) -> None:
        """Nothing more will be received or sent; may be called twice."""

    @abstractmethod
    def _on_sent(self, stream: Stream) -> None:
        """All of a message has gone that had to wait for room."""

    # asyncio's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet: settings, and as much room as there can be for the whole connection."""
        self.transport = cast("asyncio.Transport", transport)
        room = frames.MAX_WINDOW - frames.DEFAULT_WINDOW
        self.transport.write(self._greeting + frame(frames.WINDOW_UPDATE, 0, 0, number(room)))

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        try:
            for one in self._reader.read(data):
                self._take(*one)
        except BrokenConnection as error:
            last = max(self.streams, default=0)
            self.transport.write(frame(frames.GOAWAY, 0, 0, number(last) + number(error.code)))
            self._on_lost(str(error))
            self.transport.close()
        if self._full and self.transport.get_write_buffer_size() > MAX_UNREAD_BYTES:
            self._on_lost("the peer does not read what it is answered")
            self.transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        """Nothing more will come."""
        self._on_lost(str(error) if error is not None else "the connection was closed")

    def pause_writing(self) -> None:
        """The peer does not read as fast as we send."""
        self._full = True

    def resume_writing(self) -> None:
        """It has read most of it."""
        self._full = False
        self._send_due()

    # Sending.

    def send(self, stream: Stream, before: bytes, message: bytes, after: bytes = b"") -> None:
        """Send header frames, a message as gRPC prefixes it, and frames behind it, as room there is."""
        size = len(message) + PREFIX_BYTES
        if not self._full and size <= min(
            self._window, stream.window, frames.MAX_FRAME
        ):  # one write, without another copy
            self._window -= size
            stream.window -= size
            head = frames.message_head(0 if after else frames.END_STREAM, stream.number, len(message))
            self.transport.write(b"".join((before, head, message, after)))
            return
        stream.pending = memoryview(b"\x00" + number(len(message)) + message)
        stream.after = after
        self.transport.write(before)
        self._send_part(stream)

    def reset(self, stream: Stream, code: Code) -> None:
        """End a stream at once, and forget it."""
        self.streams.pop(stream.number, None)
        self.transport.write(frame(frames.RST_STREAM, 0, stream.number, number(code)))

    def end_broken(self, stream: Stream, code: Code) -> None:
        """End a stream whose peer has broken a rule that concerns no other stream."""
        self.reset(stream, code)
        self._on_reset(stream, code)

    def _send_part(self, stream: Stream) -> None:
        """Send of a stream's message what may be sent now."""
        while not self._full and (data := self._due(stream)):
            self.transport.write(data)

    def _due(self, stream: Stream) -> bytes:
        """The next frames of a stream's message, as far as the peer has room."""
        parts: list[bytes] = []
        left = PART_BYTES
        while stream.pending is not None:
            room = min(self._window, stream.window, frames.MAX_FRAME, left)
            if room <= 0:
                break
            part, rest = stream.pending[:room], stream.pending[room:]
            self._window -= len(part)
            stream.window -= len(part)
            left -= len(part)
            flags = 0 if rest or stream.after else frames.END_STREAM
            parts.append(frame(frames.DATA, flags, stream.number, part))
            stream.pending = rest or None
            if not rest:
                parts.append(stream.after)
        return b"".join(parts)

    def _send_due(self) -> None:
        for stream in [one for one in self.streams.values() if one.pending is not None]:
            self._send_part(stream)
            if stream.pending is None:
                self._on_sent(stream)

    def _grant(self, stream: Stream) -> None:
        """Let the peer send the rest of a message, whatever its length."""
        more, stream.room = frames.MAX_WINDOW - stream.room, frames.MAX_WINDOW
        self.transport.write(frame(frames.WINDOW_UPDATE, 0, stream.number, number(more)))

    # Receiving.

    def _take(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if self._block is not None and (kind != frames.CONTINUATION or number != self._block[0]):
            raise BrokenConnection(Code.PROTOCOL_ERROR, "headers were begun and not ended")
        if kind == frames.DATA:
            self._take_data(flags, number, payload)
        elif kind == frames.HEADERS:
            if number == 0:
                raise BrokenConnection(Code.PROTOCOL_ERROR, "HEADERS of no stream")
            block = frames.content(flags, payload, kind)
            if flags & frames.END_HEADERS:
                self._end_block(number, flags, block)
            else:
                self._block = (number, flags, bytearray(block))
        elif kind == frames.CONTINUATION:
            self._go_on_with_block(flags, payload)
        elif kind == frames.WINDOW_UPDATE:
            self._grow(number, frames.read_number(payload, "WINDOW_UPDATE") & frames.MAX_WINDOW)
        elif kind == frames.SETTINGS:
            self._take_settings(flags, number, payload)
        elif kind == frames.PING:
            self._take_ping(flags, number, payload)
        elif kind == frames.RST_STREAM:
            code = frames.read_number(payload, "RST_STREAM")
            self._check_begun(number, "RST_STREAM")
            stream = self.streams.pop(number, None)
            if stream is not None:
                self._on_reset(stream, code)
        elif kind == frames.GOAWAY:
            self._on_goaway(frames.read_goaway(number, payload))
        elif kind == frames.PRIORITY:
            frames.check_priority(number, payload)
        elif kind == frames.PUSH_PROMISE:
            raise BrokenConnection(Code.PROTOCOL_ERROR, "nobody asked for a push")
        # Kinds that we do not know are to be ignored (section 4.1).

    def _check_begun(self, number: int, what: str) -> None:
        if number == 0 or self._is_idle(number):
            raise BrokenConnection(Code.PROTOCOL_ERROR, f"{what} of a stream that has not begun")

    def _go_on_with_block(self, flags: int, payload: bytes) -> None:
        if self._block is None:
            raise BrokenConnection(Code.PROTOCOL_ERROR, "CONTINUATION of nothing")
        number, first_flags, block = self._block
        block.extend(payload)
        if flags & frames.END_HEADERS:
            self._block = None
            self._end_block(number, first_flags, bytes(block))
        elif len(block) > 4 * frames.MAX_FRAME:
            raise BrokenConnection(Code.ENHANCE_YOUR_CALM, "headers without end")

    def _end_block(self, number: int, flags: int, block: bytes) -> None:
        # Read even those of a stream that has ended: later blocks build on them.
        self._on_headers(number, self._headers.read(block), bool(flags & frames.END_STREAM))

    def _take_data(self, flags: int, number_: int, payload: bytes) -> None:
        self._ungranted += len(payload)
        if self._ungranted >= GRANT_BYTES:
            self.transport.write(frame(frames.WINDOW_UPDATE, 0, 0, number(self._ungranted)))
            self._ungranted = 0
        stream = self.streams.get(number_)
        if stream is None:
            self._check_begun(number_, "DATA")
            self._on_stray_data(number_)
            return
        if stream.ended:
            self.end_broken(stream, Code.STREAM_CLOSED)
            return
        part = frames.content(flags, payload, frames.DATA)
        stream.room -= len(payload)
        if stream.room < 0:
            raise BrokenConnection(Code.FLOW_CONTROL_ERROR, "more data than there was room for")
        stream.ended = bool(flags & frames.END_STREAM)
        if len(part) < len(payload) and not stream.ended:  # padding takes no room
            stream.room += len(payload) - len(part)
            more = number(len(payload) - len(part))
            self.transport.write(frame(frames.WINDOW_UPDATE, 0, number_, more))
        stream.take(part)
        length = stream.length
        if length is not None and length > self.limit:
            self._on_too_long(stream)
        elif length is not None and len(stream.received) > length + PREFIX_BYTES:
            self._on_surplus(stream)
        else:
            self._on_data(stream)

    def _take_settings(self, flags: int, number: int, payload: bytes) -> None:
        if number != 0:
            raise BrokenConnection(Code.PROTOCOL_ERROR, "SETTINGS of a stream")
        if flags & frames.ACK:
            if payload:
                raise BrokenConnection(Code.FRAME_SIZE_ERROR, "SETTINGS that acknowledge and say more")
            return
        for key, value in frames.read_settings(payload):
            if key == frames.INITIAL_WINDOW_SIZE:
                for stream in self.streams.values():
                    stream.window += value - self._initial_window
                    if stream.window > frames.MAX_WINDOW:
                        raise BrokenConnection(Code.FLOW_CONTROL_ERROR, "a window that is too large")
                self._initial_window = value
            elif key == frames.MAX_CONCURRENT_STREAMS:
                self.most_streams = value
        self.transport.write(frame(frames.SETTINGS, frames.ACK, 0))
        self._send_due()
        self._on_settings()

    def _take_ping(self, flags: int, number: int, payload: bytes) -> None:
        if number != 0:
            raise BrokenConnection(Code.PROTOCOL_ERROR, "PING of a stream")
        if len(payload) != 8:
            raise BrokenConnection(Code.FRAME_SIZE_ERROR, "PING of a broken length")
        if not flags & frames.ACK:
            self.transport.write(frame(frames.PING, frames.ACK, 0, payload))

    def _grow(self, number: int, by: int) -> None:
        stream = self.streams.get(number)
        if by == 0:
            raise BrokenConnection(Code.PROTOCOL_ERROR, "a window that grows by nothing")
        if number == 0:
            self._window += by
            if self._window > frames.MAX_WINDOW:
                raise BrokenConnection(Code.FLOW_CONTROL_ERROR, "a window that is too large")
        elif stream is None:
            self._check_begun(number, "WINDOW_UPDATE")
        else:
            stream.window += by
            if stream.window > frames.MAX_WINDOW:
                self.end_broken(stream, Code.FLOW_CONTROL_ERROR)
        self._send_due()

    def new_stream(self, number: int) -> Stream:
        """A stream that begins now."""
        stream = self.streams[number] = Stream(number, self._initial_window, self._stream_room)
        return stream


def message_of(stream: Stream, headers: Headers, limit: int) -> bytes | bytearray | None:
    """The one message that a stream has received; None when it is not exactly one, or cannot be read.

    What was received is taken away. It may be compressed with gzip, which some servers do unasked; unpacked
    it may have `limit` bytes.
    """
    data, stream.received = stream.received, b""
    if stream.length is None or stream.length != len(data) - PREFIX_BYTES:
        return None
    if isinstance(data, bytearray):
        del data[:PREFIX_BYTES]  # a long message is not copied
    else:
        data = data[PREFIX_BYTES:]
    if not stream.compressed:
        return data
    if headers.get("grpc-encoding") != "gzip":
        return None
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        message = unpacker.decompress(data, limit)
    except zlib.error:
        return None
    return message if unpacker.eof else None
