"""What the apiserver does with good objects: accept, default, guard changes, select, show."""

import itertools
from datetime import UTC, datetime
from typing import Any

import pytest
from apiserver import ApiServer, as_list
from bad_manifests import partition, session, task, worker

from armonik_sdk.api.const import ConditionType, Reason
from armonik_sdk.api.crd import crds
from armonik_sdk.api.kinds import (
    Condition,
    ElementCounts,
    Partition,
    Session,
    SessionState,
    Task,
    TaskStatus,
    condition,
)

pytestmark = pytest.mark.integration

GROUP = "/apis/armonik.io/v1alpha1"
MERGE = "application/merge-patch+json"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Api:
    """Requests about the three kinds in one namespace."""

    def __init__(self, server: ApiServer, namespace: str) -> None:
        self.server = server
        self.namespace = namespace

    def path(self, kind: str, name: str = "") -> str:
        return f"{GROUP}/namespaces/{self.namespace}/{kind.lower()}s" + (f"/{name}" if name else "")

    def create(self, manifest: dict[str, Any]) -> dict[str, Any]:
        path = f"{self.path(manifest['kind'])}?fieldValidation=Strict"
        code, body = self.server.request("POST", path, manifest)
        assert code == 201, body.get("message", body)
        return body

    def patch(self, kind: str, name: str, patch: dict[str, Any], subresource: str = "") -> tuple[int, Any]:
        suffix = f"/{subresource}" if subresource else ""
        return self.server.request("PATCH", self.path(kind, name) + suffix, patch, content_type=MERGE)

    def accepted(self, kind: str, name: str, patch: dict[str, Any], subresource: str = "") -> dict[str, Any]:
        code, body = self.patch(kind, name, patch, subresource)
        assert code == 200, body
        return body

    def refused(
        self, kind: str, name: str, patch: dict[str, Any], subresource: str = ""
    ) -> list[tuple[str, str]]:
        code, body = self.patch(kind, name, patch, subresource)
        assert code == 422, body
        return [(cause["field"], cause["message"]) for cause in body["details"]["causes"]]


@pytest.fixture
def api(apiserver: ApiServer, namespace: str) -> Api:
    return Api(apiserver, namespace)


# Good manifests ----------------------------------------------------------------------------------------

FULL_SESSION = session(
    {
        "partitions": ["default", "gpu"],
        "taskDefaults": {
            "partition": "default",
            "priority": 1,
            "maxRetries": 3,
            "maxDurationSeconds": 3600,
            "application": {"name": "hello", "version": "1"},
            "options": {"k": "v"},
        },
        "submission": {"client": "Open", "worker": "Open"},
        "ttlSecondsAfterFinished": 86400,
    },
    "demo",
)
SQUARES = task(
    {
        "payload": {"inline": "2"},
        "count": 1000,
        "dependsOn": [{"task": "prepare", "output": "result"}],
        "outputs": ["result"],
        "options": {"maxRetries": 0},
    },
    "squares",
)
FULL_PARTITION = partition(
    {
        "podReserved": 0,
        "podMax": 10,
        "slotsPerPod": 1,
        "idleSeconds": 60,
        "priority": 1,
        "preemptionPercentage": 0,
        "template": {
            "metadata": {"labels": {"team": "a"}, "annotations": {}},
            "spec": {
                "nodeSelector": {"zone": "a"},
                "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
                "affinity": {
                    "podAntiAffinity": {
                        "requiredDuringSchedulingIgnoredDuringExecution": [
                            {
                                "labelSelector": {"matchLabels": {"team": "a"}},
                                "topologyKey": "kubernetes.io/hostname",
                            }
                        ]
                    }
                },
                "topologySpreadConstraints": [
                    {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}
                ],
                "priorityClassName": "low",
                "runtimeClassName": "gvisor",
                "imagePullSecrets": [{"name": "registry.credentials"}],
                "terminationGracePeriodSeconds": 60,
                "volumes": [
                    {"name": "model", "persistentVolumeClaim": {"claimName": "model", "readOnly": True}},
                    {"name": "config", "configMap": {"name": "hello"}},
                    {"name": "key", "secret": {"secretName": "hello", "defaultMode": 0o440}},
                    {"name": "scratch", "emptyDir": {"sizeLimit": "1Gi"}},
                    {"name": "both", "projected": {"sources": [{"configMap": {"name": "hello"}}]}},
                    {"name": "files", "image": {"reference": "localhost/files:1"}},
                ],
                "worker": {
                    "image": "registry.example/hello:1",
                    "imagePullPolicy": "IfNotPresent",
                    "command": [],
                    "args": [],
                    "env": [
                        {"name": "MODE", "value": "fast"},
                        {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "hello", "key": "key"}}},
                    ],
                    "envFrom": [{"configMapRef": {"name": "hello"}}],
                    "resources": {"requests": {"cpu": 1, "memory": "1Gi"}, "limits": {"nvidia.com/gpu": "1"}},
                    "volumeMounts": [{"name": "model", "mountPath": "/model", "readOnly": True}],
                    "securityContext": {"runAsUser": 1000, "capabilities": {"drop": ["ALL"]}},
                },
            },
        },
    },
    "default",
)
GOOD = {
    "session": FULL_SESSION,
    "smallest session": session({}),
    "squares": SQUARES,
    "smallest task": task({}),
    "payload in base64": task({"payload": {"data": "AAEC/w=="}}),
    "payload in the store": task({"payload": {"object": {"key": "ns/u/k", "offset": 0, "length": 2}}}),
    "payload from a result": task({"payload": {"result": "0b0c-1.0.result"}}),
    "items": task(
        {
            "items": [
                {"payload": {"inline": "a"}, "options": {"priority": 99}},
                {"payload": {"inline": "b"}, "dependsOn": [{"result": "r"}], "outputs": ["left", "right"]},
            ]
        }
    ),
    "items in the store": task({"itemsRef": {"object": "ns/u/items", "count": 10_000_000}}),
    "payload of exactly 32 KiB": task({"payload": {"inline": "x" * 32_768}}),
    "dependency on one element": task({"dependsOn": [{"task": "other", "index": 3}]}),
    "partition": FULL_PARTITION,
    "smallest partition": partition({}),
    "stopped partition": partition({"podMax": 0}),
}
KINDS = {"Session": Session, "Task": Task, "Partition": Partition}


@pytest.mark.parametrize("manifest", GOOD.values(), ids=GOOD)
def test_a_good_manifest_is_accepted_by_server_and_model_alike(api: Api, manifest: dict[str, Any]) -> None:
    model = KINDS[manifest["kind"]]
    assert model.from_manifest(manifest).to_object() == manifest

    stored = api.create(manifest)
    read = model.from_object(stored).to_object()
    assert read["spec"] == stored["spec"]


def test_the_apiserver_stores_no_default_but_the_documented_ones(api: Api) -> None:
    assert api.create(session({}))["spec"] == {
        "partitions": ["default"],
        "desiredState": "Running",
        "submission": {"client": "Open", "worker": "Open"},
    }
    assert api.create(task({"options": {}}))["spec"] == {
        "session": "demo",
        "options": {},
        "desiredState": "Active",
    }
    assert api.create(partition({}))["spec"] == {
        "podMax": 2,
        "podReserved": 0,
        "template": {"spec": worker()},
    }


def test_applying_the_definitions_again_changes_nothing(apiserver: ApiServer) -> None:
    def versions() -> list[str]:
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        return [item["metadata"]["resourceVersion"] for item in apiserver.request("GET", path)[1]["items"]]

    before = versions()
    applied = apiserver.kubectl("apply", "--server-side", "-f", "-", stdin=as_list(*crds().values()))
    assert applied.returncode == 0, applied.stderr
    assert versions() == before


# Sessions ----------------------------------------------------------------------------------------------

ALLOWED = {
    "Running": {"Paused", "Closed", "Cancelled"},
    "Paused": {"Running", "Closed", "Cancelled"},
    "Closed": {"Cancelled", "Purged"},
    "Cancelled": {"Purged"},
    "Purged": set(),
}
FINISHED = condition(ConditionType.FINISHED, True, Reason.SUCCEEDED, "", generation=1, now=NOW).to_object()
PAIRS = list(itertools.product(map(str, SessionState), map(str, SessionState)))


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

VALUES: dict[str, tuple[Any, Any]] = {
    "payload": ({"inline": "1"}, {"inline": "2"}),
    "count": (2, 3),
    "items": ([{}], [{}, {}]),
    "itemsRef": ({"object": "k", "count": 1}, {"object": "k", "count": 2}),
    "dependsOn": ([{"task": "a"}], [{"task": "b"}]),
    "outputs": (["a"], ["b"]),
    "options": ({"priority": 1}, {"priority": 2}),
}


@pytest.mark.parametrize("field", VALUES)
def test_a_task_is_immutable(api: Api, field: str) -> None:
    first, second = VALUES[field]
    api.create(task({field: first}, "with"))
    api.create(task({}, "without"))
    complaint = 'Invalid value: "object": spec is immutable but for desiredState and ttlSecondsAfterFinished'

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


def full_task_status() -> TaskStatus:
    return TaskStatus.model_validate(
        {
            "observedGeneration": 1,
            "phase": "Completed",
            "partition": "default",
            "sessionUid": "0b0c",
            "options": {"partition": "default", "priority": 5, "maxRetries": 0},
            "parent": {"uid": "0d0e", "run": 0, "index": 3},
            "journalEpoch": 1,
            "journalSequence": 4711,
            "elements": ElementCounts(total=1, succeeded=1),
            "progress": "1/1",
            "succeededIndexes": "0",
            "failures": [{"index": 0, "reason": "WorkerError", "message": "no", "attempt": 1}],
            "worker": "default-x7k2p",
            "attempts": 2,
            "times": {"created": NOW, "ended": NOW},
            "results": [
                {"name": "result", "id": "u.0.result", "size": 1, "sha256": "0" * 64, "inline": "4"},
                {"name": "raw", "id": "u.0.raw", "size": 1, "data": "/w=="},
            ],
            "conditions": [FINISHED],
        }
    )


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


# What users see and select -------------------------------------------------------------------------------


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


def test_kubectl_explain_tells_what_the_models_tell(apiserver: ApiServer) -> None:
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
