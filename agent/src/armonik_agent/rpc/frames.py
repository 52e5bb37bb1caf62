"""HTTP/2 frames as bytes (RFC 9113, sections 4 and 6)."""

import struct
from collections.abc import Iterator
from enum import IntEnum

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MAX_FRAME = 16_384
"""Longest payload, in bytes: what everybody accepts, and all that we accept."""
DEFAULT_WINDOW = 65_535
MAX_WINDOW = 2**31 - 1

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    range(10)
)
END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
WITH_PRIORITY = 0x20
ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = 2, 3, 4, 5
_ALLOWED = {ENABLE_PUSH: (0, 1), MAX_FRAME_SIZE: (MAX_FRAME, 2**24 - 1)}
"""The values of settings that not all numbers are allowed for (section 6.5.2)."""


class Code(IntEnum):
    """Error codes (section 7)."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12


class BrokenConnection(Exception):  # noqa: N818 - says what follows; it never leaves the package
    """The peer broke a rule of HTTP/2 that ends the connection."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(f"{code.name}: {text}")
        self.code = code


Frame = tuple[int, int, int, bytes]
"""Kind, flags, stream, payload."""
_HEAD = struct.Struct(">HBBBL")
"""Length in two parts, kind, flags, stream."""
_MESSAGE_HEAD = struct.Struct(">HBBBLBL")
"""The same, and gRPC's prefix: not compressed, length of the message."""
PREFIX_BYTES = 5


def frame(kind: int, flags: int, stream: int, payload: bytes | memoryview = b"") -> bytes:
    """One frame."""
    length = len(payload)
    return _HEAD.pack(length >> 8, length & 0xFF, kind, flags, stream) + payload


def message_head(flags: int, stream: int, length: int) -> bytes:
    """The frame header and gRPC prefix of a message of `length` bytes that fits into one DATA frame."""
    framed = length + PREFIX_BYTES
    return _MESSAGE_HEAD.pack(framed >> 8, framed & 0xFF, DATA, flags, stream, 0, length)


def number(value: int) -> bytes:
    """A payload of four bytes: an error code or a window's growth."""
    return value.to_bytes(4, "big")


def settings(values: dict[int, int]) -> bytes:
    """A SETTINGS frame."""
    return frame(
        SETTINGS, 0, 0, b"".join(k.to_bytes(2, "big") + v.to_bytes(4, "big") for k, v in values.items())
    )


def read_settings(payload: bytes) -> Iterator[tuple[int, int]]:
    """The identifiers and values of a SETTINGS frame, with values that are allowed."""
    if len(payload) % 6:
        raise BrokenConnection(Code.FRAME_SIZE_ERROR, "SETTINGS of a broken length")
    for at in range(0, len(payload), 6):
        key = int.from_bytes(payload[at : at + 2], "big")
        value = int.from_bytes(payload[at + 2 : at + 6], "big")
        if key == INITIAL_WINDOW_SIZE and value > MAX_WINDOW:
            raise BrokenConnection(Code.FLOW_CONTROL_ERROR, "a window that is too large")
        least, most = _ALLOWED.get(key, (0, 2**32))
        if not least <= value <= most:
            raise BrokenConnection(Code.PROTOCOL_ERROR, f"the setting {key} with the value {value}")
        yield key, value


def check_priority(stream: int, payload: bytes) -> None:
    """PRIORITY is advice that is not followed, but it must have its form (section 6.3)."""
    if stream == 0:
        raise BrokenConnection(Code.PROTOCOL_ERROR, "PRIORITY of no stream")
    if len(payload) != 5:
        raise BrokenConnection(Code.FRAME_SIZE_ERROR, "PRIORITY of a broken length")


def read_goaway(stream: int, payload: bytes) -> int:
    """The last stream that the peer takes."""
    if stream != 0:
        raise BrokenConnection(Code.PROTOCOL_ERROR, "GOAWAY of a stream")
    if len(payload) < 8:
        raise BrokenConnection(Code.FRAME_SIZE_ERROR, "GOAWAY of a broken length")
    return read_number(payload[:4], "GOAWAY") & MAX_WINDOW


def read_number(payload: bytes, what: str) -> int:
    """The number of a payload of four bytes; the reserved first bit is dropped by who cares."""
    if len(payload) != 4:
        raise BrokenConnection(Code.FRAME_SIZE_ERROR, f"{what} of a broken length")
    return int.from_bytes(payload, "big")


def content(flags: int, payload: bytes, kind: int) -> bytes:
    """What a DATA or HEADERS frame carries, without padding and priority."""
    if not flags & (PADDED | WITH_PRIORITY):
        return payload
    padding = 0
    if flags & PADDED:
        if not payload:
            raise BrokenConnection(Code.FRAME_SIZE_ERROR, "padded, but empty")
        padding, payload = payload[0], payload[1:]
    if kind == HEADERS and flags & WITH_PRIORITY:
        if len(payload) < 5:
            raise BrokenConnection(Code.FRAME_SIZE_ERROR, "HEADERS without room for its priority")
        payload = payload[5:]
    if padding > len(payload):
        raise BrokenConnection(Code.PROTOCOL_ERROR, "more padding than payload")
    return payload[: len(payload) - padding]


class FrameReader:
    """Frames out of bytes that arrive in any pieces."""

    def __init__(self) -> None:
        self._left = b""

    def read(self, data: bytes) -> Iterator[Frame]:
        """The frames that are complete now."""
        data = self._left + data if self._left else data
        at, end = 0, len(data)
        while end - at >= 9:
            high, low, kind, flags, stream = _HEAD.unpack_from(data, at)
            length = high << 8 | low
            if length > MAX_FRAME:
                raise BrokenConnection(Code.FRAME_SIZE_ERROR, f"a frame of {length} bytes")
            after = at + 9 + length
            if after > end:
                break
            yield kind, flags, stream & MAX_WINDOW, data[at + 9 : after]
            at = after
        self._left = data[at:]
