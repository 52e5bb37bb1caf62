"""Copies the output of executors to the container's log, each line after the id of its task.

A thread of the serving process writes it, so that a log that is not taken off holds up nothing but whoever
prints. Its work is linear in what is said, however small the pieces: it reads what has gathered in a pipe.
When an element has ended, the serving process reads what is left of it in the pipes; the thread writes that.
"""

import contextlib
import os
import re
import select
import selectors
import threading
import time
from collections import deque
from typing import Final

from armonik_sdk.worker.executor.transcript import Transcript

SECRET_BYTES: Final = 16
"""Length of what marks begin with; nobody prints it by accident."""
_NO_TEXT: Final = b"\xff"
"""A byte that UTF-8 never has."""
PACE: Final = 0.01
"""Seconds between two looks: pieces that come one by one are not taken up one by one."""
LAST_WORDS: Final = 5.0
"""Seconds at most that the end of the process waits for what was said."""
BEHIND_BYTES: Final = 256 * 1024
"""Most that waits for the thread to write it: a log that nobody reads holds that up. Then nothing more is
read at the end of elements, and what they printed is not complete with them."""
_PIPE: Final = 64 * 1024
"""What a pipe holds."""
_BLANK_UPDATES: Final = re.compile(rb"\r(?:[ \t]*\r)+")
_BLANK_AT_LINE: Final = re.compile(rb"\n[ \t]*\r")
_BLANK_AT_START: Final = re.compile(rb"\A[ \t]*\r")


def new_secret() -> bytes:
    """What marks begin with.

    Output that ends like the beginning of a mark waits for what follows it: with a line feed as the first
    byte that would be the end of each line.
    """
    return _NO_TEXT + os.urandom(SECRET_BYTES - len(_NO_TEXT))


class Log:
    """One file of the container's log, shared by several writers of lines."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._begun_by: Voice | None = None
        self._later: list[bytes] | None = None

    def write(self, voice: "Voice", data: bytes, *, begun: bool) -> None:
        """Write; `begun`: whether the last line continues."""
        if self._begun_by is not None and self._begun_by is not voice:
            self._begun_by.interrupted()
            data = b"\n" + data
        self._begun_by = voice if begun else None
        if self._later is None:
            self.put(data)
        else:
            self._later.append(data)

    def defer(self) -> None:
        """From now on `write` does not wait: what it is given is written by who calls `deferred`."""
        self._later = []

    @property
    def behind(self) -> int:
        """Bytes that were deferred."""
        return sum(map(len, self._later or ()))

    def deferred(self) -> bytes:
        """What is to be `put`; it is not deferred any more."""
        data, self._later = b"".join(self._later or ()), []
        return data

    def put(self, data: bytes) -> None:
        """Write all of it, or nothing more when nobody reads it."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._number, rest) :]
            except BlockingIOError:
                select.select([], [self._number], [])
            except OSError:
                return  # nobody reads the log any more, and the function shall not wait for that


class Voice:
    """Reads the output of one executor from one of its pipes."""

    def __init__(self, secret: bytes, into: Log, transcript: Transcript | None = None) -> None:
        """What it reads is written into the log, and added to the transcript if there is one."""
        self.transcript = transcript
        self._secret, self._into = secret, into
        self._element = self._prefix = b""
        self._begun = False
        self._returned = False
        """The last thing said was a carriage return; a line feed that follows belongs to it."""
        self._kept = b""
        """What may be the beginning of a mark."""

    def hear(self, data: bytes) -> None:
        """Take what was read from the pipe."""
        text, *turns = (self._kept + data).split(self._secret)
        self._kept = b""
        if turns:
            self._say(text)
            for turn in turns[:-1]:
                self._turn(turn)
            text = turns[-1]
            if b"\n" not in text:
                self._kept = self._secret + text  # it was read in the middle of a mark
                return
            text = self._turn(text, say=False)
        at = self._mark_begins(text)
        self._kept = text[at:]
        self._say(text[:at])

    def end(self) -> None:
        """Nothing follows."""
        self._say(self._kept)
        self._kept = b""
        self._turn(b"\n")

    def interrupted(self) -> None:
        """Another has ended its line."""
        self._begun = False

    def _mark_begins(self, text: bytes) -> int:
        """Position of an incomplete mark at the end of the text; else the end."""
        for at in range(max(0, len(text) - len(self._secret) + 1), len(text)):
            if self._secret.startswith(text[at:]):
                return at
        return len(text)

    def _turn(self, text: bytes, *, say: bool = True) -> bytes:
        """A task's id and what is said about it. A line that was begun ends."""
        task, _, text = text.partition(b"\n")
        if self._begun:
            self._begun = False
            self._into.write(self, b"\n", begun=False)
        self._returned = False
        self._element = task
        self._prefix = b"[" + task + b"] " if task else b""
        if say:
            self._say(text)
        return text

    def _say(self, text: bytes) -> None:
        if self._returned:
            text = text.removeprefix(b"\n")
        if not text:
            return
        self._returned = text.endswith(b"\r")
        if b"\r" in text:
            text = self._updates_as_lines(text)
        if self.transcript is not None:
            self.transcript.add(self, self._element, text)
        *whole, rest = text.split(b"\n")
        parts = []
        if whole:
            parts += [b"" if self._begun else self._prefix, (b"\n" + self._prefix).join(whole), b"\n"]
            self._begun = False
        if rest:
            parts += [b"" if self._begun else self._prefix, rest]
            self._begun = True
        if parts:
            self._into.write(self, b"".join(parts), begun=self._begun)

    def _updates_as_lines(self, text: bytes) -> bytes:
        """What a carriage return would overwrite is a line: logs show no line before it has ended."""
        text = _BLANK_UPDATES.sub(b"\r", text.replace(b"\r\n", b"\n"))
        text = _BLANK_AT_LINE.sub(b"\n", text)
        if not self._begun:
            text = _BLANK_AT_START.sub(b"", text)
        return text.replace(b"\r", b"\n")


class Hearing:
    """Reads the pipes of all executors, mostly in a thread of its own."""

    def __init__(self, secret: bytes, logs: tuple[Log, Log] | None = None) -> None:
        """`logs` takes what is said on standard output and error; this process's own ones when left out."""
        self._secret = secret
        self._logs = logs or (Log(1), Log(2))
        for log in self._logs:
            log.defer()
        self._lock = threading.Lock()
        """For whoever reads from pipes: what is read is said in order."""
        self._pipes: dict[Transcript, list[tuple[int, Voice]]] = {}
        self._waiting = selectors.DefaultSelector()
        self._woken, self._wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._waiting.register(self._woken, selectors.EVENT_READ)
        self._closing = threading.Event()
        self._fresh: deque[tuple[int, Voice]] = deque()
        self._thread = threading.Thread(target=self._listen, name="hearing", daemon=True)
        self._thread.start()

    def open(self) -> tuple[tuple[int, int], Transcript]:
        """Pipes for an executor's standard output and error, to be closed here once it has them.

        With them what its elements print.
        """
        transcript = Transcript()
        with self._lock:
            out, err = (self._pipe(log, transcript) for log in self._logs)
        self._nudge()
        return (out, err), transcript

    def catch_up(self, transcript: Transcript) -> None:
        """Read what this executor has printed by now, so that it is in its transcript; never waits."""
        with self._lock:
            if sum(log.behind for log in self._logs) > BEHIND_BYTES:
                return
            for pipe, voice in self._pipes.get(transcript, ()):
                with contextlib.suppress(BlockingIOError):  # there is nothing
                    voice.hear(os.read(pipe, _PIPE))  # all that a pipe holds; nothing at its end
            behind = any(log.behind for log in self._logs)
        if behind:
            self._nudge()

    def close(self) -> None:
        """Write what is still in the pipes; executors have ended."""
        self._closing.set()
        self._nudge()
        self._thread.join(LAST_WORDS)

    def _nudge(self) -> None:
        """Let the thread look again."""
        with contextlib.suppress(BlockingIOError):  # it is full: the thread will look
            os.write(self._wake, b".")

    def _pipe(self, into: Log, transcript: Transcript) -> int:
        ours, theirs = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(ours, False)
        voice = Voice(self._secret, into, transcript)
        self._pipes.setdefault(transcript, []).append((ours, voice))
        self._fresh.append((ours, voice))
        return theirs

    def _listen(self) -> None:
        while True:
            ready = self._waiting.select()
            with self._lock:
                more = [self._hear(key) for key, _ in ready]
                while self._fresh:
                    pipe, voice = self._fresh.popleft()
                    self._waiting.register(pipe, selectors.EVENT_READ, voice)
            for log in self._logs:
                self._write(log)
            if self._closing.is_set() and len(self._waiting.get_map()) == 1:
                return
            if not any(more):
                time.sleep(PACE)

    def _write(self, log: Log) -> None:
        """Write what was deferred; it may take as long as it likes, for nobody waits."""
        with self._lock:
            data = log.deferred()
        if data:
            log.put(data)

    def _hear(self, key: selectors.SelectorKey) -> bool:
        """Read once; whether there is more than that."""
        try:
            data = os.read(key.fd, _PIPE)
        except BlockingIOError:
            return False
        voice: Voice | None = key.data
        if voice is None:
            return False
        if data:
            voice.hear(data)
        else:
            voice.end()
            self._forget(key.fd)
        return len(data) == _PIPE

    def _forget(self, pipe: int) -> None:
        self._waiting.unregister(pipe)
        os.close(pipe)
        left = {of: [one for one in pipes if one[0] != pipe] for of, pipes in self._pipes.items()}
        self._pipes = {of: pipes for of, pipes in left.items() if pipes}
