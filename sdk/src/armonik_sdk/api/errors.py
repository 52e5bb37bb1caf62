"""The errors of `armonik_sdk.api`.

ApiError
├── InvalidManifest   a manifest breaks the schema or a rule; names every field
├── InvalidIntervals  a text is not an interval list such as "0-497,500"
└── NotStructural     a model has no structural schema; a mistake in our code
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError

_MOST_PROBLEMS: Final = 10
"""Problems that `explain` writes out; a list of a thousand bad items would fill a log."""


class ApiError(Exception):
    """Root of the errors raised by `armonik_sdk.api`."""


@dataclass(frozen=True)
class FieldProblem:
    """One thing wrong with a manifest."""

    field: str
    """Path as Kubernetes writes it: `spec.items[3].payload.inline`."""
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


class InvalidManifest(ApiError, ValueError):  # noqa: N818 - reads as the thing that is wrong
    """A manifest that the API does not accept; `problems` names every field at fault."""

    def __init__(self, kind: str, problems: Sequence[FieldProblem]) -> None:
        self.kind = kind
        self.problems = tuple(problems)
        super().__init__(f"invalid {kind}: " + "; ".join(str(problem) for problem in self.problems))

    @classmethod
    def from_validation(cls, kind: str, error: ValidationError) -> "InvalidManifest":
        """Translate pydantic's error into field paths that a Kubernetes user knows."""
        return cls(kind, field_problems(error))


class InvalidIntervals(ApiError, ValueError):  # noqa: N818 - reads as the thing that is wrong
    """A text that is not an interval list such as `0-497,500`."""


class NotStructural(ApiError, TypeError):  # noqa: N818 - reads as the thing that is wrong
    """A model uses something that a Kubernetes schema cannot express."""


def field_problems(error: ValidationError) -> list[FieldProblem]:
    """What pydantic found, with field paths that a Kubernetes user knows."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return [FieldProblem(_path(one["loc"]), _message(one["type"], one["msg"])) for one in found]


def explain(error: BaseException) -> str:
    """The text of an error for a message that somebody reads.

    pydantic's own text carries addresses of its documentation, the input (which may be secret) and words of
    Python; here each field at fault is named with what is wrong, at most 10 of them.
    """
    if not isinstance(error, ValidationError):
        return str(error)
    problems = field_problems(error)
    text = "; ".join(str(problem) for problem in problems[:_MOST_PROBLEMS])
    more = len(problems) - _MOST_PROBLEMS
    return f"{text}; and {more} more" if more > 0 else text


def _path(loc: tuple[int | str, ...]) -> str:
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


def _message(type_: str, text: str) -> str:
    match type_:
        case "extra_forbidden":
            return "unknown field"
        case "missing":
            return "is required"
        case _:
            return text.removeprefix("Value error, ")
