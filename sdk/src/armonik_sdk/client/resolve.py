"""Where a result is, and how to read many of them in few requests; pure."""

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from armonik_sdk.api.kinds import ObjectRef
from armonik_sdk.api.names import split_result_id
from armonik_sdk.api.records import Outcome, OutcomeKind, ResultEntry, ResultState, RunResults, carried
from armonik_sdk.client.errors import ResultAborted, ResultDamaged, ResultDeleted
from armonik_sdk.dataplane.spans import GAP_BYTES, cut, plan_spans

READ_BYTES: Final = 8 * 1024 * 1024
"""Most bytes fetched in one request for several results."""


@dataclass(frozen=True)
class Found:
    """A completed result."""

    place: ObjectRef | bytes
    """Where its bytes are; they themselves if they rode along."""

    @property
    def length(self) -> int:
        """Bytes of it."""
        return len(self.place) if isinstance(self.place, bytes) else self.place.length or 0


class Undecided(Enum):
    """Why a result is neither complete nor lost."""

    AWAITED = "its element has not ended"
    HANDED = "its element handed it to a sub-task"


def resolve(result: str, entry: ResultEntry | None, runs: Iterable[RunResults]) -> Found | Undecided:
    """The result, if it is complete.

    An entry of its own beats the run's: it holds what was made elsewhere, aborted, or removed later.

    Raises:
        ResultAborted: it will never be.
        ResultDeleted: it was, and its data was removed.
        ResultDamaged: the commit and the bytes in it differ.
    """
    if entry is not None:
        match entry.state:
            case ResultState.COMPLETED if entry.ref is not None:
                data = carried(entry.ref)
                return Found(entry.ref if data is None else data)
            case ResultState.ABORTED:
                raise ResultAborted(result, entry.reason or "Aborted")
            case ResultState.DELETED:
                raise ResultDeleted(f"{result} was deleted")
    implied = split_result_id(result)
    if implied is None:
        return Undecided.AWAITED
    _, index, output = implied
    for run in runs:
        for outcome in run.outcomes:
            if outcome.index == index:
                return of_outcome(result, output, outcome, run)
    return Undecided.AWAITED


def of_outcome(result: str, output: str, outcome: Outcome, run: RunResults) -> Found | Undecided:
    """The output of an element that ended.

    Raises:
        ResultAborted: the element ended without it.
        ResultDamaged: the commit and the bytes in it differ.
    """
    piece = outcome.outputs.get(output)
    if piece is not None and outcome.kind is OutcomeKind.COMPLETED:
        return Found(run.ref(piece) if piece.inline is None else _riding(result, piece.inline, piece.sha256))
    if outcome.kind is OutcomeKind.COMPLETED and result in outcome.delegated:
        return Undecided.HANDED
    if outcome.kind is OutcomeKind.COMPLETED:
        raise ResultAborted(result, "NoSuchOutput", f"the task has no output {output!r}")
    raise ResultAborted(result, outcome.reason or str(outcome.kind), outcome.message)


def _riding(result: str, inline: str, sha256: str) -> bytes:
    data = base64.b64decode(inline)
    check(result, data, sha256)
    return data


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
