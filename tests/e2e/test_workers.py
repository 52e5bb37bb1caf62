"""Workers that misbehave: whatever they do, the element ends in bounded time and the next work runs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from observe import Entry
from release import Object, attempt, until
from space import Space, space

from armonik_sdk.client import Client

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

PODS = 2
MEMORY = "192Mi"


@pytest.fixture(scope="module")
def space_of_file() -> Iterator[Space]:
    with space("workers", pods=PODS, memory=MEMORY) as made:
        yield made


@pytest.fixture
def here(space_of_file: Space) -> Space:
    """The file's namespace, with all its pods serving again."""
    space_of_file.serving(PODS)
    return space_of_file


CODES = [code.name for code in grpc.StatusCode if code is not grpc.StatusCode.OK]


def test_an_execution_that_breaks_is_retried_and_a_returned_error_is_not(here: Space) -> None:
    """An exception, each answer that is no answer, an error, an outcome without data: one element each."""
    modes: dict[str, Object] = {"raise": {"mode": "raise"}} | {code: {"code": code} for code in CODES}
    final = {"error": {"mode": "error", "message": "as asked"}, "silent": {"mode": "silent"}}
    items = [{"options": {"options": words}} for words in (modes | final).values()]
    here.submit("answers", items=[*items, {}], options={"maxRetries": 1})
    task, entries = here.end("answers")
    outcomes = {o.index: o for entry in entries for o in entry.record.outcomes}
    for index, name in enumerate(modes):
        assert (outcomes[index].reason, outcomes[index].attempts) == ("AttemptsExhausted", 2), name
    for index, (name, reason) in enumerate((("error", "WorkerError"), ("silent", "OutputMissing"))):
        outcome = outcomes[len(modes) + index]
        assert (outcome.reason, outcome.attempts) == (reason, 1), name
    assert task["status"]["succeededIndexes"] == str(len(items))
    assert "as asked" in outcomes[len(modes)].message


def test_until_when_an_execution_that_broke_is_put_off_is_reported(here: Space) -> None:
    here.submit("shaky", "raise", options={"maxRetries": 9})

    def waiting(status: Object) -> bool:
        conditions = status.get("conditions", [])
        return any((c["type"], c["reason"]) == ("Waiting", "BackOff") for c in conditions)

    said = here.until("shaky", "says until when", waiting)
    message = next(c["message"] for c in said["conditions"] if c["type"] == "Waiting")
    assert message.startswith("1 element waits until 20")
    _cancel(here, "shaky")
    assert here.end("shaky")[0]["status"]["phase"] == "Cancelled"


@pytest.mark.parametrize("way", ["crash", "abort", "memory"])
def test_a_process_that_ends_costs_the_attempt_and_nothing_else(here: Space, way: str) -> None:
    """It exits, aborts, or takes more memory than the pod may have."""
    items: list[Object] = [{"payload": {"inline": str(index)}} for index in range(3)]
    items[1]["options"] = {"options": {"mode": way}}
    here.submit(way, items=items, options={"maxRetries": 1})
    task, entries = here.end(way)
    assert task["status"]["succeededIndexes"] == "0,2"
    (failure,) = task["status"]["failures"]
    assert (failure["reason"], failure["attempt"]) == ("AttemptsExhausted", 2)
    assert {o.index: o.attempts for entry in entries for o in entry.record.outcomes} == {0: 1, 1: 2, 2: 1}


@pytest.mark.parametrize("mode", ["sleep", "stubborn"])
def test_a_time_out_ends_the_element_and_its_worker(here: Space, mode: str) -> None:
    """Asleep without end, and ignores signals too."""
    options = {"maxDurationSeconds": 2}
    here.submit(f"late-{mode}", mode, seconds=600, options=options)
    pod = _owner(here.running(f"late-{mode}"))
    task, entries = here.end(f"late-{mode}")
    assert (task["status"]["phase"], task["status"]["attempts"]) == ("Timeout", 1)
    assert task["status"]["failures"][0]["reason"] == "MaxDurationExceeded"
    assert [entry.record.kind for entry in entries] == ["Submitted", "Dispatched", "Done"]
    _replaced(here, pod)


@pytest.mark.parametrize("mode", ["sleep", "stubborn"])
def test_cancelling_a_task_ends_a_worker_that_does_not_listen(here: Space, mode: str) -> None:
    here.submit(f"stuck-{mode}", mode, seconds=600)
    pod = _owner(here.running(f"stuck-{mode}"))
    _cancel(here, f"stuck-{mode}")
    task, entries = here.end(f"stuck-{mode}")
    assert task["status"]["phase"] == "Cancelled"
    assert task["status"]["failures"][0]["reason"] == "Cancelled"
    assert entries[-1].record.kind.terminal
    _replaced(here, pod)


def test_cancelling_ends_what_is_queued_and_what_runs_and_keeps_what_is_done(here: Space) -> None:
    items: list[Object] = [{} for _ in range(30)]
    for index in (10, 20):
        items[index]["options"] = {"options": {"mode": "sleep", "seconds": "600"}}
    uid = here.submit("part", items=items)
    here.until("part", "is stuck", lambda s: s.get("elements", {}).get("succeeded", 0) > 0)
    _cancel(here, "part")
    task, _ = here.end("part")
    counts = task["status"]["elements"]
    assert counts["succeeded"] >= 1
    assert counts["cancelled"] >= 2
    assert counts["succeeded"] + counts["cancelled"] == 30
    assert here.observe.queued(uid) == set()


def test_single_elements_are_cancelled_while_the_others_continue(here: Space) -> None:
    """One that runs and one that is queued; a neighbour runs on, and the queue behind them moves up."""
    here.partition("apart", PODS)  # whose pods are not about to be replaced for what other tests cancelled
    here.serving(PODS, "apart")
    here.session("apart", "apart")  # in which nothing has run: so each element is a run of its own
    items: list[Object] = [{"payload": {"inline": str(index)}} for index in range(6)]
    for index in (0, 1):
        items[index]["options"] = {"options": {"mode": "sleep", "seconds": "600"}}
    uid = here.submit("some", of="apart", items=items)
    here.until("some", "runs in both pods", lambda s: s.get("elements", {}).get("running") == PODS)

    async def cancel(client: Client) -> None:
        task = await client.task("some")
        await task.cancel([3])
        await task.cancel([0, 3])

    here.sdk(cancel)
    assert here.get("some")["spec"]["cancelledIndexes"] == ["3", "0"]
    here.until("some", "has moved up", lambda s: s.get("succeededIndexes") == "2,4-5")
    status = here.status("some")
    assert (status["cancelledIndexes"], status["elements"]["running"]) == ("0,3", 1)
    here.patch("some", {"cancelledIndexes": ["3", "0", "1"]})
    task, _ = here.end("some")
    assert task["status"]["cancelledIndexes"] == "0-1,3"
    assert here.observe.queued(uid) == set()


def test_a_high_priority_is_run_next_however_long_the_queue_is(here: Space) -> None:
    here.submit("long", "sleep", seconds=0.5, count=2_000)
    here.until("long", "is under way", lambda s: s.get("elements", {}).get("succeeded", 0) > 0)
    here.submit("urgent", payload={"inline": "now"}, options={"priority": 99})
    here.end("urgent")
    elements = here.status("long")["elements"]
    assert elements["pending"] + elements["queued"] > 1_000
    here.delete("long")


def test_work_that_waits_for_a_pod_that_never_comes_can_be_cancelled(here: Space) -> None:
    here.partition("empty", pods=0)
    here.session("nobody", "empty")
    here.submit("nobody", of="nobody", count=50)
    here.until("nobody", "is queued", lambda s: s.get("elements", {}).get("queued") == 50)
    _cancel(here, "nobody")
    task, _ = here.end("nobody")
    assert task["status"]["cancelledIndexes"] == "0-49"


def _cancel(here: Space, name: str) -> None:
    here.patch(name, {"desiredState": "Cancelled"})


def _owner(entry: Entry) -> str:
    assert entry.record.owner is not None
    return entry.record.owner.name


def _replaced(here: Space, pod: str) -> None:
    """The worker that did not listen is gone, and another pod takes work."""
    words = ("get", "pod", pod, "--namespace", here.namespace)
    until(f"pod {pod} is gone", lambda: attempt("kubectl", *words).returncode != 0)
