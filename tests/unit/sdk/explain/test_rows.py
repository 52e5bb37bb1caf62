"""Each reason that a user can meet has a row, and each row a reason that exists."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from explained import DEFAULTS, ago, facts, partition, session, task

from armonik_sdk.api.const import ConditionType, FailureReason, Reason
from armonik_sdk.api.kinds import Condition, Partition, Session, Task, TaskStatus
from armonik_sdk.explain import Explanation, explain, failures, partitions, subjects, waiting

API = (Path(__file__).parents[4] / "docs" / "api.md").read_text()
TABLES: dict[str, Mapping[str, Any]] = {
    "Task": {**waiting.ROWS, **subjects.FINISHED},
    "Session": subjects.SESSION_ROWS,
    "Partition": partitions.ROWS,
}


def documented() -> set[tuple[str, str]]:
    """Kinds and the reasons of their conditions, by the tables of the document on the API."""
    section = API.partition("\n## Conditions and reasons\n")[2].partition("\n## ")[0]
    found = {("Task", reason) for reason in re.findall(r"^\| `(\w+)` \| [^|]*\|$", section, re.MULTILINE)}
    found -= {("Task", str(reason)) for reason in FailureReason}
    found = {pair for pair in found if pair[1] not in set(ConditionType) - set(Reason)}
    found |= {("Task", "QueueFull"), ("Partition", "Shared"), ("Session", "Paused")}
    found |= {("Session", f"{step}") for step in ("CancellingTasks", "DeletingTasks", "DeletingData")}
    for reason, kinds in re.findall(r"^\| `(\w+)` \| ([A-Z][^|]*|all|both) \| ", section, re.MULTILINE):
        if reason in set(ConditionType) - set(Reason):
            continue
        for kind in TABLES:
            if kind in kinds or kinds == "all" or (kinds == "both" and kind != "Partition"):
                found.add((kind, reason))
    return found


def test_the_document_names_every_reason() -> None:
    assert {reason for _, reason in documented()} == {str(reason) for reason in Reason}


@pytest.mark.parametrize(("kind", "reason"), sorted(documented()))
def test_each_reason_of_a_kind_has_a_row(kind: str, reason: str) -> None:
    assert reason in TABLES[kind], f"{kind}s have no row for {reason}"


def test_each_row_names_a_reason_that_exists() -> None:
    assert {reason for rows in TABLES.values() for reason in rows} == set(Reason)


def test_each_reason_of_a_failure_has_a_row() -> None:
    assert set(failures.ROWS) == set(FailureReason)


def said(type_: str, status: bool, reason: str, message: str = "the operator's words") -> Condition:
    return Condition(
        type=type_, status=str(status), reason=reason, message=message, last_transition_time=ago(minutes=4)
    )


def with_condition(made: Any, condition: Condition) -> Any:
    status = type(made).model_fields["status"].annotation.__args__[0]
    return made.model_copy(update={"status": status(conditions=[condition])})


def explained(kind: str, reason: str) -> Explanation:
    if kind == "Session":
        type_, value = {
            "Accepted": ("Ready", True),
            "Paused": ("Suspended", True),
            "Closed": ("Finished", True),
            "Cancelled": ("Finished", True),
            "Purged": ("Finished", True),
            "CancellingTasks": ("Deleting", True),
            "DeletingTasks": ("Deleting", True),
            "DeletingData": ("Deleting", True),
        }.get(reason, ("Ready", False))
        return explain(facts(with_condition(session(), said(type_, value, reason))))
    if kind == "Partition":
        type_ = "Isolated" if reason == "Shared" else "Ready"
        return explain(facts(with_condition(partition(), said(type_, False, reason))))
    type_, value = {
        **dict.fromkeys(subjects.FINISHED, ("Finished", True)),
        **dict.fromkeys(("Queued", "NoPods", "Paused", "BackOff"), ("Waiting", True)),
        **dict.fromkeys(("WaitingForData", "WaitingForRoom"), ("Waiting", True)),
        "QueueFull": ("QueueFull", True),
        "SubTaskInvalid": ("ChildrenRefused", True),
    }.get(reason, ("Ready", False))
    return explain(facts(with_condition(task("t", 3), said(type_, value, reason)), session=session()))


@pytest.mark.parametrize(("kind", "reason"), sorted(documented()))
def test_each_row_says_why(kind: str, reason: str) -> None:
    found = explained(kind, reason)
    if reason not in ("SubTaskInvalid", "Shared"):  # they are beside what else is so
        assert found.reason == reason
    assert len(found.why) > 10
    assert found.why[0].isupper() or found.why[0].isdigit()
    assert "  " not in found.why.partition("\n")[0]
    assert found.mend or found.look or reason in ("Purged", "Paused")
    assert found.text.startswith(f"{kind.lower()} ")


@pytest.mark.parametrize("reason", list(FailureReason))
def test_each_failure_has_a_remedy(reason: FailureReason) -> None:
    failure = {"index": 1, "reason": reason, "message": "words", "attempt": 2}
    status = {
        "conditions": [said("Finished", True, "Failed").model_dump()],
        "elements": {"total": 3, "failed": 1, "succeeded": 2},
        "failures": [failure],
        "options": DEFAULTS.model_dump(),
    }
    over = task("t", 3).model_copy(update={"status": TaskStatus.model_validate(status)})
    found = explain(facts(over))
    assert reason in found.why
    assert "element 1, 2 executions" in found.why
    assert len(found.mend) == 1
    assert len(found.mend[0]) > 20


def test_the_newest_operator_may_give_a_reason_that_is_not_known_here() -> None:
    for made in (task("t", 3), session(), partition()):
        type_ = "Ready"
        found = explain(facts(with_condition(made, said(type_, False, "OutOfMoons", "no moon"))))
        assert found.reason == "OutOfMoons"
        assert "OutOfMoons" in found.why
        assert "o moon" in found.why
        assert found.look


def test_objects_that_the_operator_has_not_seen() -> None:
    fresh: list[Task | Session | Partition] = [task("t"), session(status=False), partition()]
    for made in fresh:
        found = explain(facts(made))
        assert "has not written a status" in found.why
        assert found.chain == []
