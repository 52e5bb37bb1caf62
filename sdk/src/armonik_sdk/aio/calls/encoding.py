"""Calls as they are sent: encoded where they are made, in the caller's thread."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from armonik_sdk.aio.calls.options import CallOptions, short_name
from armonik_sdk.functions import (
    Form,
    Function,
    Needs,
    Placeholder,
    encode_call,
    encode_value,
    prepare_function,
    reduce_need,
)
from armonik_sdk.functions.chunks import run_chunk

LARGE_BYTES: Final = 1024 * 1024
"""An argument above this that is sent again is worth a warning."""
REMEMBERED: Final = 16
"""Large arguments that are remembered, to see whether they are sent again."""


@dataclass(frozen=True, eq=False)
class Blob:
    """Bytes that several calls need, put once: a function by value, a shared argument."""

    content: bytes
    digest: str
    name: str
    form: Form = Form.VALUE

    def __reduce__(self) -> Any:
        return reduce_need(self, self.digest, form=self.form)


@dataclass(frozen=True)
class Template:
    """What all calls of a batch have in common."""

    function: Function
    options: CallOptions
    code: Blob | None = None
    """The function, when it goes by value and does not travel inside the calls."""
    shared: Mapping[str, Blob] = field(default_factory=dict)
    """Keyword arguments that all calls share."""
    env: str | None = None
    """SHA-256 of the environment."""
    inner: Blob | None = None
    """Of chunks: the function that goes by value."""

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for calls that may be elements of one Task."""
        function = self.function
        return (function.ref or (function.packed.digest if function.packed else ""), self.options, self.env)

    @property
    def needs(self) -> list[Blob]:
        """What each element needs of the Task's own."""
        return [*(blob for blob in (self.code, self.inner) if blob is not None), *self.shared.values()]

    def begin(self, owner: object) -> tuple[Needs, Placeholder | None]:
        """The needs of one call: first those of the Task, in the same order for all."""
        needs, where = Needs(owner), None
        if self.code is not None:
            where = needs.add(self.code, self.code.digest, form=Form.FUNCTION)
        if self.inner is not None:
            needs.add(self.inner, self.inner.digest, form=Form.FUNCTION)
        for blob in self.shared.values():
            needs.add(blob, blob.digest)
        return needs, where


@dataclass(frozen=True, slots=True)
class Call:
    """One call, ready to be sent."""

    payload: bytes
    needs: tuple[object, ...]
    """What it alone needs: futures, references, results of maps."""


def template_of(
    function: Callable[..., Any],
    options: CallOptions,
    shared: Mapping[str, object] | None = None,
    env: str | None = None,
) -> Template:
    """Prepare a function for many calls.

    Raises:
        TypeError: it is no function.
        NotPicklable: it cannot be sent.
    """
    prepared = prepare_function(function)
    code = None
    if prepared.packed is not None and prepared.inline is None:
        code = _code(prepared)
    blobs: dict[str, Blob] = {}
    for name, value in (shared or {}).items():
        packed = encode_value(value, name)
        blobs[name] = Blob(bytes(packed), packed.digest, name)
    return Template(prepared, options, code, blobs, env)


def chunked(template: Template, function: Callable[..., Any]) -> tuple[Template, object]:
    """For elements of several calls each: another template, and what represents the function in them."""
    prepared = template.function
    inner = _code(prepared) if prepared.packed is not None else None
    runner = replace(prepare_function(run_chunk), name=prepared.name, bytecode=prepared.bytecode)
    return replace(template, function=runner, code=None, inner=inner), inner or function


def _code(function: Function) -> Blob:
    assert function.packed is not None
    return Blob(bytes(function.packed), function.packed.digest, function.name, Form.FUNCTION)


def encode(
    template: Template, owner: object, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None = None
) -> Call:
    """Encode one call.

    Raises:
        NotPicklable: an argument cannot be sent; names the way to what is the matter.
    """
    needs, where = template.begin(owner)
    own = needs.count
    packed = encode_call(
        template.function,
        args,
        {**template.shared, **(kwargs or {})},
        needs=needs,
        function_need=where,
        retry_on=template.options.retry_on,
        initializer=template.options.initializer,
        env=template.env,
    )
    found = tuple(need.thing for need in needs.found if need.placeholder.start >= own)
    return Call(bytes(packed), found)


class Repeated:
    """Notices large arguments that are sent again and again."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, int], object] = {}
        self._said: set[tuple[str, int]] = set()

    def look(self, template: Template, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Warn, once for each argument of each function."""
        named = [*((str(number), value) for number, value in enumerate(args, 1)), *kwargs.items()]
        function = short_name(template.function)
        for name, value in named:
            size = bytes_of(value)
            if size <= LARGE_BYTES:
                continue
            key = (f"argument {name} of {function}", id(value))
            if self._seen.get(key) is value and key not in self._said:
                self._said.add(key)
                warnings.warn(
                    f"{key[0]}, {size / 1e6:.1f} MB, is sent with every call; session.put() sends it once",
                    UserWarning,
                    stacklevel=4,
                )
            self._seen[key] = value
            while len(self._seen) > REMEMBERED:
                self._seen.pop(next(iter(self._seen)))


def bytes_of(value: object) -> int:
    """Bytes of an array, a text or bytes; 0 for all else."""
    if isinstance(value, bytes | bytearray | str):
        return len(value)
    size = getattr(value, "nbytes", 0)
    return size if isinstance(size, int) else 0
