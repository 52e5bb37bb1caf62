"""Lines of logs of pods: when, of which element, what."""

import re
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Final

from armonik_sdk.cli.views.reading import printable

_STAMP: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d) ?", re.ASCII)
_UID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_ELEMENT: Final = re.compile(rf"\[({_UID})(?:\.(\d{{1,8}}))?\] ?", re.ASCII)
"""Before each line that an element printed, in workers of functions; no index if its Task has no other."""
_COLOUR: Final = re.compile(r"(\x1b\[[0-9;:]*m)")
_NO_COLOUR: Final = "\x1b[0m"
COMPARED: Final = 64
"""Lines by which two texts of an element are compared."""
_MARK_BYTES: Final = 4
_MARKED: Final = 1000
"""Characters of a line."""


@dataclass(frozen=True)
class Line:
    """A line that a container wrote."""

    pod: str
    time: str
    """RFC 3339, as the node says it."""
    text: str
    uid: str = ""
    """Of the task; empty for a line of no element."""
    index: int | None = None
    """Of the element."""


def parsed(pod: str, raw: bytes) -> Line:
    """A line of a log with time stamps."""
    text = raw.decode(errors="backslashreplace").rstrip("\r")
    stamp = _STAMP.match(text)
    time = stamp[0].rstrip() if stamp else ""
    text = text[stamp.end() :] if stamp else text
    if element := _ELEMENT.match(text):
        return Line(pod, time, text[element.end() :], element[1], int(element[2] or 0))
    return Line(pod, time, text)


class Seen:
    """What living pods have of elements: the last lines of each, enough to recognise an execution by them.

    A pod may have lines of an earlier execution than the last one, of which another pod had those.
    """

    def __init__(self) -> None:
        self._pods: dict[str, dict[int, bytes]] = {}

    def add(self, line: Line) -> None:
        """A pod has this line of an element, after those before."""
        if line.index is not None:
            ends = self._pods.setdefault(line.pod, {})
            ends[line.index] = (ends.get(line.index, b"") + _mark(line.text))[-_MARK_BYTES * COMPARED :]

    def has(self, lines: Sequence[Line]) -> bool:
        """Whether the last of these, of one element, are the last that a pod has of it.

        Their order does not matter: an element has two streams, whose lines may be read in another order.
        """
        compared = lines[-COMPARED:]
        if not compared:
            return True
        wanted, index = sorted(_mark(line.text) for line in compared), compared[0].index
        found = (ends.get(index, b"") for ends in self._pods.values() if index is not None)
        return any(_marks(end[-_MARK_BYTES * len(compared) :]) == wanted for end in found)


def _mark(text: str) -> bytes:
    """Of a line: equal for equal ones. Long lines come in parts, and are compared by their beginning."""
    return (hash(text[:_MARKED].rstrip("\r")) & 0xFFFFFFFF).to_bytes(_MARK_BYTES, "big")


def _marks(end: bytes) -> list[bytes]:
    return sorted(end[at : at + _MARK_BYTES] for at in range(0, len(end), _MARK_BYTES))


@dataclass(frozen=True)
class Choice:
    """Which lines are wanted."""

    uids: Container[str] | None = None
    """Of these tasks; None for all, also of no task."""
    index: int | None = None
    """Of this element alone."""
    pattern: re.Pattern[str] | None = None
    """That have this somewhere."""

    def takes(self, line: Line) -> bool:
        """Whether it is wanted."""
        if self.uids is not None and line.uid not in self.uids:
            return False
        if self.index is not None and line.index != self.index:
            return False
        return self.pattern is None or self.pattern.search(line.text) is not None


def shown(line: Line, task: str, *, timestamps: bool, pods: bool) -> str:
    """For people: the text after what is wanted of where it comes from."""
    element = f"{task or line.uid}/{line.index}" if line.uid else ""
    words = [line.time if timestamps else "", line.pod if pods else "", f"[{element}]" if element else ""]
    return " ".join([*(word for word in words if word), line.text])


def harmless(text: str, *, coloured: bool) -> str:
    """A line as a terminal may have it: it may have colours of its own, and nothing else of it takes effect.

    Who prints and who reads are often two people, and a line could overwrite others or the window's title.
    """
    if not coloured:
        return printable(text)
    parts = _COLOUR.split(text)  # text and colours in turn
    ends = _NO_COLOUR if len(parts) > 1 else ""
    return "".join(one if at % 2 else printable(one) for at, one in enumerate(parts)) + ends
