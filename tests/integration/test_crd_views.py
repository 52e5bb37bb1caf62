"""What users see of the three kinds, and what they select by."""

from typing import Any

import pytest
from api_requests import Api
from apiserver import ApiServer
from good_manifests import FULL_PARTITION, FULL_SESSION, NOW, full_task_status
from manifests import session, task

from armonik_sdk.api.kinds import Condition, ElementCounts

pytestmark = pytest.mark.integration


@pytest.fixture
def furnished(api: Api) -> Api:
    """One object of each kind with a status, and another Task without."""
    ready = Condition(type="Ready", status="True", reason="Serving", message="well", last_transition_time=NOW)
    api.create(FULL_SESSION)
    counts = ElementCounts(total=9, running=2, succeeded=6, failed=1)
    status: dict[str, Any] = {"phase": "Running", "progress": counts.progress, "elements": counts.to_object()}
    api.accepted("Session", "demo", {"status": status | {"conditions": [ready.to_object()]}}, "status")
    api.create(task({}, "done"))
    api.accepted("Task", "done", {"status": full_task_status().to_object()}, "status")
    api.create(task({"session": "other"}, "new"))
    api.create(FULL_PARTITION)
    status = {"readyReplicas": 3, "busyReplicas": 2, "queued": 500, "conditions": [ready.to_object()]}
    api.accepted("Partition", "default", {"status": status}, "status")
    return api


@pytest.mark.parametrize(
    ("kind", "shown", "wide"),
    [
        (
            "Session",
            {"Phase": "Running", "Progress": "6/9", "Failed": 1, "Running": 2},
            {"Partition": "default", "Finished": None, "Message": "well"},
        ),
        (
            "Task",
            {"Phase": "Completed", "Progress": "1/1", "Failed": 0, "Partition": "default"},
            {"Priority": 5, "Worker": "default-x7k2p", "Reason": "Succeeded"},
        ),
        (
            "Partition",
            {"Ready": 3, "Max": 10, "Busy": 2, "Queued": 500},
            {"Image": "registry.example/hello:1", "Reserved": 0, "Reason": "Serving"},
        ),
    ],
)
def test_the_columns_of_kubectl_get(
    furnished: Api, kind: str, shown: dict[str, Any], wide: dict[str, Any]
) -> None:
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io"
    code, table = furnished.server.request("GET", furnished.path(kind), accept=accept)
    assert code == 200
    columns = [column["name"] for column in table["columnDefinitions"]]
    cells = dict(zip(columns, table["rows"][0]["cells"], strict=True))
    narrow = [column["name"] for column in table["columnDefinitions"] if column["priority"] == 0]

    assert narrow == ["Name", *shown, "Age"]
    assert {name: cells[name] for name in shown | wide} == shown | wide
    assert all(column["description"] for column in table["columnDefinitions"])


def test_a_finished_task_shows_when_it_finished(furnished: Api) -> None:
    shown = furnished.server.kubectl("get", "-n", furnished.namespace, "tk", "done", "-o", "wide")
    header, row = (line.split() for line in shown.stdout.splitlines())
    assert header[-1] == "FINISHED"
    assert row[-1].endswith("d") or row[-1] == "<invalid>"  # NOW may lie in this clock's future


@pytest.mark.parametrize(
    ("kind", "selector", "names"),
    [
        ("Session", "spec.desiredState=Running", ["demo"]),
        ("Session", "spec.desiredState=Closed", []),
        ("Session", "status.phase=Running", ["demo"]),
        ("Task", "spec.session=demo", ["done"]),
        ("Task", "spec.session=other", ["new"]),
        ("Task", "status.sessionUid=0b0c", ["done"]),
        ("Task", "status.phase=Completed", ["done"]),
        ("Task", "status.partition=default,spec.session=demo", ["done"]),
    ],
)
def test_field_selectors(furnished: Api, kind: str, selector: str, names: list[str]) -> None:
    listed = furnished.server.kubectl(
        *("get", "-n", furnished.namespace, kind.lower(), "-o", "name", "--field-selector", selector)
    )
    assert listed.returncode == 0, listed.stderr
    assert listed.stdout.split() == [f"{kind.lower()}.armonik.io/{name}" for name in names]


def test_tasks_are_deleted_by_the_uid_of_their_session(furnished: Api) -> None:
    path = f"{furnished.path('Task')}?fieldSelector=status.sessionUid%3D0b0c"
    code, body = furnished.server.request("DELETE", path)
    assert code == 200, body
    left = furnished.server.request("GET", furnished.path("Task"))[1]["items"]
    assert [item["metadata"]["name"] for item in left] == ["new"]


def test_lists_come_in_pages(furnished: Api) -> None:
    code, first = furnished.server.request("GET", f"{furnished.path('Task')}?limit=1")
    assert code == 200, first
    more = first["metadata"]["continue"]
    code, second = furnished.server.request("GET", f"{furnished.path('Task')}?limit=1&continue={more}")
    assert code == 200, second
    assert not second["metadata"].get("continue")
    assert [page["items"][0]["metadata"]["name"] for page in (first, second)] == ["done", "new"]


def test_deleting_what_is_not_there_is_an_error_unless_asked_otherwise(furnished: Api) -> None:
    words = ("delete", "-n", furnished.namespace, "aks/absent")
    assert "NotFound" in furnished.server.kubectl(*words).stderr
    assert furnished.server.kubectl(*words, "--ignore-not-found").returncode == 0


def test_short_names_and_category(furnished: Api) -> None:
    for name, expected in {
        "aks": ["session.armonik.io/demo"],
        "tk": ["task.armonik.io/done", "task.armonik.io/new"],
        "akp": ["partition.armonik.io/default"],
        "armonik": [
            "partition.armonik.io/default",
            "session.armonik.io/demo",
            "task.armonik.io/done",
            "task.armonik.io/new",
        ],
    }.items():
        listed = furnished.server.kubectl("get", "-n", furnished.namespace, name, "-o", "name")
        assert sorted(listed.stdout.split()) == expected, listed.stderr


def test_kubectl_wait_and_jsonpath_find_the_result(furnished: Api) -> None:
    waited = furnished.server.kubectl(
        *("wait", "-n", furnished.namespace, "--for=condition=Finished", "tk/done", "--timeout=10s")
    )
    assert waited.returncode == 0, waited.stderr
    got = furnished.server.kubectl(
        *("get", "-n", furnished.namespace, "tk", "done", "-o", "jsonpath={.status.results[0].inline}")
    )
    assert got.stdout == "4"


def test_kubectl_explain_prints_what_the_models_say(apiserver: ApiServer) -> None:
    explained = apiserver.kubectl("explain", "tasks.armonik.io.spec.payload.inline")
    assert "Text, at most 32 KiB in UTF-8." in explained.stdout
    explained = apiserver.kubectl("explain", "partitions.armonik.io.spec.podMax")
    assert "0 stops the partition" in explained.stdout


def test_two_appliers_share_the_partitions_of_a_session(api: Api) -> None:
    """A set is merged by server-side apply; an atomic list would make them fight."""
    for manager, partitions in {"one": ["a"], "two": ["a", "b"]}.items():
        manifest = session({"partitions": partitions, "taskDefaults": {"partition": "a"}})
        applied = api.server.kubectl(
            *("apply", "-n", api.namespace, "--server-side", "--field-manager", manager, "-f", "-"),
            stdin=manifest,
        )
        assert applied.returncode == 0, applied.stderr
    applied = api.server.kubectl(
        *("apply", "-n", api.namespace, "--server-side", "--field-manager", "two", "-f", "-"),
        stdin=session({"partitions": ["a"], "taskDefaults": {"partition": "a"}}),
    )
    assert applied.returncode == 0, applied.stderr
    assert api.server.request("GET", api.path("Session", "s"))[1]["spec"]["partitions"] == ["a"]
