"""Bounded field types of messages, records and entries on the wire, and of settings that programs share."""

from typing import Annotated

from pydantic import AfterValidator, Field

from armonik_sdk.api.bounds import MAX_ELEMENTS, MAX_PRINTED_BYTES
from armonik_sdk.api.const import LEAST_PRINTED_BYTES
from armonik_sdk.api.kinds.base import BASE64_PATTERN


def _some_lines_or_none(value: int) -> int:
    if 0 < value < LEAST_PRINTED_BYTES:
        raise ValueError(f"0, or at least {LEAST_PRINTED_BYTES} bytes")
    return value


Base64 = Annotated[str, Field(pattern=BASE64_PATTERN)]
Count = Annotated[int, Field(ge=0, lt=2**31)]
"""As a status can show it."""
Number = Annotated[int, Field(ge=0, lt=2**53)]
"""Number of a submission or of an ownership."""
Index = Annotated[int, Field(ge=0, lt=MAX_ELEMENTS)]
"""Of an element."""
Moment = Annotated[float, Field(ge=0, lt=253_402_300_800)]
"""Seconds since the epoch, before the year 10000."""
Token = Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9_-]*$")]
"""Part of a subject or key."""
ResultName = Annotated[str, Field(max_length=253, pattern=r"^[A-Za-z0-9_-]+([.][A-Za-z0-9_-]+)*$")]
"""Id of a result, as a key has it."""
Name = Annotated[str, Field(max_length=253)]
"""For people."""
PrintedBytes = Annotated[int, Field(ge=0, le=MAX_PRINTED_BYTES), AfterValidator(_some_lines_or_none)]
"""Most bytes that are kept of what an element prints, its beginning and its end; 0 keeps nothing."""
