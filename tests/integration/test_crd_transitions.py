"""Which changes of good objects the apiserver allows, and with which words it refuses the others.

The refused ones are in the table of bad input, too.
"""

from typing import Any

import pytest
from api_requests import Api
from bad_moves import ALLOWED, PAIRS, VALUES
from good_manifests import FINISHED, full_task_status
from manifests import partition, session, task

from armonik_sdk.api.kinds import Task

pytestmark = pytest.mark.integration

# Sessions ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("old", "new"), PAIRS, ids=[f"{old} to {new}" for old, new in PAIRS])
def test_a_finished_session_changes_state_only_forward(api: Api, old: str, new: str) -> None:
    api.create(session({"desiredState": old}))  # creation in any state is legal: a backup is restored so
    api.accepted("Session", "s", {"status": {"conditions": [FINISHED]}}, "status")

    if new == old or new in ALLOWED[old]:
        assert api.accepted("Session", "s", {"spec": {"desiredState": new}})["spec"]["desiredState"] == new
    else:
        assert api.refused("Session", "s", {"spec": {"desiredState": new}}) == [
            ("spec.desiredState", f'Invalid value: "string": a session cannot go from {old} to {new}')
        ]


@pytest.mark.parametrize("conditions", [None, [], [FINISHED | {"status": "False"}]])
def test_an_unfinished_session_cannot_be_purged(api: Api, conditions: list[dict[str, Any]] | None) -> None:
    api.create(session({"desiredState": "Closed"}))
    api.accepted("Session", "s", {"status": {"conditions": conditions}}, "status")
    assert api.refused("Session", "s", {"spec": {"desiredState": "Purged"}}) == [
        (
            "spec.desiredState",
            'Invalid value: "object": a session can be purged only when its Finished condition is True',
        )
    ]


def test_removing_the_state_of_a_closed_session_is_refused(api: Api) -> None:
    """The default would come back, that is Running."""
    api.create(session({"desiredState": "Closed"}))
    fields = [field for field, _ in api.refused("Session", "s", {"spec": {"desiredState": None}})]
    assert fields == ["spec.desiredState"]


@pytest.mark.parametrize("who", ["client", "worker"])
def test_a_closed_submission_stays_closed(api: Api, who: str) -> None:
    api.create(session({}))
    api.accepted("Session", "s", {"spec": {"submission": {who: "Closed"}}})
    for again in ("Open", None):
        refused = api.refused("Session", "s", {"spec": {"submission": {who: again}}})
        assert refused == [
            (f"spec.submission.{who}", 'Invalid value: "string": a closed submission cannot be opened again')
        ]


def test_partitions_and_defaults_of_a_session_can_change(api: Api) -> None:
    api.create(session({}))
    patch = {"spec": {"partitions": ["a", "b"], "taskDefaults": {"partition": "b", "priority": 7}}}
    assert api.accepted("Session", "s", patch)["spec"]["partitions"] == ["a", "b"]


# Tasks -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", VALUES)
def test_a_task_is_immutable(api: Api, field: str) -> None:
    first, second = VALUES[field]
    api.create(task({field: first}, "with"))
    api.create(task({}, "without"))
    allowed = "desiredState, cancelledIndexes and ttlSecondsAfterFinished"
    complaint = f'Invalid value: "object": spec is immutable but for {allowed}'

    for name, value in (("with", second), ("with", None), ("without", first)):
        assert api.refused("Task", name, {"spec": {field: value}}) == [("spec", complaint)]
    api.accepted("Task", "with", {"spec": {field: first}})


def test_the_session_of_a_task_is_immutable(api: Api) -> None:
    api.create(task({}))
    assert api.refused("Task", "t", {"spec": {"session": "other"}}) == [
        ("spec.session", 'Invalid value: "string": spec.session is immutable')
    ]


def test_a_task_can_be_cancelled_but_not_revived(api: Api) -> None:
    api.create(task({"count": 5}))
    api.accepted("Task", "t", {"spec": {"desiredState": "Cancelled", "ttlSecondsAfterFinished": 60}})
    api.accepted("Task", "t", {"spec": {"ttlSecondsAfterFinished": 90}})
    api.accepted("Task", "t", {"spec": {"ttlSecondsAfterFinished": None}})
    for again in ("Active", None):
        assert api.refused("Task", "t", {"spec": {"desiredState": again}}) == [
            ("spec.desiredState", 'Invalid value: "string": a cancelled task cannot be made active again')
        ]


def test_elements_can_be_cancelled_but_not_revived(api: Api) -> None:
    api.create(task({"count": 10}))
    for named in ([], ["3"], ["3", "7-9"], ["7-9", "3", "0-9"]):
        api.accepted("Task", "t", {"spec": {"cancelledIndexes": named}})
    complaint = "intervals can only be added: a cancelled element cannot be made active again"
    for named in (["3", "0-9"], ["0-9"], [], None):
        assert api.refused("Task", "t", {"spec": {"cancelledIndexes": named}}) == [
            ("spec.cancelledIndexes", f'Invalid value: "object": {complaint}')
        ]


@pytest.mark.parametrize(
    "elements", [{"count": 4}, {"items": [{}] * 4}, {"itemsRef": {"object": "k", "count": 4}}, {}]
)
def test_only_elements_that_there_are_can_be_cancelled(api: Api, elements: dict[str, Any]) -> None:
    api.create(task(elements))
    last = 3 if elements else 0
    api.accepted("Task", "t", {"spec": {"cancelledIndexes": [f"0-{last}"]}})
    refused = api.refused("Task", "t", {"spec": {"cancelledIndexes": [f"0-{last}", str(last + 1)]}})
    assert refused == [
        ("spec.cancelledIndexes", 'Invalid value: "object": there is no element with such an index')
    ]


def test_a_full_status_is_stored_as_it_was_written(api: Api) -> None:
    api.create(task({}))
    status = full_task_status().to_object()
    stored = api.accepted("Task", "t", {"status": status}, "status")
    assert stored["status"] == status
    assert Task.from_object(stored).status == full_task_status()
    assert stored["metadata"]["generation"] == 1


def test_status_cannot_be_written_through_the_object_itself(api: Api) -> None:
    stored = api.create(task({}) | {"status": {"phase": "Completed"}})
    assert "status" not in stored
    assert "status" not in api.accepted("Task", "t", {"status": {"phase": "Completed"}})


@pytest.mark.parametrize(
    ("patch", "field"),
    [
        ({"journalSequence": 9}, "status.journalSequence"),
        ({"journalSequence": None}, "status.journalSequence"),
        ({"journalEpoch": 1}, "status.journalEpoch"),
        ({"journalEpoch": 1, "journalSequence": 99}, "status.journalEpoch"),
        ({"journalEpoch": None}, "status.journalEpoch"),
        ({"conditions": [FINISHED | {"status": "False"}]}, "status.conditions"),
        ({"conditions": []}, "status.conditions"),
        ({"conditions": None}, "status.conditions"),
        ({"sessionUid": "other"}, "status.sessionUid"),
        ({"sessionUid": None}, "status.sessionUid"),
    ],
)
def test_the_status_of_a_task_never_goes_back(api: Api, patch: dict[str, Any], field: str) -> None:
    api.create(task({}))
    known = {"journalEpoch": 2, "journalSequence": 10, "sessionUid": "u", "conditions": [FINISHED]}
    api.accepted("Task", "t", {"status": known}, "status")
    assert field in [where for where, _ in api.refused("Task", "t", {"status": patch}, "status")]


def test_the_status_of_a_task_cannot_be_removed(api: Api) -> None:
    api.create(task({}))
    api.accepted("Task", "t", {"status": {"journalEpoch": 1, "journalSequence": 1}}, "status")
    assert api.refused("Task", "t", {"status": None}, "status")[0][0] == "status"


def test_the_status_of_a_task_goes_forward(api: Api) -> None:
    api.create(task({}))
    steps: list[dict[str, Any]] = [
        {"journalEpoch": 1, "journalSequence": 5},
        {"journalEpoch": 1, "journalSequence": 5, "progress": "1/2"},
        {"journalSequence": 6},
        {"journalEpoch": 2, "journalSequence": 1},  # the stream was made again
        {"conditions": [FINISHED]},
        {"conditions": [FINISHED, FINISHED | {"type": "Ready"}]},
    ]
    for step in steps:
        api.accepted("Task", "t", {"status": step}, "status")


@pytest.mark.parametrize(
    ("status", "field"),
    [
        ({"succeededIndexes": "0-"}, "status.succeededIndexes"),
        ({"elements": {"total": -1}}, "status.elements.total"),
        ({"conditions": [FINISHED, FINISHED]}, "status.conditions[1]"),
        ({"conditions": [FINISHED | {"status": "yes"}]}, "status.conditions[0].status"),
        (
            {"conditions": [FINISHED | {"lastTransitionTime": "now"}]},
            "status.conditions[0].lastTransitionTime",
        ),
        ({"results": [{"name": "r", "id": "i", "inline": "x" * 4097}]}, "status.results[0].inline"),
        ({"failures": [{"index": i, "reason": "R"} for i in range(11)]}, "status.failures"),
    ],
)
def test_a_malformed_status_is_refused(api: Api, status: dict[str, Any], field: str) -> None:
    api.create(task({}))
    assert api.refused("Task", "t", {"status": status}, "status")[0][0] == field


# Partitions --------------------------------------------------------------------------------------------


def test_scale_reads_and_writes_the_floor(api: Api) -> None:
    api.create(partition({"podMax": 5}))
    status = {"replicas": 3, "selector": "armonik.io/partition=p"}
    api.accepted("Partition", "p", {"status": status}, "status")

    code, scale = api.server.request("GET", f"{api.path('Partition', 'p')}/scale")
    assert code == 200
    assert scale["spec"] == {}  # Scale leaves out a zero
    assert scale["status"] == {"replicas": 3, "selector": "armonik.io/partition=p"}

    scaled = api.server.kubectl("scale", "-n", api.namespace, "akp/p", "--replicas=4")
    assert scaled.returncode == 0, scaled.stderr
    stored = api.server.request("GET", api.path("Partition", "p"))[1]
    assert stored["spec"]["podReserved"] == 4
    assert stored["metadata"]["generation"] == 2


def test_scale_cannot_exceed_the_maximum(api: Api) -> None:
    api.create(partition({"podMax": 2}))
    scaled = api.server.kubectl("scale", "-n", api.namespace, "akp/p", "--replicas=3")
    assert scaled.returncode == 1
    assert "podReserved must not exceed podMax" in scaled.stderr
