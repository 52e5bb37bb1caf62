"""A task's whole way, step by step, seen from outside; ARCHITECTURE.md names the test beside each step."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from release import Object, apply, objects, session, until
from space import PARTITION, SESSION, Space, space

from armonik_sdk.api.kinds import Dependency, ObjectRef, TaskOptions
from armonik_sdk.api.messages import RunMessage
from armonik_sdk.api.names import RunId, result_id, task_payload_key
from armonik_sdk.api.records import DesiredState, RecordKind, carried
from armonik_sdk.api.results import ResultState
from armonik_sdk.client import Client
from armonik_sdk.client.errors import ResultAborted

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def here() -> Iterator[Space]:
    """One pod with one slot serves all tests of this file."""
    with space("flow") as made:
        yield made


def test_a_session_is_accepted_and_published_to_the_agents(here: Space) -> None:
    found = here.get(SESSION, "session.armonik.io")
    ready = found["status"]["conditions"][0]
    assert (ready["type"], ready["status"], ready["reason"]) == ("Ready", "True", "Accepted")
    assert found["status"]["observedGeneration"] == found["metadata"]["generation"]
    told = here.observe.control(found["metadata"]["uid"])
    assert told is not None
    assert (told.state, told.generation) == (DesiredState.RUNNING, found["metadata"]["generation"])


def test_the_client_reads_the_service_configuration(here: Space) -> None:
    async def configuration(client: Client) -> dict[str, str]:
        return dict(client.configuration)

    standing = here.get("armonik-service-configuration", "configmap")["data"]
    assert here.sdk(configuration) == standing
    assert json.loads(standing["defaults"])["maxRetries"] >= 0
    assert json.loads(standing["limits"])["inlineBytes"] == 32 * 1024
    assert json.loads(standing["versions"])["api"] == "armonik.io/v1alpha1"
    assert standing["nats-url"].startswith("nats://")


def test_a_task_goes_the_whole_way(here: Space) -> None:
    """Submitted, Dispatched, Done: each record follows the one before, and every place says the same."""
    text = "forty-two " * 300  # more than rides in a message, less than what rides in a record
    uid = here.submit("whole", payload={"inline": text})
    task, entries = here.end("whole")
    status, session_uid = task["status"], here.get(SESSION, "session.armonik.io")["metadata"]["uid"]
    run = RunId(here.namespace, session_uid, uid, 0)

    # The journal: who took it, under which epoch, in this order and no other.
    submitted, dispatched, done = entries
    kinds = [entry.record.kind for entry in entries]
    assert kinds == [RecordKind.SUBMITTED, RecordKind.DISPATCHED, RecordKind.DONE]
    assert [entry.record.epoch for entry in entries] == [0, 1, 1]
    assert {entry.record.n for entry in entries} == {1}
    assert {entry.run for entry in entries} == {run}
    pod = objects("pods", "--namespace", here.namespace, "--selector", f"armonik.io/partition={PARTITION}")[0]
    for entry in (dispatched, done):
        assert entry.record.owner is not None
        assert (entry.record.owner.pod, entry.record.owner.name) == (_uid(pod), pod["metadata"]["name"])

    # The status: the same, from the stream's own clock.
    assert status["phase"] == "Completed"
    assert status["sessionUid"] == session_uid
    assert status["journalSequence"] == done.sequence
    assert (status["worker"], status["attempts"]) == (pod["metadata"]["name"], 1)
    times = {"submitted": submitted, "dispatched": dispatched, "started": dispatched, "ended": done}
    apart = {name: _moment(status["times"][name]) - entry.time for name, entry in times.items()}
    assert max(map(abs, apart.values())) < timedelta(milliseconds=1), apart

    # The inline payload went to the object store, the small result rides in the commit.
    payload = hashlib.sha256(text.encode()).hexdigest()
    key = task_payload_key(here.namespace, session_uid, uid, payload)
    assert here.observe.read(ObjectRef(key=key, sha256=payload)) == text.encode()
    (results,) = here.observe.results(uid).values()
    assert results.objects == ()
    assert carried(results.ref(results.outcomes[0].outputs["result"])) == text.encode()
    assert uid in here.observe.inventory()

    # Small results are in the status itself, ids say what they belong to.
    (shown,) = status["results"]
    assert (shown["id"], shown["inline"]) == (result_id(uid, 0, "result"), text)
    assert (shown["size"], shown["sha256"]) == (len(text), payload)


def test_options_are_merged_item_over_task_over_session_over_service(here: Space) -> None:
    merged = session(here.namespace, "merged", PARTITION)
    own = {"a": "session", "b": "session", "c": "session"}
    merged["spec"]["taskDefaults"] = {
        "priority": 7,
        "maxDurationSeconds": 77,
        "application": {"name": "session", "version": "1"},
        "options": own,
    }
    apply(merged)
    items = [{}, {"options": {"maxRetries": 0, "options": {"c": "item"}}}]
    options = {"priority": 8, "application": {"name": "task"}, "options": {"b": "task", "c": "task"}}
    uid = here.submit("merged", "told", of="merged", items=items, options=options)
    task, _ = here.end("merged")

    shown = task["status"]["options"]
    defaults = json.loads(here.get("armonik-service-configuration", "configmap")["data"]["defaults"])
    assert shown["options"] == {"mode": "told", "a": "session", "b": "task", "c": "task"}
    assert shown["application"] == {"name": "task", "version": "1"}
    assert (shown["priority"], shown["maxDurationSeconds"]) == (8, 77)
    assert (shown["maxRetries"], shown["partition"]) == (defaults["maxRetries"], PARTITION)

    first, second = (json.loads(_result(here, uid, index)) for index in range(2))
    assert first["options"] == shown["options"]
    assert (first["maxRetries"], first["priority"]) == (defaults["maxRetries"], 8)
    assert first["application"] == "task"
    assert second["options"] == shown["options"] | {"c": "item"}
    assert (second["maxRetries"], second["priority"]) == (0, 8)
    assert first["expected"] == [result_id(uid, 0, "result")]


def test_the_client_uploads_large_payloads_itself(here: Space) -> None:
    large = bytes(range(256)) * 800

    async def submit(client: Client) -> tuple[str, bytes]:
        owner = await client.session(SESSION)
        task = await owner.submit(large, name="large")
        return task.uid, await task.result()

    uid, result = here.sdk(submit)
    assert result == large
    task, _ = here.end("large")
    reference = task["spec"]["payload"]["object"]
    assert here.observe.read(ObjectRef(**reference)) == large
    assert "inline" not in task["status"]["results"][0]
    assert "data" not in task["status"]["results"][0]
    assert task["status"]["results"][0]["sha256"] == hashlib.sha256(large).hexdigest()
    assert uid == _uid(task)
    # The result was named by the commit and is in the store.
    (results,) = here.observe.results(uid).values()
    place = results.ref(results.outcomes[0].outputs["result"])
    owner = here.get(SESSION, "session.armonik.io")["metadata"]["uid"]
    assert place.key.startswith(RunId(here.namespace, owner, uid, 0).objects(1, ""))
    assert here.observe.read(place) == large


def test_small_data_needs_no_object(here: Space) -> None:
    """A payload of up to 1 KiB rides in the message, small results in the commit; others are packed."""
    uid = here.submit("small", payload={"inline": "p" * 1024})
    task, _ = here.end("small")
    assert task["status"]["results"][0]["inline"] == "p" * 1024
    owner = here.get(SESSION, "session.armonik.io")["metadata"]["uid"]
    assert here.observe.objects(owner, uid) == {}
    several = here.submit("several", payload={"inline": "q"}, count=3)
    here.end("several")
    assert [_result(here, several, index) for index in range(3)] == [b"q"] * 3
    assert here.observe.objects(owner, several) == {}
    packed = here.submit("packed", payload={"inline": "r" * 4097}, count=3)
    here.end("packed")
    assert [_result(here, packed, index) for index in range(3)] == [b"r" * 4097] * 3
    assert here.observe.objects(owner, packed)
    # Both are inputs like any other.
    here.submit("joined", "concat", dependsOn=[{"task": "small"}, {"task": "several"}])
    joined, _ = here.end("joined")
    assert sorted(joined["status"]["results"][0]["inline"].split(",")) == ["p" * 1024, "q", "q", "q"]


def test_an_agent_fetches_the_next_run_while_its_worker_computes(here: Space) -> None:
    """One pod, one slot: two messages are held, and one run is owned."""
    uid = here.submit("ahead", "sleep", seconds=0.5, count=1000)

    def owned() -> int:
        heads = {entry.run.start: entry.record.kind.owned for entry in here.observe.records(uid)}
        return sum(heads.values())

    until("the next message is held", lambda: here.observe.held(PARTITION) == 2 and owned() == 1)
    status = here.until("ahead", "is seen to run", lambda s: s.get("phase") == "Processing")
    assert status["elements"]["running"] == 1
    here.patch("ahead", {"desiredState": "Cancelled"})
    here.end("ahead")


def test_dependents_wait_for_the_data_and_get_it(here: Space) -> None:
    """On a whole task, on one element's output, and on a result by its id."""
    items = [{"payload": {"inline": text}} for text in ("a", "b", "c")]
    source = here.submit("source", items=items, dependsOn=[{"task": "gate"}])
    waiting = {
        "all": [{"task": "source"}],
        "one": [{"task": "source", "index": 1, "output": "result"}],
        "named": [{"result": result_id(source, 2, "result")}],
    }
    uids = {name: here.submit(name, "concat", dependsOn=needs) for name, needs in waiting.items()}
    for name, uid in uids.items():
        assert here.until(name, "is seen", lambda s: bool(s.get("phase")))["phase"] == "Pending"
        assert here.observe.kinds(uid) == []
        assert here.observe.queued(uid) == set()
    here.submit("gate")
    _, before = here.end("source")
    ended = {name: here.end(name) for name in waiting}
    texts = {name: task["status"]["results"][0]["inline"] for name, (task, _) in ended.items()}
    assert texts == {"all": "a,b,c", "one": "b", "named": "c"}
    assert ended["all"][1][0].sequence > max(entry.sequence for entry in before)


def test_an_unchanged_worker_creates_results(here: Space) -> None:
    """A result with an id of its own becomes visible with the commit, and can be depended on."""
    uid = here.submit("extra", "extra", text="made by hand")
    task, _ = here.end("extra")
    made = task["status"]["results"][0]["inline"]
    entry = here.observe.own_results(task["status"]["sessionUid"])[made]
    assert (entry.state, entry.task) == (ResultState.COMPLETED, uid)
    assert entry.ref is not None
    assert here.observe.read(entry.ref) == b"made by hand"
    here.submit("reads-extra", "concat", dependsOn=[{"result": made}])
    assert here.end("reads-extra")[0]["status"]["results"][0]["inline"] == "made by hand"


def test_a_worker_submits_tasks_and_hands_its_output_to_one(here: Space) -> None:
    async def submit(client: Client) -> tuple[str, bytes]:
        owner = await client.session(SESSION)
        options = TaskOptions(options={"mode": "subtasks"})
        parent = await owner.submit("1 2 3", name="parent", options=options)
        return parent.uid, await parent.result()

    uid, result = here.sdk(submit)
    assert result == b"14"
    parent, entries = here.end("parent")
    children = [here.end(child["metadata"]["name"])[0] for child in _children(here, uid)]
    assert sum(child["status"]["elements"]["total"] for child in children) == 4
    committed = entries[-1]
    for child in children:
        assert child["spec"]["session"] == SESSION
        assert child["status"]["parent"] == {"uid": uid, "name": "parent", "run": 0, "index": 0}
        first = here.observe.records(_uid(child))[0]
        assert first.record.kind is RecordKind.SUBMITTED
        assert first.sequence > committed.sequence, "a child was queued before its parent's commit"
    handed = here.observe.own_results(parent["status"]["sessionUid"])[result_id(uid, 0, "result")]
    assert handed.state is ResultState.COMPLETED
    assert handed.task in {_uid(child) for child in children}
    assert handed.ref is not None
    assert here.observe.read(handed.ref) == b"14"


@pytest.mark.parametrize(("then", "reason"), [("error", "WorkerError"), ("raise", "AttemptsExhausted")])
def test_a_failed_parent_leaves_nothing(here: Space, then: str, reason: str) -> None:
    name = f"failed-{then}"
    before = set(here.observe.own_results(_uid(here.get(SESSION, "session.armonik.io"))))
    inventory = set(here.observe.inventory())
    options = {"maxRetries": 1}  # nor does an attempt that another follows
    uid = here.submit(name, "subtasks", payload={"inline": "1 2"}, options=options, then=then)
    task, entries = here.end(name)
    (failure,) = task["status"]["failures"]
    assert (failure["reason"], failure["attempt"]) == (reason, 1 if then == "error" else 2)
    assert _children(here, uid) == []
    assert all(not entry.record.children for entry in entries)
    assert set(here.observe.own_results(task["status"]["sessionUid"])) == before
    assert set(here.observe.inventory()) - inventory == {uid}


def test_a_failed_child_aborts_what_it_owes_and_all_who_wait_for_it(here: Space) -> None:
    """One child fails, the one that adds up falls with it, and with that the output of the parent."""
    here.submit("after-child", "concat", dependsOn=[{"task": "with-child"}])
    uid = here.submit("with-child", "subtasks", payload={"inline": "2 x"}, options={"maxRetries": 0})
    parent, _ = here.end("with-child")
    assert parent["status"]["phase"] == "Completed"  # it has done its part
    (child,) = _children(here, uid)
    ended, _ = here.end(child["metadata"]["name"])
    assert ended["status"]["succeededIndexes"] == "0"
    failures = {f["index"]: f["reason"] for f in ended["status"]["failures"]}
    assert failures == {1: "AttemptsExhausted", 2: "DependencyAborted"}
    owed = here.observe.own_results(parent["status"]["sessionUid"])[result_id(uid, 0, "result")]
    assert owed.state is ResultState.ABORTED
    assert f"element 2 of task {child['metadata']['name']} ended as Error" in owed.reason
    fallen, entries = here.end("after-child")
    (failure,) = fallen["status"]["failures"]
    assert (failure["reason"], entries[-1].record.epoch) == ("DependencyAborted", 0)
    assert "1 of 1 executions failed" in failure["message"]


def test_waiting_for_an_aborted_result_raises_the_owners_error(here: Space) -> None:
    async def wait(client: Client) -> str:
        owner = await client.session(SESSION)
        options = TaskOptions(options={"mode": "error", "message": "no such model"})
        task = await owner.submit("x", name="aborted", options=options)
        waiting = await owner.submit(
            name="waits-for-aborted",
            depends_on=[Dependency(task="aborted")],
            options=TaskOptions(options={"mode": "concat"}),
        )
        with pytest.raises(ResultAborted, match="no such model"):
            await waiting.result()
        with pytest.raises(ResultAborted) as error:
            await task.result()
        return str(error.value)

    assert "no such model" in here.sdk(wait)
    task, entries = here.end("aborted")
    assert (task["status"]["phase"], task["status"]["failures"][0]["reason"]) == ("Error", "WorkerError")
    assert [entry.record.kind for entry in entries] == ["Submitted", "Dispatched", "Done"]
    failures = here.end("waits-for-aborted")[0]["status"]["failures"]
    assert failures[0]["reason"] == "DependencyAborted"
    assert "no such model" in failures[0]["message"]


def test_success_without_an_expected_output_is_an_error(here: Space) -> None:
    here.submit("silent", "silent", outputs=["left", "right"])
    failures = here.end("silent")[0]["status"]["failures"]
    assert failures[0]["reason"] == "OutputMissing"
    assert "left" in failures[0]["message"]
    assert "right" in failures[0]["message"]


def test_a_message_that_comes_again_is_dropped(here: Space) -> None:
    """Nothing relies on acknowledgements: the journal's head says that the run has ended."""
    uid = here.submit("again", payload={"inline": "once"})
    _, before = here.end("again")
    run = before[0].run
    message = RunMessage(
        namespace=run.namespace,
        session=run.session,
        task=uid,
        partition=PARTITION,
        start=0,
        end=1,
        n=before[0].record.n,
        single=True,
    )
    here.observe.publish(run.queue(PARTITION, message.n), message.encode())
    until("the message is acknowledged", lambda: not here.observe.queued(uid))
    assert here.observe.records(uid) == before


def test_work_of_a_cancelled_session_does_not_start(here: Space) -> None:
    here.session("ending")
    here.submit("blocks", "sleep", seconds=600)
    here.running("blocks")
    uid = here.submit("never", of="ending")
    until("it is queued", lambda: len(here.observe.queued(uid)) == 1)
    here.patch("ending", {"desiredState": "Cancelled"}, "session.armonik.io")
    task, entries = here.end("never")
    assert task["status"]["phase"] == "Cancelled"
    assert not any(entry.record.epoch for entry in entries)
    here.patch("blocks", {"desiredState": "Cancelled"})
    here.end("blocks")


def _result(here: Space, uid: str, index: int) -> bytes:
    for entry in here.observe.results(uid).values():
        for outcome in entry.outcomes:
            if outcome.index == index:
                return here.observe.read(entry.ref(outcome.outputs["result"]))
    raise AssertionError(f"element {index} of {uid} has no result")


def _children(here: Space, uid: str) -> list[Object]:
    return objects(
        "tasks.armonik.io", "--namespace", here.namespace, "--selector", f"armonik.io/parent={uid}"
    )


def _uid(obj: Object) -> str:
    return str(obj["metadata"]["uid"])


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
