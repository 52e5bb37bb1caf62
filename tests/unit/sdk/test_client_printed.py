"""What elements printed is read from where their runs' entries say it is, a few megabytes at a time."""

import hashlib
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from armonik_sdk.api.kinds import ObjectRef
from armonik_sdk.api.records import DataRef, Outcome, OutcomeKind, Piece
from armonik_sdk.api.results import RunResults
from armonik_sdk.client.errors import ResultAborted, ResultDamaged, Unavailable
from armonik_sdk.client.results.printed import printed_by, printed_by_all
from armonik_sdk.client.results.task_source import TaskSource
from armonik_sdk.grid.cluster.task import ClusterTask


class Link:
    """RESULTS and objects of one Task with two runs."""

    def __init__(self, runs: dict[int, RunResults], objects: dict[str, bytes]) -> None:
        self._runs = {f"ns.s.t.{start}": run for start, run in runs.items()}
        self._objects = objects
        self.reads: list[int] = []

    async def run_keys(self, pattern: str) -> set[str]:
        """All of them."""
        return set(self._runs)

    async def runs(self, keys: dict[str, bytes | None]) -> dict[str, RunResults]:
        """These."""
        return {key: self._runs[key] for key in keys}

    async def get(self, ref: ObjectRef) -> bytes:
        """A part of an object."""
        self.reads.append(ref.length or 0)
        return self._objects[ref.key][ref.offset or 0 :][: ref.length]


def run(start: int, texts: list[bytes], key: str) -> tuple[RunResults, bytes]:
    """An entry whose texts, but the empty ones, are in one object."""
    outcomes, body = [], b""
    for index, text in enumerate(texts, start):
        digest = hashlib.sha256(text).hexdigest()
        place = Piece(object=0, offset=len(body), length=len(text), sha256=digest) if text else None
        outcomes.append(Outcome(index=index, kind=OutcomeKind.COMPLETED, printed=place))
        body += text
    end = start + len(texts)
    return RunResults(sequence=1, end=end, outcomes=tuple(outcomes), objects=(key,), done=True), body


@pytest.fixture
def link() -> Link:
    first, one = run(0, [b"zero\n", b"", b"x" * 5_000_000], "k")
    second, two = run(3, [b"y" * 5_000_000, b"four"], "l")
    inline = Piece.model_validate(_inline(b"five \xff"))
    more = Outcome(index=5, kind=OutcomeKind.ERROR, printed=inline)
    second = second.model_copy(update={"outcomes": (*second.outcomes, more), "end": 6})
    return Link({0: first, 3: second}, {"k": one, "l": two})


def _inline(text: bytes) -> dict[str, Any]:
    ref = DataRef.of_bytes(text)
    return {"length": len(text), "sha256": ref.sha256, "inline": ref.data}


def source(link: Link) -> TaskSource:
    async def connected() -> Link:
        return link

    async def session() -> str:
        return "s"

    connection: Any = SimpleNamespace(link=connected)
    never: Any = None
    return TaskSource(connection, "ns", "t", 7, time.monotonic(), session, never)


async def test_of_one_element_the_text_is_read_alone(link: Link) -> None:
    assert await printed_by(source(link), 0) == "zero\n"
    assert await printed_by(source(link), 1) == ""
    assert await printed_by(source(link), 4) == "four"
    assert await printed_by(source(link), 5) == "five \N{REPLACEMENT CHARACTER}"
    assert await printed_by(source(link), 6) is None
    assert link.reads == [5, 4]


async def test_of_all_elements_the_texts_come_in_order_and_not_all_at_once(link: Link) -> None:
    found: list[tuple[int, int]] = []
    held: list[int] = []
    async for index, text in printed_by_all(source(link)):
        found.append((index, len(text)))
        held.append(sum(link.reads) - sum(size for _, size in found))
    assert found == [(0, 5), (2, 5_000_000), (3, 5_000_000), (4, 4), (5, 6)]
    assert max(held) < 5_000_100


async def test_a_text_that_is_not_the_one_that_was_committed_is_not_shown(link: Link) -> None:
    link._objects["k"] = b"ZERO" + link._objects["k"][4:]
    with pytest.raises(ResultDamaged):
        _ = [one async for one in printed_by_all(source(link))]


class Away(Link):
    """The same, of which no object can be read."""

    async def entry(self, key: str) -> None:
        """None has one of its own."""

    @asynccontextmanager
    async def news(self, *keys: str) -> AsyncIterator[None]:
        """None come."""
        yield None

    async def get(self, ref: ObjectRef) -> bytes:
        """Nothing."""
        raise Unavailable("the object store does not answer")


async def test_how_an_element_failed_is_known_also_when_its_text_cannot_be_read() -> None:
    class Output:
        async def wait(self) -> None:
            raise ResultAborted("t.3.result", "AttemptsExhausted", "the process that executed it died")

    ended, _ = run(3, [b"what it printed"], "k")
    failed = ended.outcomes[0].model_copy(update={"kind": OutcomeKind.ERROR})
    away = Away({3: ended.model_copy(update={"outcomes": (failed,)})}, {})
    known = replace(source(away), submitted=-math.inf)
    outputs: Any = {"output": lambda *_: Output(), "source": lambda: known}
    handle: Any = SimpleNamespace(name="t", uid="t", total=7, **outputs)
    nothing: Any = None
    failure = (await ClusterTask(nothing, nothing, handle).element(3)).failure
    assert failure is not None
    assert (failure.reason, failure.message) == ("AttemptsExhausted", "the process that executed it died")
    assert failure.printed is None
