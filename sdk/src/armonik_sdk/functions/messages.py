"""What is sent: calls, functions, values, errors; each to an envelope and back."""

import importlib
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from armonik_sdk.functions import versions
from armonik_sdk.functions.culprit import explain
from armonik_sdk.functions.envelope import Callee, Envelope, Header, Kind, Packed, pack
from armonik_sdk.functions.errors import EnvelopeDamaged, FunctionsError
from armonik_sdk.functions.pickling import (
    Form,
    Needs,
    Pickled,
    Placeholder,
    Resolve,
    by_reference,
    dump,
    load,
    name_of,
)

MAX_INLINE_FUNCTION: Final = 8 * 1024
"""Bytes of a function's pickle up to which it may travel inside each call."""
_NO_OPTIONS: Final[Mapping[str, Any]] = types.MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Function:
    """A function that is ready to be sent, pickled once for many calls."""

    name: str
    """`pkg.mod:square`; the part after the colon for people."""
    ref: str | None
    """The same when it is imported by the worker; None when it goes by value."""
    packed: Packed | None
    """Its envelope when it goes by value: to be put once, and needed by the calls."""
    inline: bytes | None
    """Its pickle when it goes by value and is short: may travel inside the calls."""
    bytecode: str | None
    """Of what in it goes by value; for `check_sendable`."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call that was received."""

    name: str
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    retry_on: tuple[type[BaseException], ...]
    """Exceptions that count as failed executions."""


def prepare_function(function: Callable[..., Any]) -> Function:
    """Pickle a function, if it goes by value.

    Raises:
        TypeError: it cannot be called.
        NotPicklable: it cannot be sent; names the way to what is the matter.
    """
    if not callable(function):
        raise TypeError(f"a function is needed, not {type(function).__name__}")
    ref, name = by_reference(function), name_of(function)
    if ref is not None:
        return Function(name, ref, None, None, None)
    pickled = _dump(function, None, name, {"function": function})
    packed = _pack(Header(Kind.FUNCTION, versions.here(), name, bytecode=pickled.bytecode), pickled)
    short = not pickled.buffers and len(pickled.data) <= MAX_INLINE_FUNCTION
    return Function(name, None, packed, pickled.data if short else None, pickled.bytecode)


def prepare_initializer(function: Callable[..., Any], args: tuple[Any, ...] = ()) -> bytes:
    """Pickle what each process runs once before its first call, for `encode_call`.

    Raises:
        NotPicklable: it cannot be sent.
    """
    return _dump((function, args), None, name_of(function), {"initializer": function, "initargs": args}).data


def encode_call(
    function: Function,
    args: tuple[Any, ...] = (),
    kwargs: Mapping[str, Any] = _NO_OPTIONS,
    *,
    needs: Needs | None = None,
    function_need: Placeholder | None = None,
    retry_on: tuple[type[BaseException], ...] = (),
    initializer: bytes | None = None,
    env: str | None = None,
) -> Packed:
    """Make the payload of an element.

    Args:
        function: by `prepare_function`.
        args: positional arguments; what represents a result in them, at any depth, is registered in `needs`.
        kwargs: keyword arguments, all of them the function's.
        needs: of this call; afterwards they list what the element depends on.
        function_need: where among them the function is, of `Form.FUNCTION`. Left out, a function by value
            travels inside the call.
        retry_on: exceptions that count as failed executions and are tried again; others are final.
        initializer: by `prepare_initializer`.
        env: SHA-256 of the environment.

    Raises:
        NotPicklable: an argument cannot be sent; names the way to what is the matter.
        ValueError: the function is too long to travel inside a call.
    """
    needs = needs if needs is not None else Needs()
    whole = (args, dict(kwargs), retry_on) if retry_on else (args, dict(kwargs))
    pickled = _dump(whole, needs, function.name, {"args": args, "kwargs": kwargs, "retry_on": retry_on})
    sections: list[Any] = [pickled.data, *pickled.buffers]
    if function.ref is not None:
        callee = Callee(ref=function.ref)
    elif function_need is not None:
        callee = Callee(need=function_need.start)
    elif function.inline is not None:
        callee = Callee(section=len(sections))
        sections.append(function.inline)
    else:
        raise ValueError(f"{function.name} is too long to travel inside a call: put it, and need it")
    if initializer is not None:
        sections.append(initializer)
    header = Header(
        Kind.CALL,
        versions.here(),
        function.name,
        fn=callee,
        needs=needs.count,
        env=env,
        bytecode=pickled.bytecode or function.bytecode,
        initializer=len(sections) - 1 if initializer is not None else None,
    )
    return pack(header, tuple(sections))


def decode_call(envelope: Envelope, resolve: Resolve) -> Call:
    """The call; results that it needs come from `resolve`.

    Raises:
        EnvelopeDamaged: it is no call.
        VersionMismatch: this process cannot read it; nothing was unpickled.
        ImportError, AttributeError: the function is not there.
        Exception: whatever objects in it raise when they are unpickled.
    """
    header = envelope.header
    fn = _of_kind(envelope, Kind.CALL).fn
    assert fn is not None
    function = _function(fn, envelope, resolve)
    whole = load(envelope.sections[0], _buffers(envelope), resolve)
    args, kwargs, *more = whole
    return Call(header.name, function, tuple(args), dict(kwargs), tuple(more[0]) if more else ())


def decode_initializer(envelope: Envelope) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """What each process runs once before the call, and its arguments.

    Raises:
        as `decode_call`.
    """
    at = _of_kind(envelope, Kind.CALL).initializer
    if at is None:
        raise EnvelopeDamaged("the call has no initializer")
    function, args = load(envelope.sections[at])
    return function, args


def decode_function(envelope: Envelope) -> Callable[..., Any]:
    """A function that was put.

    Raises:
        as `decode_call`.
    """
    _of_kind(envelope, Kind.FUNCTION)
    function: Callable[..., Any] = load(envelope.sections[0], envelope.sections[1:])
    return function


def encode_value(value: object, name: str = "") -> Packed:
    """Make the envelope of a value: an output, or what is put.

    Raises:
        NotPicklable: it cannot be sent; names the way to what is the matter.
    """
    pickled = _dump(value, None, name or type(value).__qualname__, {"value": value})
    return _pack(Header(Kind.VALUE, versions.here(), name, bytecode=pickled.bytecode), pickled)


def decode_value(envelope: Envelope) -> Any:
    """The value.

    Raises:
        EnvelopeDamaged: it holds something else.
        VersionMismatch: this process cannot read it; nothing was unpickled.
        Exception: whatever objects in it raise when they are unpickled.
    """
    _of_kind(envelope, Kind.VALUE)
    return load(envelope.sections[0], envelope.sections[1:])


def _of_kind(envelope: Envelope, kind: Kind) -> Header:
    """Its header, when it is of that kind and readable here."""
    header = envelope.header
    if header.kind is not kind:
        raise EnvelopeDamaged(f"a {kind} is expected, and the envelope holds a {header.kind}")
    versions.check_readable(header.versions, header.bytecode)
    return header


def _function(fn: Callee, envelope: Envelope, resolve: Resolve) -> Callable[..., Any]:
    if fn.need is not None:
        found = resolve(Placeholder(fn.need, 1, Form.FUNCTION))
    elif fn.section is not None:
        found = load(envelope.sections[fn.section])
    else:
        module, _, name = str(fn.ref).partition(":")
        found = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    if not callable(found):
        raise EnvelopeDamaged(f"{envelope.header.name} is no function, but {type(found).__name__}")
    function: Callable[..., Any] = found
    return function


def _buffers(envelope: Envelope) -> tuple[memoryview, ...]:
    """Of the arguments: all sections after the first that are nothing else."""
    header = envelope.header
    other = {header.initializer, header.fn.section if header.fn is not None else None}
    return tuple(section for at, section in enumerate(envelope.sections) if at and at not in other)


def _pack(header: Header, pickled: Pickled) -> Packed:
    return pack(header, (pickled.data, *pickled.buffers))


def _dump(value: object, needs: Needs | None, name: str, parts: Mapping[str, object]) -> Pickled:
    try:
        return dump(value, needs)
    except FunctionsError:
        raise
    except (MemoryError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise explain(name, parts, error) from error
