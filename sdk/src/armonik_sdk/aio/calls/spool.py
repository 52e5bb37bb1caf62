"""The elements of a large Task: pickled once, in a file beyond a few megabytes."""

import itertools
import tempfile
import threading
from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, overload

from armonik_sdk.aio.calls.encoding import Repeated, Template, chunked, encode
from armonik_sdk.api.bounds import MAX_ELEMENTS
from armonik_sdk.api.kinds import Dependency
from armonik_sdk.client.errors import Refused
from armonik_sdk.client.manifest import Element

IN_MEMORY: Final = 16 * 1024 * 1024
"""Bytes of payloads that are held in memory."""


class Spool(Sequence[Element]):
    """Payloads one after the other, and what some of them need. Elements are made when they are asked for."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - it is closed by close
        self._ends = array("Q")
        self._needs: dict[int, tuple[object, ...]] = {}
        self._lock = threading.Lock()
        self.depends_on: Callable[[object], Sequence[Dependency]] | None = None
        """Dependencies of what an element needs; set when all of it is known."""

    def add(self, payload: bytes, needs: tuple[object, ...] = ()) -> None:
        """One more element."""
        self._file.write(payload)
        if needs:
            self._needs[len(self._ends)] = needs
        self._ends.append((self._ends[-1] if self._ends else 0) + len(payload))

    @property
    def needs(self) -> list[object]:
        """All that elements need, each once."""
        return list(dict.fromkeys(thing for needs in self._needs.values() for thing in needs))

    def __del__(self) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, at: int) -> Element: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[Element]: ...

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return [self[index] for index in range(*at.indices(len(self)))]
        if not 0 <= at < len(self):
            raise IndexError(at)
        begin = self._ends[at - 1] if at else 0
        with self._lock:
            self._file.seek(begin)
            payload = self._file.read(self._ends[at] - begin)
        needs = self._needs.get(at)
        if not needs or self.depends_on is None:
            return Element(payload=payload)
        return Element(
            payload=payload, depends_on=[needed for thing in needs for needed in self.depends_on(thing)]
        )


def spooled(
    owner: object,
    template: Template,
    function: Callable[..., Any],
    calls: Iterable[tuple[Any, ...]],
    chunksize: int,
) -> tuple[Spool, Template, int]:
    """The elements of a map, what they have in common, and how many calls they are.

    Raises:
        NotPicklable: a call cannot be sent.
        Refused: they are more than a Task may have.
    """
    spool, repeated, count = Spool(), Repeated(), 0

    def add(args: tuple[Any, ...]) -> None:
        if len(spool) == MAX_ELEMENTS:
            raise Refused(f"a map has at most {MAX_ELEMENTS} elements: give it a larger chunksize")
        call = encode(template, owner, args)
        spool.add(call.payload, call.needs)

    if chunksize == 1:
        for args in calls:
            repeated.look(template, args, {})
            add(args)
        return spool, template, len(spool)
    template, standing = chunked(template, function)
    iterator = iter(calls)
    while chunk := list(itertools.islice(iterator, chunksize)):
        add((standing, chunk))
        count += len(chunk)
    return spool, template, count
