"""Where pods may run; names and meanings are those of core/v1."""

from typing import Annotated, Literal

from pydantic import Field

from armonik_sdk.api.kinds.base import ApiModel
from armonik_sdk.api.kinds.schema import ATOMIC

_Key = Annotated[str, Field(min_length=1, max_length=317)]
_Values = Annotated[
    list[Annotated[str, Field(max_length=63)]], Field(max_length=64, json_schema_extra=ATOMIC)
]
_Weight = Annotated[int, Field(ge=1, le=100)]


class Toleration(ApiModel):
    """A taint that the pod bears."""

    key: Annotated[str, Field(max_length=317)] | None = None
    """Key of the taint; unset with Exists means every taint."""
    operator: Literal["Exists", "Equal"] | None = None
    """Exists or Equal; Equal if unset."""
    value: Annotated[str, Field(max_length=63)] | None = None
    """Value of the taint, for Equal."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Effect of the taint; unset means every effect."""
    toleration_seconds: Annotated[int, Field(ge=0)] | None = None
    """How long NoExecute is borne, in seconds."""


class LabelRequirement(ApiModel):
    """A condition on one label."""

    key: _Key
    """Key of the label."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    """In, NotIn, Exists or DoesNotExist."""
    values: _Values | None = None
    """Values, for In and NotIn."""


class NodeRequirement(ApiModel):
    """A condition on one label of a node."""

    key: _Key
    """Key of the label."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]
    """In, NotIn, Exists, DoesNotExist, Gt or Lt."""
    values: _Values | None = None
    """Values, but for Exists and DoesNotExist."""


_NodeRequirements = Annotated[list[NodeRequirement], Field(max_length=64, json_schema_extra=ATOMIC)]


class NodeSelectorTerm(ApiModel):
    """Conditions that must all hold."""

    match_expressions: _NodeRequirements | None = None
    """On labels of the node."""
    match_fields: _NodeRequirements | None = None
    """On fields of the node."""


class NodeSelector(ApiModel):
    """Terms of which one must hold."""

    node_selector_terms: Annotated[
        list[NodeSelectorTerm], Field(min_length=1, max_length=32, json_schema_extra=ATOMIC)
    ]
    """The terms."""


class PreferredNode(ApiModel):
    """A preference about the node."""

    weight: _Weight
    """1 to 100."""
    preference: NodeSelectorTerm
    """The preferred node."""


class NodeAffinity(ApiModel):
    """Requirements and preferences about the node."""

    required_during_scheduling_ignored_during_execution: NodeSelector | None = None
    """What the node must have."""
    preferred_during_scheduling_ignored_during_execution: (
        Annotated[list[PreferredNode], Field(max_length=32, json_schema_extra=ATOMIC)] | None
    ) = None
    """What the node should have."""


class LabelSelector(ApiModel):
    """Chooses objects by their labels."""

    match_labels: Annotated[dict[str, Annotated[str, Field(max_length=63)]], Field(max_length=64)] | None = (
        None
    )
    """Labels they must have."""
    match_expressions: (
        Annotated[list[LabelRequirement], Field(max_length=64, json_schema_extra=ATOMIC)] | None
    ) = None
    """Conditions on their labels."""


class PodAffinityTerm(ApiModel):
    """Pods to be near to or away from."""

    label_selector: LabelSelector | None = None
    """The pods."""
    namespaces: (
        Annotated[list[Annotated[str, Field(max_length=63)]], Field(max_length=64, json_schema_extra=ATOMIC)]
        | None
    ) = None
    """Their namespaces; unset means this one."""
    topology_key: _Key
    """Label of nodes that says what near means."""


_PodTerms = Annotated[list[PodAffinityTerm], Field(max_length=32, json_schema_extra=ATOMIC)]


class WeightedPodAffinityTerm(ApiModel):
    """A preference about other pods of the node."""

    weight: _Weight
    """1 to 100."""
    pod_affinity_term: PodAffinityTerm
    """The neighbours."""


_WeightedPodTerms = Annotated[list[WeightedPodAffinityTerm], Field(max_length=32, json_schema_extra=ATOMIC)]


class PodAffinity(ApiModel):
    """Requirements and preferences about other pods of the node."""

    required_during_scheduling_ignored_during_execution: _PodTerms | None = None
    """What must hold."""
    preferred_during_scheduling_ignored_during_execution: _WeightedPodTerms | None = None
    """What should hold."""


class Affinity(ApiModel):
    """Requirements and preferences about the node and its other pods."""

    node_affinity: NodeAffinity | None = None
    """About the node."""
    pod_affinity: PodAffinity | None = None
    """Pods to be near to."""
    pod_anti_affinity: PodAffinity | None = None
    """Pods to be away from."""


class TopologySpreadConstraint(ApiModel):
    """How evenly pods are spread."""

    max_skew: Annotated[int, Field(ge=1)]
    """Largest difference between two domains."""
    topology_key: _Key
    """Label of nodes that makes a domain."""
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"]
    """DoNotSchedule or ScheduleAnyway."""
    label_selector: LabelSelector | None = None
    """The pods that count."""
    min_domains: Annotated[int, Field(ge=1)] | None = None
    """Fewest domains, for DoNotSchedule."""
