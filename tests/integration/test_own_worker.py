"""Our own worker, which takes a whole run in one call, beside the agent, on real servers."""

import uuid

import pytest
from agent_bench import Bench, Pod, Pods

from armonik_sdk.api.kinds import ObjectRef, TaskOptions
from armonik_sdk.api.messages import ElementSpec
from armonik_sdk.api.records import OutcomeKind, RecordKind

pytestmark = pytest.mark.integration


@pytest.fixture
async def own(pods: Pods) -> Pod:
    return pods.start(script="agent_function.py")


async def elements(bench: Bench, *payloads: str) -> dict[int, ElementSpec]:
    """Elements with payloads of their own."""
    found = {}
    for index, payload in enumerate(payloads):
        ref = await bench.store.put(f"ns/{uuid.uuid4()}", payload.encode())
        found[index] = ElementSpec(payload=ObjectRef(key=ref.key, length=ref.length))
    return found


async def test_a_whole_run_is_executed(bench: Bench, own: Pod) -> None:
    run = await bench.submit("hello", end=1000)
    done = await bench.ended(run)
    assert done.kind is RecordKind.DONE
    assert {outcome.kind for outcome in done.outcomes} == {OutcomeKind.COMPLETED}
    assert len(done.outcomes) == 1000
    assert await bench.store.get(done.ref(done.outcomes[999].outputs["result"])) == b"hello|"


@pytest.mark.parametrize(
    ("payload", "reason", "attempts", "text"),
    [
        ("error", "WorkerError", 1, "refused by the worker"),
        ("nothing", "OutputMissing", 1, "never written"),
        ("raise", "AttemptsExhausted", 2, "RuntimeError: crashed"),
        ("exit", "AttemptsExhausted", 2, "ended with code 3"),
        ("die", "AttemptsExhausted", 2, "was killed by SIGKILL"),
    ],
)
async def test_a_failure_is_told_apart_and_harms_no_neighbour(
    bench: Bench, own: Pod, payload: str, reason: str, attempts: int, text: str
) -> None:
    given = await elements(bench, "one", payload, "three")
    run = await bench.submit("", end=3, elements=given, options=TaskOptions(max_retries=1))
    first, second, third = (await bench.ended(run)).outcomes
    assert (second.kind, second.reason, second.attempts) == (OutcomeKind.ERROR, reason, attempts)
    assert text in second.message
    assert [(o.kind, o.attempts) for o in (first, third)] == [(OutcomeKind.COMPLETED, 1)] * 2
