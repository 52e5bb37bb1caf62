"""Volumes that a worker may use; names and meanings are those of core/v1."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from armonik_sdk.api.const import AGENT_SECRET, CA_SECRET, NATS_SECRET, S3_SECRET, TLS_SECRETS
from armonik_sdk.api.kinds.base import ApiModel, DnsLabel
from armonik_sdk.api.kinds.schema import ATOMIC, Extra, cel, rules

ObjectName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    ),
]
"""A name of a Kubernetes object: DNS labels joined by dots."""
_OWN_SECRETS = (AGENT_SECRET, NATS_SECRET, S3_SECRET, CA_SECRET, *TLS_SECRETS.values())
_OWN_SECRET = f"the Secrets {', '.join(_OWN_SECRETS)} are for agents and servers, not for workers"
_IS_OWN_SECRET = f"self in {list(_OWN_SECRETS)}"


def _not_an_own_secret(name: str) -> str:
    if name in _OWN_SECRETS:
        raise ValueError(_OWN_SECRET)
    return name


SecretName = Annotated[
    ObjectName,
    Field(json_schema_extra=rules(cel(f"!({_IS_OWN_SECRET})", _OWN_SECRET))),
    AfterValidator(_not_an_own_secret),
]
"""Name of a Secret that workers may see."""
KeyName = Annotated[str, Field(min_length=1, max_length=253, pattern="^[-._a-zA-Z0-9]+$")]
"""A key of a ConfigMap or Secret."""
_Mode = Annotated[int, Field(ge=0, le=0o777)]
_Path = Annotated[str, Field(min_length=1, max_length=1024)]

CREDENTIALS = "credentials"
"""The operator's volume with the agent's keys, which no worker mounts."""
_RESERVED = ("cache", "tmp", CREDENTIALS)
"""Volumes that the operator adds to every pod."""
_SOURCES = ("configMap", "secret", "emptyDir", "persistentVolumeClaim", "projected", "image")


class KeyToPath(ApiModel):
    """A key and the file it becomes."""

    key: KeyName
    """Key in the object."""
    path: _Path
    """File in the volume."""
    mode: _Mode | None = None
    """Permissions of the file."""


_Items = Annotated[list[KeyToPath], Field(max_length=256, json_schema_extra=ATOMIC)]


class ConfigMapVolume(ApiModel):
    """Files from a ConfigMap."""

    name: ObjectName
    """Name of the ConfigMap."""
    items: _Items | None = None
    """Only these keys; unset means all."""
    default_mode: _Mode | None = None
    """Permissions of the files."""
    optional: bool | None = None
    """Whether it may be missing."""


class SecretVolume(ApiModel):
    """Files from a Secret."""

    secret_name: SecretName
    """Name of the Secret."""
    items: _Items | None = None
    """Only these keys; unset means all."""
    default_mode: _Mode | None = None
    """Permissions of the files."""
    optional: bool | None = None
    """Whether it may be missing."""


class EmptyDirVolume(ApiModel):
    """An empty folder that lives as long as the pod."""

    medium: Literal["", "Memory"] | None = None
    """Memory for a folder in memory."""
    size_limit: Annotated[str, Field(min_length=1, max_length=32)] | None = None
    """Largest size, such as 1Gi."""


class ClaimVolume(ApiModel):
    """A claimed volume."""

    claim_name: ObjectName
    """Name of the PersistentVolumeClaim."""
    read_only: bool | None = None
    """Whether writing is refused."""


class ImageVolume(ApiModel):
    """The files of an image."""

    reference: Annotated[str, Field(min_length=1, max_length=1024)]
    """The image."""
    pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    """When it is pulled."""


class ProjectedObject(ApiModel):
    """A ConfigMap or Secret inside a projected volume."""

    name: ObjectName
    """Name of the object."""
    items: _Items | None = None
    """Only these keys; unset means all."""
    optional: bool | None = None
    """Whether it may be missing."""


class ProjectedSecret(ProjectedObject):
    """A Secret inside a projected volume."""

    name: SecretName
    """Name of the Secret."""


class ProjectedSource(ApiModel):
    """One source of a projected volume; no service account tokens, workers have no Kubernetes credentials."""

    config_map: ProjectedObject | None = None
    """Files from a ConfigMap."""
    secret: ProjectedSecret | None = None
    """Files from a Secret."""


class ProjectedVolume(ApiModel):
    """Files from several ConfigMaps and Secrets."""

    sources: Annotated[list[ProjectedSource], Field(min_length=1, max_length=32, json_schema_extra=ATOMIC)]
    """Where the files come from."""
    default_mode: _Mode | None = None
    """Permissions of the files."""


_TAKEN = f"the volumes {', '.join(_RESERVED)} are made by the operator"
_NAME_FREE: Extra = rules(cel(f"!(self in {list(_RESERVED)})", _TAKEN))


def _not_taken(name: str) -> str:
    if name in _RESERVED:
        raise ValueError(_TAKEN)
    return name


class Volume(ApiModel):
    """One volume; exactly one source."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            cel(
                f"[{', '.join(f'has(self.{source})' for source in _SOURCES)}].filter(x, x).size() == 1",
                f"exactly one of {', '.join(_SOURCES)}",
            )
        )
    )

    name: Annotated[DnsLabel, Field(json_schema_extra=_NAME_FREE), AfterValidator(_not_taken)]
    """Name of the volume in this pod."""
    config_map: ConfigMapVolume | None = None
    """Files from a ConfigMap."""
    secret: SecretVolume | None = None
    """Files from a Secret."""
    empty_dir: EmptyDirVolume | None = None
    """An empty folder that lives as long as the pod."""
    persistent_volume_claim: ClaimVolume | None = None
    """A claimed volume."""
    projected: ProjectedVolume | None = None
    """Files from several ConfigMaps and Secrets."""
    image: ImageVolume | None = None
    """The files of an image."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        fields = type(self).model_fields
        if sum(getattr(self, name) is not None for name in fields if name != "name") != 1:
            raise ValueError(f"exactly one of {', '.join(_SOURCES)}")
        return self
