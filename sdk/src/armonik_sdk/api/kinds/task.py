"""Task: one or many elements of work on one session."""

from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, ConfigDict, Field, ValidationInfo, model_validator

from armonik_sdk.api.const import (
    DEFAULT_OUTPUT,
    MAX_CANCELLED,
    MAX_DEPENDENCIES,
    MAX_ELEMENTS,
    MAX_ITEM_DEPENDENCIES,
    MAX_ITEM_TEXT,
    MAX_ITEMS,
    MAX_OUTPUTS,
    TASK_KIND,
)
from armonik_sdk.api.kinds.base import (
    ApiModel,
    DnsLabel,
    NamedUid,
    ObjectKey,
    OutputName,
    distinct,
    is_stored,
)
from armonik_sdk.api.kinds.data import Dependency, Payload
from armonik_sdk.api.kinds.meta import Resource
from armonik_sdk.api.kinds.options import TaskOptions
from armonik_sdk.api.kinds.schema import ATOMIC, SCHEMA_DEFAULT, SET, Extra, cel, refined, rules
from armonik_sdk.api.kinds.session import NAME_RULE
from armonik_sdk.api.kinds.task_status import TaskStatus
from armonik_sdk.api.ranges import Ranges

_Outputs = Annotated[
    list[OutputName],
    Field(min_length=1, max_length=MAX_OUTPUTS, json_schema_extra=SET),
    AfterValidator(distinct),
]
_INTERVAL_PATTERN = "^(0|[1-9][0-9]{0,7})(-(0|[1-9][0-9]{0,7}))?$"
_Interval = Annotated[
    str,
    Field(
        max_length=17,
        pattern=_INTERVAL_PATTERN,
        json_schema_extra=rules(
            cel(
                "!self.contains('-') || int(self.split('-')[0]) <= int(self.split('-')[1])",
                "an interval goes from its lower to its higher index",
            )
        ),
    ),
]
_TOTAL = (
    "(has(self.items) ? self.items.size() : has(self.itemsRef) ? self.itemsRef.count"
    " : has(self.count) ? self.count : 1)"
)
ONE_PARTITION = "all elements run in the partition of their task: set spec.options.partition"
ONE_ENVIRONMENT = "all elements import from the environment of their task: set spec.options.environment"
_IMMUTABLE = ("sessionUid", "payload", "count", "items", "itemsRef", "dependsOn", "outputs", "options")


def _unchanged(fields: tuple[str, ...]) -> str:
    """True when each field is as it was; catches unset to set and set to unset as well."""
    return " && ".join(
        f"has(self.{f}) == has(oldSelf.{f}) && (!has(self.{f}) || self.{f} == oldSelf.{f})" for f in fields
    )


def of_task_alone(options: TaskOptions | None) -> str:
    """The first of an item's options that only its Task may have, and what to do; empty where none is."""
    if options is not None and options.partition is not None:
        return f"options.partition: {ONE_PARTITION}"
    if options is not None and options.environment is not None:
        return f"options.environment: {ONE_ENVIRONMENT}"
    return ""


class TaskState(StrEnum):
    """States a user can ask for."""

    ACTIVE = "Active"
    CANCELLED = "Cancelled"


class Item(ApiModel):
    """One element that differs from the others; what it leaves out comes from the task."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            cel(
                "!has(self.options) || !has(self.options.partition)",
                ONE_PARTITION,
                field_path=".options",
            ),
            cel(
                "!has(self.options) || !has(self.options.environment)",
                ONE_ENVIRONMENT,
                field_path=".options",
            ),
        )
    )

    payload: (
        Annotated[Payload, Field(json_schema_extra=refined(inline={"maxLength": MAX_ITEM_TEXT}))] | None
    ) = None
    """Input of this element; unset means the task's payload."""
    depends_on: (
        Annotated[list[Dependency], Field(max_length=MAX_ITEM_DEPENDENCIES, json_schema_extra=ATOMIC)] | None
    ) = None
    """What must be complete before this element starts, beside the task's own dependencies."""
    outputs: _Outputs | None = None
    """Outputs of this element; unset means the task's outputs."""
    options: TaskOptions | None = None
    """Options of this element, all but the partition; unset fields come from the task."""


class ItemsRef(ApiModel):
    """Items in the object store, for tasks too large for a manifest."""

    object: ObjectKey
    """Key of the object that holds the items."""
    count: Annotated[int, Field(ge=1, le=MAX_ELEMENTS)]
    """Number of items in it."""


class TaskSpec(ApiModel):
    """What the user wants to be computed.

    Immutable but for desiredState, cancelledIndexes and ttlSecondsAfterFinished.
    """

    model_config = ConfigDict(
        json_schema_extra=rules(
            cel(
                "[has(self.count), has(self.items), has(self.itemsRef)].filter(x, x).size() <= 1",
                "at most one of count, items, itemsRef",
            ),
            cel(
                _unchanged(_IMMUTABLE),
                "spec is immutable but for desiredState, cancelledIndexes and ttlSecondsAfterFinished",
            ),
            cel(
                "!has(self.cancelledIndexes) || self.cancelledIndexes.all(i,"
                f" i.split('-').all(n, int(n) < {_TOTAL}))",
                "there is no element with such an index",
                field_path=".cancelledIndexes",
            ),
            cel(
                "!has(oldSelf.cancelledIndexes) || (has(self.cancelledIndexes)"
                " && oldSelf.cancelledIndexes.all(i, i in self.cancelledIndexes))",
                "intervals can only be added: a cancelled element cannot be made active again",
                field_path=".cancelledIndexes",
            ),
        )
    )

    session: Annotated[
        DnsLabel, Field(json_schema_extra=rules(cel("self == oldSelf", "spec.session is immutable")))
    ]
    """Name of the session, in the same namespace."""
    session_uid: NamedUid | None = None
    """UID of the session, so that no other of its name is meant."""
    payload: Payload | None = None
    """Input of every element that has none of its own. Unset means empty."""
    count: Annotated[int, Field(ge=1, le=MAX_ELEMENTS)] | None = None
    """Number of equal elements. At most one of count, items and itemsRef; none of them means one element."""
    items: (
        Annotated[list[Item], Field(min_length=1, max_length=MAX_ITEMS, json_schema_extra=ATOMIC)] | None
    ) = None
    """Elements that differ, at most 1000."""
    items_ref: ItemsRef | None = None
    """Elements listed in an object, for more than 1000 or more than 128 KiB of them."""
    depends_on: (
        Annotated[list[Dependency], Field(max_length=MAX_DEPENDENCIES, json_schema_extra=ATOMIC)] | None
    ) = None
    """What must be complete before any element starts. Its data is given to the worker."""
    outputs: _Outputs | None = None
    """Names of the outputs of each element, at most 16. Unset means [result]."""
    options: TaskOptions | None = None
    """Options of the task; unset fields come from the session's taskDefaults."""
    desired_state: Annotated[
        TaskState,
        Field(
            max_length=16,
            json_schema_extra=SCHEMA_DEFAULT
            | rules(
                cel("self == oldSelf || oldSelf == 'Active'", "a cancelled task cannot be made active again")
            ),
        ),
    ] = TaskState.ACTIVE
    """Active or Cancelled. Cancelling is final."""
    cancelled_indexes: (
        Annotated[
            list[_Interval],
            Field(max_length=MAX_CANCELLED, json_schema_extra=SET),
            AfterValidator(distinct),
        ]
        | None
    ) = None
    """Elements to be cancelled, as indexes and intervals such as [3, 7-9]. Can only be added to."""
    ttl_seconds_after_finished: Annotated[int, Field(ge=0, le=2_147_483_647)] | None = None
    """Seconds after which the finished task is deleted; its results stay. Unset means never."""

    @model_validator(mode="after")
    def _one_source_of_elements(self) -> Self:
        if sum(x is not None for x in (self.count, self.items, self.items_ref)) > 1:
            raise ValueError("at most one of count, items, itemsRef")
        return self

    @model_validator(mode="after")
    def _options_of_task_alone(self) -> Self:
        for index, item in enumerate(self.items or ()):
            if wrong := of_task_alone(item.options):
                raise ValueError(f"items[{index}].{wrong}")
        return self

    @model_validator(mode="after")
    def _short_texts(self, info: ValidationInfo) -> Self:
        for index, item in enumerate(() if is_stored(info) else self.items or ()):
            text = item.payload.inline if item.payload is not None else None
            if text is not None and len(text) > MAX_ITEM_TEXT:
                raise ValueError(
                    f"items[{index}].payload.inline: at most {MAX_ITEM_TEXT} characters;"
                    " put it into data, in base64, or into the object store"
                )
        return self

    @model_validator(mode="after")
    def _cancelled_are_elements(self) -> Self:
        for interval in self.cancelled_indexes or ():
            first, _, last = interval.partition("-")
            if int(last or first) < int(first):
                raise ValueError(f"{interval}: an interval goes from its lower to its higher index")
            if int(last or first) >= self.total:
                raise ValueError(f"{interval}: there is no element with such an index")
        return self

    @property
    def cancelled(self) -> Ranges:
        """The elements of `cancelled_indexes`."""
        parts = [interval.partition("-") for interval in self.cancelled_indexes or ()]
        return Ranges.of((int(first), int(last or first) + 1) for first, _, last in parts)

    @property
    def total(self) -> int:
        """Number of elements."""
        if self.items is not None:
            return len(self.items)
        return self.items_ref.count if self.items_ref is not None else self.count or 1

    def item(self, index: int) -> Item:
        """The element at this index, with the task's payload and outputs where it has none of its own.

        Its dependencies and options are its own only: the task's dependencies are waited for once, and
        options are merged with `merge_options`. Not for tasks with `itemsRef`.

        Raises:
            IndexError: no such element.
            ValueError: the items are in an object.
        """
        if self.items_ref is not None:
            raise ValueError(f"the items are in the object {self.items_ref.object}")
        if not 0 <= index < self.total:
            raise IndexError(f"element {index} of {self.total}")
        own = self.items[index] if self.items is not None else Item()
        inherited: dict[str, Any] = {
            "payload": own.payload or self.payload,
            "outputs": own.outputs or self.outputs or [DEFAULT_OUTPUT],
        }
        return own.model_copy(update={name: value for name, value in inherited.items() if value is not None})


_NOT_ITSELF: Extra = cel(
    "!has(self.spec.dependsOn)"
    " || !self.spec.dependsOn.exists(d, has(d.task) && d.task == self.metadata.name)",
    "a task cannot depend on itself",
    field_path=".spec.dependsOn",
)
_NO_ITEM_ON_ITSELF: Extra = cel(
    "!has(self.spec.items) || !self.spec.items.exists(i, has(i.dependsOn)"
    " && i.dependsOn.exists(d, has(d.task) && d.task == self.metadata.name))",
    "a task cannot depend on itself",
    field_path=".spec.items",
)
_STATUS_STAYS: Extra = cel(
    "!has(oldSelf.status) || !has(oldSelf.status.journalSequence) || has(self.status)",
    "a status that the journal confirms cannot be removed",
    field_path=".status",
)


class Task(Resource):
    """One or many elements of work. Each is run by a worker until it reaches exactly one terminal state."""

    model_config = ConfigDict(
        json_schema_extra=rules(NAME_RULE, _NOT_ITSELF, _NO_ITEM_ON_ITSELF, _STATUS_STAYS)
    )

    kind: str = TASK_KIND
    spec: TaskSpec
    status: TaskStatus | None = None

    @model_validator(mode="after")
    def _not_on_itself(self) -> Self:
        needed = [
            *(self.spec.depends_on or []),
            *(d for i in self.spec.items or [] for d in i.depends_on or []),
        ]
        if self.metadata.name and any(dependency.task == self.metadata.name for dependency in needed):
            raise ValueError("a task cannot depend on itself")
        return self
