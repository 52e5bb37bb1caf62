"""Findings, and their form as text."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from armonik_sdk.cli.views.reading import printable

_LEVEL, _LABEL = 6, 12
"""Columns of a level and of a label."""
_FIX: Final = "mend"
_NOTE: Final = "note"


CHECKS: Final = (
    "apiserver", "kinds", "rights", "operator", "nats", "store", "partitions", "versions", "space",
    "quotas", "leftovers",
)  # fmt: skip
"""In their order."""


class Level(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"
    SKIP = "skip"


@dataclass(frozen=True)
class Finding:
    """What a check found."""

    check: str
    level: Level
    text: str
    mend: str = ""
    """What to do."""
    note: str = ""

    def lines(self) -> list[str]:
        """For people. Workers and pods say some of it: none of that takes effect on a terminal."""
        lines = [f"{self.level:<{_LEVEL}}{self.check:<{_LABEL}}{printable(self.text)}"]
        for label, text in ((_FIX, self.mend), (_NOTE, self.note)):
            if text:
                lines.append(f"{'':<{_LEVEL}}{label:<{_LABEL}}{printable(text)}")
        return lines

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        values = {
            "check": self.check,
            "level": str(self.level),
            "text": self.text,
            _FIX: self.mend,
            _NOTE: self.note,
        }
        return {key: value for key, value in values.items() if value}


def ok(check: str, text: str) -> Finding:
    """All well."""
    return Finding(check, Level.OK, text)


def warning(check: str, text: str, mend: str = "", note: str = "") -> Finding:
    """Something that may become a problem."""
    return Finding(check, Level.WARN, text, mend, note)


def failure(check: str, text: str, mend: str = "", note: str = "") -> Finding:
    """A problem."""
    return Finding(check, Level.FAIL, text, mend, note)


def skipped(check: str, text: str) -> Finding:
    """What could not be looked at."""
    return Finding(check, Level.SKIP, text)


def problems(findings: Sequence[Finding]) -> int:
    """How many problems there are."""
    return sum(finding.level is Level.FAIL for finding in findings)


def warnings(findings: Sequence[Finding]) -> int:
    """How many warnings there are."""
    return sum(finding.level is Level.WARN for finding in findings)


def summary(findings: Sequence[Finding]) -> str:
    """The last line."""
    counts = ((problems(findings), "problem"), (warnings(findings), "warning"))
    said = [f"{count} {word}{'' if count == 1 else 's'}" for count, word in counts if count]
    return f"{', '.join(said)}." if said else "No problems."
