"""What waits of the journal: as a plain table would hold it, in little memory, and the next one at once."""

import gc
import threading
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from armonik_operator.journal import backlog as module
from armonik_operator.journal.backlog import Backlog, Before, Glance, Waiting
from armonik_sdk.api.names import RunId
from armonik_sdk.api.records import RecordKind

NOW = datetime(2026, 1, 1, 12, 30, 0, 123_456, tzinfo=UTC)
KINDS = [RecordKind.SUBMITTED, RecordKind.DISPATCHED, RecordKind.PROGRESS, RecordKind.DONE]
RUNS = 20_000
FEWER = 4_000
"""Where each allocation is traced, which takes long."""
FRAMES = 4
"""Of each allocation, that lead to the test or not."""


class Plain:
    """The same with an object for each record."""

    def __init__(self) -> None:
        self.tasks: dict[str, dict[int, Waiting]] = {}

    def add(self, run: RunId, glance: Glance, data: bytes, sequence: int, time: datetime) -> Waiting | None:
        runs = self.tasks.setdefault(run.task, {})
        old = runs.get(run.start)
        if old is not None and sequence <= old.sequence:
            return None
        before = old.before if old is not None else Before()
        before.note(glance, sequence, time)
        runs[run.start] = Waiting(run, data, sequence, time, before)
        return old

    def done(self, uid: str) -> None:
        runs = self.tasks[uid]
        del runs[next(iter(runs))]
        if not runs:
            del self.tasks[uid]


STEP = st.tuples(
    st.sampled_from("ab"), st.integers(0, 5), st.sampled_from([*KINDS, None, None]), st.integers(0, 9)
)
"""A Task, a run and what was read of it; None: what comes first is worked on."""


@given(st.lists(STEP), st.integers(0, 4))
def test_it_holds_what_a_plain_table_would(
    steps: list[tuple[str, int, RecordKind | None, int]], dropped: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "DROPPED", dropped)
        backlog, plain = Backlog(), Plain()
        for sequence, (task, start, kind, back) in enumerate(steps, start=1):
            if kind is None:
                first = backlog.first(task)
                assert (first is None) == (task not in plain.tasks)
                if first is not None:
                    backlog.done(first)
                    plain.done(task)
            else:
                glance = Glance(kind=kind, start=start, end=start + 1 + back)
                record = (
                    RunId("n", "s", task, start),
                    glance,
                    b"d" * back,
                    sequence,
                    NOW + timedelta(sequence),
                )
                assert backlog.add(*record) == plain.add(*record)
            for uid in "ab":
                assert list(backlog.of(uid)) == list(plain.tasks.get(uid, {}).values())
                assert (uid in backlog) == (uid in plain.tasks)
        assert len(backlog) == len(plain.tasks)
        waiting = [one for runs in plain.tasks.values() for one in runs.values()]
        assert backlog.size == sum(len(one.data or b"") for one in waiting)


def test_what_was_replaced_meanwhile_is_not_done() -> None:
    backlog = Backlog()
    run, glance = RunId("n", "s", "t", 0), Glance(kind=RecordKind.PROGRESS, start=0, end=1)
    backlog.add(run, glance, b"1", 1, NOW)
    first = backlog.first("t")
    assert first is not None
    backlog.add(run, glance, b"2", 2, NOW)
    backlog.done(first)
    assert [waiting.data for waiting in backlog.of("t")] == [b"2"]


def filled(most: int, runs: int = RUNS) -> Backlog:
    backlog = Backlog(most)
    for start in range(runs):
        run = RunId("n", "s", "t", start)
        for kind in (RecordKind.SUBMITTED, RecordKind.DISPATCHED, RecordKind.DONE):
            sequence = 1_000_000 + 3 * start + KINDS.index(kind)
            backlog.add(run, Glance(kind=kind, start=start, end=start + 1), b"d" * 300, sequence, NOW)
    return backlog


def traced(make: Callable[[], Backlog]) -> tuple[Backlog, int]:
    """What is made, and the bytes that its making took and has not given back.

    Of what other threads of this process do meanwhile nothing counts: those that earlier tests left behind,
    such as one that writes down what holds an event loop and reads source files for that.
    """
    tracemalloc.start(FRAMES)
    try:
        made = make()
        gc.collect()
        own = tracemalloc.Filter(True, __file__, all_frames=True)
        snapshot = tracemalloc.take_snapshot().filter_traces([own])
    finally:
        tracemalloc.stop()
    return made, sum(trace.size for trace in snapshot.traces)


def test_the_place_of_a_record_takes_little_memory() -> None:
    """Above the bound of bytes only places are kept: with an object for each it was 600 bytes."""
    backlog, held = traced(lambda: filled(most=1_000, runs=FEWER))
    assert sum(1 for _ in backlog.of("t")) == FEWER
    assert 100 < held / FEWER < 220


def test_memory_is_that_of_the_backlog_alone() -> None:
    """Also while another thread takes a lot: the test above failed on busy machines."""
    taken: list[bytes] = []
    # It runs nothing of this file.
    other = threading.Thread(target=taken.extend, args=(map(bytes, [1_000_000] * 20),))

    def make() -> Backlog:
        other.start()
        other.join()
        return filled(most=1_000, runs=FEWER)

    _, held = traced(make)
    assert sum(map(len, taken)) == 20_000_000
    assert 100 < held / FEWER < 220


def test_the_next_of_many_is_found_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not behind all that were worked on before, each time."""
    backlog, looks = filled(most=1_000), 0
    waits: Callable[[module._Runs, int], bool] = module._Runs._waits

    def counted(runs: module._Runs, at: int) -> bool:
        nonlocal looks
        looks += 1
        return waits(runs, at)

    monkeypatch.setattr(module._Runs, "_waits", counted)
    while (waiting := backlog.first("t")) is not None:
        backlog.done(waiting)
    assert looks <= 5 * RUNS
