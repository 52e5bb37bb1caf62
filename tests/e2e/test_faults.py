"""What dies while work runs, and that every element ends exactly once for all that."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from node import cut_off, kill, local_only, stop
from observe import Entry
from release import Object, apply, kill_operator, kubectl, session, stopped, until
from space import PARTITION, Space, space

from armonik_sdk.api.ranges import Ranges
from armonik_sdk.api.records import Record

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

PODS = 2
OUTAGE = 15.0
"""Seconds that NATS stays away: longer than a lease."""


@pytest.fixture(scope="module")
def space_of_file() -> Iterator[Space]:
    with space("faults", pods=PODS) as made:
        yield made


@pytest.fixture
def here(space_of_file: Space) -> Space:
    """The file's namespace, with all its pods serving again."""
    space_of_file.serving(PODS)
    return space_of_file


@local_only
def test_a_killed_worker_fails_the_attempt_at_once_and_the_next_succeeds(here: Space) -> None:
    uid = here.submit("worker", "sleep", seconds=30, until="/tmp/once", payload={"inline": "alive"})
    kill(_pod(here, here.running("worker").record), "worker")

    def failed() -> list[Record]:
        return [entry.record for entry in here.observe.records(uid) if entry.record.attempts]

    until("the failed attempt is journaled", lambda: bool(failed()))
    first = failed()[0]
    assert (first.epoch, first.kind.terminal, first.attempts[0].executions) == (1, False, 1)
    # In the same pod, or in another should the worker not be back within seconds: there it sleeps again.
    task, entries = here.end("worker")
    assert (task["status"]["results"][0]["inline"], task["status"]["attempts"]) == ("alive", 2)
    assert entries[-1].record.epoch in (1, 2)


def test_work_of_a_pod_that_is_asked_to_stop_is_no_failure(here: Space) -> None:
    here.submit("drained", "sleep", seconds=6, options={"maxRetries": 0})
    pod = _pod(here, here.running("drained").record)
    kubectl("delete", "pod", pod["metadata"]["name"], "--namespace", here.namespace, "--wait=false")
    task, _ = here.end("drained")
    # It was run twice, and may be although a failure would have been its last: nobody is charged.
    assert (task["status"]["phase"], task["status"]["attempts"]) == ("Completed", 2)


@local_only
def test_a_pod_that_vanishes_costs_one_attempt(here: Space) -> None:
    here.submit("vanished", "sleep", seconds=3, options={"maxRetries": 1})
    pod = _pod(here, here.running("vanished").record)
    stop(pod, "agent")  # or it would get the signal to end, and give its run back
    words = (pod["metadata"]["name"], "--namespace", here.namespace, "--grace-period=0", "--force")
    kubectl("delete", "pod", *words)
    task, entries = here.end("vanished")
    assert (task["status"]["phase"], task["status"]["attempts"]) == ("Completed", 2)
    assert entries[-1].record.epoch == 2
    assert _owners(entries)[0] != _owners(entries)[-1]


@local_only
def test_an_agent_that_was_cut_off_cannot_commit_over_its_successor(here: Space) -> None:
    uid = here.submit(
        "cut", "sleep", seconds=4, payload={"inline": "mine" * 2_000}, options={"maxRetries": 0}
    )
    pod = _pod(here, here.running("cut").record)
    fenced = _metric(here, pod, "armonik_agent_fenced_total")
    with cut_off(pod, 4222):
        task, entries = here.end("cut")
        found = here.observe.results(uid)
        assert [entry.record.epoch for entry in entries] == [0, 1, 2, 2]
        assert _owners(entries)[-1] != pod["metadata"]["uid"]
    until("the commit is refused", lambda: _metric(here, pod, "armonik_agent_fenced_total") > fenced)
    assert here.observe.records(uid) == entries
    assert here.observe.results(uid) == found
    reference = found[0].ref(found[0].outcomes[0].outputs["result"])
    assert here.observe.read(reference) == b"mine" * 2_000
    assert "/2-" in reference.key
    # Taken over for reasons that nobody knows: not the element's fault.
    assert task["status"]["attempts"] == 1
    # It continues with other work as if nothing had happened.
    here.submit("after-cut", "sleep", seconds=1, count=4)
    assert here.end("after-cut")[0]["status"]["progress"] == "4/4"


@pytest.mark.alone
def test_no_owner_loses_its_work_while_nats_is_away(here: Space) -> None:
    here.submit("through", "sleep", seconds=20, count=PODS, options={"maxRetries": 0})
    until("every pod works", lambda: here.status("through").get("elements", {}).get("running") == PODS)
    with stopped("nats"):
        gone = time.monotonic()
        until("the outage is long enough", lambda: time.monotonic() - gone > OUTAGE)
    task, entries = here.end("through")
    assert task["status"]["progress"] == f"{PODS}/{PODS}"
    assert {entry.record.epoch for entry in entries} == {0, 1}
    assert {outcome.attempts for entry in entries for outcome in entry.record.outcomes} == {1}


@pytest.mark.alone
def test_work_continues_when_the_object_store_comes_back(here: Space) -> None:
    """The element that runs is not failed; a new task is not queued before its payload is stored."""
    # Longer than what rides in messages and records.
    texts = {"stored": "kept" * 2_000, "creating": "later" * 2_000}
    here.submit("stored", "sleep", seconds=6, payload={"inline": texts["stored"]}, options={"maxRetries": 0})
    here.running("stored")
    with stopped("s3"):
        new = here.submit("creating", payload={"inline": texts["creating"]})
        status = here.until("creating", "says why", lambda s: bool(s.get("conditions")))
        ready = status["conditions"][0]
        assert (ready["type"], ready["reason"]) == ("Ready", "StoreUnavailable")
        assert status["phase"] == "Creating"
        assert here.observe.kinds(new) == []
        assert here.observe.queued(new) == set()
    for name, text in texts.items():
        task, _ = here.end(name)
        assert task["status"]["attempts"] == 1
        (run,) = here.observe.results(task["metadata"]["uid"]).values()
        assert here.observe.read(run.ref(run.outcomes[0].outputs["result"])) == text.encode()


@pytest.mark.alone
def test_the_operator_is_killed_during_a_task_of_many_elements(here: Space) -> None:
    uid = here.submit("many", "sleep", seconds=0.05, count=200)
    here.until("many", "has begun", lambda s: s.get("elements", {}).get("succeeded", 0) > 0)
    kill_operator()
    assert here.end("many")[0]["status"]["succeededIndexes"] == "0-199"
    # Agents do not wait for an operator: what they committed meanwhile was folded afterwards.
    assert {o.index for run in here.observe.results(uid).values() for o in run.outcomes} == set(range(200))


@pytest.mark.alone
def test_a_task_deleted_while_the_operator_is_down_is_cleaned_up(here: Space) -> None:
    ended = here.submit("ended", payload={"inline": "stays"})
    here.end("ended")
    half = here.submit("half", "sleep", seconds=2, count=40)
    here.until("half", "has begun", lambda s: s.get("elements", {}).get("succeeded", 0) > 0)
    with stopped("operator"):
        for name in ("ended", "half"):
            here.delete(name)
    until("nothing is queued", lambda: not here.observe.queued(half))
    until("the journals are gone", lambda: not here.observe.records(ended) + here.observe.records(half))
    until("the inventory is clean", lambda: not {ended, half} & set(here.observe.inventory()))
    (run,) = here.observe.results(ended).values()
    assert here.observe.read(run.ref(run.outcomes[0].outputs["result"])) == b"stays"
    for run in here.observe.results(half).values():
        for outcome in run.outcomes:
            assert all(here.observe.read(run.ref(piece)) == b"" for piece in outcome.outputs.values())


def test_what_is_deleted_and_applied_again_is_a_new_object(here: Space) -> None:
    """The same names for session and task, while the old one's work still runs."""
    apply(session(here.namespace, "again", PARTITION))
    before = here.submit("again", "sleep", of="again", seconds=5, payload={"inline": "old"})
    old_session = here.running("again").run.session
    here.delete("again")
    here.delete("again", "session.armonik.io")
    apply(session(here.namespace, "again", PARTITION))
    after = here.submit("again", of="again", payload={"inline": "new"})
    task, entries = here.end("again")
    assert task["status"]["results"][0]["inline"] == "new"
    assert before != after
    assert entries[-1].run.session != old_session
    until("the old journal is gone", lambda: not here.observe.records(before))
    until("the old data is gone", lambda: not here.observe.objects(old_session))
    assert here.observe.results(before) == {}


def test_poison_work_is_bounded_and_harms_no_other(here: Space) -> None:
    items: list[Object] = [{"payload": {"inline": str(index)}} for index in range(6)]
    items[2]["options"] = {"maxRetries": 1, "options": {"mode": "crash"}}
    here.submit("poison", items=items, options={"maxRetries": 3})
    task, entries = here.end("poison")
    assert task["status"]["succeededIndexes"] == str(Ranges.of([(0, 2), (3, 6)]))
    (failure,) = task["status"]["failures"]
    assert (failure["index"], failure["reason"], failure["attempt"]) == (2, "AttemptsExhausted", 2)
    attempts = {o.index: o.attempts for entry in entries for o in entry.record.outcomes}
    assert attempts == {index: 2 if index == 2 else 1 for index in range(6)}


def _owners(entries: list[Entry]) -> list[str]:
    return [entry.record.owner.pod for entry in entries if entry.record.owner is not None]


def _pod(here: Space, record: Record) -> Object:
    assert record.owner is not None
    return here.get(record.owner.name, "pod")


def _metric(here: Space, pod: Object, name: str) -> float:
    path = f"/api/v1/namespaces/{here.namespace}/pods/{pod['metadata']['name']}:8090/proxy/metrics"
    for line in kubectl("get", "--raw", path).splitlines():
        if line.startswith(f"{name} "):
            return float(line.rpartition(" ")[2])
    raise AssertionError(f"no metric {name}")
