"""Encoding of functions and values: envelope, pickling, exceptions, the project's sources.

Client and workers use it alike, so it imports the standard library and cloudpickle alone. Nothing here does
network I/O.

- A client prepares a function once (`prepare_function`), makes a `Needs` for each call, adds the function's
  own result first when that was put (`Form.FUNCTION`), and encodes (`encode_call`). What represents a
  result returns `reduce_need(self, self.id)` from its `__reduce__`; after encoding, `needs.found` lists the
  things in the order in which the element depends on them.
- A worker reads (`read`) and decodes (`decode_call`), with a function that resolves placeholders.
- Values and errors go the other way: `encode_value`, `encode_error`, `decode_value`, `decode_error`.
"""

from armonik_sdk.functions.envelope import Envelope, Header, Kind, Packed, is_envelope, read
from armonik_sdk.functions.errors import (
    BadEnvironment,
    CodeTooLarge,
    EnvelopeDamaged,
    FunctionsError,
    NotPicklable,
    PackagesNotInstalled,
    PythonMismatch,
    RemoteError,
    VersionMismatch,
)
from armonik_sdk.functions.failures import decode_error, encode_error
from armonik_sdk.functions.messages import (
    Call,
    Function,
    decode_call,
    decode_function,
    decode_initializer,
    decode_value,
    encode_call,
    encode_value,
    prepare_function,
    prepare_initializer,
)
from armonik_sdk.functions.pickling import (
    Form,
    Need,
    Needs,
    Placeholder,
    by_reference,
    name_of,
    needs_under_way,
    reduce_need,
    short_name,
)
from armonik_sdk.functions.sources import (
    Archive,
    SourceFile,
    archive,
    loaded_sources,
    named_sources,
    project_folders,
    unpack,
)
from armonik_sdk.functions.versions import Versions, check_sendable, here

__all__ = [
    "Archive",
    "BadEnvironment",
    "Call",
    "CodeTooLarge",
    "Envelope",
    "EnvelopeDamaged",
    "Form",
    "Function",
    "FunctionsError",
    "Header",
    "Kind",
    "Need",
    "Needs",
    "NotPicklable",
    "PackagesNotInstalled",
    "Packed",
    "Placeholder",
    "PythonMismatch",
    "RemoteError",
    "SourceFile",
    "VersionMismatch",
    "Versions",
    "archive",
    "by_reference",
    "check_sendable",
    "decode_call",
    "decode_error",
    "decode_function",
    "decode_initializer",
    "decode_value",
    "encode_call",
    "encode_error",
    "encode_value",
    "here",
    "is_envelope",
    "loaded_sources",
    "name_of",
    "named_sources",
    "needs_under_way",
    "prepare_function",
    "prepare_initializer",
    "project_folders",
    "read",
    "reduce_need",
    "short_name",
    "unpack",
]
