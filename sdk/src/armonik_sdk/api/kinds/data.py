"""References to data: payloads, objects, dependencies."""

import base64
from typing import Annotated, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from armonik_sdk.api.const import MAX_ELEMENTS, MAX_INLINE_BYTES
from armonik_sdk.api.kinds.base import (
    BASE64_PATTERN,
    ApiModel,
    DnsLabel,
    ObjectKey,
    OutputName,
    ResultId,
    Sha256,
)
from armonik_sdk.api.kinds.schema import cel, rules

_MAX_BASE64 = (MAX_INLINE_BYTES + 2) // 3 * 4


class ObjectRef(ApiModel):
    """Bytes in the object store: an object or a part of one."""

    key: ObjectKey
    """Key of the object in the bucket."""
    offset: Annotated[int, Field(ge=0)] | None = None
    """First byte; unset means 0."""
    length: Annotated[int, Field(ge=0)] | None = None
    """Number of bytes; unset means up to the end."""
    sha256: Sha256 | None = None
    """SHA-256 of these bytes in lower-case hexadecimal; checked by whoever reads them."""


class Payload(ApiModel):
    """What the worker gets as input; exactly one of the fields."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            cel(
                "[has(self.inline), has(self.data), has(self.object), has(self.result)]"
                ".filter(x, x).size() == 1",
                "exactly one of inline, data, object, result",
            )
        )
    )

    inline: Annotated[str, Field(max_length=MAX_INLINE_BYTES)] | None = None
    """Text, at most 32 KiB in UTF-8."""
    data: Annotated[str, Field(max_length=_MAX_BASE64, pattern=BASE64_PATTERN)] | None = None
    """Bytes in base64, at most 32 KiB before encoding."""
    object: ObjectRef | None = None
    """Bytes in the object store."""
    result: ResultId | None = None
    """A result by its id; the task waits for it."""

    @field_validator("inline")
    @classmethod
    def _inline_fits(cls, value: str | None) -> str | None:
        if value is not None and len(value.encode()) > MAX_INLINE_BYTES:
            raise ValueError(f"at most {MAX_INLINE_BYTES} bytes; put larger payloads into the object store")
        return value

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(x is not None for x in (self.inline, self.data, self.object, self.result)) != 1:
            raise ValueError("exactly one of inline, data, object, result")
        return self

    @classmethod
    def of(cls, content: bytes | str) -> "Payload":
        """A payload that stands in the manifest: text as it is, bytes as text when they are UTF-8.

        Raises:
            ValueError: more than 32 KiB.
        """
        raw = content.encode() if isinstance(content, str) else content
        if len(raw) > MAX_INLINE_BYTES:
            raise ValueError(f"{len(raw)} bytes do not fit into a manifest (at most {MAX_INLINE_BYTES})")
        try:
            return cls(inline=raw.decode())
        except UnicodeDecodeError:
            return cls(data=base64.b64encode(raw).decode())

    def content(self) -> bytes | None:
        """The bytes, if they stand in the manifest."""
        if self.inline is not None:
            return self.inline.encode()
        return base64.b64decode(self.data) if self.data is not None else None


class Dependency(ApiModel):
    """Something that must be complete before the work starts: outputs of a task, or one result."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            cel("has(self.task) != has(self.result)", "exactly one of task, result"),
            cel(
                "has(self.task) || (!has(self.output) && !has(self.index))",
                "output and index select from a task; they cannot stand beside result",
            ),
        )
    )

    task: DnsLabel | None = None
    """Name of a task of the same session."""
    output: OutputName | None = None
    """Only this output of the task; unset means all its outputs."""
    index: Annotated[int, Field(ge=0, le=MAX_ELEMENTS - 1)] | None = None
    """Only this element of the task; unset means all its elements."""
    result: ResultId | None = None
    """Id of a result."""

    @model_validator(mode="after")
    def _task_or_result(self) -> Self:
        if (self.task is None) == (self.result is None):
            raise ValueError("exactly one of task, result")
        if self.task is None and (self.output is not None or self.index is not None):
            raise ValueError("output and index select from a task; they cannot stand beside result")
        return self
