"""Session: work that belongs together, with one life cycle and shared defaults."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from armonik_sdk.api.const import SESSION_KIND
from armonik_sdk.api.kinds.base import ApiModel, PartitionName, distinct
from armonik_sdk.api.kinds.elements import ElementCounts
from armonik_sdk.api.kinds.meta import Resource
from armonik_sdk.api.kinds.options import TaskOptions
from armonik_sdk.api.kinds.schema import SCHEMA_DEFAULT, SET, cel, rules
from armonik_sdk.api.kinds.status import Status

NAME_RULE = cel(
    "self.metadata.name.size() <= 63 && !self.metadata.name.contains('.')",
    "metadata.name must be a DNS label (no dots, at most 63 characters)",
    field_path=".metadata.name",
)
_PARTITION_IN_SESSION = "taskDefaults.partition must be one of spec.partitions"
_PARTITION_REQUIRED = "taskDefaults.partition is required when the session has several partitions"


class SessionState(StrEnum):
    """States a user can ask for."""

    RUNNING = "Running"
    PAUSED = "Paused"
    CLOSED = "Closed"
    CANCELLED = "Cancelled"
    PURGED = "Purged"


class SubmissionState(StrEnum):
    """Whether new tasks are accepted."""

    OPEN = "Open"
    CLOSED = "Closed"


_CLOSE_ONCE = rules(cel("self == oldSelf || oldSelf == 'Open'", "a closed submission cannot be opened again"))


class Submission(ApiModel):
    """Who may still submit tasks to the session. Closing is final."""

    client: Annotated[
        SubmissionState, Field(max_length=16, json_schema_extra=SCHEMA_DEFAULT | _CLOSE_ONCE)
    ] = SubmissionState.OPEN
    """Tasks made by clients: Open or Closed."""
    worker: Annotated[
        SubmissionState, Field(max_length=16, json_schema_extra=SCHEMA_DEFAULT | _CLOSE_ONCE)
    ] = SubmissionState.OPEN
    """Tasks submitted by workers while they compute: Open or Closed."""


class SessionSpec(ApiModel):
    """What the user wants of the session."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            cel(
                "!has(self.taskDefaults) || !has(self.taskDefaults.partition)"
                " || self.taskDefaults.partition in self.partitions",
                _PARTITION_IN_SESSION,
                field_path=".taskDefaults.partition",
            ),
            cel(
                "self.partitions.size() == 1 || (has(self.taskDefaults) && has(self.taskDefaults.partition))",
                _PARTITION_REQUIRED,
                field_path=".taskDefaults.partition",
                reason="FieldValueRequired",
            ),
        )
    )

    partitions: Annotated[
        list[PartitionName],
        Field(min_length=1, max_length=32, json_schema_extra=SET),
        AfterValidator(distinct),
    ]
    """Partitions that tasks of this session may use; 1 to 32, of the same namespace."""
    task_defaults: TaskOptions | None = None
    """Options of tasks that do not say otherwise."""
    desired_state: Annotated[
        SessionState,
        Field(
            max_length=16,
            json_schema_extra=SCHEMA_DEFAULT
            | rules(
                cel(
                    "self == oldSelf || self in {'Running': ['Paused', 'Closed', 'Cancelled'],"
                    " 'Paused': ['Running', 'Closed', 'Cancelled'], 'Closed': ['Cancelled', 'Purged'],"
                    " 'Cancelled': ['Purged'], 'Purged': ['']}[oldSelf]",
                    "a session cannot go from its state to this one",
                    message_expression="'a session cannot go from ' + oldSelf + ' to ' + self",
                )
            ),
        ),
    ] = SessionState.RUNNING
    """Running, Paused, Closed, Cancelled or Purged. Running and Paused lead to each other and to Closed and
    Cancelled; Closed leads to Cancelled; a finished session that is Closed or Cancelled can be Purged, which
    removes its data."""
    submission: Annotated[Submission, Field(json_schema_extra=SCHEMA_DEFAULT)] = Submission()
    """Who may still submit tasks."""
    ttl_seconds_after_finished: Annotated[int, Field(ge=0, le=2_147_483_647)] | None = None
    """Seconds after which a finished session is deleted with its tasks and data. Unset means never."""

    @model_validator(mode="after")
    def _default_partition(self) -> Self:
        default = self.task_defaults.partition if self.task_defaults else None
        if default is not None and default not in self.partitions:
            raise ValueError(_PARTITION_IN_SESSION)
        if default is None and len(self.partitions) != 1:
            raise ValueError(_PARTITION_REQUIRED)
        return self


class SessionStatus(Status):
    """What the operator observed; written by it alone."""

    phase: Annotated[str, Field(max_length=32)] = ""
    """Summary in one word; conditions say more."""
    elements: ElementCounts | None = None
    """Elements of all tasks of the session, by state."""
    progress: Annotated[str, Field(max_length=64)] = ""
    """Succeeded elements of all elements, such as 880/1000."""


class Session(Resource):
    """Work that belongs together: the tasks of a session share defaults, partitions and one life cycle."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            NAME_RULE,
            cel(
                "self.spec.desiredState != 'Purged' || oldSelf.spec.desiredState == 'Purged'"
                " || (has(self.status) && has(self.status.conditions) && self.status.conditions.exists("
                "c, c.type == 'Finished' && c.status == 'True'))",
                "a session can be purged only when its Finished condition is True",
                field_path=".spec.desiredState",
            ),
        )
    )

    kind: str = SESSION_KIND
    spec: SessionSpec
    status: SessionStatus | None = None
