"""Workers on other gRPC libraries beside an agent: all of them are treated alike (tests/polyglot/README.md).

They are built by `hack/polyglot`. ARMONIK_LANGUAGES names the languages; the Makefile sets it.
"""

import os
from typing import Any

import pytest
from agent_bench import Bench, Pod, Pods, eventually
from hack.polyglot.build import COMMON, command, lacks

from armonik_sdk.api.kinds import ObjectRef, TaskOptions
from armonik_sdk.api.messages import ElementSpec
from armonik_sdk.api.records import Outcome, OutcomeKind, RecordKind

pytestmark = pytest.mark.integration
NAMES = os.environ.get("ARMONIK_LANGUAGES", " ".join(COMMON)).split()
LARGE = 63 * 1024 * 1024


@pytest.fixture(params=NAMES)
async def pod(request: Any, pods: Pods) -> Pod:
    """A pod with a worker of one language."""
    if missing := lacks(request.param):
        pytest.skip(missing)
    return pods.start(script=command(request.param))


async def only(bench: Bench, payload: str, **fields: Any) -> Outcome:
    """How the one element of a run has ended."""
    return (await bench.ended(await bench.submit(payload, **fields))).outcomes[0]


async def test_elements_get_their_inputs_and_their_outputs_are_kept(bench: Bench, pod: Pod) -> None:
    given = await bench.put(b"onetwo")
    part = ObjectRef(key=given.key, offset=3, length=3)
    run = await bench.submit(
        "same",
        end=60,
        outputs=("a", "b"),
        dependencies=("dep",),
        locators={"dep": given},
        elements={7: ElementSpec(payload=part)},
    )
    done = await bench.ended(run)
    assert {(o.kind, o.attempts) for o in done.outcomes} == {(OutcomeKind.COMPLETED, 1)}
    data = [await bench.store.get(done.ref(o.outputs[name])) for o in done.outcomes[6:9] for name in "ab"]
    assert data == [b"same|onetwo", b"same|onetwo", b"two|onetwo", b"two|onetwo", *[b"same|onetwo"] * 2]


async def test_results_are_created_and_sub_tasks_submitted(bench: Bench, pod: Pod) -> None:
    done = await bench.ended(await bench.submit("create 5"))
    outcome = done.outcomes[0]
    made = [await bench.store.get(done.ref(outcome.made[name])) for name in outcome.made]
    assert sorted(made) == [b"0", b"1", b"2", b"3", b"4"]
    assert (await bench.output(done)).decode().split() == list(outcome.made)

    done = await bench.ended(await bench.submit("submit"))
    (outcome,), (child,) = done.outcomes, done.children
    assert (outcome.kind, outcome.outputs, len(outcome.delegated)) == (OutcomeKind.COMPLETED, {}, 1)
    items = await bench.store.get(ObjectRef(key=child.items, length=await bench.store.stat(child.items)))
    assert next(iter(outcome.made)).encode() in items


async def test_failures_are_distinguished(bench: Bench, pod: Pod) -> None:
    outcome = await only(bench, "error", options=TaskOptions(max_retries=1))
    assert (outcome.kind, outcome.reason, outcome.attempts) == (OutcomeKind.ERROR, "WorkerError", 1)
    assert outcome.message == "refused: 100 % Ünheard of"
    outcome = await only(bench, "throw", options=TaskOptions(max_retries=1))
    assert (outcome.kind, outcome.reason, outcome.attempts) == (OutcomeKind.ERROR, "AttemptsExhausted", 2)
    # PyPI `armonik` says the latter of any exception.
    assert any(text in outcome.message for text in ("thrown", "Failed to serialize response"))
    outcome = await only(bench, "sleep", options=TaskOptions(max_duration_seconds=1, max_retries=2))
    assert (outcome.kind, outcome.reason) == (OutcomeKind.TIMEOUT, "MaxDurationExceeded")
    assert outcome.attempts == 1


async def test_63_mib_of_a_result_are_taken(bench: Bench, pod: Pod) -> None:
    done = await bench.ended(await bench.submit("large"))
    outcome = done.outcomes[0]
    assert (outcome.kind, outcome.attempts) == (OutcomeKind.COMPLETED, 1)
    assert [piece.length for piece in outcome.made.values()] == [LARGE]
    assert await bench.output(done) == b"large"


async def test_a_worker_that_ends_costs_an_attempt_at_work_and_none_while_idle(
    bench: Bench, pod: Pod
) -> None:
    run = await bench.submit("exit", options=TaskOptions(max_retries=1))

    async def ended() -> bool:
        return pod.worker.has_ended()

    await eventually(ended)
    released = (await bench.reached(run, RecordKind.RELEASED)).record
    assert [(a.index, a.executions) for a in released.attempts] == [(0, 1)]
    pod.worker.restart()
    outcome = (await bench.ended(run)).outcomes[0]
    assert (outcome.reason, outcome.attempts) == ("AttemptsExhausted", 2)
    pod.worker.restart()
    assert (await only(bench, "one")).attempts == 1
    pod.worker.restart()  # while it is idle
    outcome = await only(bench, "two", options=TaskOptions(max_retries=0))
    assert (outcome.kind, outcome.attempts) == (OutcomeKind.COMPLETED, 1)
