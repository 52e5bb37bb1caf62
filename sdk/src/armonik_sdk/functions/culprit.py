"""Finds what in a value cannot be pickled, and says the way to it."""

import functools
import time
import types
from collections.abc import Iterator, Mapping
from typing import Any, Final

from armonik_sdk.functions.errors import NotPicklable
from armonik_sdk.functions.pickling import Needs, dump, short_name

SECONDS: Final = 2.0
"""How long may be looked for it; each step tries to pickle parts."""
DEPTH: Final = 12
"""Steps of a way. What is deeper is named by the part that holds it."""


def explain(name: str, parts: Mapping[str, object], error: BaseException) -> NotPicklable:
    """The error that names the way from what was given to what is the matter.

    Args:
        name: of what is sent.
        parts: what is pickled together, by its role: `args`, `kwargs`, `function`, `value`, …
        error: what pickling raised.
    """
    short = short_name(name)
    if isinstance(error, RecursionError) or isinstance(error.__cause__, RecursionError):
        return NotPicklable(f"cannot send {short}: it holds things that are nested too deeply to be pickled")
    way, culprit, why = _find(parts, error)
    kind = type(culprit)
    called = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    article = "an" if called[:1].lower() in "aeiou" else "a"
    place = " holds ".join(way)
    which = f"{place}, {article} {called}" if place else f"{article} {called}"
    reason = "" if "cannot pickle" in str(why) else f" ({type(why).__name__}: {why})"
    return NotPicklable(
        f"cannot send {short}: {which}{reason}. Create it inside the function, or leave it out of what the "
        "function refers to and is given"
    )


def _find(parts: Mapping[str, object], error: BaseException) -> tuple[list[str], object, BaseException]:
    """The way, what is at its end, and what pickling that raises."""
    until = time.monotonic() + SECONDS
    way: list[str] = []
    at: object = None
    children = _roles(parts)
    while len(way) < DEPTH:
        for label, part in children:
            failed = _failure(part)
            if failed is not None:
                way += [label] if label else []
                at, error = part, failed
                break
            if time.monotonic() > until:
                return way, at, error
        else:
            return way, at, error
        children = _children(at)
    return way, at, error


def _failure(part: object) -> BaseException | None:
    try:
        dump(part, Needs())
    except Exception as error:  # noqa: BLE001 - whatever an object's own method raises is the answer
        return error
    return None


def _roles(parts: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    for role, part in parts.items():
        if role == "args" and isinstance(part, tuple):
            yield from ((f"argument {number}", one) for number, one in enumerate(part, 1))
        elif role == "kwargs" and isinstance(part, Mapping):
            yield from ((f"argument {key}", one) for key, one in part.items())
        elif role in ("function", "value"):
            yield "", part
        else:
            yield role, part


def _children(whole: object) -> Iterator[tuple[str, object]]:
    """The parts of an object that are pickled with it, and what each is called."""
    if isinstance(whole, dict):
        for key, value in whole.items():
            yield f"key {key!r:.50}", key
            yield f"item {key!r:.50}", value
    elif isinstance(whole, list | tuple | set | frozenset):
        yield from ((f"item {number}", one) for number, one in enumerate(whole))
    elif isinstance(whole, types.FunctionType):
        yield from _of_function(whole)
    elif isinstance(whole, types.MethodType):
        yield from (
            ("the object of the method", whole.__self__),
            ("the function of the method", whole.__func__),
        )
    elif isinstance(whole, functools.partial):
        yield from (("the function of the partial", whole.func), ("arguments of the partial", whole.args))
        yield "keywords of the partial", whole.keywords
    elif isinstance(whole, type):
        yield from ((f'attribute "{name}" of the class', value) for name, value in vars(whole).items())
    else:
        yield from _of_object(whole)


def _of_function(function: types.FunctionType) -> Iterator[tuple[str, object]]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield f'variable "{name}" of the function around it', cell.cell_contents
        except ValueError:  # an empty cell
            continue
    module = function.__module__
    for name in sorted(_names(function.__code__)):
        if name in function.__globals__:
            yield f'global "{name}" of {module}', function.__globals__[name]
    yield from (("a default", one) for one in function.__defaults__ or ())
    for name, one in (function.__kwdefaults__ or {}).items():
        yield f'the default of "{name}"', one
    yield from ((f'attribute "{name}"', one) for name, one in vars(function).items())


def _names(code: types.CodeType) -> set[str]:
    """Global names that code, and code inside it, may use."""
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found |= _names(constant)
    return found


def _of_object(whole: object) -> Iterator[tuple[str, object]]:
    attributes: dict[str, Any] = dict(getattr(whole, "__dict__", None) or {})
    for kind in type(whole).__mro__:
        slots = vars(kind).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else tuple(slots):
            if hasattr(whole, name):
                attributes[name] = getattr(whole, name)
    yield from ((f'attribute "{name}"', value) for name, value in attributes.items())
    if attributes:
        return
    try:
        reduced = whole.__reduce_ex__(5)
    except Exception:  # noqa: BLE001 - then it is the culprit itself
        return
    if isinstance(reduced, tuple):
        yield from ((f"part {number}", part) for number, part in enumerate(reduced) if part is not None)
