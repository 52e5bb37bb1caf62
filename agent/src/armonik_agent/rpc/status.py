"""How HTTP/2 and gRPC name the same failures (gRPC over HTTP/2; HTTP to gRPC status code mapping)."""

import urllib.parse

import grpc
import grpc.aio

from armonik_agent.rpc.frames import Code
from armonik_agent.rpc.headers import Headers

MAX_DETAILS_BYTES = 2048
"""Of an error's text: percent-encoded it still fits the 8 KiB of headers that gRPC libraries accept."""
_CUT = " …".encode()
_PLAIN = "!\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"
_CODES = {code.value[0]: code for code in grpc.StatusCode}
_BY_HTTP = {
    "400": grpc.StatusCode.INTERNAL,
    "401": grpc.StatusCode.UNAUTHENTICATED,
    "403": grpc.StatusCode.PERMISSION_DENIED,
    "404": grpc.StatusCode.UNIMPLEMENTED,
    "429": grpc.StatusCode.UNAVAILABLE,
    "502": grpc.StatusCode.UNAVAILABLE,
    "503": grpc.StatusCode.UNAVAILABLE,
    "504": grpc.StatusCode.UNAVAILABLE,
}
_BY_RESET = {
    Code.REFUSED_STREAM: grpc.StatusCode.UNAVAILABLE,
    Code.CANCEL: grpc.StatusCode.CANCELLED,
    Code.ENHANCE_YOUR_CALM: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Code.INADEQUATE_SECURITY: grpc.StatusCode.PERMISSION_DENIED,
}


def failure(code: grpc.StatusCode, details: str) -> grpc.aio.AioRpcError:
    """The error of a call that failed, as `grpc.aio` raises it."""
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details=details)


def of_headers(headers: Headers) -> grpc.aio.AioRpcError | None:
    """What the headers that end an answer say: None when the call succeeded."""
    code_text = headers.get("grpc-status")
    if code_text == "0":
        return None
    details = urllib.parse.unquote(headers.get("grpc-message", ""))
    if code_text is None:
        status = headers.get(":status", "none")
        if status == "200":
            return unsaid()
        return failure(_BY_HTTP.get(status, grpc.StatusCode.UNKNOWN), details or f"HTTP status {status}")
    code = _CODES.get(int(code_text)) if code_text.isascii() and code_text.isdigit() else None
    return failure(code or grpc.StatusCode.UNKNOWN, details or f"status {code_text}")


def unsaid() -> grpc.aio.AioRpcError:
    """Of an answer that ended and did not say how it went."""
    return failure(grpc.StatusCode.INTERNAL, "the answer ended without a status")


def of_reset(code: int) -> grpc.aio.AioRpcError:
    """Of a stream that the peer reset."""
    known = Code(code) if code in set(Code) else None
    name = known.name if known is not None else str(code)
    meaning = grpc.StatusCode.INTERNAL if known is None else _BY_RESET.get(known, grpc.StatusCode.INTERNAL)
    return failure(meaning, f"the stream was reset: {name}")


def message_header(text: str) -> str:
    """Details as a header carries them: percent-encoded, and cut to what every peer accepts."""
    data = text.encode(errors="replace")
    if len(data) > MAX_DETAILS_BYTES:
        data = data[: MAX_DETAILS_BYTES - len(_CUT)] + _CUT
        data = data.decode(errors="ignore").encode()
    # A header's value has no white space at its ends (RFC 9113, 8.2.1).
    padded = data.startswith(b" ") or data.endswith(b" ")
    return urllib.parse.quote(data, safe=_PLAIN if padded else _PLAIN + " ")
