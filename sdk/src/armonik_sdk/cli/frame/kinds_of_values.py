"""Kinds of values on the command line: durations, settings, dependencies, indexes, lists of words."""

import re
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from armonik_sdk.api.ranges import Ranges

_UNITS: Final = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_PART = re.compile(r"(\d+(?:\.\d+)?)([dhms])", re.ASCII)
_DEPENDENCY = re.compile(
    r"(?P<task>[a-z0-9-]+)(?:\.(?P<output>[a-z0-9-]+))?(?::(?P<index>\d{1,12}))?", re.ASCII
)


def seconds(text: str) -> float | None:
    """The seconds of `90s`, `5m`, `2h`, `1d` or `1h30m`; None of any other text."""
    at, total = 0, 0.0
    for part in _PART.finditer(text):
        if part.start() != at:
            break
        total, at = total + float(part[1]) * _UNITS[part[2]], part.end()
    return total if text and at == len(text) else None


class Duration(click.ParamType[float]):
    """A time such as `90s`; its value are seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        if isinstance(value, int | float):
            return float(value)
        found = seconds(str(value))
        if found is None:
            self.fail(f"{value!r} is no duration; write 90s, 5m, 2h, 1d or 1h30m", param, ctx)
        return found


class WholeSeconds(Duration):
    """A time that the cluster keeps in whole seconds, at least 1."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Whole seconds."""
        found = super().convert(value, param, ctx)
        if found != int(found) or found < 1:
            self.fail(f"{value!r}: whole seconds, at least 1s", param, ctx)
        return int(found)


class KeyValue(click.ParamType[tuple[str, str]]):
    """`KEY=VALUE`."""

    name = "key=value"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Key and value."""
        if isinstance(value, tuple):
            return value
        key, equals, text = str(value).partition("=")
        if not key or not equals:
            self.fail(f"{value!r}: write KEY=VALUE", param, ctx)
        return key, text


class Needed(click.ParamType[tuple[str, str | None, int | None]]):
    """`TASK[.OUTPUT][:INDEX]`."""

    name = "task[.output][:index]"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str | None, int | None]:
        """Name of the task, of one output, index of one element."""
        if isinstance(value, tuple):
            return value
        found = _DEPENDENCY.fullmatch(str(value))
        if found is None:
            self.fail(f"{value!r}: write TASK, TASK.OUTPUT, TASK:INDEX or TASK.OUTPUT:INDEX", param, ctx)
        index = found["index"]
        return found["task"], found["output"], None if index is None else int(index)


class Indexes(click.ParamType["Ranges"]):
    """`3,7-9`."""

    name = "ranges"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> "Ranges":
        """The set of indexes."""
        from armonik_sdk.api.errors import InvalidIntervals
        from armonik_sdk.api.ranges import Ranges

        if isinstance(value, Ranges):
            return value
        try:
            found = Ranges.parse(str(value))
        except InvalidIntervals as error:
            self.fail(f"{error}; write indexes and intervals in ascending order: 3,7-9", param, ctx)
        if not found:
            self.fail("name at least one index: 3,7-9", param, ctx)
        return found


class Words(click.ParamType[tuple[str, ...]]):
    """Words with commas between them, of a fixed set; upper and lower case are the same."""

    name = "words"

    def __init__(self, allowed: tuple[str, ...]) -> None:
        self._allowed = {word.lower(): word for word in allowed}

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """The words, as the set spells them."""
        if isinstance(value, tuple):
            return value
        words = [word.strip() for word in str(value).split(",")]
        for word in words:
            if word.lower() not in self._allowed:
                self.fail(f"{word!r} is none of {', '.join(self._allowed.values())}", param, ctx)
        return tuple(self._allowed[word.lower()] for word in words)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> "list[CompletionItem[str]]":
        """The word after the last comma; those before it are not offered again."""
        from click.shell_completion import CompletionItem

        before, comma, begun = incomplete.rpartition(",")
        given = before.lower().split(",")
        return [
            CompletionItem(f"{before}{comma}{word}")
            for key, word in self._allowed.items()
            if key.startswith(begun.lower()) and key not in given
        ]


DURATION: Final = Duration()
WHOLE_SECONDS: Final = WholeSeconds()
KEY_VALUE: Final = KeyValue()
NEEDED: Final = Needed()
INDEXES: Final = Indexes()
