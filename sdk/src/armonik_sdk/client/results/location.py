"""A result as the client reports it, and how to read many results in few requests. Pure."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from armonik_sdk.api.kinds import ObjectRef
from armonik_sdk.api.records import Outcome, carried
from armonik_sdk.api.results import ResultEntry, ResultState, RunResults
from armonik_sdk.client.errors import ResultAborted, ResultDamaged, ResultDeleted
from armonik_sdk.dataplane.result_lookup import Location, locate, locate_output
from armonik_sdk.dataplane.s3.range_reads import GAP_BYTES, cut, plan_spans

READ_BYTES: Final = 8 * 1024 * 1024
"""Most bytes fetched in one request for several results."""


@dataclass(frozen=True)
class Found:
    """A completed result."""

    place: ObjectRef | bytes
    """Where its bytes are; the bytes themselves if the commit has them."""

    @property
    def length(self) -> int:
        """Number of bytes."""
        return len(self.place) if isinstance(self.place, bytes) else self.place.length or 0


class Undecided(Enum):
    """Why a result is neither complete nor lost."""

    AWAITED = "its element has not ended"
    DELEGATED = "its element left it to a sub-task"


def resolve(result: str, entry: ResultEntry | None, runs: Iterable[RunResults]) -> Found | Undecided:
    """The result, if it is complete; see `locate`.

    Raises:
        ResultAborted: it will never be.
        ResultDeleted: it was, and its data was removed.
        ResultDamaged: the bytes that came with the commit differ from their checksum.
    """
    return _found(result, locate(result, entry, runs))


def of_outcome(result: str, output: str, outcome: Outcome, run: RunResults) -> Found | Undecided:
    """The output of an element that ended.

    Raises:
        ResultAborted: the element ended without it.
        ResultDamaged: the bytes that came with the commit differ from their checksum.
    """
    return _found(result, locate_output(result, output, outcome, run))


def _found(result: str, location: Location) -> Found | Undecided:
    if location.ref is not None:
        data = carried(location.ref)
        if data is None:
            return Found(location.ref)
        check(result, data, location.ref.sha256)
        return Found(data)
    match location.state:
        case ResultState.ABORTED:
            aborted = ResultAborted(result, location.reason or "Aborted", location.message)
            aborted.owner = location.owner
            raise aborted
        case ResultState.DELETED:
            raise ResultDeleted(f"{result} was deleted")
    return Undecided.DELEGATED if location.delegated else Undecided.AWAITED


def check(result: str, data: bytes, sha256: str | None) -> None:
    """See that the bytes are those that were committed.

    Raises:
        ResultDamaged: they are not.
    """
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise ResultDamaged(f"the bytes of {result} are not those that were committed")


@dataclass(frozen=True)
class Read:
    """One request: a span of an object, and which results lie in it."""

    span: ObjectRef
    parts: tuple[tuple[int, ObjectRef], ...]
    """Index of the element, and where its bytes are."""

    def split(self, data: bytes) -> dict[int, bytes]:
        """The bytes of each result.

        Raises:
            ResultDamaged: a checksum differs.
        """
        found = {index: bytes(cut(self.span, ref, data)) for index, ref in self.parts}
        for index, ref in self.parts:
            check(f"element {index} in {ref.key}", found[index], ref.sha256)
        return found


def plan_reads(
    wanted: Iterable[tuple[int, ObjectRef]], most: int = READ_BYTES, gap: int = GAP_BYTES
) -> list[Read]:
    """Few requests for many results: neighbours in the same object are read together."""
    return [Read(span, parts) for span, parts in plan_spans(wanted, most, gap)]
