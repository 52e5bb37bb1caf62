"""Exceptions of functions: to an envelope in the worker, and back to an exception in the client."""

import linecache
import re
import traceback as tracebacks
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final

from armonik_sdk.functions import versions
from armonik_sdk.functions.envelope import Envelope, Header, Kind, Packed, pack
from armonik_sdk.functions.errors import EnvelopeDamaged, RemoteError, VersionMismatch
from armonik_sdk.functions.pickling import dump, load

MAX_FAILURE_BYTES: Final = 60 * 1024
"""Of an envelope of an error: it travels beside others. A longer pickle is left out, longer texts are cut."""
MAX_TRACEBACK: Final = 16 * 1024
"""Characters; the end is kept, where the error is."""
MAX_TEXT: Final = 4 * 1024
"""Characters of an exception's text, and of a note."""
MAX_NOTES: Final = 8
_FRAME: Final = re.compile(r'  File "([^"]+)", line (\d+), in .+')


def encode_error(error: BaseException, *, name: str = "", notes: Sequence[str] = (), skip: int = 0) -> Packed:
    """Make the envelope of an exception; this cannot fail.

    Args:
        error: as the function raised it.
        name: of the function.
        notes: what is added to its `__notes__`: which element it was, what it printed last.
        skip: frames at the outer end of its traceback that are not the user's.
    """
    text = _shortened(_text(error), MAX_TEXT)
    said = {
        "type": _type_name(error),
        "text": text,
        "traceback": _formatted(error, skip),
        "why": "",
        "notes": [_shortened(note, MAX_TEXT) for note in notes[:MAX_NOTES]],
    }
    try:
        pickled = dump(error)
        load(pickled.data, pickled.buffers)  # many exceptions can be pickled and not be unpickled
    except Exception as refused:  # noqa: BLE001 - whatever the exception's own methods raise
        return _without_pickle(name, said, f"{type(refused).__name__}: {_text(refused)}")
    header = Header(Kind.ERROR, versions.here(), name, bytecode=pickled.bytecode, error=said)
    packed = pack(header, (pickled.data, *pickled.buffers))
    if packed.size > MAX_FAILURE_BYTES:
        return _without_pickle(name, said, f"it has {packed.size} bytes, more than {MAX_FAILURE_BYTES}")
    return packed


def decode_error(envelope: Envelope) -> BaseException:
    """The exception, to be raised: with the remote traceback as its cause and with its notes.

    Returns:
        the original exception, or a `RemoteError` when it cannot be rebuilt here.

    Raises:
        EnvelopeDamaged: it holds no error.
    """
    header = envelope.header
    if header.kind is not Kind.ERROR or header.error is None:
        raise EnvelopeDamaged(f"an error is expected, and the envelope holds a {header.kind}")
    error = _rebuilt(envelope, header.error)
    if text := with_sources(header.error["traceback"]):
        # Imported here: it brings multiprocessing, which workers do not need.
        from concurrent.futures.process import _RemoteTraceback

        # The type and the form that `concurrent.futures` gives exceptions of other processes.
        error.__cause__ = _RemoteTraceback(f'\n"""\n{text}"""')  # type: ignore[arg-type]
    for note in header.error["notes"]:
        error.add_note(note)
    return error


def with_sources(text: str) -> str:
    """A traceback with the lines of source files that are here and were not where it was made."""
    lines = text.split("\n")
    shown: list[str] = []
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        shown.append(line)
        frame = _FRAME.fullmatch(line)
        if frame and not after.startswith("    ") and (source := linecache.getline(frame[1], int(frame[2]))):
            shown.append(f"    {source.strip()}")
    return "\n".join(shown)


def _rebuilt(envelope: Envelope, said: Mapping[str, Any]) -> BaseException:
    def remote(why: str) -> RemoteError:
        return RemoteError(said["type"], said["text"], said["traceback"], _shortened(why, MAX_TEXT))

    if said["why"]:
        return remote(said["why"])
    try:
        versions.check_readable(envelope.header.versions, envelope.header.bytecode)
        error = load(envelope.sections[0], envelope.sections[1:])
    except VersionMismatch as mismatch:
        return remote(str(mismatch))
    except ModuleNotFoundError as missing:
        return remote(f"module {missing.name} is not here")
    except Exception as refused:  # noqa: BLE001 - whatever the exception's own methods raise
        return remote(f"{type(refused).__name__}: {_text(refused)}")
    if not isinstance(error, BaseException):
        return remote(f"its pickle gives {type(error).__name__}, no exception")
    return error


def _without_pickle(name: str, said: dict[str, Any], why: str) -> Packed:
    """An error of text alone."""
    said["why"] = _shortened(why, MAX_TEXT)
    return pack(Header(Kind.ERROR, versions.here(), name, error=said), (b"",))


def _formatted(error: BaseException, skip: int) -> str:
    frames: TracebackType | None = error.__traceback__
    for _ in range(skip):
        if frames is not None and frames.tb_next is not None:
            frames = frames.tb_next
    try:
        text = "".join(tracebacks.format_exception(type(error), error, frames))
    except Exception as refused:  # noqa: BLE001 - an exception whose own text cannot be made
        text = f"{_type_name(error)} (its traceback cannot be printed: {type(refused).__name__})\n"
    text = _printable(text)
    return text if len(text) <= MAX_TRACEBACK else f"[…]\n{text[-MAX_TRACEBACK:]}"


def _type_name(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as refused:  # noqa: BLE001 - whatever its `__str__` raises
        return f"(its text cannot be made: {type(refused).__name__})"


def _shortened(text: str, most: int) -> str:
    text = _printable(text)
    return text if len(text) <= most else f"{text[:most]}[…]"


def _printable(text: str) -> str:
    """Without halves of surrogate pairs, which are no text in JSON."""
    return text.encode(errors="backslashreplace").decode()
