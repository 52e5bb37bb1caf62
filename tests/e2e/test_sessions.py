"""A session's whole life: paused, resumed, closed, cancelled, purged, deleted, with work in it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from observe import Entry
from release import Object, attempt, objects, until
from space import PARTITION, Space, space

from armonik_sdk.api.names import result_id
from armonik_sdk.api.records import RecordKind
from armonik_sdk.api.results import ResultState

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

KIND = "sessions.armonik.io"


@pytest.fixture(scope="module")
def here() -> Iterator[Space]:
    with space("sessions") as made:
        yield made


def test_pause_lets_running_work_end_and_starts_no_more_until_resume(here: Space) -> None:
    uid = _begin(here, "paused", seconds=0.5, count=20)
    _ask(here, "paused", "Paused")
    _phase(here, "paused", "Paused")
    suspended = _condition(here, "paused", "Suspended")
    assert (suspended["status"], suspended["reason"]) == ("True", "Paused")
    until("nothing runs any more", lambda: here.status("paused")["elements"]["running"] == 0)
    quiet = here.observe.records(uid)
    done = here.status("paused")["elements"]["succeeded"]
    assert 0 < done < 20
    other = here.submit("other", payload={"inline": "meanwhile"})  # the pod itself is free for other sessions
    here.end("other")
    assert here.observe.records(uid) == quiet
    assert here.observe.records(other)
    late = here.submit("late", of="paused")
    _ask(here, "paused", "Running")
    task, entries = here.end("paused")
    assert task["status"]["succeededIndexes"] == "0-19"
    assert here.end("late")[0]["metadata"]["uid"] == late
    assert {o.attempts for entry in entries for o in entry.record.outcomes} == {1}
    _phase(here, "paused", "Running")
    all_done = {"total": 21, "succeeded": 21}  # a Session's sums come up to a second behind its Tasks'
    until("the session counts every element", lambda: _counts(here, "paused") == all_done)


def test_close_lets_running_work_end_and_cancels_the_rest(here: Space) -> None:
    _begin(here, "closed", seconds=0.5, count=20)
    _ask(here, "closed", "Closed")
    task, entries = here.end("closed")
    counts = task["status"]["elements"]
    assert counts["succeeded"] > 0
    assert counts["cancelled"] > 0
    finished = _finished(here, "closed")
    assert finished["reason"] == "Closed"
    _phase(here, "closed", "Closed")
    assert _counts(here, "closed") == {k: v for k, v in counts.items() if v}
    assert _cancelled_untouched(entries)
    here.submit("too-late", of="closed")
    refused, untouched = here.end("too-late")
    assert (refused["status"]["phase"], untouched[-1].record.epoch) == ("Cancelled", 0)


def test_cancel_reaches_running_work_and_purge_then_removes_the_data(here: Space) -> None:
    _begin(here, "cancelled", seconds=600, count=4, first=0)
    session_uid = here.get("cancelled", KIND)["metadata"]["uid"]
    refused = _try(here, "cancelled", "Purged")
    assert "spec.desiredState" in refused
    _ask(here, "cancelled", "Cancelled")
    task, _ = here.end("cancelled")
    assert (task["status"]["phase"], task["status"]["elements"]["cancelled"]) == ("Cancelled", 3)
    assert _finished(here, "cancelled")["reason"] == "Cancelled"
    assert here.observe.objects(session_uid)
    _ask(here, "cancelled", "Purged")
    _phase(here, "cancelled", "Purged")
    until("the data is gone", lambda: not here.observe.objects(session_uid))
    assert "desiredState" in _try(here, "cancelled", "Running")
    assert here.get("cancelled")["status"]["phase"] == "Cancelled"


def test_a_session_is_deleted_with_ten_thousand_elements(here: Space) -> None:
    uid = _begin(here, "large", seconds=0.2, count=10_000)
    session_uid = here.get("large", KIND)["metadata"]["uid"]
    here.delete("large", KIND)
    gone = attempt("kubectl", "get", "tasks.armonik.io", "large", "--namespace", here.namespace)
    assert "NotFound" in gone.stderr
    until("the queue is empty", lambda: not here.observe.queued(uid))
    until("the journal is gone", lambda: not here.observe.records(uid))
    assert here.observe.results(uid) == {}
    assert here.observe.own_results(session_uid) == {}
    until("the data is gone", lambda: not here.observe.objects(session_uid))
    until("the inventory forgets it", lambda: uid not in here.observe.inventory())
    here.submit("after-large", payload={"inline": "free again"})
    here.end("after-large")


def test_submission_can_be_closed_for_clients_and_for_workers(here: Space) -> None:
    here.session("clients", PARTITION)
    here.submit("before", of="clients", payload={"inline": "x"})
    here.patch("clients", {"submission": {"client": "Closed"}}, KIND)
    here.end("before")
    here.submit("after", of="clients")
    here.until("after", "is refused", lambda s: bool(s.get("conditions")))
    assert here.status("after")["conditions"][0]["reason"] == "SubmissionClosed"
    here.session("workers", PARTITION)
    here.patch("workers", {"submission": {"worker": "Closed"}}, KIND)
    uid = here.submit("parent", "subtasks", of="workers", payload={"inline": "1 2"})
    here.end("parent")
    words = ("--namespace", here.namespace, "--selector", f"armonik.io/parent={uid}")
    until("the children are there", lambda: bool(objects("tasks.armonik.io", *words)))
    for child in objects("tasks.armonik.io", *words):
        assert here.end(child["metadata"]["name"])[0]["status"]["phase"] == "Cancelled"
    handed = here.observe.own_results(here.get("workers", KIND)["metadata"]["uid"])
    assert handed[result_id(uid, 0, "result")].state is ResultState.ABORTED


def test_a_finished_session_is_deleted_when_its_time_is_over(here: Space) -> None:
    here.session("short", PARTITION)
    here.submit("short", of="short", payload={"inline": "x"})
    here.end("short")
    uid = here.get("short", KIND)["metadata"]["uid"]
    here.patch("short", {"desiredState": "Closed", "ttlSecondsAfterFinished": 1}, KIND)
    words = ("get", KIND, "short", "--namespace", here.namespace)
    until("the session is gone", lambda: attempt("kubectl", *words).returncode != 0)
    until("its data is gone", lambda: not here.observe.objects(uid))


def _begin(here: Space, name: str, *, seconds: float, count: int, first: int = 1) -> str:
    """A session of its own and a task in it, of which some elements have ended and one runs."""
    here.session(name, PARTITION)
    items = {"count": count}
    if not first:
        large = {"payload": {"inline": "x" * 5_000}, "options": {"options": {"mode": "echo"}}}  # in an object
        items = {"items": [large, *({} for _ in range(count - 1))]}
    uid = here.submit(name, "sleep", of=name, seconds=seconds, **items)
    here.until(
        name,
        "has begun",
        lambda s: s.get("elements", {}).get("succeeded", 0) > 0 and s["elements"]["running"] > 0,
    )
    return uid


def _ask(here: Space, name: str, state: str) -> None:
    here.patch(name, {"desiredState": state}, KIND)


def _try(here: Space, name: str, state: str) -> str:
    patch = json.dumps({"spec": {"desiredState": state}})
    words = ("--namespace", here.namespace, "--type=merge", "--patch", patch)
    done = attempt("kubectl", "patch", KIND, name, *words)
    assert done.returncode != 0
    return done.stderr


def _phase(here: Space, name: str, phase: str) -> None:
    until(f"session {name} is {phase}", lambda: here.status(name, KIND).get("phase") == phase)


def _condition(here: Space, name: str, type_: str) -> Object:
    return next((c for c in here.status(name, KIND).get("conditions", []) if c["type"] == type_), {})


def _finished(here: Space, name: str) -> Object:
    until(f"session {name} is finished", lambda: bool(_condition(here, name, "Finished")))
    return _condition(here, name, "Finished")


def _counts(here: Space, name: str) -> dict[str, int]:
    """What the session's status adds up, once it is not behind."""

    def counted() -> dict[str, int]:
        return {k: v for k, v in here.status(name, KIND)["elements"].items() if v}

    until("the counts settle", lambda: sum(counted().values()) == 2 * counted()["total"])
    return counted()


def _cancelled_untouched(entries: list[Entry]) -> bool:
    """What was queued when the session was closed was never given to a worker."""
    heads = {entry.run.start: entry.record for entry in entries}
    return all(
        outcome.attempts == 0
        for head in heads.values()
        for outcome in head.outcomes
        if outcome.kind == "Cancelled" and head.kind is RecordKind.CANCELLED
    )
