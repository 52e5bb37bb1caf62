"""Fields of a pod of core/v1 that a Partition's template does not have: a value, and why it is missing."""

from typing import Any

_HOST = "the node's own"
_OPERATOR = "the operator's to decide"
_SERVERS = "reaches storage of the cluster with rights of the node; use a claim"
_IDENTITY = "workers have no Kubernetes credentials; pods run as `armonik-agent`, without rights and token"
_CLAIMED = "devices are asked for by `resources` alone"

_POD: tuple[tuple[str, Any, str], ...] = (
    ("hostNetwork", True, f"{_HOST} network"),
    ("hostPID", True, f"{_HOST} processes"),
    ("hostIPC", True, f"{_HOST} shared memory"),
    ("hostUsers", True, f"{_HOST} user ids"),
    ("hostname", "x", _OPERATOR),
    ("hostnameOverride", "x", _OPERATOR),
    ("hostAliases", [{"ip": "127.0.0.1", "hostnames": ["nats"]}], "would lead the agent to another server"),
    ("shareProcessNamespace", True, "the worker would see the agent's processes, and its keys by them"),
    ("serviceAccountName", "admin", _IDENTITY),
    ("serviceAccount", "admin", _IDENTITY),
    ("automountServiceAccountToken", True, _IDENTITY),
    ("nodeName", "node-1", "goes past the scheduler, and past what keeps pods off nodes"),
    ("schedulerName", "mine", _OPERATOR),
    ("schedulingGates", [{"name": "example.org/gate"}], _OPERATOR),
    ("priority", 2_000_000_000, "Kubernetes derives it from `priorityClassName`"),
    ("preemptionPolicy", "Never", "part of the PriorityClass"),
    ("overhead", {"cpu": "1"}, "Kubernetes derives it from `runtimeClassName`"),
    (
        "securityContext",
        {"runAsUser": 0},
        "the operator writes that of `restricted`; sysctls and groups are not the user's",
    ),
    ("containers", [], "one worker and the agent"),
    ("initContainers", [], "the same"),
    (
        "ephemeralContainers",
        [],
        "Kubernetes itself takes them only by a request of their own, with rights of their own",
    ),
    ("activeDeadlineSeconds", 60, _OPERATOR),
    ("restartPolicy", "Never", _OPERATOR),
    ("readinessGates", [{"conditionType": "example.org/ready"}], _OPERATOR),
    ("enableServiceLinks", True, _OPERATOR),
    ("dnsConfig", {"nameservers": ["192.0.2.1"]}, "would lead the agent to another server"),
    ("dnsPolicy", "None", "the same"),
    ("subdomain", "x", _OPERATOR),
    ("setHostnameAsFQDN", True, _OPERATOR),
    ("os", {"name": "windows"}, "agents run on Linux"),
    ("resources", {"limits": {"cpu": "1"}}, "of each container instead"),
    ("resourceClaims", [{"name": "gpu", "resourceClaimName": "gpu"}], _CLAIMED),
)
_WORKER: tuple[tuple[str, Any, str], ...] = (
    ("name", "agent", _OPERATOR),
    ("ports", [{"containerPort": 80, "hostPort": 80}], f"a `hostPort` is {_HOST}; others change nothing"),
    (
        "lifecycle",
        {"preStop": {"exec": {"command": ["true"]}}},
        "the operator ends workers by a hook of its own",
    ),
    ("livenessProbe", {"exec": {"command": ["true"]}}, "the agent watches the worker"),
    ("readinessProbe", {"exec": {"command": ["true"]}}, "the same"),
    ("startupProbe", {"exec": {"command": ["true"]}}, "the same"),
    ("restartPolicy", "Never", _OPERATOR),
    ("restartPolicyRules", [{"action": "Restart"}], _OPERATOR),
    ("resizePolicy", [{"resourceName": "cpu", "restartPolicy": "NotRequired"}], _OPERATOR),
    ("stdin", True, _OPERATOR),
    ("stdinOnce", True, _OPERATOR),
    ("tty", True, _OPERATOR),
    ("terminationMessagePath", "/cache/message", _OPERATOR),
    ("terminationMessagePolicy", "File", _OPERATOR),
    ("volumeDevices", [{"name": "data", "devicePath": "/dev/xvda"}], "raw devices"),
    ("workingDir", "/", _OPERATOR),
    ("resources.claims", [{"name": "gpu"}], _CLAIMED),
    ("volumeMounts[].mountPropagation", "Bidirectional", "mounts of the worker would appear on the node"),
    ("volumeMounts[].recursiveReadOnly", "Enabled", "`readOnly` is there"),
    ("volumeMounts[].subPathExpr", "$(A)", "`subPath` is there"),
    ("env[].valueFrom.fileKeyRef", {"path": "a", "key": "k", "volumeName": "data"}, "`value` is there"),
)
_CONTEXT: tuple[tuple[str, Any, str], ...] = (
    ("privileged", True, "all rights of the node"),
    ("procMount", "Unmasked", "what the runtime hides of the kernel"),
    ("capabilities.add", ["SYS_ADMIN"], "rights of the node's root"),
    ("appArmorProfile", {"type": "Unconfined"}, "the runtime's default profile is used"),
    ("seLinuxOptions", {"type": "spc_t"}, "labels of other pods, or of the node"),
    ("windowsOptions", {"hostProcess": True}, "agents run on Linux"),
)
_VOLUMES: tuple[tuple[str, Any, str], ...] = (
    ("hostPath", {"path": "/"}, f"{_HOST} files"),
    ("csi", {"driver": "example.org"}, "a driver on the node decides what it gives; use a claim"),
    ("ephemeral", {"volumeClaimTemplate": {"spec": {}}}, "makes claims; make one yourself"),
    ("downwardAPI", {"items": []}, "variables with `fieldRef` are there"),
    ("projected.sources[].serviceAccountToken", {"path": "token"}, _IDENTITY),
    ("projected.sources[].podCertificate", {"signerName": "example.org/s", "keyType": "ED25519"}, _IDENTITY),
    ("projected.sources[].clusterTrustBundle", {"name": "b", "path": "p"}, "put it into a ConfigMap"),
    ("projected.sources[].downwardAPI", {"items": []}, "variables with `fieldRef` are there"),
    ("gitRepo", {"repository": "https://example.org/r"}, "runs `git` on the node"),
    ("nfs", {"server": "192.0.2.1", "path": "/"}, _SERVERS),
    ("iscsi", {"targetPortal": "192.0.2.1", "iqn": "iqn.2001-04.org.example:d", "lun": 0}, _SERVERS),
    ("fc", {"wwids": ["3600508b400105e210000900000490000"]}, _SERVERS),
    ("rbd", {"monitors": ["192.0.2.1"], "image": "i"}, _SERVERS),
    ("cephfs", {"monitors": ["192.0.2.1"]}, _SERVERS),
    ("glusterfs", {"endpoints": "e", "path": "p"}, _SERVERS),
    ("cinder", {"volumeID": "v"}, _SERVERS),
    ("awsElasticBlockStore", {"volumeID": "v"}, _SERVERS),
    ("gcePersistentDisk", {"pdName": "v"}, _SERVERS),
    ("azureDisk", {"diskName": "d", "diskURI": "u"}, _SERVERS),
    ("azureFile", {"secretName": "s", "shareName": "f"}, _SERVERS),
    ("vsphereVolume", {"volumePath": "v"}, _SERVERS),
    ("portworxVolume", {"volumeID": "v"}, _SERVERS),
    ("scaleIO", {"gateway": "g", "system": "s", "secretRef": {"name": "s"}}, _SERVERS),
    ("storageos", {"volumeName": "v"}, _SERVERS),
    ("quobyte", {"registry": "r", "volume": "v"}, _SERVERS),
    ("photonPersistentDisk", {"pdID": "v"}, _SERVERS),
    ("flocker", {"datasetName": "d"}, _SERVERS),
    ("flexVolume", {"driver": "d"}, _SERVERS),
)

REFUSED = (
    *((f"spec.{name}", value, why) for name, value, why in _POD),
    *((f"spec.worker.{name}", value, why) for name, value, why in _WORKER),
    *((f"spec.worker.securityContext.{name}", value, why) for name, value, why in _CONTEXT),
    *((f"spec.volumes[].{name}", value, why) for name, value, why in _VOLUMES),
)
"""Field below `spec.template`, value, and why it is missing."""
CORE = {
    "io.k8s.api.core.v1.PodSpec": "spec",
    "io.k8s.api.core.v1.Container": "spec.worker",
    "io.k8s.api.core.v1.SecurityContext": "spec.worker.securityContext",
    "io.k8s.api.core.v1.Capabilities": "spec.worker.securityContext.capabilities",
    "io.k8s.api.core.v1.ResourceRequirements": "spec.worker.resources",
    "io.k8s.api.core.v1.VolumeMount": "spec.worker.volumeMounts[]",
    "io.k8s.api.core.v1.EnvVarSource": "spec.worker.env[].valueFrom",
    "io.k8s.api.core.v1.Volume": "spec.volumes[]",
    "io.k8s.api.core.v1.VolumeProjection": "spec.volumes[].projected.sources[]",
}
"""Schemas of Kubernetes, each with where its fields are in the template."""
