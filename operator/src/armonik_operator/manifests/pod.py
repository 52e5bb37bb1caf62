"""The worker pod of a Partition: the agent as main container, the user's worker as native sidecar.

At deletion the main container is signalled first, so the agent drains while the worker still serves. Then
the worker is signalled. As process 1 it ignores SIGTERM unless it handles it, which Python does not; so a
hook sends SIGINT, which it does handle, as soon as the agent is gone. Without a shell in the image only
SIGTERM is left.
"""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from armonik_operator.settings import AGENT_RESOURCES
from armonik_sdk.api.const import (
    AGENT_CONTAINER,
    AGENT_SECRET,
    AGENT_SERVICE_ACCOUNT,
    GROUP_VERSION,
    MANAGED_BY_LABEL,
    PART_OF,
    PART_OF_LABEL,
    PARTITION_KIND,
    PARTITION_LABEL,
    PRINTED_BYTES,
    TEMPLATE_HASH_LABEL,
    WORKER_CONTAINER,
)
from armonik_sdk.api.kinds import Partition
from armonik_sdk.api.kinds.pod import ResourceRequirements

USER = 65532
DEFAULT_GRACE = 60
LAST_COMMIT = 10
"""Seconds of a pod's grace that are left for the agent's last commit and the worker's own end."""
CACHE_GIB = 4
"""What inputs, outputs and what is fetched ahead take of the volume that agent and worker share."""
OBJECTS_GIB = 1
"""What inputs that are kept for later runs take of it."""
ENVIRONMENTS_GIB = 2
"""What unpacked environments of functions take of it; the kubelet evicts a pod that exceeds the sum."""
_CACHE = {"name": "cache", "mountPath": "/cache"}
_TMP = {"name": "tmp", "mountPath": "/tmp"}  # noqa: S108 - a path in the pod
_LOCKED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
_AGENT_SOCKET = "/cache/armonik_agent.sock"
_STOP = f"while [ -S {_AGENT_SOCKET} ]; do sleep 1; done; kill -s INT 1"
"""Hooks run at once when the pod is deleted, so this one waits for the agent's end by itself."""
_PLACEMENT = (
    "nodeSelector",
    "tolerations",
    "affinity",
    "topologySpreadConstraints",
    "priorityClassName",
    "runtimeClassName",
    "imagePullSecrets",
)


_WORKER_RESOURCES = ResourceRequirements(requests={"cpu": "100m", "memory": "128Mi"})


@dataclass(frozen=True)
class PodSettings:
    """What the chart decides about worker pods."""

    agent_image: str
    agent_pull_policy: str = "IfNotPresent"
    openshift: bool = False
    log_level: str = "INFO"
    agent_resources: ResourceRequirements = field(default_factory=lambda: AGENT_RESOURCES)
    printed_bytes: int = PRINTED_BYTES
    tls_servers: tuple[str, ...] = ()
    """Servers that speak TLS. Pods that were made before they did are replaced: they do not know the CA."""


def template_hash(partition: Partition, settings: PodSettings) -> str:
    """Names what a pod was made from; pods with another hash are replaced."""
    template = {"spec": _pod_spec(partition, settings), "metadata": _template_meta(partition)}
    return hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:8]


def build_pod(partition: Partition, settings: PodSettings) -> dict[str, Any]:
    """The pod to create."""
    name = partition.metadata.name
    user = _template_meta(partition)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": f"{name}-",
            "labels": user["labels"]
            | {
                PARTITION_LABEL: name,
                TEMPLATE_HASH_LABEL: template_hash(partition, settings),
                MANAGED_BY_LABEL: "armonik-operator",
                PART_OF_LABEL: PART_OF,
            },
            "annotations": user["annotations"]
            | {
                "kubectl.kubernetes.io/default-container": WORKER_CONTAINER,
                "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes": "cache,tmp",
                "eks.amazonaws.com/skip-containers": WORKER_CONTAINER,
            },
            "ownerReferences": [
                {
                    "apiVersion": GROUP_VERSION,
                    "kind": PARTITION_KIND,
                    "name": name,
                    "uid": partition.metadata.uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": _pod_spec(partition, settings),
    }


def _template_meta(partition: Partition) -> dict[str, dict[str, str]]:
    meta = partition.spec.template.metadata
    return {
        "labels": dict((meta.labels if meta else None) or {}),
        "annotations": dict((meta.annotations if meta else None) or {}),
    }


def _pod_spec(partition: Partition, settings: PodSettings) -> dict[str, Any]:
    user = partition.spec.template.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    security: dict[str, Any] = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    if not settings.openshift:
        security |= {"runAsUser": USER, "runAsGroup": 0, "fsGroup": USER}
    return {
        **{key: user[key] for key in _PLACEMENT if key in user},
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "serviceAccountName": AGENT_SERVICE_ACCOUNT,
        "terminationGracePeriodSeconds": _grace(partition),
        "securityContext": security,
        "volumes": [
            *user.get("volumes", []),
            {"name": "cache", "emptyDir": {"sizeLimit": f"{CACHE_GIB + OBJECTS_GIB + ENVIRONMENTS_GIB}Gi"}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}},
            {"name": "credentials", "secret": {"secretName": AGENT_SECRET, "defaultMode": 0o440}},
        ],
        "initContainers": [_worker(user["worker"])],
        "containers": [_agent(partition, settings, user.get("agent"))],
    }


def _grace(partition: Partition) -> int:
    wanted = partition.spec.template.spec.termination_grace_period_seconds
    return DEFAULT_GRACE if wanted is None else wanted


def _worker(user: dict[str, Any]) -> dict[str, Any]:
    return user | {
        "name": WORKER_CONTAINER,
        "restartPolicy": "Always",
        "lifecycle": {"preStop": {"exec": {"command": ["/bin/sh", "-c", _STOP]}}},
        "resources": _resources(_WORKER_RESOURCES, user.get("resources")),
        "securityContext": user.get("securityContext", {}) | _LOCKED,
        "volumeMounts": [*user.get("volumeMounts", []), _CACHE, _TMP],
    }


def _resources(given: ResourceRequirements, wanted: dict[str, Any] | None) -> dict[str, Any]:
    """What is wanted, and of what is given what it leaves open: a limit alone is the request too."""
    wanted = wanted or {}
    base = given.model_dump(mode="json", exclude_none=True)
    limits = base.get("limits", {}) | wanted.get("limits", {})
    left = {
        name: amount
        for name, amount in base.get("requests", {}).items()
        if name not in wanted.get("limits", {})
    }
    resources = {"requests": left | wanted.get("requests", {}), "limits": limits}
    return {name: amounts for name, amounts in resources.items() if amounts}


def _agent(partition: Partition, settings: PodSettings, user: dict[str, Any] | None) -> dict[str, Any]:
    def taken(name: str, path: str) -> dict[str, Any]:
        return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}

    return {
        "name": AGENT_CONTAINER,
        "image": settings.agent_image,
        "imagePullPolicy": settings.agent_pull_policy,
        "command": ["python", "-m", "armonik_agent"],
        "env": [
            taken("POD_UID", "metadata.uid"),
            taken("POD_NAME", "metadata.name"),
            taken("POD_NAMESPACE", "metadata.namespace"),
            {"name": "ARMONIK_PARTITION", "value": partition.metadata.name},
            {"name": "ARMONIK_SLOTS", "value": str(partition.spec.slots_per_pod)},
            {"name": "ARMONIK_CREDENTIALS", "value": "/run/armonik"},
            {"name": "ARMONIK_CACHE_DIR", "value": "/cache"},
            {"name": "ARMONIK_CACHE_BYTES", "value": str(CACHE_GIB * 1024**3)},
            {"name": "ARMONIK_OBJECT_BYTES", "value": str(OBJECTS_GIB * 1024**3)},
            {"name": "ARMONIK_PRINTED_BYTES", "value": str(settings.printed_bytes)},
            {"name": "ARMONIK_HTTP_PORT", "value": "8090"},
            {"name": "ARMONIK_DRAIN_SECONDS", "value": str(max(1, _grace(partition) - LAST_COMMIT))},
            {"name": "ARMONIK_LOG_LEVEL", "value": settings.log_level},
            *(
                [{"name": "ARMONIK_TLS", "value": ",".join(settings.tls_servers)}]
                if settings.tls_servers
                else []
            ),
        ],
        "ports": [{"name": "http", "containerPort": 8090}],
        "readinessProbe": _probe("/readyz", period=2, failures=3),
        "livenessProbe": _probe("/livez", period=10, failures=6),
        "resources": _resources(settings.agent_resources, (user or {}).get("resources")),
        "securityContext": _LOCKED | {"readOnlyRootFilesystem": True},
        "volumeMounts": [_CACHE, {"name": "credentials", "mountPath": "/run/armonik", "readOnly": True}],
    }


def _probe(path: str, *, period: int, failures: int) -> dict[str, Any]:
    get = {"path": path, "port": "http"}
    return {"httpGet": get, "periodSeconds": period, "failureThreshold": failures, "timeoutSeconds": 5}
