"""Metadata and conditions, and the base of the three kinds."""

import json
import logging
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, field_validator

from armonik_sdk.api.const import GROUP_VERSION, MAX_MESSAGE, ConditionStatus, ConditionType
from armonik_sdk.api.errors import FieldProblem, InvalidManifest, explain
from armonik_sdk.api.kinds.base import STORED, ApiModel, DnsLabel, Time
from armonik_sdk.api.names import NamespacedName

log = logging.getLogger(__name__)


class OwnerReference(ApiModel):
    """The object that this one is garbage-collected with."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool | None = None
    block_owner_deletion: bool | None = None


class ObjectMeta(ApiModel):
    """The part of Kubernetes' metadata that we read or write."""

    name: DnsLabel = ""
    generate_name: str | None = None
    namespace: str | None = None
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: Time | None = None
    deletion_timestamp: Time | None = None
    deletion_grace_period_seconds: int | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    finalizers: list[str] = Field(default_factory=list)
    owner_references: list[OwnerReference] = Field(default_factory=list)


class Condition(ApiModel):
    """One observed fact about the object, in Kubernetes' standard form."""

    type: Annotated[str, Field(min_length=1, max_length=64, pattern="^[A-Z][A-Za-z0-9]*$")]
    """What is observed, such as Finished."""
    status: ConditionStatus
    """True, False or Unknown."""
    observed_generation: Annotated[int, Field(ge=0)] = 0
    """Generation of the spec that was observed."""
    last_transition_time: Time
    """When the status last changed."""
    reason: Annotated[str, Field(min_length=1, max_length=64, pattern="^[A-Z][A-Za-z0-9]*$")]
    """Why, in one word for programs."""
    message: Annotated[str, Field(max_length=MAX_MESSAGE)] = ""
    """Why, and how to fix it, in words for people."""


class Resource(ApiModel):
    """Base of Session, Task and Partition; each accepts its own kind only."""

    api_version: str = GROUP_VERSION
    kind: str = ""
    metadata: ObjectMeta

    @property
    def namespace(self) -> str:
        """Of the object; empty for one that was made without."""
        return self.metadata.namespace or ""

    @property
    def namespaced_name(self) -> NamespacedName:
        """Namespace and name."""
        return NamespacedName(self.namespace, self.metadata.name)

    @field_validator("api_version")
    @classmethod
    def _known_version(cls, value: str) -> str:
        if value != GROUP_VERSION:
            raise ValueError(f"must be {GROUP_VERSION}")
        return value

    @field_validator("kind")
    @classmethod
    def _known_kind(cls, value: str) -> str:
        if value != cls.model_fields["kind"].default:
            raise ValueError(f"must be {cls.model_fields['kind'].default}")
        return value

    @classmethod
    def from_object(cls, obj: dict[str, Any]) -> Self:
        """Read an object that a server sent; fields this version does not know are ignored.

        So are parts of a status that it cannot read: the status is what the operator made of the object, and
        is written again.

        Raises:
            InvalidManifest: a known field of the spec or the metadata has an impossible value.
        """
        try:
            return cls.model_validate(obj, extra="ignore", context=STORED)
        except ValidationError as error:
            invalid = InvalidManifest.from_validation(cls._kind(), error)
            mended = _without_faults(obj, invalid.problems)
            if mended is None:
                raise invalid from error
            log.warning("%s %s: its status is read in part: %s", cls._kind(), _name(obj), explain(error))
            return cls.from_object(mended)

    @classmethod
    def from_manifest(cls, manifest: dict[str, Any]) -> Self:
        """Read what a user wrote; an unknown field is an error, as it is for `kubectl apply`.

        Raises:
            InvalidManifest: naming every field at fault.
        """
        # As JSON, so that text is not taken for a number, nor a number for text.
        text = json.dumps(manifest, default=str)
        missing = [key for key in ("apiVersion", "kind") if key not in manifest]
        if missing:
            raise InvalidManifest(cls._kind(), [FieldProblem(key, "is required") for key in missing])
        try:
            return cls.model_validate_json(text, extra="forbid", strict=True)
        except ValidationError as error:
            raise InvalidManifest.from_validation(cls._kind(), error) from error

    def to_object(self) -> dict[str, Any]:
        """The manifest: apiVersion and kind always, of the rest what was set."""
        return {"apiVersion": self.api_version, "kind": self.kind} | super().to_object()

    @classmethod
    def _kind(cls) -> str:
        return str(cls.model_fields["kind"].default)


_IN_STATUS = re.compile(r"status(?:\.(\w+)(?:\[(\d+)\])?)?(?:\W|$)")


def _without_faults(obj: dict[str, Any], problems: Iterable[FieldProblem]) -> dict[str, Any] | None:
    """The object without the parts of its status that are at fault; None when others are at fault too."""
    status, faulty = obj.get("status"), dict[str, set[int]]()
    for problem in problems:
        place = _IN_STATUS.match(problem.field)
        if place is None:
            return None
        field, index = place.groups()
        if field is None or not isinstance(status, dict):
            return {name: part for name, part in obj.items() if name != "status"}
        faulty.setdefault(field, set()).update({int(index)} if index else ())
    kept = dict(status or {})
    for field, indexes in faulty.items():
        entries = kept.pop(field, None)
        if isinstance(entries, list) and indexes:
            kept[field] = [entry for index, entry in enumerate(entries) if index not in indexes]
    return {**obj, "status": kept}


def _name(obj: dict[str, Any]) -> str:
    meta = obj.get("metadata") or {}
    return f"{meta.get('namespace', '')}/{meta.get('name', '')}"


_ORDER = {str(kind): place for place, kind in enumerate(ConditionType)}


def find_condition(conditions: Iterable[Condition], type_: str) -> Condition | None:
    """The condition of this type, if it is there."""
    return next((condition for condition in conditions if condition.type == type_), None)


def is_true(conditions: Iterable[Condition], type_: str) -> bool:
    """Whether the condition of this type is there and True."""
    found = find_condition(conditions, type_)
    return found is not None and found.status is ConditionStatus.TRUE


def set_condition(conditions: Iterable[Condition], new: Condition) -> list[Condition]:
    """The list with this condition put in, the most significant type first (columns show the first reason).

    The old transition time is kept when the status did not change.
    """
    present = list(conditions)
    kept = remove_condition(present, new.type)
    old = find_condition(present, new.type)
    if old is not None and old.status is new.status:
        new = new.model_copy(update={"last_transition_time": old.last_transition_time})
    return sorted([*kept, new], key=lambda condition: _ORDER.get(condition.type, len(_ORDER)))


def remove_condition(conditions: Iterable[Condition], type_: str) -> list[Condition]:
    """The list without the condition of this type."""
    return [condition for condition in conditions if condition.type != type_]


def condition(
    type_: str, status: bool, reason: str, message: str, *, generation: int, now: datetime
) -> Condition:
    """A condition observed now, its message cut to what the schema allows."""
    return Condition(
        type=type_,
        status=ConditionStatus.TRUE if status else ConditionStatus.FALSE,
        reason=reason,
        message=message[:MAX_MESSAGE],
        observed_generation=generation,
        last_transition_time=now,
    )
