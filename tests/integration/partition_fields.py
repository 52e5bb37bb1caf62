"""Every field of a Partition's worker template, and of a pod of core/v1 that the template does not have.

`python tests/integration/partition_fields.py` prints the table of docs/security.md, which is made from it.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from partition_refused import REFUSED

ACCEPTED, BY_THE_KIND, BY_POD_SECURITY = "accepted", "refused by the kind", "refused by pod security"
LEVELS = ("none", "baseline", "restricted")
"""What a namespace enforces."""
TEMPLATE = "spec.template."


@dataclass(frozen=True)
class Row:
    """What happens to a field, and how a test tries it."""

    field: str
    """Below `spec.template`; what is after " = " is a value that is treated differently."""
    value: Any
    """What is tried, at that field."""
    why: str
    leaves: tuple[str, ...] = ("",)
    """Fields below it that the row is about; `**` for all there are."""
    outcomes: tuple[str, str, str] = (ACCEPTED,) * 3
    """By level of pod security."""

    @property
    def path(self) -> str:
        """The field without a value."""
        return self.field.partition(" = ")[0]


def _fields(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_KEYS = "items[].key items[].path items[].mode"
_OBJECT = "whoever may create pods in a namespace may read each {} of it in this way"
_NODES = "asks for nodes by their labels; what a node does not offer it does not give"
_LOCKED = "the operator sets it to the value of `restricted` whatever is written"
_LESS = "only takes away"
_USUAL = "an ordinary field of each container"

MAY = (
    Row("metadata.labels", {"team": "a"}, "labels of the pods, as on each pod of the namespace"),
    Row(
        "metadata.labels = armonik.io/…",
        {"armonik.io/partition": "other"},
        "the operator finds its pods by them",
        outcomes=(BY_THE_KIND,) * 3,
    ),
    Row(
        "metadata.annotations",
        {"example.org/note": "x"},
        "annotations of the pods. Your own add-ons may read some: bound those as you do for pods "
        "that users create",
    ),
    Row(
        "metadata.annotations = AppArmor off",
        {"container.apparmor.security.beta.kubernetes.io/worker": "unconfined"},
        "tried with `container.apparmor.security.beta.kubernetes.io/worker: unconfined`, as each pod "
        "may have it",
        outcomes=(ACCEPTED, BY_POD_SECURITY, BY_POD_SECURITY),
    ),
    Row("spec.nodeSelector", {"disk": "ssd"}, _NODES),
    Row(
        "spec.tolerations",
        [{"key": "gpu", "operator": "Equal", "value": "a", "effect": "NoExecute", "tolerationSeconds": 3}],
        "as for each pod: a taint keeps no user away who may create pods; use an admission plugin for that",
        ("[].key", "[].operator", "[].value", "[].effect", "[].tolerationSeconds"),
    ),
    Row(
        "spec.affinity",
        {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [{"matchExpressions": [{"key": "disk", "operator": "Exists"}]}]
                }
            }
        },
        _NODES,
        ("**",),
    ),
    Row(
        "spec.topologySpreadConstraints",
        [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}],
        _NODES,
        ("**",),
    ),
    Row(
        "spec.priorityClassName",
        "armonik-test",
        "as for each pod; bound it by a ResourceQuota with `scopeSelector`",
    ),
    Row(
        "spec.priorityClassName = system-…",
        "system-node-critical",
        "would push the cluster's own pods away",
        outcomes=(BY_THE_KIND,) * 3,
    ),
    Row(
        "spec.runtimeClassName",
        "armonik-test",
        "one that the cluster's administrators made, as for each pod",
    ),
    Row("spec.imagePullSecrets", [{"name": "registry"}], _OBJECT.format("Secret"), ("[].name",)),
    Row("spec.terminationGracePeriodSeconds", 30, _USUAL),
    Row(
        "spec.volumes",
        [{"name": "data", "emptyDir": {}}],
        "at most 64; each has one of the sources below",
        ("[].name",),
    ),
    Row(
        "spec.volumes[].name = cache, tmp, credentials",
        "credentials",
        "the operator's own volumes; `credentials` has the agent's keys",
        outcomes=(BY_THE_KIND,) * 3,
    ),
    Row(
        "spec.volumes[].configMap",
        {"name": "c", "items": [{"key": "a", "path": "a", "mode": 0o400}], "defaultMode": 0o400},
        _OBJECT.format("ConfigMap"),
        _fields(f"name {_KEYS} defaultMode optional"),
    ),
    Row(
        "spec.volumes[].secret",
        {"secretName": "s", "optional": True},
        _OBJECT.format("Secret"),
        _fields(f"secretName {_KEYS} defaultMode optional"),
    ),
    Row(
        "spec.volumes[].secret.secretName = armonik-agent, armonik-nats, armonik-s3, armonik-ca, "
        "armonik-nats-tls, armonik-s3-tls",
        "armonik-agent",
        "no worker has keys of agents or servers. Whoever may create pods of his own can read the Secret",
        outcomes=(BY_THE_KIND,) * 3,
    ),
    Row(
        "spec.volumes[].emptyDir",
        {"medium": "Memory", "sizeLimit": "64Mi"},
        "counts as the pod's memory or disk; bounded by quotas and limits of the namespace",
        _fields("medium sizeLimit"),
    ),
    Row(
        "spec.volumes[].persistentVolumeClaim",
        {"claimName": "data", "readOnly": True},
        _OBJECT.format("claim").replace("read", "mount"),
        _fields("claimName readOnly"),
    ),
    Row(
        "spec.volumes[].projected",
        {"sources": [{"configMap": {"name": "c"}}, {"secret": {"name": "s"}}]},
        "ConfigMaps and Secrets of the namespace, as above; those of agents and servers not",
        (
            *(f"sources[].configMap.{leaf}" for leaf in _fields(f"name {_KEYS} optional")),
            *(f"sources[].secret.{leaf}" for leaf in _fields(f"name {_KEYS} optional")),
            "defaultMode",
        ),
    ),
    Row(
        "spec.volumes[].image",
        {"reference": "example.org/files:1", "pullPolicy": "IfNotPresent"},
        "the files of an image, read-only, where the cluster has the feature `ImageVolume`",
        _fields("reference pullPolicy"),
    ),
    Row("spec.worker.image", "example.org/worker:1", "as each pod: the node's runtime pulls it"),
    Row("spec.worker.imagePullPolicy", "Always", _USUAL),
    Row("spec.worker.command", ["sh"], _USUAL),
    Row("spec.worker.args", ["-c", "true"], _USUAL),
    Row(
        "spec.worker.env",
        [
            {"name": "A", "value": "1"},
            {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": True}}},
            {"name": "C", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            {"name": "D", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}},
        ],
        "ConfigMaps and Secrets of the namespace, as above; fields are those of its own pod",
        _fields(
            "[].name [].value [].valueFrom.configMapKeyRef.name [].valueFrom.configMapKeyRef.key "
            "[].valueFrom.configMapKeyRef.optional [].valueFrom.secretKeyRef.name "
            "[].valueFrom.secretKeyRef.key [].valueFrom.secretKeyRef.optional "
            "[].valueFrom.fieldRef.apiVersion [].valueFrom.fieldRef.fieldPath "
            "[].valueFrom.resourceFieldRef.containerName [].valueFrom.resourceFieldRef.resource "
            "[].valueFrom.resourceFieldRef.divisor"
        ),
    ),
    Row(
        "spec.worker.envFrom",
        [{"prefix": "P_", "configMapRef": {"name": "c", "optional": True}}, {"secretRef": {"name": "s"}}],
        "ConfigMaps and Secrets of the namespace, as above",
        _fields(
            "[].prefix [].configMapRef.name [].configMapRef.optional [].secretRef.name [].secretRef.optional"
        ),
    ),
    Row(
        "spec.worker.resources",
        {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}},
        "counts in quotas and limits of the namespace as of each pod, devices too",
        _fields("requests limits"),
    ),
    Row(
        "spec.worker.volumeMounts",
        [{"name": "tmp", "mountPath": "/data", "subPath": "a", "readOnly": True}],
        "volumes of its own pod",
        _fields("[].name [].mountPath [].subPath [].readOnly"),
    ),
    Row(
        "spec.worker.volumeMounts[].name = credentials",
        "credentials",
        "only the agent mounts its keys",
        outcomes=(BY_THE_KIND,) * 3,
    ),
    Row(
        "spec.worker.volumeMounts[].mountPath = /cache, /tmp",
        "/cache/data",
        "the folder that agent and worker share",
        outcomes=(BY_THE_KIND,) * 3,
    ),
    Row("spec.worker.securityContext.runAsUser", 1000, "any user but root"),
    Row("spec.worker.securityContext.runAsUser = 0", 0, "root", outcomes=(BY_THE_KIND,) * 3),
    Row(
        "spec.worker.securityContext.runAsGroup", 0, "group 0 gives no rights; images for OpenShift expect it"
    ),
    Row("spec.worker.securityContext.runAsNonRoot", True, "`true` alone; " + _LOCKED),
    Row("spec.worker.securityContext.runAsNonRoot = false", False, "root", outcomes=(BY_THE_KIND,) * 3),
    Row("spec.worker.securityContext.readOnlyRootFilesystem", True, _LESS),
    Row("spec.worker.securityContext.allowPrivilegeEscalation", False, "`false` alone; " + _LOCKED),
    Row(
        "spec.worker.securityContext.allowPrivilegeEscalation = true",
        True,
        "programs with more rights than the worker",
        outcomes=(BY_THE_KIND,) * 3,
    ),
    Row(
        "spec.worker.securityContext.capabilities.drop", ["ALL"], "the operator drops all whatever is written"
    ),
    Row(
        "spec.worker.securityContext.seccompProfile",
        {"type": "Localhost", "localhostProfile": "profiles/a.json"},
        "`RuntimeDefault`, or a profile that the node's administrator put there",
        _fields("type localhostProfile"),
    ),
    Row(
        "spec.worker.securityContext.seccompProfile.type = Unconfined",
        "Unconfined",
        "all system calls",
        outcomes=(BY_THE_KIND,) * 3,
    ),
    Row(
        "spec.agent.resources",
        {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}},
        "of the agent nothing else can be written: not its image, not its command",
        _fields("requests limits"),
    ),
)


def rows() -> Iterator[Row]:
    """Fields of the template, then those of core/v1 that it does not have."""
    yield from MAY
    for field, value, why in REFUSED:
        yield Row(field, value, why, (), (BY_THE_KIND,) * 3)


ROWS = tuple(rows())


def page() -> str:
    """The table of the documentation."""
    head = "| field below `spec.template` | no pod security | `baseline` | `restricted` | why |"
    found = (f"| `{row.field}` | {' | '.join(row.outcomes)} | {row.why} |" for row in ROWS)
    lines = [head, "|---|---|---|---|---|", *found]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
