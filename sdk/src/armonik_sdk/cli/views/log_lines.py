"""Lines of logs of pods: when, of which element, what."""

import re
from collections.abc import Container
from dataclasses import dataclass
from typing import Final

from armonik_sdk.cli.views.reading import printable

_STAMP: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d) ?", re.ASCII)
_UID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_ELEMENT: Final = re.compile(rf"\[({_UID})(?:\.(\d{{1,8}}))?\] ?", re.ASCII)
"""Before each line that an element printed, in workers of functions; no index if its Task has no other."""
_COLOUR: Final = re.compile(r"(\x1b\[[0-9;:]*m)")
_NO_COLOUR: Final = "\x1b[0m"


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
