"""Sessions: what happens to them when, what their status says, and how their counts are kept."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from armonik_operator.cache.element_counts import SessionCounts
from armonik_operator.planning.session import (
    GIVE_UP,
    SessionPlan,
    came_before_end,
    deleting_status,
    gives_up,
    session_plan,
    session_status,
)
from armonik_sdk.api.const import Reason
from armonik_sdk.api.kinds import ElementCounts, Session, Task

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BUSY = ElementCounts(total=2, running=1, succeeded=1)
OVER = ElementCounts(total=4, succeeded=4)


def make_session(uid: str = "su", status: dict[str, Any] | None = None, **spec: Any) -> Session:
    meta = {"name": "s", "namespace": "n", "uid": uid, "generation": 1}
    return Session.from_object(
        {"metadata": meta, "spec": {"partitions": ["p"], **spec}} | ({"status": status} if status else {})
    )


def finished(reason: str, seconds_ago: float = 0) -> dict[str, Any]:
    at = (NOW - timedelta(seconds=seconds_ago)).isoformat().replace("+00:00", "Z")
    done = {"type": "Finished", "status": "True", "reason": reason, "message": "", "lastTransitionTime": at}
    return {"conditions": [done], "phase": "Closed"}


def reasons(session: Session, counts: ElementCounts, **told: Any) -> dict[str, str]:
    return {str(c.type): str(c.reason) for c in session_status(session, counts, NOW, **told).conditions}


def test_it_finishes_when_it_is_closed_and_everything_ended() -> None:
    closed = make_session(desiredState="Closed")
    assert reasons(closed, BUSY) == {"Ready": "Accepted"}
    assert reasons(closed, OVER) == {"Finished": "Closed", "Ready": "Accepted"}
    assert session_status(closed, OVER, NOW).progress == "4/4"


def test_missing_partitions_are_named() -> None:
    status = session_status(make_session(), BUSY, NOW, missing={"q", "p"})
    assert (status.phase, status.conditions[0].reason) == ("Pending", "PartitionNotFound")
    assert "p, q" in status.conditions[0].message
    assert "create it" in status.conditions[0].message


@pytest.mark.parametrize(
    ("state", "counts", "status", "expected"),
    [
        ("Purged", BUSY, finished("Closed"), SessionPlan()),
        ("Purged", OVER, finished("Closed"), SessionPlan(purge=True)),
        ("Purged", OVER, None, SessionPlan(purge=True)),
        ("Purged", OVER, finished("Purged"), SessionPlan()),
        ("Cancelled", OVER, finished("Cancelled"), SessionPlan()),
        ("Running", OVER, None, SessionPlan()),
    ],
)
def test_data_is_purged_once_and_only_when_everything_ended(
    state: str, counts: ElementCounts, status: dict[str, Any] | None, expected: SessionPlan
) -> None:
    assert session_plan(make_session(status=status, desiredState=state), counts, NOW) == expected


def test_it_is_called_purged_only_when_the_data_is_gone() -> None:
    asked = make_session(status=finished("Closed"), desiredState="Purged")
    before, after = session_status(asked, OVER, NOW), session_status(asked, OVER, NOW, purged=True)
    assert (before.phase, before.conditions[0].reason) == ("Closed", "Closed")
    assert (after.phase, after.conditions[0].reason) == ("Purged", "Purged")
    later = asked.model_copy(update={"status": after})
    assert session_status(later, OVER, NOW) == after


def test_it_goes_when_its_time_after_the_end_is_over() -> None:
    def at(seconds: float, **spec: Any) -> SessionPlan:
        made = make_session(status=finished("Closed", seconds), desiredState="Closed", **spec)
        return session_plan(made, OVER, NOW)

    assert at(LONG) == SessionPlan()
    assert at(4, ttlSecondsAfterFinished=10) == SessionPlan(again=6.0)
    assert at(10, ttlSecondsAfterFinished=10) == SessionPlan(expire=True)
    assert at(0, ttlSecondsAfterFinished=0) == SessionPlan(expire=True)


LONG = 1e6


def test_a_deletion_says_its_step_and_does_not_wait_without_end() -> None:
    stood = make_session(status=finished("Closed"))
    told = deleting_status(stood, Reason.DELETING_DATA, NOW)
    assert (told.phase, {c.type: c.reason for c in told.conditions}["Deleting"]) == (
        "Deleting",
        "DeletingData",
    )
    for seconds, expected in ((0, False), (GIVE_UP + 1, True)):
        meta = stood.metadata.model_copy(update={"deletion_timestamp": NOW - timedelta(seconds=seconds)})
        assert gives_up(stood.model_copy(update={"metadata": meta}), NOW) is expected


def make_task(uid: str, session_uid: str, elements: ElementCounts, name: str = "s") -> Task:
    status = {"sessionUid": session_uid, "elements": elements.to_object()}
    meta = {"name": uid, "namespace": "n", "uid": uid, "generation": 1}
    return Task.from_object({"metadata": meta, "spec": {"session": name}, "status": status})


COUNTS = st.builds(ElementCounts, total=st.integers(0, 9), succeeded=st.integers(0, 9))
STEPS = st.tuples(
    st.sampled_from("abc"),
    st.sampled_from(["", "su", "old"]),
    st.sampled_from(["s", "other"]),
    st.one_of(st.none(), COUNTS),
)


@given(st.lists(STEPS))
def test_the_sums_are_those_of_the_living_tasks(
    steps: list[tuple[str, str, str, ElementCounts | None]],
) -> None:
    tally, living = SessionCounts(), dict[str, tuple[str, str, ElementCounts]]()
    for uid, session_uid, name, counts in steps:
        if counts is None:
            tally.drop(uid)
            living.pop(uid, None)
        else:
            tally.put(make_task(uid, session_uid, counts, name), None)
            living[uid] = (session_uid, name, counts)
    mine = [c for pinned, name, c in living.values() if name == "s" and pinned in ("", "su")]
    assert tally.of(make_session()) == sum(mine, ElementCounts())


def test_only_a_change_is_reported() -> None:
    tally, task = SessionCounts(), make_task("a", "su", OVER)
    assert [tally.put(task, None), tally.put(task, None)] == [True, False]


@pytest.mark.parametrize(("came", "its"), [("2026-01-02T03:04:04Z", True), ("2026-01-02T03:04:05Z", False)])
def test_a_task_that_was_never_admitted_came_for_the_session_of_then(came: str, its: bool) -> None:
    meta = {"name": "x", "namespace": "n", "uid": "u"}
    head = {"apiVersion": "armonik.io/v1alpha1"}
    ended = meta | {"deletionTimestamp": "2026-01-02T03:04:05Z"}
    session = Session.from_object(
        head | {"kind": "Session", "metadata": ended, "spec": {"partitions": ["p"]}}
    )
    created = meta | {"creationTimestamp": came}
    task = Task.from_object(head | {"kind": "Task", "metadata": created, "spec": {"session": "x"}})
    assert came_before_end(task, session) is its
