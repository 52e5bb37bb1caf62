"""What placeholders in a call represent: results that the element depends on, decoded on the way."""

import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, overload

from armonik_sdk.functions import (
    EnvelopeDamaged,
    Form,
    Placeholder,
    decode_function,
    decode_value,
    is_envelope,
    read,
)
from armonik_sdk.worker.element import Element

KEPT_FUNCTIONS: Final = 32
"""Functions that a process keeps for later elements: each is needed by many."""
_functions: OrderedDict[str, Callable[..., Any]] = OrderedDict()


class Inputs:
    """Of one element."""

    def __init__(self, element: Element, scratch: Callable[[], Path]) -> None:
        """`scratch` gives the folder that is emptied after the element."""
        self._element, self._scratch = element, scratch

    def resolve(self, placeholder: Placeholder) -> Any:
        """What the function gets in its place.

        Raises:
            EnvelopeDamaged: it names a result that was not given, or one that is no envelope of its kind.
        """
        ids = self._element.needs[placeholder.start : placeholder.start + placeholder.length]
        if len(ids) != placeholder.length:
            raise EnvelopeDamaged(
                f"the call names {placeholder.start + placeholder.length} results, and the element was given "
                f"{len(self._element.needs)}"
            )
        if placeholder.form is Form.SEQUENCE:
            return Results(self._value, ids)
        if placeholder.form is Form.FUNCTION:
            return self._function(ids[0])
        return self._file(ids[0]) if placeholder.form is Form.FILE else self._value(ids[0])

    def _value(self, name: str) -> Any:
        source = self._element.source(name)
        if is_envelope(source):
            return decode_value(read(source))
        return source.read_bytes() if isinstance(source, Path) else bytes(source)

    def _file(self, name: str) -> Path:
        source = self._element.source(name)
        if isinstance(source, Path):
            return source
        path = self._scratch() / f"input-{uuid.uuid4().hex}"
        path.write_bytes(source)
        return path

    def _function(self, name: str) -> Callable[..., Any]:
        """A result never changes, so what was decoded once is the same function."""
        found = _functions.pop(name, None)
        if found is None:
            found = decode_function(read(self._element.source(name)))
            if len(_functions) >= KEPT_FUNCTIONS:
                _functions.popitem(last=False)
        _functions[name] = found
        return found


class Results(Sequence[Any]):
    """All results of a Task, each decoded when it is asked for."""

    def __init__(self, value: Callable[[str], Any], ids: Sequence[str]) -> None:
        self._value, self._ids = value, ids

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[Any]:
        return map(self._value, self._ids)

    @overload
    def __getitem__(self, at: int) -> Any: ...
    @overload
    def __getitem__(self, at: slice) -> "Results": ...
    def __getitem__(self, at: int | slice) -> Any:
        if isinstance(at, slice):
            return Results(self._value, self._ids[at])
        return self._value(self._ids[at])
