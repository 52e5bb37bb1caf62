"""What an explanation consists of, and its form as text."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr
from pydantic.alias_generators import to_camel

from armonik_sdk.explain.wording import duration, gist, seconds_between

OUTPUT_VERSION: Final = "cli.armonik.io/v1"
_LABEL: Final = 8
"""Columns of a label and the blanks behind it."""


class _Output(BaseModel):
    model_config = ConfigDict(
        frozen=True, alias_generator=to_camel, populate_by_name=True, use_attribute_docstrings=True
    )


class Link(_Output):
    """One reason behind another one."""

    subject: str
    """What it is about, such as `task parse` or `pod default-x7k2p`."""
    reason: str = ""
    """Of its condition, or of Kubernetes; empty where it has none."""
    why: str
    """In words."""


class Explanation(_Output):
    """Why an object is as it is, and what can be done. `text` is what people read."""

    api_version: Literal["cli.armonik.io/v1"] = OUTPUT_VERSION
    kind: Literal["Explanation"] = "Explanation"
    subject: str
    """`task squares (session demo)`."""
    state: str
    """How it is: `940 of 1000 elements wait, 2 run`."""
    reason: str = ""
    """Of the condition that says so; empty where no condition does."""
    why: str = ""
    """In words; lines after the first are indented."""
    since: datetime | None = None
    """Since when, where that matters."""
    likely_seconds: int | None = Field(default=None, ge=0)
    """How long it is likely to last; only where a rate was seen."""
    mend: list[str] = Field(default_factory=list)
    """What to do, the command included; several are alternatives, or belong to several causes."""
    look: list[str] = Field(default_factory=list)
    """Commands that show more."""
    chain: list[Link] = Field(default_factory=list)
    """The reasons behind it, down to the first cause."""
    _likely: str = PrivateAttr(default="")
    """`likely_seconds` in words; of the text alone."""
    _now: datetime | None = PrivateAttr(default=None)
    """When it was explained."""

    @property
    def text(self) -> str:
        """For people: what it is and how it is, then a labelled line or several for each part."""
        since = duration(seconds_between(self.since, self._now)) if self.since and self._now else ""
        parts = {
            "why": self.why.splitlines(),
            "since": [since] if since else [],
            "likely": [self._likely] if self._likely else [],
            "mend": self.mend,
            "look": self.look,
        }
        lines = [f"{self.subject}: {self.state}"]
        for label, said in parts.items():
            lines += [f"{label if at == 0 else '':<{_LABEL}}{line}" for at, line in enumerate(said)]
        return "\n".join(lines)

    @property
    def gist(self) -> str:
        """The reason on one line, to follow another word: for a progress bar."""
        return gist(self.why or self.state)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Finding:
    """What a row of a table says: the parts of an explanation that depend on the reason."""

    why: str
    mend: Sequence[str] = ()
    look: Sequence[str] = ()
    since: datetime | None = None
    likely: tuple[float, str] | None = None
    """Seconds, and the sentence about them."""
    chain: Sequence[Link] = field(default=())
    state: str = ""
    """In place of the usual one."""

    def explanation(self, subject: str, state: str, reason: str, now: datetime) -> Explanation:
        """Of this subject in this state."""
        seconds, likely = self.likely or (None, "")
        made = Explanation(
            subject=subject,
            state=self.state or state,
            reason=reason,
            why=self.why,
            since=self.since,
            likely_seconds=None if seconds is None else round(seconds),
            mend=list(self.mend),
            look=list(self.look),
            chain=list(self.chain),
        )
        made._likely, made._now = likely, now
        return made
