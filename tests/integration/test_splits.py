"""A run that turns out long is shared with an agent that waits, on real servers."""

import asyncio

import pytest
from agent_bench import Bench, Pods, eventually

from armonik_sdk.api.names import QUEUE, RunId, consumer
from armonik_sdk.api.records import OutcomeKind, Record, RecordKind
from armonik_sdk.dataplane.head import Head

pytestmark = pytest.mark.integration
SCRIPTS = ("agent_worker.py", "agent_function.py")


async def somebody_waits(bench: Bench) -> None:
    """Until a pull is open in the queue."""

    async def true() -> bool:
        info = await bench.client.jetstream().consumer_info(QUEUE, consumer("ns", "p"))
        return bool(info.num_waiting)

    await eventually(true)


async def split_of(bench: Bench, run: RunId) -> tuple[Head, Head]:
    """The head of a run that was split, and that of what was given away."""
    head = await bench.reached(run, RecordKind.SPLIT)
    given = await bench.journal.head(run._replace(start=head.record.end))
    assert given is not None
    return head, given


@pytest.mark.parametrize("script", SCRIPTS)
async def test_the_tail_of_a_long_run_is_given_to_who_waits(bench: Bench, pods: Pods, script: str) -> None:
    owner = pods.start(script=script)
    run = await bench.submit("hold x", end=8)
    await owner.worker.holds("x")
    waiting = asyncio.create_task(bench.rival.next(60.0))
    await somebody_waits(bench)
    head, given = await split_of(bench, run)
    at = head.record.end
    assert (head.record.owner, head.record.epoch) == ((await bench.head(run)).record.owner, 1)
    assert (given.record.kind, given.record.end, given.record.n) == (RecordKind.SUBMITTED, 8, 1)
    assert given.sequence == head.sequence + 1
    owner.worker.let("x", "here")
    done = await bench.ended(run)
    assert [outcome.index for outcome in done.outcomes] == list(range(at))
    assert {outcome.kind for outcome in done.outcomes} == {OutcomeKind.COMPLETED}
    waiting.cancel()


async def test_what_the_worker_has_ahead_is_given_away_too(bench: Bench, pods: Pods) -> None:
    """It was given all of the run, since the first elements were quick."""
    pods.start(script="agent_function.py")
    run = await bench.submit("slow-from 10", end=30)
    await bench.reached(run, RecordKind.DISPATCHED)
    waiting = asyncio.create_task(bench.rival.next(60.0))
    await somebody_waits(bench)
    head, given = await split_of(bench, run)
    assert 10 < head.record.end < 30
    assert given.record.kind is RecordKind.SUBMITTED
    done = await bench.ended(run)
    assert [outcome.index for outcome in done.outcomes] == list(range(done.end))
    assert done.end <= head.record.end  # nobody takes the tail: another one may have been given away since
    assert {outcome.attempts for outcome in done.outcomes} == {1}
    waiting.cancel()


async def test_a_run_is_kept_while_nobody_waits(bench: Bench, pods: Pods) -> None:
    pods.start()
    run = await bench.submit("sleep", end=2)
    done = await bench.ended(run)
    assert (done.end, len(done.outcomes)) == (2, 2)
    # Submitted, dispatched, the first element while the second one takes long, done: it was not split.
    assert await bench.records(run) == 4


async def test_who_was_taken_over_gives_nothing_away(bench: Bench, pods: Pods) -> None:
    owner = pods.start()
    run = await bench.submit("hold x", end=8)
    await owner.worker.holds("x")
    head = await bench.head(run)
    taken = head.record.model_copy(update={"record_id": "taken", "epoch": 2})
    await bench.journal.append(run, Record.model_validate(taken), head.sequence)
    waiting = asyncio.create_task(bench.rival.next(60.0))
    await somebody_waits(bench)

    async def fenced() -> bool:
        return owner.count("fenced_total") == 1

    await eventually(fenced)
    assert (await bench.head(run)).record.record_id == "taken"
    assert await bench.journal.head(run._replace(start=4)) is None
    owner.worker.let("x")
    waiting.cancel()
