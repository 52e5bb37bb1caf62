"""Reads parts of objects as the apiserver sends them, of which any may be missing."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

Object = Mapping[str, Any]

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Control characters, but for tabs and line ends."""
STATES: Final = ("pending", "queued", "running", "succeeded", "failed", "timedOut", "cancelled")
"""Of elements, in the order of their way."""


def part(obj: Any, *path: str) -> Any:
    """What is at this path; None where a step is missing."""
    for step in path:
        obj = obj.get(step) if isinstance(obj, Mapping) else None
    return obj


def text(obj: Any, *path: str) -> str:
    """The same as text; empty where it is missing."""
    found = part(obj, *path)
    return "" if found is None else str(found)


def printable(said: str) -> str:
    """A text that others wrote, for a terminal: what would move its cursor or colour it is written out."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", said)


def number(obj: Any, *path: str) -> int:
    """The same as a number; 0 where it is missing."""
    found = part(obj, *path)
    return found if isinstance(found, int) else 0


def name_of(obj: Object) -> str:
    """Its name."""
    return text(obj, "metadata", "name")


def condition(obj: Object, kind: str) -> Object | None:
    """The condition of this type."""
    return next((c for c in part(obj, "status", "conditions") or () if c.get("type") == kind), None)


def is_true(obj: Object, kind: str) -> bool:
    """Whether the condition of this type is True."""
    return text(condition(obj, kind), "status") == "True"


def is_false(obj: Object, kind: str) -> bool:
    """Whether the condition of this type is False."""
    return text(condition(obj, kind), "status") == "False"


def left(obj: Object) -> int:
    """Elements that have not ended."""
    counts = part(obj, "status", "elements")
    return sum(number(counts, state) for state in STATES[:3])


def failed(obj: Object) -> int:
    """Elements that ended with an error, or took too long."""
    counts = part(obj, "status", "elements")
    return number(counts, "failed") + number(counts, "timedOut")


def moment(stamp: str) -> datetime | None:
    """The time of an RFC 3339 text."""
    try:
        found = datetime.fromisoformat(stamp)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def since(stamp: str, now: datetime) -> str:
    """The time since then, as `kubectl get` writes ages; empty for no time."""
    then = moment(stamp)
    return "" if then is None else span(now - then)


def span(time: timedelta) -> str:
    """A time in one unit, or in two while the first is small: `45s`, `3m20s`, `17m`, `2d3h`, `12d`."""
    seconds = max(0, int(time.total_seconds()))
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return _two(minutes, "m", seconds % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    return _two(days, "d", hours % 24, "h") if days < 8 else f"{days}d"


def _two(first: int, unit: str, second: int, smaller: str) -> str:
    return f"{first}{unit}{second}{smaller}" if second else f"{first}{unit}"
