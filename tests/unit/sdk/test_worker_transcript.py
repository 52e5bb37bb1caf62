"""What elements print is kept with them: bounded, whole at both ends, and in plain UTF-8."""

import asyncio
import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from armonik_sdk.worker.executor import log_reader, transcript
from armonik_sdk.worker.executor.log_reader import Hearing, Log, new_secret
from armonik_sdk.worker.executor.transcript import Transcript


def kept(*pieces: bytes, limit: int = 1024) -> bytes:
    said = Transcript()
    said.limit = limit
    for piece in pieces:
        said.add("out", b"t.0", piece)
    return said.take("t.0")


def test_what_is_short_is_kept_whole() -> None:
    assert kept(b"one\n", b"two\n") == b"one\ntwo\n"
    assert kept() == b""
    assert kept(b"one", limit=0) == b""


def test_of_a_long_text_the_first_and_the_last_lines_are_kept() -> None:
    lines = [f"line {number}\n".encode() for number in range(10_000)]
    found = kept(*lines).splitlines(keepends=True)
    at = next(number for number, line in enumerate(found) if b"left out" in line)
    head, tail = found[:at], found[at + 1 :]
    assert head == lines[: len(head)]
    assert tail == lines[-len(tail) :]
    left_out = sum(map(len, lines)) - sum(map(len, head)) - sum(map(len, tail))
    assert found[at] == f"[{left_out} bytes are left out]\n".encode()
    assert len(head) > 30
    assert len(tail) > 30


@given(st.lists(st.binary(max_size=700), max_size=12), st.integers(1024, 2048))
def test_whatever_is_printed_the_text_is_bounded_utf8(pieces: list[bytes], limit: int) -> None:
    found = kept(*pieces, limit=limit)
    assert len(found) <= limit
    found.decode()
    text = b"".join(pieces)
    if len(text) <= limit and "\N{REPLACEMENT CHARACTER}" not in text.decode(errors="replace"):
        assert found == text


def test_a_line_that_another_stream_interrupts_ends() -> None:
    said = Transcript()
    said.limit = 1024
    for stream, data in (("out", b"half"), ("err", b"error\n"), ("out", b"other\n")):
        said.add(stream, b"t.0", data)
    assert said.take("t.0") == b"half\nerror\nother\n"


def test_texts_that_nobody_takes_are_dropped_the_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcript, "KEPT_BYTES", 10_000)
    said = Transcript()
    said.limit = 1024
    for number in range(100):
        said.add("out", f"t.{number}".encode(), b"x" * 488)
    found = [number for number in range(100) if said.take(f"t.{number}")]
    assert found == list(range(90, 100))


class Quiet(Log):
    """Takes everything."""

    def put(self, data: bytes) -> None:
        """Nobody reads it."""


class Stuck(Log):
    """A log that nobody takes off for a while."""

    def __init__(self) -> None:
        super().__init__(-1)
        self.begun, self.freed = threading.Event(), threading.Event()
        self.written: list[bytes] = []

    def put(self, data: bytes) -> None:
        self.begun.set()
        self.freed.wait()
        self.written.append(data)


async def test_who_catches_up_has_all_that_was_printed_before() -> None:
    secret = new_secret()
    hearing = Hearing(secret, (Quiet(-1), Quiet(-1)))
    (out, err), said = hearing.open()
    said.limit = 64 * 1024
    for number in range(200):
        os.write(out, secret + f"t.{number}\n".encode())
        os.write(err, secret + f"t.{number}\n".encode())
        os.write(out, f"{number}\n".encode() * number)
        os.write(err, b"error\n")
        hearing.catch_up(said)
        lines = said.take(f"t.{number}").splitlines()
        assert sorted(lines) == sorted([str(number).encode()] * number + [b"error"])
    os.close(out)
    os.close(err)
    await asyncio.to_thread(hearing.close)


async def test_a_log_that_nobody_reads_holds_up_no_end_and_is_complete_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log_reader, "BEHIND_BYTES", 1_000)
    secret, stuck = new_secret(), Stuck()
    hearing = Hearing(secret, (stuck, Quiet(-1)))
    (out, err), said = hearing.open()
    said.limit = 64 * 1024
    os.write(out, secret + b"t.0\nwords\n")
    await asyncio.to_thread(stuck.begun.wait)
    texts = []
    for number in range(1, 101):
        os.write(out, secret + f"t.{number}\n".encode() + b"x" * 98 + b"\n")
        hearing.catch_up(said)
        texts.append(said.take(f"t.{number}"))
    assert said.take("t.0") == b"words\n"
    assert texts[:10] == [b"x" * 98 + b"\n"] * 10
    assert texts[20:] == [b""] * 80
    assert stuck.behind < 3_000
    stuck.freed.set()
    os.close(out)
    os.close(err)
    await asyncio.to_thread(hearing.close)
    lines = b"".join(stuck.written).splitlines()
    assert lines[:2] == [b"[t.0] words", b"[t.1] " + b"x" * 98]
    assert lines[-1] == b"[t.100] " + b"x" * 98
    assert len(lines) == 101


async def test_what_an_executor_left_at_its_end_is_read() -> None:
    secret = new_secret()
    hearing = Hearing(secret, (Quiet(-1), Quiet(-1)))
    (out, err), said = hearing.open()
    said.limit = 1024
    os.write(out, secret + b"t.0\nan unended line")
    os.close(out)
    os.close(err)
    hearing.catch_up(said)
    assert said.take("t.0") == b"an unended line"
    await asyncio.to_thread(hearing.close)
    hearing.catch_up(said)
