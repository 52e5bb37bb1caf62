"""Pickles values with their buffers apart, notes what goes by value, and leaves placeholders for results.

Something that represents a result (a future, say) is found at any depth: its `__reduce__` calls
`reduce_need`, which registers it with the `Needs` of the call that is being pickled.
"""

import contextvars
import io
import pickle
import sys
import types
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple

import cloudpickle

from armonik_sdk.functions.envelope import MAX_SECTIONS
from armonik_sdk.functions.errors import EnvelopeDamaged, NotPicklable

PROTOCOL: Final = 5
SMALLEST_BUFFER: Final = 1024
"""Bytes; smaller buffers stay in the pickle, where they cost less than a section of their own."""
NO_FILE: Final = "<dynamic-code>"
"""What cloudpickle writes in the place of the source file's name."""
ONLY_AS_ARGUMENT: Final = "a {} can only be sent as an argument of submit or map"


class Form(StrEnum):
    """How a result reaches the function."""

    VALUE = "value"
    """As the value that it holds; bytes when another language made it."""
    FILE = "file"
    """As the `Path` of a file."""
    SEQUENCE = "sequence"
    """As a lazy sequence of values: all results of a Task."""
    FUNCTION = "function"
    """As a function to call, which was put."""


class Placeholder(NamedTuple):
    """What is pickled in the place of a result."""

    start: int
    """Its number among the results that the call is given."""
    length: int
    """How many results; one, but for a sequence."""
    form: Form


class Need(NamedTuple):
    """A result that a call needs."""

    thing: object
    """What was registered: a future, a reference."""
    placeholder: Placeholder


class Needs:
    """The results that one call needs, in the order in which it is given them.

    Made by whoever submits, for each call; those of the whole Task are added first. After the call was
    encoded it lists what was found in the arguments, too.
    """

    __slots__ = ("_by_key", "_found", "owner")

    def __init__(self, owner: object = None) -> None:
        """`owner` is the submitter's, for `__reduce__` of what is registered (its session, say)."""
        self.owner = owner
        self._found: list[Need] = []
        self._by_key: dict[tuple[Hashable, Form], Placeholder] = {}

    def add(self, thing: object, key: Hashable, *, form: Form = Form.VALUE, length: int = 1) -> Placeholder:
        """Register a result, once for each key and form.

        Args:
            thing: given back in `found`.
            key: what distinguishes it from others, such as the result's id.
            form: how the function gets it.
            length: results it represents, of `Form.SEQUENCE`.
        """
        known = self._by_key.get((key, form))
        if known is None:
            known = self._by_key[key, form] = Placeholder(self.count, length, form)
            self._found.append(Need(thing, known))
        return known

    @property
    def found(self) -> Sequence[Need]:
        """Those registered so far, in order."""
        return self._found

    @property
    def count(self) -> int:
        """How many results these are."""
        if not self._found:
            return 0
        last = self._found[-1].placeholder
        return last.start + last.length


_pickling: contextvars.ContextVar[Needs | None] = contextvars.ContextVar("pickling", default=None)
Resolve = Callable[[Placeholder], Any]
"""Gives what a placeholder represents, in the worker."""
_resolving: contextvars.ContextVar[Resolve | None] = contextvars.ContextVar("resolving", default=None)


def needs_under_way() -> Needs | None:
    """Those of the call that this thread or coroutine is pickling; None when there is none."""
    return _pickling.get()


def reduce_need(
    thing: object, key: Hashable, *, form: Form = Form.VALUE, length: int = 1
) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """What `__reduce__` of something that represents a result returns; arguments as of `Needs.add`.

    Raises:
        NotPicklable: no call is being pickled.
    """
    needs = _pickling.get()
    if needs is None:
        raise NotPicklable(ONLY_AS_ARGUMENT.format(type(thing).__name__))
    return _resolve, tuple(needs.add(thing, key, form=form, length=length))


def _resolve(start: int, length: int, form: str) -> Any:
    """What placeholders are unpickled by."""
    resolve = _resolving.get()
    if resolve is None:
        raise EnvelopeDamaged("a result is named where none is given")
    return resolve(Placeholder(start, length, Form(form)))


@dataclass(frozen=True, slots=True)
class Pickled:
    """A pickle, its buffers, and what is in it."""

    data: bytes
    buffers: tuple[memoryview, ...]
    bytecode: str | None
    """Name of the first function that is in it by value."""


def dump(value: object, needs: Needs | None = None) -> Pickled:
    """Pickle a value; large buffers in it are not copied.

    Args:
        value: any object.
        needs: registers the results in it; without it there may be none.

    Raises:
        Exception: whatever an object in it raises; `messages` makes `NotPicklable` of it.
    """
    file, buffers = io.BytesIO(), list[memoryview]()

    def keep_in_pickle(buffer: pickle.PickleBuffer) -> bool:
        try:
            raw = buffer.raw()
        except BufferError:  # not contiguous: pickle copies it
            return True
        if raw.nbytes < SMALLEST_BUFFER or len(buffers) >= MAX_SECTIONS // 2:
            return True
        buffers.append(raw)
        return False

    pickler = _Pickler(file, PROTOCOL, buffer_callback=keep_in_pickle)
    token = _pickling.set(needs)
    try:
        pickler.dump(value)
    finally:
        _pickling.reset(token)
    return Pickled(file.getvalue(), tuple(buffers), pickler.bytecode)


def load(data: memoryview | bytes, buffers: Sequence[memoryview] = (), resolve: Resolve | None = None) -> Any:
    """Unpickle. Only for data that was checked, and that came from whom code may come from.

    Raises:
        Exception: whatever the objects in it raise.
    """
    token = _resolving.set(resolve)
    try:
        return pickle.loads(data, buffers=buffers)  # noqa: S301 - this is what functions are sent by
    finally:
        _resolving.reset(token)


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # published without types
    """cloudpickle's, which notes bytecode, and keeps where its source is: tracebacks name it."""

    bytecode: str | None = None

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, types.CodeType):
            self.bytecode = self.bytecode or obj.co_name
            make, parts = self.dispatch_table[types.CodeType](obj)
            file = "".join(obj.co_filename)  # a text of its own, as cloudpickle has it: pickles stay equal
            return make, tuple(file if isinstance(part, str) and part == NO_FILE else part for part in parts)
        return super().reducer_override(obj)


def by_reference(function: Callable[..., Any]) -> str | None:
    """`module:name`, by which another process can import the function; None when it must go by value.

    By value go functions of `__main__` (scripts, notebooks), lambdas and closures, methods and other callable
    objects, and what is registered with `cloudpickle.register_pickle_by_value`.
    """
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or module == "__main__":
        return None
    if any(module == given or module.startswith(f"{given}.") for given in _registered_by_value()):
        return None
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return f"{module}:{name}" if found is function else None


def name_of(function: Callable[..., Any]) -> str:
    """What it is called in messages: `pkg.mod:square`."""
    inner = getattr(function, "func", function)  # a functools.partial
    owner = inner if hasattr(inner, "__qualname__") else type(inner)
    return f"{getattr(owner, '__module__', None) or '__main__'}:{owner.__qualname__}"


def short_name(name: str) -> str:
    """What people call it: `square` of `pkg.mod:square` or `__main__:main.<locals>.square`."""
    return name.rpartition(":")[2].rpartition("<locals>.")[2]


def _registered_by_value() -> Iterator[str]:
    yield from cloudpickle.list_registry_pickle_by_value()


@contextmanager
def pickling(needs: Needs) -> Iterator[None]:
    """Let what is pickled inside register with these, as `dump` does; for other attempts to pickle."""
    token = _pickling.set(needs)
    try:
        yield
    finally:
        _pickling.reset(token)
