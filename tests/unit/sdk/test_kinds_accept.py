"""What the apiserver's schema accepts, the models accept: else an object is stored that nobody can read."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from armonik_sdk.api.errors import InvalidManifest
from armonik_sdk.api.kinds import Partition, Session, Task
from structural import forbidden_by_rule, objects_of

KINDS = {"sessions": Session, "tasks": Task, "partitions": Partition}


@pytest.mark.parametrize("plural", KINDS)
@given(data=st.data())
@settings(max_examples=100)
def test_what_the_schema_accepts_is_read(plural: str, data: st.DataObject) -> None:
    obj: dict[str, Any] = data.draw(objects_of(plural))
    try:
        read = KINDS[plural].from_object(obj)
    except InvalidManifest as error:
        # What is wrong with a status is named beside it; alone it keeps nothing from being read.
        problems = [problem for problem in error.problems if not problem.field.startswith("status")]
        assert problems
        assert all(forbidden_by_rule(plural, p.field, p.message) for p in problems), problems
    else:
        read.model_dump(mode="json", by_alias=True)


def _task(**fields: Any) -> dict[str, Any]:
    meta = {"name": "t", "namespace": "team", "uid": "u"}
    return {"apiVersion": "armonik.io/v1alpha1", "kind": "Task", "metadata": meta} | fields


def test_a_status_that_is_read_in_part_keeps_the_rest() -> None:
    done = {
        "type": "Finished",
        "status": "True",
        "lastTransitionTime": "2026-01-02T03:04:05Z",
        "reason": "Succeeded",
    }
    strange = done | {"type": "Ready", "lastTransitionTime": "2026-01-02T03:04:05-99:99"}
    status = {"conditions": [done, strange], "journalEpoch": "many", "journalSequence": 7, "sessionUid": "s"}
    read = Task.from_object(_task(spec={"session": "s"}, status=status))
    assert read.status is not None
    assert [c.type for c in read.status.conditions] == ["Finished"]
    assert (read.status.journal_epoch, read.status.journal_sequence, read.status.session_uid) == (0, 7, "s")


@pytest.mark.parametrize("status", ["text", [], {"elements": {"total": -1}}, 7])
def test_no_status_keeps_a_task_from_being_read(status: object) -> None:
    read = Task.from_object(_task(spec={"session": "s"}, status=status))
    assert read.spec.session == "s"
    assert read.status is None or read.status.elements is None


def test_an_item_that_an_older_schema_accepted_is_read_but_not_written() -> None:
    items = [{"payload": {"inline": "é" * 20_000}}, {"payload": {"inline": "x" * 32_000}}]
    obj = _task(spec={"session": "s", "items": items})
    assert Task.from_object(obj).spec.total == 2
    with pytest.raises(InvalidManifest, match=r"items\[0\].payload.inline: at most 32 KiB in UTF-8"):
        Task.from_manifest(obj)
    obj["spec"]["items"] = items[1:]
    with pytest.raises(InvalidManifest, match=r"items\[0\].payload.inline: at most 24576 characters; put it"):
        Task.from_manifest(obj)


def test_a_fault_of_the_spec_is_reported_even_where_the_status_has_one_too() -> None:
    with pytest.raises(InvalidManifest, match=r"spec\.session"):
        Task.from_object(_task(spec={"session": "S"}, status={"phase": 1}))
