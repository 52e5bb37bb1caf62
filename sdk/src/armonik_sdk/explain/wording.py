"""How numbers, durations and texts of others are written in explanations."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final

MOST_TEXT: Final = 300
"""Characters of a text of others, such as a worker's last message."""
MOST_NAMES: Final = 10
ONCE_THERE: Final = "It goes on by itself once there is one."
"""Of what waits for an object that somebody has to create."""
NOTHING_LOST: Final = "Nothing is lost: it continues by itself."
"""Of what waits for a server."""
_ESCAPE: Final = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0


def elements(count: int) -> str:
    """`1 element`, `12 elements`."""
    return plural(count, "element")


def plural(count: int, noun: str) -> str:
    """A number with its noun."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def verb(count: int, word: str) -> str:
    """`waits` of one, `wait` of several."""
    return f"{word}s" if count == 1 else word


def have(count: int) -> str:
    """`has` of one, `have` of several."""
    return "has" if count == 1 else "have"


def duration(seconds: float) -> str:
    """In the unit in which it has one to three digits."""
    seconds = max(0.0, seconds)
    for unit, size, below in (("s", 1.0, 100.0), ("min", _MINUTE, 100 * _MINUTE), ("h", _HOUR, 2 * _DAY)):
        if seconds < below:
            return f"{round(seconds / size)} {unit}"
    return f"{round(seconds / _DAY):,} d"


def seconds_between(earlier: datetime, later: datetime) -> float:
    """Never negative: two clocks may differ."""
    return max(0.0, (later - earlier).total_seconds())


def some(names: Sequence[str]) -> str:
    """Names of which there may be many."""
    more = len(names) - MOST_NAMES
    listed = ", ".join(names[:MOST_NAMES])
    return f"{listed} and {more:,} more" if more > 0 else listed


def clean(text: str, most: int = MOST_TEXT) -> str:
    """A text of others on one line: nothing in it moves a cursor, and it is bounded."""
    shown = (one if one.isprintable() else " " for one in _ESCAPE.sub(" ", text))
    line = " ".join("".join(shown).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def last_line(text: str) -> str:
    """The last line that says something: of a traceback, the exception."""
    lines = [line for line in text.splitlines() if clean(line)]
    return clean(lines[-1]) if lines else ""


def gist(text: str) -> str:
    """The first line, to follow another word."""
    first = text.partition("\n")[0].rstrip(".:")
    return first[:1].lower() + first[1:]


def sentence(text: str) -> str:
    """With a capital letter and a full stop."""
    text = stopped(text)
    return text[:1].upper() + text[1:]


def stopped(text: str) -> str:
    """To follow a colon: with a full stop, or what ends it already."""
    text = clean(text, 2 * MOST_TEXT)
    return text if not text or text[-1] in ".!?…" else f"{text}."
