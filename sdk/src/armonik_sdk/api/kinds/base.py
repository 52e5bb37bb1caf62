"""What every model of the API shares: naming, the shape of names and times, how it is dumped."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    ValidationInfo,
)
from pydantic._internal._model_construction import ModelMetaclass
from pydantic.alias_generators import to_camel

from armonik_sdk.api.bounds import MAX_KEY_BYTES, MAX_LABEL, MAX_PARTITION_NAME
from armonik_sdk.api.errors import InvalidManifest
from armonik_sdk.api.kinds.schema import Extra

LABEL_PATTERN = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
BASE64_PATTERN = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
"""Standard base64 with padding.

Not `format: byte`: with it the apiserver's CEL decodes the value before any rule around it runs, and refuses
`+` and `/`.
"""
RESULT_ID_PATTERN = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"


class _Clear(ModelMetaclass):
    """Models whose constructors raise our own error. Its base is the type of BaseModel, private only by name.

    Users write `TaskOptions(priority=100)` in their programs; pydantic's error has an address of its
    documentation in it. An `__init__` would be called for each nested model too, and be slow.
    """

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 - the class, in its metaclass
        try:
            return super().__call__(*args, **kwargs)
        except ValidationError as error:
            raise InvalidManifest.from_validation(cls.__name__, error) from None


class ApiModel(BaseModel, metaclass=_Clear):
    """Base of all models: snake_case in Python, camelCase in manifests, unknown fields refused.

    Servers may be newer than this code, so objects that come from one are read with `Resource.from_object`,
    which ignores what it does not know.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        use_attribute_docstrings=True,
    )

    def to_object(self) -> dict[str, Any]:
        """The JSON form, with only the fields that were set: a default dumped by us would be owned by us."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


STORED: Final = {"stored": True}
"""Context in which models read what a server sent: without bounds that the schema did not always have."""


def is_stored(info: ValidationInfo) -> bool:
    """Whether the object comes from a server."""
    return bool(info.context and info.context.get("stored"))


def distinct(values: list[Any]) -> list[Any]:
    """Refuse a value that occurs twice, as the apiserver does in lists of type set."""
    for place, value in enumerate(values):
        if value in values[:place]:
            raise ValueError(f"{value!r} occurs twice")
    return values


def distinct_by(field: str) -> Callable[[list[Any]], list[Any]]:
    """Refuse two entries with the same value of this field, as the apiserver does in lists of type map."""

    def check(entries: list[Any]) -> list[Any]:
        distinct([getattr(entry, field) for entry in entries])
        return entries

    return check


def _seconds(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _microseconds(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


_INSTANT: Extra = {
    "pattern": "^[12][0-9]{3}-[0-9]{2}-[0-9]{2}[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,9})?"
    "([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
}
"""RFC 3339. The apiserver's own check of `format: date-time` takes zones such as -99:99 and the year 0."""

Time = Annotated[AwareDatetime, PlainSerializer(_seconds, return_type=str), Field(json_schema_extra=_INSTANT)]
"""A moment with the precision of one second, as Kubernetes' `Time`."""
MicroTime = Annotated[
    AwareDatetime, PlainSerializer(_microseconds, return_type=str), Field(json_schema_extra=_INSTANT)
]
"""A moment with the precision of one microsecond, as Kubernetes' `MicroTime`."""

DnsLabel = Annotated[str, Field(min_length=1, max_length=MAX_LABEL, pattern=LABEL_PATTERN)]
"""A name of one DNS label: lower-case letters, digits and dashes, at most 63 characters."""
PartitionName = Annotated[str, Field(min_length=1, max_length=MAX_PARTITION_NAME, pattern=LABEL_PATTERN)]
"""A DNS label of at most 40 characters."""
OutputName = DnsLabel
"""Name of an output, unique in its Task."""
ResultId = Annotated[str, Field(min_length=1, max_length=253, pattern=RESULT_ID_PATTERN)]
"""Identity of a result: `<task uid>.<index>.<output>` for outputs of Tasks."""
ObjectKey = Annotated[str, Field(min_length=1, max_length=MAX_KEY_BYTES)]
"""Key of an object in the bucket."""
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$", max_length=64)]
"""SHA-256 in lower-case hexadecimal."""
Uid = Annotated[str, Field(min_length=1, max_length=64)]
"""A Kubernetes UID."""
NamedUid = Annotated[str, Field(min_length=1, max_length=64, pattern="^[a-zA-Z0-9-]+$")]
"""A UID that a user names; keys are built of it."""
