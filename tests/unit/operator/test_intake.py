"""No object that the apiserver stores ends the operator, or keeps others from being taken in."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from armonik_operator.app.lifecycle import Operator
from armonik_operator.cache.keys import WorkKey
from armonik_operator.cache.partition_load import PartitionLoads
from armonik_operator.cache.state import ClusterState
from armonik_operator.clients.kube import PARTITIONS, SESSIONS, TASKS
from armonik_operator.errors import NotFound, Refused
from armonik_operator.journal.epoch import JournalEpoch
from armonik_operator.journal.loss import JournaledStatus
from armonik_operator.settings import Settings
from armonik_operator.sources.intake import Intake
from armonik_operator.sources.unreadable_objects import unreadable_status
from armonik_sdk.api.errors import InvalidManifest
from armonik_sdk.api.kinds import Task
from armonik_sdk.api.names import NamespacedName
from structural import objects_of

SETTINGS = Settings(
    namespace="armonik",
    nats_url="nats://n:4222",
    s3_endpoint="s:8333",
    agent_image="agent",
    manage_crds=False,
)
META = {"name": "t", "namespace": "team", "uid": "u", "generation": 3, "resourceVersion": "1"}


def _object(kind: str, spec: Any, **fields: Any) -> dict[str, Any]:
    meta = META | fields.pop("metadata", {})
    return {"apiVersion": "armonik.io/v1alpha1", "kind": kind, "metadata": meta, "spec": spec} | fields


class Taken:
    """An intake by itself, with the keys that it put into the queue."""

    def __init__(self) -> None:
        self.keys: list[WorkKey] = []
        self.state = ClusterState(SETTINGS, PartitionLoads(lambda: 0.0, lambda _: None))
        self.intake = Intake(self.state, self.keys.append)

    def event(self, plural: str, obj: dict[str, Any], *, deleted: bool = False) -> None:
        self.intake.event(plural, obj, deleted=deleted)


class Kube:
    """Takes patches."""

    def __init__(self, refusal: Exception | None = None) -> None:
        self.patches: list[tuple[Any, ...]] = []
        self.refusal = refusal

    async def patch(self, kind: Any, name: str, body: Any, namespace: str, *, status: bool) -> None:
        self.patches.append((kind, namespace, name, body, status))
        if self.refusal is not None:
            raise self.refusal


@given(data=st.data())
@settings(max_examples=100)
def test_every_object_of_the_schema_is_taken_in(data: st.DataObject) -> None:
    drawn = [(plural, data.draw(objects_of(plural))) for plural in ("sessions", "partitions", "tasks")]

    async def take() -> None:
        controller = Operator(SETTINGS, "me")
        for plural, obj in drawn:
            for type_ in (None, "MODIFIED"):
                controller.on_event(plural, type_, obj)
        # The journal was made again: what statuses say is all that is known.
        statuses = [JournaledStatus.of(obj).mark for plural, obj in drawn if plural == "tasks"]
        await controller._tenants.of("team")._state.begin_life(JournalEpoch.of(2_000_000_000, 0, statuses))
        for plural, obj in drawn:
            controller.on_event(plural, "DELETED", obj)

    asyncio.run(take())


@pytest.mark.parametrize(
    "status",
    [
        {"journalEpoch": 5, "journalSequence": 7, "succeededIndexes": "9-3"},
        {"journalEpoch": 5, "journalSequence": 7, "conditions": [{"type": 7}]},
    ],
)
def test_a_status_that_is_wrong_in_part_gives_the_rest_at_the_start(status: dict[str, Any]) -> None:
    read = JournaledStatus.of(_object("Task", {"session": ["what"]}, status=status))
    assert (read.journal_epoch, read.journal_sequence) == (5, 7)


def test_what_ended_in_an_earlier_life_lies_within_the_task() -> None:
    taken = Taken()
    taken.state.life = JournalEpoch(9, 9)
    status = {"journalEpoch": 1, "succeededIndexes": "0-5,1000-99999999999"}
    taken.event("tasks", _object("Task", {"session": "s", "count": 3}, status=status))
    assert len(taken.state.folds["u"].ended) == 3


def test_an_object_that_cannot_be_read_is_reported_once_and_keeps_no_other_back() -> None:
    taken, kube = Taken(), Kube()
    bad = _object("Task", {"session": "s", "items": [{"payload": {"inline": "a", "result": "r"}}]})
    taken.event("tasks", bad)
    taken.event("tasks", _object("Task", {"session": "s"}, metadata={"name": "good", "uid": "g"}))
    assert set(taken.state.tasks) == {"g"}
    told = WorkKey("unreadable", "team", "u")
    assert told in taken.keys

    asyncio.run(taken.intake.unreadable.write_condition(kube, told))
    ((kind, namespace, name, body, is_status),) = kube.patches
    assert (kind, namespace, name, is_status) == (TASKS, "team", "t", True)
    assert body["metadata"] == {"uid": "u"}
    (ready,) = body["status"]["conditions"]
    assert (ready["type"], ready["status"], ready["reason"]) == ("Ready", "False", "ManifestInvalid")
    assert ready["message"].startswith("spec.items[0].payload: exactly one of inline, data, object, result")
    assert "delete the Task and create it corrected" in ready["message"]
    assert "pydantic" not in ready["message"]
    assert body["status"]["phase"] == "Creating"

    taken.keys.clear()
    taken.event("tasks", bad | {"status": body["status"]})
    assert taken.keys == []  # it says so already
    asyncio.run(taken.intake.unreadable.write_condition(kube, told))
    assert len(kube.patches) == 1


@pytest.mark.parametrize("refusal", [NotFound(404, {}, "x"), Refused(422, {}, "x")])
def test_a_condition_that_cannot_be_written_is_given_up(refusal: Exception) -> None:
    taken, kube = Taken(), Kube(refusal)
    taken.event("sessions", _object("Session", {"partitions": []}))
    for _ in range(2):
        asyncio.run(taken.intake.unreadable.write_condition(kube, WorkKey("unreadable", "team", "u")))
    assert len(kube.patches) == 1


def test_what_can_be_read_again_is_not_reported() -> None:
    taken, kube = Taken(), Kube()
    taken.event("sessions", _object("Session", {"partitions": []}))
    taken.event("sessions", _object("Session", {"partitions": ["p"]}, metadata={"resourceVersion": "2"}))
    asyncio.run(taken.intake.unreadable.write_condition(kube, WorkKey("unreadable", "team", "u")))
    assert kube.patches == []
    assert NamespacedName("team", "t") in taken.state.sessions


def test_other_conditions_stay_as_they_are() -> None:
    finished = {"type": "Finished", "status": "True", "reason": "Closed", "odd": [1]}
    obj = _object("Session", {}, status={"phase": "Closed", "conditions": ["?", {"type": "X"}, finished]})
    with pytest.raises(InvalidManifest) as caught:
        Task.from_object(obj)
    status = unreadable_status(SESSIONS, obj, caught.value, datetime(2026, 1, 2, tzinfo=UTC))
    assert status is not None
    assert [c["type"] for c in status["conditions"]] == ["Finished", "Ready", "X"]
    assert status["conditions"][0] == finished
    assert "phase" not in status


def test_a_session_that_cannot_be_read_still_loses_its_finalizer() -> None:
    taken = Taken()
    meta = {"deletionTimestamp": "2026-01-02T03:04:05Z", "finalizers": ["armonik.io/session"]}
    taken.event("sessions", _object("Session", {"partitions": 7}, metadata=meta))
    session = taken.state.sessions[NamespacedName("team", "t")]
    assert session.metadata.deletion_timestamp is not None
    assert WorkKey("session", "team", "t") in taken.keys


def test_the_deletion_of_what_was_never_read_is_no_news() -> None:
    taken = Taken()
    for plural, kind in (("tasks", TASKS), ("sessions", SESSIONS), ("partitions", PARTITIONS)):
        taken.event(plural, _object(kind.plural, {}), deleted=True)
    assert taken.state.deleted == {}


def test_a_pod_that_lost_its_label_is_taken_in() -> None:
    taken = Taken()
    taken.event("pods", {"metadata": META, "status": {"phase": "Failed"}})
    assert taken.keys == [WorkKey("pod", "team", "u")]


def test_what_the_kubelet_says_of_an_eviction_is_kept_until_it_is_passed_on() -> None:
    taken = Taken()
    status = {"phase": "Failed", "reason": "Evicted", "message": "Usage exceeds the total limit 40Mi. "}
    taken.event("pods", {"metadata": META, "status": status})
    assert taken.state.evicted == {"u": "the pod was evicted: Usage exceeds the total limit 40Mi."}
    assert taken.keys == [WorkKey("pod", "team", "u")]


@pytest.mark.parametrize("status", [{}, {"phase": "Running"}, {"phase": "Failed", "reason": "NodeShutdown"}])
def test_a_pod_that_ended_otherwise_was_not_evicted(status: dict[str, str]) -> None:
    taken = Taken()
    taken.event("pods", {"metadata": META, "status": status})
    assert taken.state.evicted == {}


def test_the_answer_to_a_write_does_not_undo_a_newer_change() -> None:
    taken = Taken()
    spec = {"session": "s"}
    taken.event("tasks", _object("Task", spec))
    cancelled = _object("Task", spec | {"desiredState": "Cancelled"}, metadata={"resourceVersion": "10"})
    taken.event("tasks", cancelled)
    answer = _object("Task", spec, metadata={"resourceVersion": "9"}, status={"phase": "Pending"})
    taken.state.put_written(Task.from_object(answer))
    assert taken.state.tasks["u"].spec.desired_state == "Cancelled"


def test_an_event_from_before_an_answer_is_worked_on_but_undoes_nothing() -> None:
    taken = Taken()
    taken.event("tasks", _object("Task", {"session": "s"}, metadata={"resourceVersion": "8"}))
    answer = _object(
        "Task", {"session": "s"}, metadata={"resourceVersion": "10"}, status={"phase": "Pending"}
    )
    taken.state.put_written(Task.from_object(answer))
    taken.keys.clear()
    taken.event("tasks", _object("Task", {"session": "s"}, metadata={"resourceVersion": "9"}))
    assert taken.state.tasks["u"].status is not None
    assert WorkKey("task", "team", "u") in taken.keys


def test_a_restored_control_plane_is_believed() -> None:
    taken = Taken()
    taken.event("tasks", _object("Task", {"session": "s"}, metadata={"resourceVersion": "900"}))
    restored = _object("Task", {"session": "s", "count": 2}, metadata={"resourceVersion": "5"})
    taken.intake.event("tasks", restored, deleted=False, listed=True)
    assert taken.state.tasks["u"].spec.total == 2


def test_tasks_of_a_session_whose_finalizer_was_taken_away_are_orphans() -> None:
    taken = Taken()
    session = _object("Session", {"partitions": ["p"]}, metadata={"name": "s", "uid": "su"})
    taken.event("sessions", session)
    taken.event("tasks", _object("Task", {"session": "s"}, status={"sessionUid": "su"}))
    taken.keys.clear()
    taken.event("sessions", session, deleted=True)
    assert WorkKey("task", "team", "u") in taken.keys
    assert taken.state.orphaned("su")


def test_so_are_those_that_have_finished() -> None:
    taken = Taken()
    session = _object("Session", {"partitions": ["p"]}, metadata={"name": "s", "uid": "su"})
    taken.event("sessions", session)
    done = {
        "type": "Finished",
        "status": "True",
        "reason": "Succeeded",
        "lastTransitionTime": "2026-01-02T03:04:05Z",
    }
    status = {"sessionUid": "su", "succeededIndexes": "0", "conditions": [done]}
    taken.event("tasks", _object("Task", {"session": "s"}, status=status))
    assert set(taken.state.ended) == {"u"}
    taken.keys.clear()
    taken.event("sessions", session, deleted=True)
    assert WorkKey("task", "team", "u") in taken.keys
