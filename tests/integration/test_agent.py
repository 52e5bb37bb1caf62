"""The agent between a real nats-server, a real object store and an unchanged worker of PyPI `armonik`."""

import asyncio
import uuid
from typing import Any

import pytest
from agent_bench import Bench, Pod

from armonik_sdk.api.kinds import ObjectRef, TaskOptions
from armonik_sdk.api.messages import ElementSpec
from armonik_sdk.api.names import CONTROL, bands_key, control_key, pod_key
from armonik_sdk.api.records import BandsInUse, Control, DesiredState, OutcomeKind, Owner, RecordKind
from armonik_sdk.dataplane.nats.buckets import Bucket
from armonik_sdk.dataplane.nats.queue import queued
from armonik_sdk.dataplane.nats.streams import ensure_consumer

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("pod")]


async def test_a_run_is_executed_and_its_output_can_be_read(bench: Bench, pod: Pod) -> None:
    run = await bench.submit("hello")
    done = await bench.ended(run)
    assert done.kind is RecordKind.DONE
    outcome = done.outcomes[0]
    assert (outcome.kind, outcome.attempts) == (OutcomeKind.COMPLETED, 1)
    assert await bench.store.get(done.ref(outcome.outputs["result"])) == b"hello|"
    await pod.end()
    assert await queued(bench.client) == set()


async def test_every_element_of_a_run_gets_its_own_payload_and_dependencies(bench: Bench) -> None:
    given = await bench.put(b"onetwo")
    part = ObjectRef(key=given.key, offset=3, length=3)
    run = await bench.submit(
        "same",
        end=3,
        outputs=("a", "b"),
        dependencies=("dep",),
        locators={"dep": given},
        elements={1: ElementSpec(payload=part), 2: ElementSpec(payload=part, dependencies=("lost",))},
    )
    done = await bench.ended(run)
    first, second, third = done.outcomes
    assert await bench.store.get(done.ref(first.outputs["b"])) == b"same|onetwo"
    assert await bench.store.get(done.ref(second.outputs["a"])) == b"two|onetwo"
    assert (third.kind, third.reason) == (OutcomeKind.ERROR, "InputMissing")


async def test_small_outputs_of_a_run_ride_in_its_records_as_long_as_they_have_room(bench: Bench) -> None:
    """All of a commit or none; what rides in the head already counts."""
    quarter, rest = "q" * 1023, "r" * 2047
    small = await bench.ended(await bench.submit(quarter, end=4))
    assert small.objects == ()
    assert {await bench.store.get(small.ref(o.outputs["result"])) for o in small.outcomes} == {
        b"q" * 1023 + b"|"
    }
    large = await bench.ended(await bench.submit(quarter, end=5))
    assert len(large.objects) == 1
    assert {await bench.store.get(large.ref(o.outputs["result"])) for o in large.outcomes} == {
        b"q" * 1023 + b"|"
    }

    sleeping = ObjectRef(key=(await bench.put(b"sleep")).key)
    run = await bench.submit(rest, end=3, elements={1: ElementSpec(payload=sleeping)})
    first = await bench.reached(run, RecordKind.PROGRESS)  # before the one that sleeps has ended
    assert [o.index for o in first.record.outcomes] == [0]
    assert first.record.objects == ()
    done = await bench.ended(run)
    assert [bool(o.outputs["result"].inline) for o in done.outcomes] == [True, False, False]
    assert await bench.store.get(done.ref(done.outcomes[2].outputs["result"])) == b"r" * 2047 + b"|"


@pytest.mark.parametrize(
    ("payload", "reason", "attempts", "text"),
    [
        ("error", "WorkerError", 1, "refused by the worker"),
        ("nothing", "OutputMissing", 1, "never written"),
        ("raise", "AttemptsExhausted", 2, "INTERNAL"),
    ],
)
async def test_each_kind_of_failure_is_distinguished(
    bench: Bench, payload: str, reason: str, attempts: int, text: str
) -> None:
    run = await bench.submit(payload, options=TaskOptions(max_retries=1))
    outcome = (await bench.ended(run)).outcomes[0]
    assert (outcome.kind, outcome.reason, outcome.attempts) == (OutcomeKind.ERROR, reason, attempts)
    assert text in outcome.message


async def test_sub_tasks_are_committed_with_their_parent(bench: Bench) -> None:
    done = await bench.ended(await bench.submit("children"))
    (outcome,), (child,) = done.outcomes, done.children
    assert outcome.kind is OutcomeKind.COMPLETED
    assert outcome.outputs == {}
    assert len(outcome.delegated) == 1
    assert child.count == 1
    size = await bench.store.stat(child.items)
    items = await bench.store.get(ObjectRef(key=child.items, length=size))
    assert next(iter(outcome.made)).encode() in items


async def test_a_cancelled_sessions_run_never_starts(bench: Bench) -> None:
    done = await bench.ended(await bench.submit("hello", state=DesiredState.CANCELLED))
    assert done.kind is RecordKind.CANCELLED
    assert (done.epoch, done.outcomes[0].kind) == (0, OutcomeKind.CANCELLED)


async def test_a_run_whose_owners_pod_is_gone_is_taken_over_and_charged(bench: Bench) -> None:
    await bench.control.put(pod_key("ns", "dead"), Control(state=DesiredState.GONE))
    owner = Owner(pod="dead", process="x")
    run = await bench.submit("hello", head={"kind": RecordKind.DISPATCHED, "owner": owner, "epoch": 1})
    done = await bench.ended(run)
    assert (done.epoch, done.outcomes[0].attempts) == (2, 2)


async def test_an_execution_that_takes_too_long_ends_as_timeout(bench: Bench) -> None:
    done = await bench.ended(await bench.submit("sleep", options=TaskOptions(max_duration_seconds=1)))
    outcome = done.outcomes[0]
    assert (outcome.kind, outcome.reason) == (OutcomeKind.TIMEOUT, "MaxDurationExceeded")


async def test_a_drained_agent_releases_what_it_runs(bench: Bench, pod: Pod) -> None:
    run = await bench.submit("sleep")
    await bench.reached(run, RecordKind.DISPATCHED)
    await pod.end()
    head = await bench.reached(run, RecordKind.RELEASED)
    assert (head.record.owner, head.record.attempts, head.record.epoch) == (None, (), 1)
    assert await queued(bench.client) == {run.queue("p", 1)}


async def test_a_fenced_agent_commits_nothing_and_continues(bench: Bench) -> None:
    run = await bench.submit("sleep")
    head = await bench.reached(run, RecordKind.DISPATCHED)
    thief = {"record_id": uuid.uuid4().hex, "owner": Owner(pod="thief", process="1"), "epoch": 2}
    taken = head.record.model_copy(update=thief)
    sequence = await bench.journal.append(run, taken, head.sequence)
    await bench.ended(await bench.submit("hello"))
    after = await bench.journal.head(run)
    assert after is not None
    assert (after.record, after.sequence) == (taken, sequence)


async def test_an_operators_note_is_merged(bench: Bench) -> None:
    run = await bench.submit("sleep", end=2, options=TaskOptions(max_duration_seconds=30))
    head = await bench.reached(run, RecordKind.DISPATCHED)
    note = {"record_id": uuid.uuid4().hex, "kind": RecordKind.CANCEL_REQUESTED, "cancel": "1"}
    await bench.journal.append(run, head.record.model_copy(update=note), head.sequence)
    done = await bench.ended(run)
    assert [o.kind for o in done.outcomes] == [OutcomeKind.COMPLETED, OutcomeKind.CANCELLED]


async def test_an_element_is_cancelled_while_it_runs_and_the_others_continue(bench: Bench) -> None:
    quick = ObjectRef(key=(await bench.put(b"quick")).key)
    others = {1: ElementSpec(payload=quick), 2: ElementSpec(payload=quick)}
    run = await bench.submit("sleep", end=3, elements=others)
    head = await bench.reached(run, RecordKind.DISPATCHED)
    note = {"record_id": uuid.uuid4().hex, "kind": RecordKind.CANCEL_REQUESTED, "cancel": "0"}
    await bench.journal.append(run, head.record.model_copy(update=note), head.sequence)
    told = Control(state=DesiredState.RUNNING, generation=2)
    await bench.control.put(control_key("ns", run.task), told)
    done = await bench.ended(run)
    assert done.epoch == 2  # not waited for: the rest was dispatched anew
    kinds = [OutcomeKind.CANCELLED, OutcomeKind.COMPLETED, OutcomeKind.COMPLETED]
    assert [o.kind for o in done.outcomes] == kinds


async def test_elements_that_do_not_run_yet_are_cancelled_at_once(bench: Bench) -> None:
    run = await bench.submit("sleep", end=3)
    head = await bench.reached(run, RecordKind.DISPATCHED)
    note = {"record_id": uuid.uuid4().hex, "kind": RecordKind.CANCEL_REQUESTED, "cancel": "1-2"}
    await bench.journal.append(run, head.record.model_copy(update=note), head.sequence)
    told = Control(state=DesiredState.RUNNING, generation=2)
    await bench.control.put(control_key("ns", run.task), told)
    ended = await bench.reached(run, RecordKind.PROGRESS)
    assert {o.index: o.kind for o in ended.record.outcomes} == {
        1: OutcomeKind.CANCELLED,
        2: OutcomeKind.CANCELLED,
    }
    first, *_ = (await bench.ended(run)).outcomes
    assert first.kind is OutcomeKind.COMPLETED


async def test_a_busy_agent_continues_with_what_is_most_urgent(bench: Bench) -> None:
    await ensure_consumer(bench.client, "ns", "p", 9)
    first = await bench.submit("sleep")
    await bench.reached(first, RecordKind.DISPATCHED)
    low = [await bench.submit("sleep") for _ in range(3)]
    high = await bench.submit("hello", band=9)
    await Bucket(bench.client, CONTROL, BandsInUse).put(bands_key("ns", "p"), BandsInUse(bands=(9,)))
    await bench.ended(high)
    left = [run for run in low if not (await bench.head(run)).record.kind.terminal]
    assert len(left) >= 2  # at most the one that had been fetched ahead came before it


async def test_work_survives_a_restart_of_the_queue(bench: Bench, nats_server: Any) -> None:
    run = await bench.submit("sleep")
    await bench.reached(run, RecordKind.DISPATCHED)
    await asyncio.to_thread(nats_server.stop)
    await asyncio.to_thread(nats_server.start)
    done = await bench.ended(run)
    assert (done.epoch, done.outcomes[0].kind) == (1, OutcomeKind.COMPLETED)
