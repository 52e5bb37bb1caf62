"""The envelope: what is written is read again, and what was not written is refused before it is unpickled."""

import json
import pickle
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from armonik_sdk.functions import EnvelopeDamaged, Header, Kind, VersionMismatch, here, is_envelope, read
from armonik_sdk.functions.envelope import (
    ALIGNMENT,
    MAGIC,
    MAX_KNOWN,
    MAX_KNOWN_BYTES,
    Callee,
    _known,
    _short_text,
    pack,
)

SECTIONS = st.lists(st.binary(max_size=300), min_size=1, max_size=5)


def call(sections: list[bytes], **fields: object) -> bytes:
    header = Header(Kind.CALL, here(), "pkg.mod:square", fn=Callee(ref="pkg.mod:square"), **fields)  # type: ignore[arg-type]
    return bytes(pack(header, tuple(sections)))


class Trap:
    """Notes that it was unpickled."""

    sprung = False

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return setattr, (Trap, "sprung", True)


@given(SECTIONS, st.integers(0, 9))
def test_what_is_written_is_read_again(sections: list[bytes], needs: int) -> None:
    envelope = read(call(sections, needs=needs))
    assert [bytes(section) for section in envelope.sections] == sections
    assert envelope.header.needs == needs
    assert envelope.header.versions == here()


def test_headers_that_are_known_take_bounded_memory() -> None:
    for length in range(3 * MAX_KNOWN):
        assert read(call([bytes(length)])).sections[0].nbytes == length
        assert read(call([b""], bytecode=f"{length}" * MAX_KNOWN_BYTES)).header.bytecode
    assert 0 < len(_known) <= MAX_KNOWN
    assert max(map(len, _known)) <= MAX_KNOWN_BYTES
    assert _short_text.cache_info().currsize <= MAX_KNOWN


def test_sections_are_aligned() -> None:
    data = call([b"a", b"b" * 100, b"c"])
    assert [data.index(part) % ALIGNMENT for part in (b"b" * 100,)] == [0]
    assert data.endswith(b"c")
    assert (len(data) - 1) % ALIGNMENT == 0


def test_equal_contents_have_equal_digests() -> None:
    header = Header(Kind.VALUE, here(), "x")
    assert pack(header, (b"1",)).digest == pack(header, (b"1",)).digest != pack(header, (b"2",)).digest


@given(SECTIONS, st.data())
def test_each_altered_byte_is_refused(sections: list[bytes], data: st.DataObject) -> None:
    right = bytearray(call(sections))
    if data.draw(st.booleans()):
        read(bytes(right))  # its header is known from then on
    at = data.draw(st.integers(0, len(right) - 1))
    right[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(EnvelopeDamaged):
        read(bytes(right))


@given(SECTIONS, st.data())
def test_what_is_cut_off_or_longer_is_refused(sections: list[bytes], data: st.DataObject) -> None:
    right = call(sections)
    cut = data.draw(st.integers(0, len(right) - 1))
    for wrong in (right[:cut], right + b"\0"):
        with pytest.raises(EnvelopeDamaged):
            read(wrong)


@given(st.binary(max_size=200))
def test_foreign_bytes_are_refused(data: bytes) -> None:
    for wrong in (data, MAGIC + data, MAGIC + struct.pack(">I", len(data)) + data):
        with pytest.raises(EnvelopeDamaged):
            read(wrong)


def forged(**fields: object) -> bytes:
    """An envelope with right sums and what somebody wrote into its header."""
    body = pickle.dumps(Trap())
    said = {
        "sha256": "0" * 64,
        "v": 1,
        "kind": "call",
        **here()._asdict(),
        "name": "x",
        "sections": [len(body)],
    }
    said |= {"fn": {"ref": "a:b"}, "needs": 0} | fields
    text = json.dumps(said, separators=(",", ":")).encode()
    data = MAGIC + struct.pack(">I", len(text)) + text
    data += bytes(-len(data) % ALIGNMENT) + body
    import hashlib

    return data.replace(b"0" * 64, hashlib.sha256(data).hexdigest().encode(), 1)


WRONG = {
    "kind": "script",
    "py": "three",
    "sdk": 1,
    "cloudpickle": None,
    "name": ["x"],
    "sections": [10**12],
    "fn": {"ref": "os.system"},
    "needs": -1,
    "env": "../../etc",
    "bytecode": 7,
    "initializer": 9,
}


def test_the_forged_header_is_otherwise_right() -> None:
    assert read(forged()).header.fn == Callee(ref="a:b")


@pytest.mark.parametrize("field", WRONG)
def test_a_wrong_field_of_the_header_is_named_and_nothing_unpickled(field: str) -> None:
    Trap.sprung = False
    with pytest.raises(EnvelopeDamaged, match="sections" if field == "sections" else f"`{field}`"):
        read(forged(**{field: WRONG[field]}))
    assert not Trap.sprung


@pytest.mark.parametrize("fn", [{}, {"need": 0}, {"section": 1}, {"ref": ""}, {"ref": "a:b", "need": 0}, 3])
def test_a_call_of_nothing_is_refused(fn: object) -> None:
    with pytest.raises(EnvelopeDamaged, match=r"`(fn|section)`"):
        read(forged(fn=fn))


def test_another_form_says_what_to_do() -> None:
    with pytest.raises(VersionMismatch, match="use the same version of the SDK on both sides"):
        read(forged(v=2))


def test_a_file_is_mapped_and_can_be_written_without_changing(tmp_path: Path) -> None:
    path = tmp_path / "value"
    path.write_bytes(right := call([b"head", b"x" * 1000]))
    section = read(path).sections[1]
    section[0] = 0
    assert (section[0], path.read_bytes()) == (0, right)


def test_bytes_that_were_given_are_not_written() -> None:
    right = call([b"head", b"x" * 1000])
    kept = bytes(right)
    read(right).sections[1][0] = 0
    assert right == kept


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "value").touch()
    with pytest.raises(EnvelopeDamaged):
        read(tmp_path / "value")
    assert not is_envelope(tmp_path / "value")


def test_results_of_other_languages_are_no_envelopes() -> None:
    assert is_envelope(call([b""]))
    assert not is_envelope(b'{"a": 1}')
