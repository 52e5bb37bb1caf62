"""The worker is given the next element while what the last one made is still kept: whatever comes then."""

from collections.abc import AsyncIterator

import pytest
from agent_bench import Bench, Pod, Pods
from proxy import Proxy

from armonik_sdk.api.messages import ElementSpec
from armonik_sdk.api.names import WORKER_DOWN, RunId, event_subject
from armonik_sdk.api.records import DesiredState, OutcomeKind, RecordKind

pytestmark = pytest.mark.integration

LARGE = b"kept" * 25_000
"""Too large to wait in memory, so it goes to the object store at once."""


@pytest.fixture
async def way(pods: Pods, s3_endpoint: str) -> Proxy:
    """To the object store."""
    return await pods.way(s3_endpoint)


@pytest.fixture
async def pod(pods: Pods, way: Proxy) -> Pod:
    """A pod with one slot, on that way."""
    return pods.start(store=way)


@pytest.fixture
async def run(bench: Bench, pod: Pod, way: Proxy) -> AsyncIterator[RunId]:
    """A run whose first element has ended, whose second cannot be kept, and whose last is executed."""
    large = await bench.put(LARGE)
    last = await bench.put(b"hold last")
    made = await bench.submit(
        "hold first", end=3, elements={1: ElementSpec(payload=large), 2: ElementSpec(payload=last)}
    )
    await pod.worker.holds("first")  # all inputs are there
    await way.cut()
    pod.worker.let("first", "1")
    await pod.worker.holds("last")
    yield made
    pod.worker.let("last", "too late")


async def test_the_next_element_does_not_wait_for_the_object_store(
    bench: Bench, pod: Pod, way: Proxy, run: RunId
) -> None:
    pod.worker.let("last", "3")
    await way.mend()
    done = await bench.ended(run)
    made = [await bench.store.get(done.ref(outcome.outputs["result"])) for outcome in done.outcomes]
    assert made == [b"1", LARGE + b"|", b"3"]
    assert [outcome.attempts for outcome in done.outcomes] == [1, 1, 1]


async def test_what_was_begun_ends_though_the_agent_takes_nothing_new(
    bench: Bench, pod: Pod, way: Proxy, run: RunId
) -> None:
    pod.drain.begin()
    await way.mend()
    pod.worker.let("last", "3")
    done = await bench.reached(run, RecordKind.DONE)
    assert [outcome.kind for outcome in done.record.outcomes] == [OutcomeKind.COMPLETED] * 3


async def test_a_cancelled_run_keeps_what_has_ended_and_gives_up_what_was_begun(
    bench: Bench, pod: Pod, way: Proxy, run: RunId
) -> None:
    told = await bench.client.subscribe(event_subject("ns", WORKER_DOWN))
    await bench.want(run, DesiredState.CANCELLED)
    await way.mend()
    record = (await bench.reached(run, RecordKind.CANCELLED)).record
    assert [outcome.kind for outcome in record.outcomes][2] is OutcomeKind.CANCELLED
    assert pod.uid.encode() in (await told.next_msg(30)).data


async def test_a_run_that_cannot_be_kept_is_released_once_the_worker_is_free(
    bench: Bench, pod: Pod, way: Proxy, run: RunId
) -> None:
    pod.drain.end(60.0)  # finished work does not wait for the object store any longer
    pod.worker.let("last", "3")
    released = (await bench.reached(run, RecordKind.RELEASED)).record
    assert 1 not in {outcome.index for outcome in released.outcomes}
    assert released.attempts == ()
    await way.mend()
