"""Manifests that the apiserver must accept, and a status with every field."""

from datetime import UTC, datetime

from manifests import partition, pods, session, task

from armonik_sdk.api.const import ConditionType, Reason
from armonik_sdk.api.kinds import ElementCounts, TaskStatus, condition

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FINISHED = condition(ConditionType.FINISHED, True, Reason.SUCCEEDED, "", generation=1, now=NOW).to_object()

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
    "partition that bounds its agents": pods({"agent": {"resources": {"limits": {"cpu": 1}}}}),
    "folder of ours at a path of the user's": pods(
        {}, {"volumeMounts": [{"name": "tmp", "mountPath": "/s"}]}
    ),
    "stopped partition": partition({"podMax": 0}),
}


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
