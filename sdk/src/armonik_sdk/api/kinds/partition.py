"""Partition: worker pods of one kind, and how many of them."""

from typing import Annotated, Self

from pydantic import ConfigDict, Field, model_validator

from armonik_sdk.api.const import MAX_PARTITION_NAME, MAX_PRIORITY, MIN_PRIORITY, PARTITION_KIND
from armonik_sdk.api.kinds.base import ApiModel
from armonik_sdk.api.kinds.meta import Resource
from armonik_sdk.api.kinds.pod import PodTemplate
from armonik_sdk.api.kinds.schema import SCHEMA_DEFAULT, cel, rules
from armonik_sdk.api.kinds.status import Status

_FLOOR = "podReserved must not exceed podMax"
_MAX_PODS = 10_000


class PartitionSpec(ApiModel):
    """What the user wants to run."""

    model_config = ConfigDict(
        json_schema_extra=rules(cel("self.podReserved <= self.podMax", _FLOOR, field_path=".podReserved"))
    )

    pod_reserved: Annotated[int, Field(ge=0, le=_MAX_PODS, json_schema_extra=SCHEMA_DEFAULT)] = 0
    """Pods that run even without work. The scale subresource sets it; the operator never does."""
    pod_max: Annotated[int, Field(ge=0, le=_MAX_PODS)]
    """Most pods at a time; 0 stops the partition."""
    slots_per_pod: Annotated[int, Field(ge=1, le=64)] = 1
    """Elements that one pod computes at a time. Unset means 1."""
    idle_seconds: Annotated[int, Field(ge=0, le=86_400)] = 60
    """Seconds without work after which a pod above the floor is removed. Unset means 60."""
    priority: Annotated[int, Field(ge=MIN_PRIORITY, le=MAX_PRIORITY)] = 1
    """1 to 99; partitions of higher priority get pods first. Unset means 1."""
    preemption_percentage: Annotated[int, Field(ge=0, le=100)] = 0
    """Share of the pods that a partition of higher priority may take over, in percent. Unset means 0."""
    template: PodTemplate
    """The worker pods. Who may write this may run pods in the namespace."""

    @model_validator(mode="after")
    def _floor_below_maximum(self) -> Self:
        if self.pod_reserved > self.pod_max:
            raise ValueError(_FLOOR)
        return self


_Count = Annotated[int, Field(ge=0)]


class WorkerInfo(ApiModel):
    """What the workers of a partition are, as they say it at their start."""

    kind: Annotated[str, Field(max_length=32)] = ""
    """`functions` runs functions that it is sent, `function` one of its own, `armonik` any other worker."""
    python: Annotated[str, Field(max_length=16)] = ""
    """Python of the first two, major and minor: `3.12`."""
    sdk: Annotated[str, Field(max_length=32)] = ""
    """Version of the SDK there."""
    cloudpickle: Annotated[str, Field(max_length=32)] = ""
    """Version of cloudpickle there; of `functions` alone."""
    platform: Annotated[str, Field(max_length=64)] = ""
    """For which packages must be made: `x86_64-manylinux_2_36`."""


class PartitionStatus(Status):
    """What the operator observed; written by it alone."""

    replicas: _Count = 0
    """Pods that exist."""
    ready_replicas: _Count = 0
    """Pods whose agent and worker are ready."""
    busy_replicas: _Count = 0
    """Pods that compute something."""
    queued: _Count = 0
    """Elements that wait for this partition."""
    elements_per_minute: _Count = 0
    """Elements that ended here in a minute, of the last five minutes; 0 while that is not known."""
    selector: Annotated[str, Field(max_length=253)] = ""
    """Label selector of the pods, for the scale subresource."""
    worker: WorkerInfo | None = None
    """What its workers are: of the oldest pod, while there are different ones. Unset before the first pod."""


class Partition(Resource):
    """Worker pods of one kind: their template, their floor and maximum, their priority."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            cel(
                f"self.metadata.name.size() <= {MAX_PARTITION_NAME} && !self.metadata.name.contains('.')",
                f"metadata.name must be a DNS label of at most {MAX_PARTITION_NAME} characters (no dots)",
                field_path=".metadata.name",
            )
        )
    )

    kind: str = PARTITION_KIND
    spec: PartitionSpec
    status: PartitionStatus | None = None

    @model_validator(mode="after")
    def _short_name(self) -> Self:
        if len(self.metadata.name) > MAX_PARTITION_NAME:
            raise ValueError(f"metadata.name must be at most {MAX_PARTITION_NAME} characters")
        return self
