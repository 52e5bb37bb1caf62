import base64
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from armonik_sdk.api.const import ConditionType
from armonik_sdk.api.errors import ApiError, FieldProblem, InvalidManifest
from armonik_sdk.api.kinds import (
    Condition,
    Dependency,
    ElementCounts,
    Item,
    ItemsRef,
    ObjectMeta,
    Partition,
    Payload,
    Session,
    SessionSpec,
    SessionState,
    Task,
    TaskOptions,
    TaskSpec,
    TaskStatus,
    condition,
    find_condition,
    is_true,
    remove_condition,
    set_condition,
)
from armonik_sdk.api.ranges import Ranges

NOW = datetime(2026, 11, 24, 4, 5, 6, 789_012, tzinfo=UTC)
HEAD = {"apiVersion": "armonik.io/v1alpha1", "kind": "Task", "metadata": {"name": "t"}}


def manifest(**spec: Any) -> dict[str, Any]:
    return HEAD | {"spec": {"session": "demo"} | spec}


# Reading and writing -------------------------------------------------------------------------------------


def test_only_what_was_set_is_written() -> None:
    task = Task(
        metadata=ObjectMeta(name="t"), spec=TaskSpec(session="demo", options=TaskOptions(max_retries=0))
    )
    assert task.to_object() == HEAD | {"spec": {"session": "demo", "options": {"maxRetries": 0}}}
    assert task.spec.desired_state == "Active"


def test_fields_of_a_newer_server_are_ignored() -> None:
    newer = manifest(futureField=1, options={"priority": 3, "mood": "good"})
    newer["metadata"] = {"name": "t", "managedFields": [{"manager": "kubectl"}]}
    newer["status"] = {"phase": "Hovering", "conditions": [], "aura": "blue"}
    task = Task.from_object(newer)
    assert task.spec.options == TaskOptions(priority=3)
    assert task.status is not None
    assert task.status.phase == "Hovering"


def test_a_manifest_with_unknown_fields_is_refused_naming_each() -> None:
    with pytest.raises(InvalidManifest) as caught:
        Task.from_manifest(manifest(cuont=3, items=[{}, {"payload": {"inlin": "x"}}]))
    assert set(caught.value.problems) == {
        FieldProblem("spec.items[1].payload.inlin", "unknown field"),
        FieldProblem("spec.cuont", "unknown field"),
    }
    assert str(caught.value).startswith("invalid Task: spec.")
    assert isinstance(caught.value, ApiError)


@pytest.mark.parametrize("missing", ["apiVersion", "kind"])
def test_a_manifest_says_what_it_is(missing: str) -> None:
    incomplete = {key: value for key, value in manifest().items() if key != missing}
    with pytest.raises(InvalidManifest, match=rf"{missing}: is required"):
        Task.from_manifest(incomplete)


@pytest.mark.parametrize(("field", "value"), [("apiVersion", "batch/v1"), ("kind", "Job")])
def test_a_manifest_of_another_kind_is_refused(field: str, value: str) -> None:
    with pytest.raises(InvalidManifest, match=f"{field}: must be "):
        Task.from_manifest(manifest() | {field: value})


def test_a_manifest_is_not_coerced() -> None:
    """YAML's `count: "10"` is a mistake for the apiserver, so it is one for the client."""
    with pytest.raises(InvalidManifest, match=r"spec\.count"):
        Task.from_manifest(manifest(count="10"))
    with pytest.raises(InvalidManifest, match=r"payload\.inline"):
        Task.from_manifest(manifest(payload={"inline": 10}))


def test_text_that_looks_like_a_date_is_read_back_in_utc() -> None:
    berlin = timezone(timedelta(hours=1))
    status = TaskStatus.model_validate({"times": {"ended": NOW.astimezone(berlin)}})
    assert status.to_object() == {"times": {"ended": "2026-11-24T04:05:06.789012Z"}}
    assert TaskStatus.model_validate(status.to_object()) == status


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(ValidationError, match="timezone"):
        TaskStatus.model_validate({"times": {"ended": "2026-11-24T04:05:06"}})


# Payloads ------------------------------------------------------------------------------------------------


@given(st.binary(max_size=200) | st.text(max_size=100))
def test_a_payload_in_a_manifest_gives_its_bytes_back(content: bytes | str) -> None:
    payload = Payload.of(content)
    again = Payload.model_validate(payload.to_object())
    assert again.content() == (content.encode() if isinstance(content, str) else content)


def test_text_stays_readable_and_bytes_become_base64() -> None:
    assert Payload.of(b"2").to_object() == {"inline": "2"}
    assert Payload.of(b"\xff").to_object() == {"data": base64.b64encode(b"\xff").decode()}


def test_a_large_payload_does_not_fit_into_a_manifest() -> None:
    assert Payload.of(b"\xff" * 32_768).content() == b"\xff" * 32_768
    with pytest.raises(ValueError, match="32769 bytes do not fit"):
        Payload.of(b"x" * 32_769)
    with pytest.raises(InvalidManifest, match="at most 32 KiB in UTF-8"):
        Payload(inline="é" * 16_385)


def test_data_elsewhere_is_not_in_the_manifest() -> None:
    assert Payload(result="u.0.result").content() is None


@pytest.mark.parametrize("fields", [{}, {"inline": "a", "data": "YQ=="}, {"inline": "", "result": "r"}])
def test_a_payload_is_exactly_one_thing(fields: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="exactly one of inline, data, object, result"):
        Payload.model_validate(fields)


@pytest.mark.parametrize("fields", [{}, {"task": "a", "result": "b"}, {"result": "b", "index": 0}])
def test_a_dependency_is_a_task_or_a_result(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"exactly one of task, result|cannot be used with result"):
        Dependency.model_validate(fields)


# Elements of a task --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "total"),
    [({}, 1), ({"count": 7}, 7), ({"items": [{}, {}]}, 2), ({"itemsRef": {"object": "k", "count": 9}}, 9)],
)
def test_total(spec: dict[str, Any], total: int) -> None:
    assert TaskSpec.model_validate({"session": "s"} | spec).total == total


def test_an_item_inherits_payload_and_outputs() -> None:
    spec = TaskSpec(
        session="s",
        payload=Payload(inline="all"),
        outputs=["a"],
        items=[Item(), Item(payload=Payload(inline="own"), outputs=["b"], options=TaskOptions(priority=2))],
    )
    assert spec.item(0) == Item(payload=Payload(inline="all"), outputs=["a"])
    assert spec.item(1) == Item(payload=Payload(inline="own"), outputs=["b"], options=TaskOptions(priority=2))


def test_equal_elements_are_made_from_the_task() -> None:
    spec = TaskSpec(session="s", count=3)
    assert spec.item(2) == Item(outputs=["result"])
    for index in (-1, 3):
        with pytest.raises(IndexError, match=f"element {index} of 3"):
            spec.item(index)


def test_items_in_an_object_are_not_in_the_spec() -> None:
    with pytest.raises(ValueError, match="in the object k"):
        TaskSpec(session="s", items_ref=ItemsRef(object="k", count=2)).item(0)


# Sessions and partitions ---------------------------------------------------------------------------------


def test_a_session_with_several_partitions_needs_a_default() -> None:
    with pytest.raises(InvalidManifest, match=r"required when the session has several"):
        SessionSpec(partitions=["a", "b"])
    with pytest.raises(InvalidManifest, match="must be one of"):
        SessionSpec(partitions=["a"], task_defaults=TaskOptions(partition="b"))
    assert SessionSpec(partitions=["a"]).desired_state is SessionState.RUNNING


def test_what_a_partition_leaves_out_has_a_value_in_python_but_not_in_the_manifest() -> None:
    spec = {"podMax": 1, "template": {"spec": {"worker": {"image": "i"}}}}
    partition = Partition.model_validate({"metadata": {"name": "p"}, "spec": spec})
    assert (partition.spec.slots_per_pod, partition.spec.idle_seconds, partition.spec.priority) == (1, 60, 1)
    assert partition.to_object()["spec"] == spec


def test_session_reads_what_it_wrote() -> None:
    session = Session(
        metadata=ObjectMeta(name="demo", namespace="n", labels={"a": "b"}),
        spec=SessionSpec(partitions=["default"], ttl_seconds_after_finished=0),
    )
    assert Session.from_object(session.to_object()) == session


# Status --------------------------------------------------------------------------------------------------


def test_counts_are_written_whole() -> None:
    """A merge patch that left zeros out would keep the old numbers."""
    counts = ElementCounts(total=3, running=1, succeeded=2)
    assert counts.to_object() == {
        "total": 3,
        "pending": 0,
        "queued": 0,
        "running": 1,
        "succeeded": 2,
        "failed": 0,
        "timedOut": 0,
        "cancelled": 0,
    }
    assert counts.progress == "2/3"


def test_counts_of_tasks_add_up_to_those_of_a_session() -> None:
    total = ElementCounts(total=3, succeeded=2, failed=1) + ElementCounts(total=2, timed_out=1, cancelled=1)
    assert total == ElementCounts(total=5, succeeded=2, failed=1, timed_out=1, cancelled=1)
    assert total.ended == 5


def test_intervals_in_a_status_are_ranges() -> None:
    status = TaskStatus(succeeded_indexes=str(Ranges.of([(0, 498), (500, 501)])))
    assert Ranges.parse(status.succeeded_indexes) == Ranges.of([(0, 498), (500, 501)])
    with pytest.raises(InvalidManifest):
        TaskStatus(succeeded_indexes="0-")


def made(type_: str, status: bool, at: datetime = NOW) -> Condition:
    return condition(type_, status, "Because", "of that", generation=3, now=at)


def test_the_time_of_a_condition_moves_only_with_its_status() -> None:
    later = NOW + timedelta(hours=1)
    first = set_condition([], made("Ready", False))
    same = set_condition(first, made("Ready", False, later))
    assert same[0].last_transition_time == NOW
    flipped = set_condition(same, made("Ready", True, later))
    assert flipped[0].last_transition_time == later
    assert len(flipped) == 1


def test_the_most_significant_condition_comes_first() -> None:
    conditions: list[Condition] = []
    for type_ in ("Custom", ConditionType.READY, ConditionType.SUSPENDED, ConditionType.FINISHED):
        conditions = set_condition(conditions, made(type_, True))
    assert [c.type for c in conditions] == ["Finished", "Ready", "Suspended", "Custom"]
    assert [c.type for c in remove_condition(conditions, "Ready")] == ["Finished", "Suspended", "Custom"]


def test_set_condition_takes_any_iterable() -> None:
    conditions = set_condition(iter([made("Ready", True)]), made("Ready", True, NOW + timedelta(1)))
    assert [c.last_transition_time for c in conditions] == [NOW]


def test_conditions_are_found() -> None:
    conditions = [made("Ready", False)]
    assert find_condition(conditions, "Ready") is conditions[0]
    assert find_condition(conditions, "Finished") is None
    assert not is_true(conditions, "Ready")
    assert is_true([made("Ready", True)], "Ready")


def test_a_long_message_is_cut_to_what_the_schema_allows() -> None:
    assert len(condition("Ready", False, "R", "x" * 5000, generation=1, now=NOW).message) == 1024


def test_conditions_are_written_in_kubernetes_form() -> None:
    assert made("Ready", True).to_object() == {
        "type": "Ready",
        "status": "True",
        "reason": "Because",
        "message": "of that",
        "observedGeneration": 3,
        "lastTransitionTime": "2026-11-24T04:05:06Z",
    }
