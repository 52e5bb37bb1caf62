"""References to data: payloads, objects, dependencies."""

import base64
from typing import Annotated, Self

from pydantic import ConfigDict, Field, ValidationInfo, field_validator, model_validator

from armonik_sdk.api.const import MAX_ELEMENTS, MAX_INLINE_BYTES
from armonik_sdk.api.kinds.base import (
    BASE64_PATTERN,
    ApiModel,
    DnsLabel,
    NamedUid,
    ObjectKey,
    OutputName,
    ResultId,
    Sha256,
    is_stored,
)
from armonik_sdk.api.kinds.schema import cel, rules

_INLINE_FITS = f"at most {MAX_INLINE_BYTES // 1024} KiB in UTF-8"
_INLINE_RULE = rules(cel(f"bytes(self).size() <= {MAX_INLINE_BYTES}", _INLINE_FITS))
"""The schema's maxLength counts characters."""
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

    inline: Annotated[str, Field(max_length=MAX_INLINE_BYTES, json_schema_extra=_INLINE_RULE)] | None = None
    """Text, at most 32 KiB in UTF-8."""
    data: Annotated[str, Field(max_length=_MAX_BASE64, pattern=BASE64_PATTERN)] | None = None
    """Bytes in base64, at most 32 KiB before encoding."""
    object: ObjectRef | None = None
    """Bytes in the object store."""
    result: ResultId | None = None
    """A result by its id; the task waits for it."""

    @field_validator("inline")
    @classmethod
    def _inline_fits(cls, value: str | None, info: ValidationInfo) -> str | None:
        if not is_stored(info) and value is not None and len(value.encode()) > MAX_INLINE_BYTES:
            raise ValueError(f"{_INLINE_FITS}; put larger payloads into the object store")
        return value

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(x is not None for x in (self.inline, self.data, self.object, self.result)) != 1:
            raise ValueError("exactly one of inline, data, object, result")
        return self

    @classmethod
    def of(cls, content: bytes | str, *, most_text: int = MAX_INLINE_BYTES) -> "Payload":
        """A payload in the manifest: text as it is, bytes as text when they are UTF-8.

        Text of more than `most_text` characters is written as bytes.

        Raises:
            ValueError: more than 32 KiB.
        """
        raw = content.encode() if isinstance(content, str) else content
        if len(raw) > MAX_INLINE_BYTES:
            raise ValueError(f"{len(raw)} bytes do not fit into a manifest (at most {MAX_INLINE_BYTES})")
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            text = None
        if text is None or len(text) > most_text:
            return cls(data=base64.b64encode(raw).decode())
        return cls(inline=text)

    def content(self) -> bytes | None:
        """The bytes, if they are in the manifest."""
        if self.inline is not None:
            return self.inline.encode()
        return base64.b64decode(self.data) if self.data is not None else None


class Dependency(ApiModel):
    """Something that must be complete before the work starts: outputs of a task, or one result."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            cel("has(self.task) != has(self.result)", "exactly one of task, result"),
            cel(
                "has(self.task) || (!has(self.output) && !has(self.index) && !has(self.uid))",
                "output, index and uid select from a task; they cannot be used with result",
            ),
        )
    )

    task: DnsLabel | None = None
    """Name of a task of the same session."""
    uid: NamedUid | None = None
    """UID of the task, so that no other of its name is meant."""
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
        if self.task is None and (self.output, self.index, self.uid) != (None, None, None):
            raise ValueError("output, index and uid select from a task; they cannot be used with result")
        return self
