"""The table of bad input: every wrong value, reference and move, and what the user sees of it.

`python tests/integration/bad_input.py` prints docs/bad-input.md, which is made from it.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from bad_manifests import BAD
from bad_moves import MOVES
from bad_references import REFERENCES
from manifests import partition, session, task
from schema_cases import Case, cases

GOOD = {"Session": session({}), "Task": task({}), "Partition": partition({})}
"""A good object of each kind."""


@dataclass(frozen=True)
class Row:
    """What is tried, and what is said of which field."""

    chapter: str
    kind: str
    name: str
    field: str
    says: str
    manifest: dict[str, Any]
    """What is created; refused, unless there is a patch."""
    status: dict[str, Any] | None = None
    """Status that it has then."""
    patch: dict[str, Any] | None = None
    """Change that is refused."""
    subresource: str = ""


def _rows() -> Iterator[Row]:
    for kind, good in GOOD.items():
        for case in cases(kind):
            yield Row("values", kind, case.what, case.field, case.says, case.put(good))
    for bad in BAD:
        yield Row("manifests", bad.manifest["kind"], bad.name, bad.field, bad.message, bad.manifest)
    for move in MOVES:
        kind, status = move.manifest["kind"], move.status
        row = (move.name, move.field, move.message, move.manifest, status, move.patch, move.subresource)
        yield Row("moves", kind, *row)


ROWS = list(_rows())
CHAPTERS = sorted({(row.chapter, row.kind) for row in ROWS})


def page() -> str:
    """The page of the documentation."""
    return "\n".join(_page()) + "\n"


def _page() -> Iterator[str]:
    yield from _HEAD
    yield from _table(("wrong", "the message says", "tried on"), _sorts())
    for kind in GOOD:
        yield from ("", f"### Fields of a {kind}", "", *_fields(kind))
    for chapter, text in _TEXTS.items():
        yield from ("", f"## {chapter.capitalize()}", "", text, "")
        rows = [(r.kind, r.name, f"`{r.field}`", _words(r.says)) for r in ROWS if r.chapter == chapter]
        yield from _table(("kind", "tried", "field", "the message says"), rows)
    yield from ("", "## References", "", _REFERENCES, "")
    told = [
        (
            r.kind,
            r.name.replace("-", " "),
            f"`{r.field}`",
            f"`{r.condition}`: `{r.reason}`",
            _words(r.message),
        )
        for r in REFERENCES
    ]
    yield from _table(("kind", "tried", "field", "condition and reason", "the message says"), told)


_HEAD = (
    "# Bad input",
    "",
    "What a user sees of input that cannot work. This page is made from the table that",
    "`tests/integration/test_bad_input.py` tries, row by row, on a real apiserver and with the real operator",
    "(`test_what_the_apiserver_says`, `test_what_a_condition_says`); `tests/integration/bad_input.py` prints",
    "it.",
    "",
    "Values and moves are refused at once: `kubectl` prints the field and the sentence, and the Python",
    "client raises `InvalidManifest` before it sends anything, or `Refused`. References are accepted, since",
    "objects may be applied in any order; a condition says what is missing, and an Event of type `Warning`",
    "reports it once.",
    "",
    "## Values",
    "",
)
_TEXTS = {
    "manifests": "Values that go together or not, names, and the most usual mistakes.",
    "moves": "Changes of an object that exists. Those of a status are refused even to the operator.",
}
_REFERENCES = "The Task continues by itself once what it names exists; `Finished` stays."


def _sorts() -> list[tuple[str, ...]]:
    tried = Counter((row.name, row.says) for row in ROWS if row.chapter == "values")
    return sorted((name, _words(says), f"{count} fields") for (name, says), count in tried.items())


def _fields(kind: str) -> Iterator[str]:
    found: dict[str, list[str]] = {}
    for case in cases(kind):
        found.setdefault(case.field, []).append(_bound(case))
    below = [name for name in found if name.startswith("spec.template.")]
    shown = [(f"`{name}`", "; ".join(said)) for name, said in found.items() if name not in below]
    yield from _table(("field", "refused"), shown)
    if below:
        yield from ("", f"And {len(below)} fields below `spec.template`, as they are in a pod of core/v1.")


def _bound(case: Case) -> str:
    match case.what:
        case "too small" | "too large":
            return f"{case.value:,}"
        case "too short" | "too few":
            return "empty"
        case "too long":
            return f"{len(case.value):,} letters"
        case "too many":
            return f"{len(case.value):,} entries"
        case "malformed":
            return "other letters"
        case "unknown":
            return "unknown fields"
        case "not one of":
            return "another word"
    return f"`{json.dumps(case.value)}`"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    names = list(head)
    yield f"| {' | '.join(names)} |"
    yield "|" + "---|" * len(names)
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"


def _words(says: str) -> str:
    return f"{says} …" if says else ""


if __name__ == "__main__":
    sys.stdout.write(page())
