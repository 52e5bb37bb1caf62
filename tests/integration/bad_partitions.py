"""Partitions that the apiserver must refuse, each with the field it must name."""

from manifests import NO_SUCH, Bad, partition, pods, worker

POD = "spec.template.spec"

PARTITIONS = [
    Bad("no maximum", partition({"podMax": ...}), "spec.podMax", "Required value"),
    Bad("no template", partition({"template": ...}), "spec.template", "Required value"),
    Bad("no worker", partition({"template": {"spec": {}}}), f"{POD}.worker", "Required value"),
    Bad(
        "no image", partition({"template": {"spec": {"worker": {}}}}), f"{POD}.worker.image", "Required value"
    ),
    Bad("41 letters in the name", partition({}, "p" * 41), "metadata.name", "at most 40 characters"),
    Bad(
        "floor above the maximum", partition({"podReserved": 3}), "spec.podReserved", "must not exceed podMax"
    ),
    Bad("negative floor", partition({"podReserved": -1}), "spec.podReserved", "greater than or equal to 0"),
    Bad("no slots", partition({"slotsPerPod": 0}), "spec.slotsPerPod", "greater than or equal to 1"),
    Bad("priority 0", partition({"priority": 0}), "spec.priority", "greater than or equal to 1"),
    Bad(
        "preemption of 101 percent",
        partition({"preemptionPercentage": 101}),
        "spec.preemptionPercentage",
        "less than or equal to 100",
    ),
    Bad("host network", pods({"hostNetwork": True}), f"{POD}.hostNetwork", NO_SUCH),
    Bad("second container", pods({"containers": []}), f"{POD}.containers", NO_SUCH),
    Bad("own service account", pods({"serviceAccountName": "admin"}), f"{POD}.serviceAccountName", NO_SUCH),
    Bad(
        "privileged worker",
        pods({}, {"securityContext": {"privileged": True}}),
        f"{POD}.worker.securityContext.privileged",
        NO_SUCH,
    ),
    Bad(
        "worker as root",
        pods({}, {"securityContext": {"runAsUser": 0}}),
        f"{POD}.worker.securityContext.runAsUser",
        "greater than or equal to 1",
    ),
    Bad(
        "privilege escalation",
        pods({}, {"securityContext": {"allowPrivilegeEscalation": True}}),
        f"{POD}.worker.securityContext.allowPrivilegeEscalation",
        "Unsupported value: true",
    ),
    Bad(
        "added capability",
        pods({}, {"securityContext": {"capabilities": {"drop": [], "add": ["SYS_ADMIN"]}}}),
        f"{POD}.worker.securityContext.capabilities.add",
        NO_SUCH,
    ),
    Bad(
        "quantity that is none",
        pods({}, {"resources": {"limits": {"memory": "1 GB"}}}),
        f"{POD}.worker.resources.limits.memory",
        "should match",
    ),
    Bad(
        "pull policy",
        pods({}, {"imagePullPolicy": "Sometimes"}),
        f"{POD}.worker.imagePullPolicy",
        'Unsupported value: "Sometimes"',
    ),
    Bad(
        "variable twice",
        pods({}, {"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}),
        f"{POD}.worker.env[1]",
        "Duplicate value",
    ),
    Bad(
        "variable without a name",
        pods({}, {"env": [{"value": "1"}]}),
        f"{POD}.worker.env[0].name",
        "Required",
    ),
    Bad(
        "mount over the shared folder",
        pods({}, {"volumeMounts": [{"name": "v", "mountPath": "/cache/data"}]}),
        f"{POD}.worker.volumeMounts[0].mountPath",
        "mounted by the operator",
    ),
    Bad(
        "host path",
        pods({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}),
        f"{POD}.volumes[0].hostPath",
        NO_SUCH,
    ),
    Bad("volume without a source", pods({"volumes": [{"name": "v"}]}), f"{POD}.volumes[0]", "exactly one of"),
    Bad(
        "volume with two sources",
        pods({"volumes": [{"name": "v", "emptyDir": {}, "configMap": {"name": "c"}}]}),
        f"{POD}.volumes[0]",
        "exactly one of",
    ),
    Bad(
        "volume named like ours",
        pods({"volumes": [{"name": "credentials", "emptyDir": {}}]}),
        f"{POD}.volumes[0].name",
        "made by the operator",
    ),
    Bad(
        "mount of the agent's keys",
        pods({}, {"volumeMounts": [{"name": "credentials", "mountPath": "/keys"}]}),
        f"{POD}.worker.volumeMounts[0].name",
        "has the agent's keys",
    ),
    Bad(
        "volume of the agents' Secret",
        pods({"volumes": [{"name": "v", "secret": {"secretName": "armonik-agent"}}]}),
        f"{POD}.volumes[0].secret.secretName",
        "not for workers",
    ),
    Bad(
        "volume of the CA's Secret",
        pods({"volumes": [{"name": "v", "secret": {"secretName": "armonik-ca"}}]}),
        f"{POD}.volumes[0].secret.secretName",
        "not for workers",
    ),
    Bad(
        "variable from a server's certificate",
        pods({}, {"envFrom": [{"secretRef": {"name": "armonik-nats-tls"}}]}),
        f"{POD}.worker.envFrom[0].secretRef.name",
        "not for workers",
    ),
    Bad(
        "projected Secret of the agents",
        pods({"volumes": [{"name": "v", "projected": {"sources": [{"secret": {"name": "armonik-agent"}}]}}]}),
        f"{POD}.volumes[0].projected.sources[0].secret.name",
        "not for workers",
    ),
    Bad(
        "variable from the agents' Secret",
        pods(
            {},
            {
                "env": [
                    {
                        "name": "A",
                        "valueFrom": {"secretKeyRef": {"name": "armonik-agent", "key": "nats-password"}},
                    }
                ]
            },
        ),
        f"{POD}.worker.env[0].valueFrom.secretKeyRef.name",
        "not for workers",
    ),
    Bad(
        "variables from the servers' Secret",
        pods({}, {"envFrom": [{"secretRef": {"name": "armonik-nats"}}]}),
        f"{POD}.worker.envFrom[0].secretRef.name",
        "not for workers",
    ),
    Bad(
        "priority class of the system",
        pods({"priorityClassName": "system-node-critical"}),
        f"{POD}.priorityClassName",
        "not for workers",
    ),
    Bad(
        "image of the agent",
        pods({"agent": {"image": "mine:1"}}),
        f"{POD}.agent.image",
        NO_SUCH,
    ),
    Bad(
        "service account token",
        pods(
            {"volumes": [{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]}
        ),
        f"{POD}.volumes[0].projected.sources[0].serviceAccountToken",
        NO_SUCH,
    ),
    Bad(
        "label of ours",
        partition({"template": {"metadata": {"labels": {"armonik.io/partition": "x"}}, "spec": worker()}}),
        "spec.template.metadata.labels",
        "belong to the operator",
    ),
    Bad(
        "no grace at all",
        pods({"terminationGracePeriodSeconds": 0}),
        f"{POD}.terminationGracePeriodSeconds",
        "greater than or equal to 1",
    ),
    Bad(
        "toleration of nothing known",
        pods({"tolerations": [{"operator": "Sometimes"}]}),
        f"{POD}.tolerations[0].operator",
        'Unsupported value: "Sometimes"',
    ),
    Bad(
        "affinity of weight 0",
        pods(
            {
                "affinity": {
                    "nodeAffinity": {
                        "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 0, "preference": {}}]
                    }
                }
            }
        ),
        f"{POD}.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight",
        "greater than or equal to 1",
    ),
]
