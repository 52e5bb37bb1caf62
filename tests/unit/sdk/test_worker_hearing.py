"""What executors say reaches the log whole, in order, and each line behind the id of its task."""

import contextlib
import io
import os
import sys
import threading
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from armonik_sdk.worker.executor import log_prefix
from armonik_sdk.worker.executor.log_prefix import Speaker
from armonik_sdk.worker.executor.log_reader import SECRET_BYTES, Log, Voice, new_secret

SECRET = b"\0" * (SECRET_BYTES - 1) + b"\1"


class Kept(Log):
    """What was written."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        super().__init__(-1)

    def put(self, data: bytes) -> None:
        self.pieces.append(data)

    @property
    def text(self) -> bytes:
        return b"".join(self.pieces)


def mark(task: str) -> bytes:
    return SECRET + task.encode() + b"\n"


def heard(*pieces: bytes) -> bytes:
    log = Kept()
    voice = Voice(SECRET, log)
    for piece in pieces:
        voice.hear(piece)
    voice.end()
    return log.text


@pytest.mark.parametrize(
    ("said", "logged"),
    [
        (b"one\ntwo\n", b"[t] one\n[t] two\n"),
        (b"unended", b"[t] unended\n"),
        (b"\n\n", b"[t] \n[t] \n"),
        (b"one\r\ntwo\r\n", b"[t] one\n[t] two\n"),
        (b"\r1%\r2%\r3%\n", b"[t] 1%\n[t] 2%\n[t] 3%\n"),
        (b"1%\r2%\r", b"[t] 1%\n[t] 2%\n"),
        (b"bar\r     \rdone\n", b"[t] bar\n[t] done\n"),
        (b"text\n   \rmore\n", b"[t] text\n[t] more\n"),
        (b"\0\0\0", b"[t] \0\0\0\n"),
        (b"", b""),
    ],
)
def test_lines_and_updates_begin_with_the_task(said: bytes, logged: bytes) -> None:
    assert heard(mark("t") + said) == logged


def test_what_no_element_said_has_no_tag() -> None:
    assert heard(b"starting\n" + mark("t") + b"one") == b"starting\n[t] one\n"


def test_a_line_that_an_element_began_ends_with_it() -> None:
    assert heard(mark("a") + b"half", mark("b") + b"other\n") == b"[a] half\n[b] other\n"


def test_what_is_said_is_written_before_its_line_ends() -> None:
    log = Kept()
    voice = Voice(SECRET, log)
    voice.hear(mark("t") + b"waiting")
    assert log.text == b"[t] waiting"
    voice.hear(b"...")
    assert log.text == b"[t] waiting..."


def test_lines_of_two_are_not_torn() -> None:
    log = Kept()
    one, two = Voice(SECRET, log), Voice(SECRET, log)
    one.hear(mark("a") + b"half")
    two.hear(mark("b") + b"whole\n")
    one.hear(b" and half\n")
    assert log.text == b"[a] half\n[b] whole\n[a]  and half\n"


PIECES = [b"a", b"bc", b" ", b"\n", b"\0", b"\0\0", mark("t"), mark("u")]
SAID = st.lists(st.sampled_from(PIECES), max_size=30)


@given(SAID, st.lists(st.integers(0, 300), max_size=10))
def test_it_does_not_matter_how_a_pipe_cuts_what_is_said(said: list[bytes], cuts: list[int]) -> None:
    whole = b"".join(said)
    places = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    assert heard(*(whole[a:b] for a, b in pairwise(places))) == heard(whole)


@given(st.lists(st.sampled_from([b"x", b"\r", b"\n", b"\r\n", mark("t")]), max_size=30))
def test_updates_keep_all_that_can_be_seen(said: list[bytes]) -> None:
    whole = b"".join(said)
    pieces = [whole[at : at + 1] for at in range(len(whole))]
    for logged in (heard(whole), heard(*pieces)):
        assert logged.count(b"x") == whole.count(b"x")
        assert b"\r" not in logged


def test_a_log_that_nobody_reads_holds_up_nobody() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    voice = Voice(SECRET, Log(writing))
    voice.hear(mark("t") + b"one\n")
    os.close(writing)


@given(
    random=st.binary(min_size=SECRET_BYTES, max_size=SECRET_BYTES),
    said=st.text(max_size=8),
    end=st.sampled_from(["", "\n"]),
)
@example(random=b"\n" * SECRET_BYTES, said="a line", end="\n")
@example(random=b"?" * SECRET_BYTES, said="a prompt?", end="")
def test_text_never_waits_for_what_follows_it(random: bytes, said: str, end: str) -> None:
    """Whatever bytes the secret is made of, no text ends like its beginning."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "urandom", lambda size: random[:size])
        secret = new_secret()
    assert len(secret) == SECRET_BYTES
    text, log = (said.replace("\r", "") + end).encode(errors="replace"), Kept()
    voice = Voice(secret, log)
    voice.hear(secret + b"t\n" + text)
    assert log.text == b"".join(b"[t] " + line for line in text.splitlines(keepends=True))


def test_an_element_that_leaves_a_full_pipe_non_blocking_says_nothing_as_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reading, writing = os.pipe()
    stream = io.TextIOWrapper(io.BufferedWriter(io.FileIO(writing, "w", closefd=False)))
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, stream)
    monkeypatch.setattr(log_prefix, "_STREAMS", (writing,))
    drained, set_blocking = threading.Event(), os.set_blocking
    said: list[bytes] = []

    def made_blocking(number: int, blocking: bool) -> None:
        set_blocking(number, blocking)
        drained.set()

    def drain() -> None:
        drained.wait()
        while piece := os.read(reading, 4_096):
            said.append(piece)

    speaker = Speaker(SECRET)
    speaker.begin("a")
    set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * 4_096)
    stream.write("last words\n")
    monkeypatch.setattr(os, "set_blocking", made_blocking)
    reader = threading.Thread(target=drain)
    reader.start()
    speaker.end()
    speaker.begin("b")
    drained.set()
    stream.detach()
    os.close(writing)
    reader.join()
    os.close(reading)
    assert b"".join(said).endswith(b"xlast words\n" + mark("b"))
