"""The bench of restarts fills the servers with what the operator believes."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3]))

from bench.restart.memory import held
from bench.restart.sizes import WORKLOADS, Sizes
from bench.restart.stored import RUN, Filler, Made

from armonik_operator.sources.journal import _SUBJECT
from armonik_sdk.api.names import RunId
from armonik_sdk.api.records import Record, RecordKind


class Streams:
    """Stores nothing but what was published, in order."""

    def __init__(self) -> None:
        self.published: list[tuple[str, bytes]] = []

    def jetstream(self, **_: Any) -> "Streams":
        return self

    async def publish(self, subject: str, data: bytes, **_: Any) -> Any:
        self.published.append((subject, data))
        return type("Ack", (), {"seq": len(self.published)})

    def records(self) -> list[tuple[RunId, Record]]:
        return [
            (RunId.from_journal(subject), Record.model_validate_json(data))
            for subject, data in self.published
            if _SUBJECT.fullmatch(subject)
        ]


def filled(tasks: int, elements: int, ended: int, *, queue: bool = False) -> tuple[list[Made], Streams]:
    streams = Streams()

    async def fill() -> list[Made]:
        filler = Filler(streams, "bench", "session")  # type: ignore[arg-type]
        return [task async for task in filler.tasks("t", tasks, elements, ended, queue=queue)]

    return asyncio.run(fill()), streams


def test_finished_tasks_are_finished_by_their_records() -> None:
    made, streams = filled(3, 2 * RUN, 2 * RUN)
    assert len(made) == 3
    assert all(task.fold.finished(task.total) for task in made)
    kinds = [record.kind for _, record in streams.records()]
    assert {kind: kinds.count(kind) for kind in kinds} == dict.fromkeys(
        (RecordKind.SUBMITTED, RecordKind.DISPATCHED, RecordKind.DONE), 6
    )


def test_the_sequence_of_a_task_is_that_of_its_last_record() -> None:
    made, streams = filled(2, 1, 1)
    last = {
        RunId.from_journal(s).task: n
        for n, (s, _) in enumerate(streams.published, 1)
        if _SUBJECT.fullmatch(s)
    }
    assert {task.uid: task.fold.sequence for task in made} == last


def test_unfinished_elements_are_queued_or_held() -> None:
    made, streams = filled(1, 10 * RUN, 0, queue=True)
    assert not made[0].fold.ended
    assert len(made[0].fold.open_runs) == 10
    held_by_agents = [run for run in made[0].fold.open_runs if run.kind is RecordKind.DISPATCHED]
    assert len(held_by_agents) == 2
    assert sum(subject.startswith("armonik.queue.") for subject, _ in streams.published) == 10


def test_elements_that_were_never_queued_have_no_record() -> None:
    made, streams = filled(1, 4 * RUN, 2 * RUN)
    assert len(made[0].fold.submitted) == 2 * RUN
    assert {run.start for run, _ in streams.records()} == {0, RUN}


def test_scaled_sizes_keep_their_proportions() -> None:
    assert Sizes("w", finished=1_000, singles=20).scaled(0.1) == Sizes("w", finished=100, singles=2)
    assert len({sizes.workload for sizes in WORKLOADS}) == len(WORKLOADS)


def test_the_peak_is_no_less_than_what_is_held_now() -> None:
    now, peak = held(os.getpid())
    assert 0 < now <= peak
