"""Changes of good objects that the apiserver must refuse, each with the field it must name."""

import itertools
from dataclasses import dataclass, field
from typing import Any

from good_manifests import FINISHED
from manifests import partition, session, task

from armonik_sdk.api.kinds import SessionState


@dataclass(frozen=True)
class Move:
    """A change of one object: some complaint must be about `field` and contain `message`."""

    name: str
    manifest: dict[str, Any]
    """The object before."""
    patch: dict[str, Any]
    """A merge patch."""
    field: str
    message: str
    status: dict[str, Any] = field(default_factory=dict)
    """Its status before."""
    subresource: str = ""


ALLOWED: dict[str, set[str]] = {
    "Running": {"Paused", "Closed", "Cancelled"},
    "Paused": {"Running", "Closed", "Cancelled"},
    "Closed": {"Cancelled", "Purged"},
    "Cancelled": {"Purged"},
    "Purged": set(),
}
"""States that a finished session may go to."""
PAIRS = list(itertools.product(map(str, SessionState), map(str, SessionState)))
_OVER = {"conditions": [FINISHED]}
_UNFINISHED: dict[str, dict[str, Any]] = {
    "no status": {},
    "no condition Finished": {"conditions": []},
    "Finished=False": {"conditions": [FINISHED | {"status": "False"}]},
}

_SESSIONS = [
    *(
        Move(
            f"{old} to {new}",
            session({"desiredState": old}),
            {"spec": {"desiredState": new}},
            "spec.desiredState",
            f"a session cannot go from {old} to {new}",
            _OVER,
        )
        for old, new in PAIRS
        if new != old and new not in ALLOWED[old]
    ),
    *(
        Move(
            f"purged with {words}",
            session({"desiredState": "Closed"}),
            {"spec": {"desiredState": "Purged"}},
            "spec.desiredState",
            "a session can be purged only when its Finished condition is True",
            status,
        )
        for words, status in _UNFINISHED.items()
    ),
    Move(
        "state of a closed session removed",
        session({"desiredState": "Closed"}),
        {"spec": {"desiredState": None}},
        "spec.desiredState",
        "a session cannot go from Closed to Running",
    ),
    *(
        Move(
            f"submission of {who}s opened again{' by removing it' * (again is None)}",
            session({"submission": {who: "Closed"}}),
            {"spec": {"submission": {who: again}}},
            f"spec.submission.{who}",
            "a closed submission cannot be opened again",
        )
        for who in ("client", "worker")
        for again in ("Open", None)
    ),
]

VALUES: dict[str, tuple[Any, Any]] = {
    "payload": ({"inline": "1"}, {"inline": "2"}),
    "count": (2, 3),
    "items": ([{}], [{}, {}]),
    "itemsRef": ({"object": "k", "count": 1}, {"object": "k", "count": 2}),
    "dependsOn": ([{"task": "a"}], [{"task": "b"}]),
    "outputs": (["a"], ["b"]),
    "options": ({"priority": 1}, {"priority": 2}),
}
"""Two values of each field of a Task that never changes."""
_IMMUTABLE = "spec is immutable but for desiredState, cancelledIndexes and ttlSecondsAfterFinished"
_ELEMENTS: dict[str, dict[str, Any]] = {
    "count": {"count": 4},
    "items": {"items": [{}] * 4},
    "itemsRef": {"itemsRef": {"object": "k", "count": 4}},
    "one element": {},
}

_TASKS = [
    *(
        Move(f"{name} {how}", task(before), {"spec": {name: after}}, "spec", _IMMUTABLE)
        for name, (first, second) in VALUES.items()
        for how, before, after in (
            ("changed", {name: first}, second),
            ("removed", {name: first}, None),
            ("added", {}, first),
        )
    ),
    Move("session changed", task({}), {"spec": {"session": "other"}}, "spec.session", "session is immutable"),
    *(
        Move(
            f"cancelled task made active{' by removing its state' * (again is None)}",
            task({"desiredState": "Cancelled"}),
            {"spec": {"desiredState": again}},
            "spec.desiredState",
            "a cancelled task cannot be made active again",
        )
        for again in ("Active", None)
    ),
    *(
        Move(
            f"cancelledIndexes {how}",
            task({"count": 10, "cancelledIndexes": ["7-9", "3"]}),
            {"spec": {"cancelledIndexes": after}},
            "spec.cancelledIndexes",
            "intervals can only be added: a cancelled element cannot be made active again",
        )
        for how, after in (
            ("without one of them", ["3"]),
            ("with one widened", ["6-9", "3"]),
            ("emptied", []),
            ("removed", None),
        )
    ),
    *(
        Move(
            f"cancelledIndexes beyond the last of {words}",
            task(elements),
            {"spec": {"cancelledIndexes": ["4" if elements else "1"]}},
            "spec.cancelledIndexes",
            "there is no element with such an index",
        )
        for words, elements in _ELEMENTS.items()
    ),
]

_KNOWN = {"journalEpoch": 2, "journalSequence": 10, "sessionUid": "u", "conditions": [FINISHED]}


def _status(name: str, patch: dict[str, Any] | None, where: str, message: str) -> Move:
    return Move(f"status: {name}", task({}), {"status": patch}, where, message, _KNOWN, "status")


_STATUSES = [
    _status(
        "older record", {"journalSequence": 9}, "status.journalSequence", "journalSequence cannot go back"
    ),
    _status(
        "record removed",
        {"journalSequence": None},
        "status.journalSequence",
        "journalSequence cannot go back",
    ),
    _status(
        "older life of the journal", {"journalEpoch": 1}, "status.journalEpoch", "journalEpoch cannot go back"
    ),
    _status("life removed", {"journalEpoch": None}, "status.journalEpoch", "journalEpoch cannot go back"),
    _status(
        "end taken back",
        {"conditions": [FINISHED | {"status": "False"}]},
        "status.conditions",
        "a finished task stays finished",
    ),
    _status("end removed", {"conditions": []}, "status.conditions", "a finished task stays finished"),
    _status(
        "conditions removed", {"conditions": None}, "status.conditions", "a finished task stays finished"
    ),
    _status(
        "another session", {"sessionUid": "other"}, "status.sessionUid", "sessionUid is pinned at admission"
    ),
    _status(
        "session removed", {"sessionUid": None}, "status.sessionUid", "sessionUid is pinned at admission"
    ),
    _status("all of it removed", None, "status", "a status that the journal confirms cannot be removed"),
    _status("open interval", {"succeededIndexes": "0-"}, "status.succeededIndexes", "should match"),
    _status("negative count", {"elements": {"total": -1}}, "status.elements.total", "greater than or equal"),
    _status(
        "condition twice", {"conditions": [FINISHED, FINISHED]}, "status.conditions[1]", "Duplicate value"
    ),
    _status(
        "eleven failures",
        {"failures": [{"index": i, "reason": "R"} for i in range(11)]},
        "status.failures",
        "must have at most 10 items",
    ),
    _status(
        "content of more than 4 KiB",
        {"results": [{"name": "r", "id": "i", "inline": "x" * 4097}]},
        "status.results[0].inline",
        "Too long",
    ),
]

_PARTITIONS = [
    Move(
        "floor raised above the maximum",
        partition({"podMax": 2}),
        {"spec": {"podReserved": 3}},
        "spec.podReserved",
        "podReserved must not exceed podMax",
    ),
    Move(
        "maximum lowered below the floor",
        partition({"podMax": 2, "podReserved": 2}),
        {"spec": {"podMax": 1}},
        "spec.podReserved",
        "podReserved must not exceed podMax",
    ),
    Move(
        "template removed",
        partition({}),
        {"spec": {"template": None}},
        "spec.template",
        "Required value",
    ),
]

MOVES = [*_SESSIONS, *_TASKS, *_STATUSES, *_PARTITIONS]
