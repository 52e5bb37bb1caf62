"""Results of a session and environments of a namespace as objects, and the columns of their lists."""

from typing import Any, Final

from armonik_sdk.cli.views.columns import Column, Noun
from armonik_sdk.cli.views.reading import part, since, text

RESULT: Final = Noun(
    "result",
    "results",
    (
        Column("ID", lambda obj, _: text(obj, "metadata", "name")),
        Column("NAME", lambda obj, _: text(obj, "name")),
        Column("STATE", lambda obj, _: text(obj, "state")),
        Column("SIZE", lambda obj, _: text(obj, "size"), right=True),
        Column("AGE", lambda obj, now: since(text(obj, "ended") or text(obj, "created"), now)),
        Column("TASK", lambda obj, _: text(obj, "task"), wide=True),
        Column("ELEMENT", lambda obj, _: text(obj, "index") if text(obj, "task") else "", wide=True),
        Column("REASON", lambda obj, _: text(obj, "reason"), wide=True),
    ),
    group="",
)
ENVIRONMENT: Final = Noun(
    "env",
    "environments",
    (
        Column("NAME", lambda obj, _: text(obj, "metadata", "name")),
        Column("SIZE", lambda obj, _: text(obj, "size"), right=True),
        Column("AGE", lambda obj, now: since(text(obj, "created"), now)),
        Column("OBJECT", lambda obj, _: text(obj, "object"), wide=True),
    ),
    group="",
)

_FACTS: Final = {
    "name": "Name",
    "state": "State",
    "size": "Bytes",
    "task": "Task UID",
    "index": "Element",
    "created": "Created",
    "ended": "Ended",
    "reason": "Reason",
}


def facts(obj: dict[str, Any]) -> list[tuple[str, str]]:
    """What to say of one, to people."""
    known = [(label, text(obj, key)) for key, label in _FACTS.items() if part(obj, key) not in (None, "")]
    kept = [("Purge", "leaves it alone")] if part(obj, "manualDeletion") else []
    return [("Id", text(obj, "metadata", "name")), *known, *kept]
