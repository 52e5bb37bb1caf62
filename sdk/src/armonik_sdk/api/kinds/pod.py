"""The subset of a pod's fields that a Partition's template may set.

Field names and meanings are those of core/v1. What is missing is refused on purpose: host namespaces, ports,
probes, extra containers and privileges are the operator's to decide.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from armonik_sdk.api.const import API_GROUP
from armonik_sdk.api.kinds.base import ApiModel, DnsLabel, distinct_by
from armonik_sdk.api.kinds.placement import Affinity, Toleration, TopologySpreadConstraint
from armonik_sdk.api.kinds.schema import ATOMIC, Extra, cel, map_list, rules
from armonik_sdk.api.kinds.volumes import CREDENTIALS, KeyName, ObjectName, SecretName, Volume

QUANTITY_PATTERN = (
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))"
    r"(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
)
_INT_OR_STRING: Extra = {"x-kubernetes-int-or-string": True, "pattern": QUANTITY_PATTERN}


def _quantity(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    """One message for a value that is neither of the two, where pydantic has one for each."""
    try:
        return validate(value)
    except ValidationError:
        raise ValueError("must be a quantity such as 2, 500m or 1Gi") from None


Quantity = Annotated[
    int | Annotated[str, Field(pattern=QUANTITY_PATTERN)],
    WrapValidator(_quantity),
    Field(json_schema_extra=_INT_OR_STRING),
]
_Resources = Annotated[dict[str, Quantity], Field(max_length=16)]
_Strings = Annotated[
    list[Annotated[str, Field(max_length=4096)]], Field(max_length=256, json_schema_extra=ATOMIC)
]
_LabelValue = Annotated[str, Field(max_length=63)]
_OWN_PREFIX = f"{API_GROUP}/"
_OWN_KEYS = f"keys below {_OWN_PREFIX} belong to the operator"
_MOUNTED = "/cache and /tmp are mounted by the operator"
_KEYS = f"the volume {CREDENTIALS} has the agent's keys; mount a volume of the template"
_SYSTEM = "system-"
_SYSTEMS = "priority classes of the system are not for workers: their pods would push the cluster's own away"
_OURS = rules(cel(f"self.all(k, !k.startsWith('{_OWN_PREFIX}'))", _OWN_KEYS))


def _no_key_of_ours(value: dict[str, str]) -> dict[str, str]:
    if any(key.startswith(_OWN_PREFIX) for key in value):
        raise ValueError(_OWN_KEYS)
    return value


def _not_mounted_by_us(path: str) -> str:
    if path in ("/cache", "/tmp") or path.startswith("/cache/"):  # noqa: S108 - a path in the pod
        raise ValueError(_MOUNTED)
    return path


def _not_the_agents_keys(volume: str) -> str:
    if volume == CREDENTIALS:
        raise ValueError(_KEYS)
    return volume


def _not_a_systems_priority(name: str) -> str:
    if name.startswith(_SYSTEM):
        raise ValueError(_SYSTEMS)
    return name


class KeySelector(ApiModel):
    """One key of a ConfigMap or Secret."""

    name: ObjectName
    """Name of the object."""
    key: KeyName
    """Key in it."""
    optional: bool | None = None
    """Whether it may be missing."""


class SecretKeySelector(KeySelector):
    """One key of a Secret."""

    name: SecretName
    """Name of the Secret."""


class FieldSelector(ApiModel):
    """A field of the pod."""

    api_version: Annotated[str, Field(max_length=64)] | None = None
    """Version of the schema; v1 if unset."""
    field_path: Annotated[str, Field(min_length=1, max_length=512)]
    """Path of the field."""


class ResourceFieldSelector(ApiModel):
    """A resource of the container."""

    container_name: DnsLabel | None = None
    """Name of the container."""
    resource: Annotated[str, Field(min_length=1, max_length=253)]
    """Such as limits.memory."""
    divisor: Quantity | None = None
    """Unit of the value."""


class EnvVarSource(ApiModel):
    """Where the value of a variable comes from."""

    config_map_key_ref: KeySelector | None = None
    """A key of a ConfigMap."""
    secret_key_ref: SecretKeySelector | None = None
    """A key of a Secret."""
    field_ref: FieldSelector | None = None
    """A field of the pod."""
    resource_field_ref: ResourceFieldSelector | None = None
    """A resource of the container."""


class EnvVar(ApiModel):
    """One environment variable of the worker."""

    name: Annotated[str, Field(min_length=1, max_length=253)]
    """Name of the variable."""
    value: Annotated[str, Field(max_length=32_768)] | None = None
    """Its value."""
    value_from: EnvVarSource | None = None
    """Where its value comes from."""


class SourceRef(ApiModel):
    """A whole ConfigMap or Secret."""

    name: ObjectName
    """Name of the object."""
    optional: bool | None = None
    """Whether it may be missing."""


class SecretRef(SourceRef):
    """A whole Secret."""

    name: SecretName
    """Name of the Secret."""


class EnvFromSource(ApiModel):
    """Variables from all keys of a ConfigMap or Secret."""

    prefix: Annotated[str, Field(max_length=253)] | None = None
    """Put before each key."""
    config_map_ref: SourceRef | None = None
    """The ConfigMap."""
    secret_ref: SecretRef | None = None
    """The Secret."""


class ResourceRequirements(ApiModel):
    """What the worker needs and may use at most."""

    requests: _Resources | None = None
    """Needed; decides where the pod fits."""
    limits: _Resources | None = None
    """At most."""


class VolumeMount(ApiModel):
    """Where a volume appears in the worker."""

    name: Annotated[
        DnsLabel,
        Field(json_schema_extra=rules(cel(f"self != '{CREDENTIALS}'", _KEYS))),
        AfterValidator(_not_the_agents_keys),
    ]
    """Name of the volume."""
    mount_path: Annotated[
        str,
        Field(
            min_length=1,
            max_length=1024,
            json_schema_extra=rules(
                cel("!(self in ['/cache', '/tmp']) && !self.startsWith('/cache/')", _MOUNTED)
            ),
        ),
        AfterValidator(_not_mounted_by_us),
    ]
    """Path in the container; /cache and /tmp are taken."""
    sub_path: Annotated[str, Field(max_length=1024)] | None = None
    """Path inside the volume."""
    read_only: bool | None = None
    """Whether writing is refused."""


class Capabilities(ApiModel):
    """Linux capabilities; they can only be dropped."""

    drop: Annotated[
        list[Annotated[str, Field(max_length=64)]], Field(max_length=64, json_schema_extra=ATOMIC)
    ]
    """Dropped capabilities. The operator drops ALL anyway."""


class SeccompProfile(ApiModel):
    """System calls that the worker may use."""

    type: Literal["RuntimeDefault", "Localhost"]
    """RuntimeDefault or Localhost."""
    localhost_profile: Annotated[str, Field(max_length=1024)] | None = None
    """Profile on the node, for Localhost."""


class WorkerSecurityContext(ApiModel):
    """What the restricted Pod Security Standard leaves to the user."""

    run_as_user: Annotated[int, Field(ge=1, le=2_147_483_647)] | None = None
    """User id of the worker; never root."""
    run_as_group: Annotated[int, Field(ge=0, le=2_147_483_647)] | None = None
    """Group id of the worker."""
    run_as_non_root: Literal[True] | None = None
    """True in any case."""
    read_only_root_filesystem: bool | None = None
    """Whether the image's files are read-only; /tmp stays writable."""
    allow_privilege_escalation: Literal[False] | None = None
    """False in any case."""
    capabilities: Capabilities | None = None
    """Dropped in any case."""
    seccomp_profile: SeccompProfile | None = None
    """RuntimeDefault unless the node has a stricter one."""


class WorkerContainer(ApiModel):
    """The user's container: any ArmoniK worker."""

    image: Annotated[str, Field(min_length=1, max_length=1024)]
    """Image of the worker."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    """When the image is pulled."""
    command: _Strings | None = None
    """Entry point; unset means the image's."""
    args: _Strings | None = None
    """Arguments of the entry point."""
    env: (
        Annotated[
            list[EnvVar],
            Field(max_length=256, json_schema_extra=map_list("name")),
            AfterValidator(distinct_by("name")),
        ]
        | None
    ) = None
    """Environment variables."""
    env_from: Annotated[list[EnvFromSource], Field(max_length=64, json_schema_extra=ATOMIC)] | None = None
    """Environment variables from ConfigMaps and Secrets."""
    resources: ResourceRequirements | None = None
    """CPU, memory and devices. A limit alone is the request too; without both it is 100m and 128Mi."""
    volume_mounts: (
        Annotated[
            list[VolumeMount],
            Field(max_length=64, json_schema_extra=map_list("mountPath")),
            AfterValidator(distinct_by("mount_path")),
        ]
        | None
    ) = None
    """Volumes of the template that the worker sees."""
    security_context: WorkerSecurityContext | None = None
    """What the restricted Pod Security Standard leaves to the user."""


class AgentContainer(ApiModel):
    """The operator's container beside the worker."""

    resources: ResourceRequirements | None = None
    """CPU and memory, each put in place of the installation's. Below 96Mi of memory it does not start."""


class PullSecret(ApiModel):
    """A Secret with registry credentials."""

    name: SecretName
    """Name of the Secret."""


class WorkerPodSpec(ApiModel):
    """The pod, as far as the user decides it."""

    node_selector: Annotated[dict[str, _LabelValue], Field(max_length=64)] | None = None
    """Labels that a node must have."""
    tolerations: Annotated[list[Toleration], Field(max_length=64, json_schema_extra=ATOMIC)] | None = None
    """Taints of nodes that the pod bears."""
    affinity: Affinity | None = None
    """Requirements and preferences about the node and its other pods."""
    topology_spread_constraints: (
        Annotated[list[TopologySpreadConstraint], Field(max_length=16, json_schema_extra=ATOMIC)] | None
    ) = None
    """How pods are spread over zones and nodes."""
    priority_class_name: (
        Annotated[
            ObjectName,
            Field(json_schema_extra=rules(cel(f"!self.startsWith('{_SYSTEM}')", _SYSTEMS))),
            AfterValidator(_not_a_systems_priority),
        ]
        | None
    ) = None
    """Priority of the pod for the scheduler."""
    runtime_class_name: ObjectName | None = None
    """Container runtime, such as gVisor or Kata."""
    image_pull_secrets: (
        Annotated[
            list[PullSecret],
            Field(max_length=16, json_schema_extra=map_list("name")),
            AfterValidator(distinct_by("name")),
        ]
        | None
    ) = None
    """Secrets for private registries."""
    termination_grace_period_seconds: Annotated[int, Field(ge=1, le=86_400)] | None = None
    """Seconds that a stopping pod has to finish its element. Unset means 60."""
    volumes: (
        Annotated[
            list[Volume],
            Field(max_length=64, json_schema_extra=map_list("name")),
            AfterValidator(distinct_by("name")),
        ]
        | None
    ) = None
    """Volumes for the worker: configMap, secret, emptyDir, persistentVolumeClaim, projected, image."""
    worker: WorkerContainer
    """The user's container."""
    agent: AgentContainer | None = None
    """The operator's container, as far as quotas and limits of the namespace need to have a say in it."""


class TemplateMeta(ApiModel):
    """Metadata of the pods, beside what the operator adds."""

    labels: (
        Annotated[
            dict[str, _LabelValue],
            Field(max_length=64, json_schema_extra=_OURS),
            AfterValidator(_no_key_of_ours),
        ]
        | None
    ) = None
    """Labels of the pods."""
    annotations: (
        Annotated[
            dict[str, Annotated[str, Field(max_length=16_384)]],
            Field(max_length=64, json_schema_extra=_OURS),
            AfterValidator(_no_key_of_ours),
        ]
        | None
    ) = None
    """Annotations of the pods."""


class PodTemplate(ApiModel):
    """Template of the worker pods; only what is listed here is accepted."""

    metadata: TemplateMeta | None = None
    """Labels and annotations of the pods."""
    spec: WorkerPodSpec
    """The pods."""
