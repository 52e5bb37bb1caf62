"""A tree of tasks as lines."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from armonik_sdk.cli.views.reading import Object, name_of, since, text


@dataclass
class Member:
    """A task of the tree."""

    name: str
    uid: str
    phase: str
    progress: str
    created: str
    index: str = ""
    """Element of the parent that submitted it."""
    children: list["Member"] = field(default_factory=list)
    more: bool = False
    """It has more children than these."""


def member(obj: Object) -> Member:
    """A task without its children."""
    return Member(
        name_of(obj),
        text(obj, "metadata", "uid"),
        text(obj, "status", "phase") or "Creating",
        text(obj, "status", "progress"),
        text(obj, "metadata", "creationTimestamp"),
        text(obj, "metadata", "annotations", "armonik.io/parent-index"),
    )


def lines(root: Member, now: datetime) -> Iterator[str]:
    """The tree from this task on."""
    yield _said(root, now)
    yield from _below(root, now, "")


def _below(parent: Member, now: datetime, indent: str) -> Iterator[str]:
    for at, child in enumerate(parent.children):
        last = at == len(parent.children) - 1 and not parent.more
        yield f"{indent}{'└── ' if last else '├── '}{_said(child, now)}"
        yield from _below(child, now, indent + ("    " if last else "│   "))
    if parent.more:
        yield f"{indent}└── …"


def _said(found: Member, now: datetime) -> str:
    words = [found.name, found.phase, found.progress, since(found.created, now)]
    by = f"(by element {found.index})" if found.index else ""
    return " ".join(word for word in (*words, by) if word)
