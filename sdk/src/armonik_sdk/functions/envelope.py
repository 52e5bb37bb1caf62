"""The envelope: a header as JSON, then sections of bytes; checked as a whole before a section is used.

    "AKF1" · uint32 length of the header (big-endian) · header · padded to 64 · section 0 · padded to 64 · …

The header begins with the SHA-256 of everything else, as 64 hexadecimal digits at a fixed place, which count
as zeros in the sum. It protects from damage and from bytes that are something else. It is no signature: who
may write the data of a session may run code in it (docs/functions.md).
"""

import hashlib
import json
import mmap
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, Final

from armonik_sdk.functions import versions
from armonik_sdk.functions.errors import EnvelopeDamaged, VersionMismatch
from armonik_sdk.functions.versions import Versions

MAGIC: Final = b"AKF1"
ALIGNMENT: Final = 64
"""Bytes; so that arrays in sections are aligned for vector instructions."""
MAX_HEADER_BYTES: Final = 1024 * 1024
MAX_SECTIONS: Final = 65_536
Bytes = bytes | bytearray | memoryview
_LENGTH: Final = struct.Struct(">I")
_PREFIX: Final = b'{"sha256":"'
_SUM_AT: Final = len(MAGIC) + _LENGTH.size + len(_PREFIX)
_HEADER_AT: Final = len(MAGIC) + _LENGTH.size
_NO_SUM: Final = b"0" * 64
_REST_AT: Final = len(_PREFIX) + len(_NO_SUM)
"""Where in a header the sum ends: what follows may be of many envelopes."""
MAX_KNOWN: Final = 128
"""Headers that are known already."""
MAX_KNOWN_BYTES: Final = 2 * 1024
"""Longest one that is kept."""
_known: "dict[bytes, tuple[Header, tuple[int, ...]]]" = {}
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, check_circular=False).encode
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PYTHON = re.compile(r"\d{1,3}\.\d{1,3}")


class Kind(StrEnum):
    """What an envelope holds."""

    CALL = "call"
    FUNCTION = "function"
    VALUE = "value"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Callee:
    """Where the function of a call is: one of the three."""

    ref: str | None = None
    """In a module: `pkg.mod:square`."""
    need: int | None = None
    """Number of the dependency that holds it."""
    section: int | None = None
    """Number of the section of the call that holds its pickle."""


@dataclass(frozen=True, slots=True)
class Header:
    """What is said of the sections."""

    kind: Kind
    versions: Versions
    name: str
    """Of the function, `pkg.mod:square`; of a value whatever helps to recognize it."""
    fn: Callee | None = None
    """Of a call."""
    needs: int = 0
    """How many results the call is given, in order."""
    env: str | None = None
    """SHA-256 of the environment it was made for."""
    bytecode: str | None = None
    """Name of a function in it that is pickled by value, so bytecode of one Python; None without any."""
    initializer: int | None = None
    """Number of the section of a call that holds what each process runs once before it."""
    error: Mapping[str, Any] | None = None
    """Of an error: `type`, `text`, `traceback`, `why`, `notes`; readable without unpickling."""


@dataclass(frozen=True, slots=True)
class Packed:
    """An envelope that was made, in parts that are not copied: they must not change until it is written."""

    header: Header
    parts: tuple[Bytes, ...]
    size: int
    """Bytes of all parts."""
    digest: str
    """SHA-256 of its contents (64 hexadecimal digits): equal contents have equal ones."""

    def __bytes__(self) -> bytes:
        return b"".join(self.parts)

    def write_to(self, file: BinaryIO) -> None:
        """Write all of it."""
        file.writelines(self.parts)


@dataclass(frozen=True, slots=True)
class Envelope:
    """One that was checked. Sections are slices of what was read: they keep it alive, and may be written."""

    header: Header
    sections: tuple[memoryview, ...]
    digest: str


def pack(header: Header, sections: tuple[Bytes, ...]) -> Packed:
    """Make an envelope.

    Raises:
        ValueError: header or number of sections beyond the bound.
    """
    views = [memoryview(section).cast("B") for section in sections]
    lengths = tuple(view.nbytes for view in views)
    text = _short_text(header, lengths) if _is_short(header, lengths) else _text(header, lengths)
    if len(text) > MAX_HEADER_BYTES:
        raise ValueError(f"the header of an envelope has {len(text)} bytes, more than {MAX_HEADER_BYTES}")
    if len(views) > MAX_SECTIONS:
        raise ValueError(f"an envelope of {len(views)} sections, at most {MAX_SECTIONS} are taken")
    parts: list[Bytes] = [MAGIC + _LENGTH.pack(len(text)) + text]
    at = len(parts[0])
    for view in views:
        if gap := -at % ALIGNMENT:
            parts.append(bytes(gap))
        parts.append(view)
        at += gap + view.nbytes
    counted = hashlib.sha256()
    for part in parts:
        counted.update(part)
    digest = counted.hexdigest()
    parts[0] = bytes(parts[0]).replace(_NO_SUM, digest.encode(), 1)
    return Packed(header, tuple(parts), at, digest)


def is_envelope(data: Bytes | Path) -> bool:
    """Whether it begins as one. Results of workers in other languages do not."""
    if isinstance(data, Path):
        with data.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    return bytes(memoryview(data)[: len(MAGIC)]) == MAGIC


def read(source: Bytes | Path) -> Envelope:
    """Check an envelope, and give its sections.

    A file is mapped: it is not copied to memory, arrays in it can be written, and the file stays as it was.

    Raises:
        EnvelopeDamaged: it is not what was written; nothing of it was unpickled.
        VersionMismatch: it has a form that this version does not know.
        OSError: the file cannot be read.
    """
    view = _view(source)
    length = _header_length(view)
    text = bytes(view[_HEADER_AT : _HEADER_AT + length])
    known = _known.get(text[_REST_AT:])
    said = None if known else _loaded(text)
    digest = _checked_sum(view, text)
    header, lengths = known or _parsed(said, text)
    return Envelope(header, tuple(_sections(view, _HEADER_AT + length, lengths)), digest)


def _view(source: Bytes | Path) -> memoryview:
    """The bytes, writable."""
    if isinstance(source, Path):
        with source.open("rb") as file:
            try:
                return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
            except ValueError:  # a file without a byte cannot be mapped
                return memoryview(b"")
    view = memoryview(source).cast("B")
    # Arrays would be read-only otherwise.
    return memoryview(bytearray(view)) if view.readonly else view


def _header_length(view: memoryview) -> int:
    if len(view) < _HEADER_AT or bytes(view[: len(MAGIC)]) != MAGIC:
        raise EnvelopeDamaged(f"these {len(view)} bytes are no envelope: they do not begin with {MAGIC!r}")
    length: int = _LENGTH.unpack_from(view, len(MAGIC))[0]
    if length > MAX_HEADER_BYTES:
        raise EnvelopeDamaged(f"the header of the envelope has {length} bytes, more than {MAX_HEADER_BYTES}")
    if _HEADER_AT + length > len(view):
        raise EnvelopeDamaged(
            f"the envelope is cut off: {len(view)} bytes, and its header alone has {length}"
        )
    return length


def _loaded(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EnvelopeDamaged(f"the header of the envelope is not JSON: {error}") from None


def _parsed(said: Any, text: bytes) -> tuple[Header, tuple[int, ...]]:
    """Header and lengths of the sections; many calls, and many values, have all but the sum in common."""
    found = _header(said)
    if len(text) <= MAX_KNOWN_BYTES:
        if len(_known) >= MAX_KNOWN:
            _known.clear()
        _known[text[_REST_AT:]] = found
    return found


def _checked_sum(view: memoryview, text: bytes) -> str:
    """The sum in the header, if it is the one of the bytes."""
    said = text[len(_PREFIX) : _REST_AT]
    if not text.startswith(_PREFIX) or not _SHA256.fullmatch(said.decode("latin-1")):
        raise EnvelopeDamaged("the header of the envelope does not begin with its sha256")
    counted = hashlib.sha256(view[:_SUM_AT])
    counted.update(_NO_SUM)
    counted.update(view[_SUM_AT + len(_NO_SUM) :])
    digest = counted.hexdigest()
    if digest.encode() != said:
        raise EnvelopeDamaged("the envelope is not the one that was written: its SHA-256 differs")
    return digest


def _sections(view: memoryview, at: int, lengths: tuple[int, ...]) -> Iterator[memoryview]:
    for length in lengths:
        at += -at % ALIGNMENT
        if at + length > len(view):
            raise EnvelopeDamaged("the sections of the envelope are longer than it is")
        yield view[at : at + length]
        at += length
    if at != len(view):
        raise EnvelopeDamaged("the envelope is longer than its sections")


# The header as JSON -------------------------------------------------------------------------------------


def _is_short(header: Header, lengths: tuple[int, ...]) -> bool:
    """Whether its text is kept: short, and of something that can be compared."""
    texts = len(header.name) + len(header.bytecode or "")
    return header.error is None and len(lengths) <= 4 and texts <= MAX_KNOWN_BYTES // 4


def _text(header: Header, lengths: tuple[int, ...]) -> bytes:
    return _encode(_as_json(header, lengths)).encode()


_short_text = lru_cache(MAX_KNOWN)(_text)


def _as_json(header: Header, lengths: tuple[int, ...]) -> dict[str, Any]:
    """The header as JSON; what is not there is left out."""
    found: dict[str, Any] = {
        "sha256": _NO_SUM.decode(),
        "v": versions.ENVELOPE,
        "kind": header.kind.value,
        **header.versions._asdict(),
        "name": header.name,
        "sections": lengths,
    }
    if header.fn is not None:
        fn = header.fn
        found["fn"] = {
            name: at for name in ("ref", "need", "section") if (at := getattr(fn, name)) is not None
        }
        found["needs"] = header.needs
    for name in ("env", "bytecode", "initializer", "error"):
        if (value := getattr(header, name)) is not None:
            found[name] = value
    return found


def _header(said: Any) -> tuple[Header, tuple[int, ...]]:
    """The header, and the lengths of the sections."""
    if not isinstance(said, dict):
        raise EnvelopeDamaged("the header of the envelope is no object")
    if said.get("v") != versions.ENVELOPE:
        raise VersionMismatch(
            f"an envelope of version {said.get('v')!r}, and this SDK, {versions.SDK}, reads version "
            f"{versions.ENVELOPE}: use the same version of the SDK on both sides"
        )
    lengths: Any = said.get("sections")
    if not isinstance(lengths, list) or not 0 < len(lengths) <= MAX_SECTIONS:
        raise EnvelopeDamaged("`sections` in the header of the envelope are not one or more lengths")
    if not all(type(length) is int and length >= 0 for length in lengths):
        raise EnvelopeDamaged("`sections` in the header of the envelope are no lengths")
    fields = _Fields(said, len(lengths))
    kind = fields.kind()
    written_by = Versions(fields.text("py", pattern=_PYTHON), fields.text("sdk"), fields.text("cloudpickle"))
    header = Header(
        kind,
        written_by,
        fields.text("name"),
        fn=fields.callee() if kind is Kind.CALL else None,
        needs=fields.number("needs") if kind is Kind.CALL else 0,
        env=fields.text("env", pattern=_SHA256) if "env" in said else None,
        bytecode=fields.text("bytecode") if "bytecode" in said else None,
        initializer=fields.section("initializer") if "initializer" in said else None,
        error=fields.error() if kind is Kind.ERROR else None,
    )
    return header, tuple(lengths)


class _Fields:
    """Reads fields of a header that anybody may have written."""

    def __init__(self, said: dict[str, Any], sections: int) -> None:
        self._said, self._sections = said, sections

    def kind(self) -> Kind:
        try:
            return Kind(str(self._said.get("kind")))
        except ValueError:
            raise _wrong("kind", self._said.get("kind")) from None

    def text(self, name: str, *, pattern: re.Pattern[str] | None = None) -> str:
        value = self._said.get(name)
        if not isinstance(value, str) or (pattern is not None and not pattern.fullmatch(value)):
            raise _wrong(name, value)
        return value

    def number(self, name: str, within: Mapping[str, Any] | None = None) -> int:
        value = (self._said if within is None else within).get(name)
        if type(value) is not int or value < 0:
            raise _wrong(name, value)
        return value

    def section(self, name: str, within: Mapping[str, Any] | None = None) -> int:
        number = self.number(name, within)
        if number >= self._sections:
            raise _wrong(name, number)
        return number

    def callee(self) -> Callee:
        fn = self._said.get("fn")
        if not isinstance(fn, dict) or len(fn) != 1:
            raise _wrong("fn", fn)
        if "need" in fn:
            need = self.number("need", fn)
            if need >= self.number("needs"):
                raise _wrong("fn", fn)
            return Callee(need=need)
        if "section" in fn:
            return Callee(section=self.section("section", fn))
        module, colon, name = str(fn.get("ref")).partition(":")
        if not colon or not module or not name:
            raise _wrong("fn", fn)
        return Callee(ref=f"{module}:{name}")

    def error(self) -> Mapping[str, Any]:
        error = self._said.get("error")
        if not isinstance(error, dict):
            raise _wrong("error", error)
        texts = all(isinstance(error.get(name), str) for name in ("type", "text", "traceback", "why"))
        notes = error.get("notes")
        if not texts or not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
            raise _wrong("error", error)
        return error


def _wrong(name: str, value: object) -> EnvelopeDamaged:
    return EnvelopeDamaged(f"`{name}` in the header of the envelope is wrong: {value!r:.100}")
