"""Why work waits or failed, of situations that are made for real on the cluster."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from release import (
    Object,
    apply,
    finished,
    fresh_namespace,
    kubectl,
    lab_partition,
    session,
    task,
)

from armonik_sdk.client.facts import explain_object
from armonik_sdk.client.transport.kube import Kube
from armonik_sdk.explain import Explanation

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    with fresh_namespace("explain", wait=False) as name:
        apply(
            lab_partition(name, "lab", memory="256Mi"),
            broken(name, "image", {"image": "localhost/no-such-worker:1"}),
            broken(name, "crash", {"command": ["python", "-c", "raise ValueError('no function')"]}),
            broken(name, "gpu", {"resources": {"limits": {"example.org/gpu": "1"}}}),
        )
        for partition in ("lab", "image", "crash", "gpu"):
            apply(session(name, f"of-{partition}", partition))
        yield name


@pytest.fixture
async def kube() -> AsyncIterator[Kube]:
    connected = await Kube.connect()
    yield connected
    await connected.close()


def broken(namespace: str, name: str, worker: Object) -> Object:
    """A Partition of which no pod becomes ready."""
    made = lab_partition(namespace, name)
    made["spec"]["podReserved"] = 0
    made["spec"]["template"]["spec"]["worker"] |= worker
    return made


async def explained(
    kube: Kube, namespace: str, name: str, holds: Callable[[Explanation], bool]
) -> Explanation:
    """Of a Task, once it says so: pods come and go meanwhile."""
    deadline = time.monotonic() + 300
    while True:
        found = await explain_object(kube, namespace, name, kind="task")
        if holds(found):
            return found
        assert time.monotonic() < deadline, found.text
        await asyncio.sleep(1)


async def test_an_image_that_cannot_be_pulled_down_a_chain_of_three(kube: Kube, namespace: str) -> None:
    apply(
        task(namespace, "fetch", "of-image", payload={"inline": "x"}),
        task(namespace, "parse", "of-image", dependsOn=[{"task": "fetch"}]),
        task(namespace, "reduce", "of-image", dependsOn=[{"task": "parse"}]),
    )
    found = await explained(
        kube, namespace, "reduce", lambda said: "pulled" in said.why and len(said.chain) == 4
    )
    lines = found.text.splitlines()
    assert lines[0] == "task reduce (session of-image): 1 of 1 elements waits, none runs"
    assert lines[1] == "why     It needs all outputs of task parse, which has not ended."
    assert lines[2].startswith("          task parse: It needs all outputs of task fetch")
    assert "Partition image has no ready pod: image localhost/no-such-worker:1 cannot be pulled: " in lines[3]
    assert [link.subject for link in found.chain[:3]] == ["task parse", "task fetch", "partition image"]
    assert found.chain[3].subject.startswith("pod image-")
    assert found.look[-1] == f"kubectl describe {found.chain[3].subject}"


async def test_a_worker_that_crashes_says_its_last_words(kube: Kube, namespace: str) -> None:
    apply(task(namespace, "hello", "of-crash", payload={"inline": "x"}))
    found = await explained(kube, namespace, "hello", lambda said: "Its last words" in said.why)
    assert found.reason in ("NoPods", "BackOff")
    assert found.why.startswith("The worker of partition crash ends as soon as it starts: exit code 1, ")
    assert found.why.splitlines()[-1].strip() == "ValueError: no function"
    assert re.fullmatch(r"kubectl logs crash-\S+ -c worker --previous", found.look[0])


async def test_no_node_has_what_the_worker_asks_for(kube: Kube, namespace: str) -> None:
    apply(task(namespace, "train", "of-gpu", count=3, payload={"inline": "x"}))
    found = await explained(kube, namespace, "train", lambda said: "no node fits" in said.why)
    assert found.state == "3 of 3 elements wait, none runs"
    assert "no node fits. The scheduler says: 0/" in found.why
    assert "Insufficient example.org/gpu" in found.why
    assert found.mend[0].startswith("Add a node with example.org/gpu, or ask for less")
    assert found.since is not None


async def test_a_name_that_is_wrong_and_a_partition_that_is_not_there(kube: Kube, namespace: str) -> None:
    apply(
        task(namespace, "count", "of-lab", payload={"inline": "x"}),
        task(namespace, "sum", "of-lab", dependsOn=[{"task": "cuont"}]),
    )
    found = await explained(kube, namespace, "sum", lambda said: said.reason == "DependencyNotFound")
    assert found.text.splitlines()[:2] == [
        "task sum (session of-lab): not admitted, 1 element waits",
        "why     It depends on task cuont, which does not exist in session of-lab. There is a task count.",
    ]
    apply(session(namespace, "of-none", "nowhere"), task(namespace, "lost", "of-none"))
    found = await explained(kube, namespace, "lost", lambda said: said.reason == "PartitionNotFound")
    assert found.why == (
        f"Partition nowhere does not exist in namespace {namespace}. Those that do: crash, gpu, image, lab."
    )
    of = await explain_object(kube, namespace, "of-none", kind="session")
    assert of.reason == "PartitionNotFound"


async def test_a_session_that_is_paused(kube: Kube, namespace: str) -> None:
    apply(session(namespace, "still", "lab"))
    pause = ("patch", "session.armonik.io/still", "--namespace", namespace, "--type=merge", "--patch")
    kubectl(*pause, '{"spec":{"desiredState":"Paused"}}')
    apply(task(namespace, "squares", "still", count=5, payload={"inline": "x"}))
    found = await explained(kube, namespace, "squares", lambda said: said.reason == "Paused")
    assert found.text.splitlines()[0] == "task squares (session still): 5 of 5 elements wait, 0 run"
    assert found.why == "Session still is paused."
    assert found.mend == ["armonikctl session resume still"]
    assert found.since is not None
    kubectl(*pause, '{"spec":{"desiredState":"Running"}}')
    finished(namespace, "squares")


async def test_elements_that_failed_each_in_its_way(kube: Kube, namespace: str) -> None:
    def mode(name: str, **more: str) -> Object:
        return {"options": {"maxRetries": 0, "options": {"mode": name, **more}}}

    items = [mode("error", message="ValueError: empty batch"), mode("echo"), mode("crash"), mode("echo")]
    apply(task(namespace, "mixed", "of-lab", payload={"inline": "x"}, items=items))
    finished(namespace, "mixed")
    found = await explain_object(kube, namespace, "mixed")
    assert found.text.splitlines()[:2] == [
        "task mixed (session of-lab): finished, 2 succeeded, 2 failed",
        "why     2 elements failed, 2 kinds of failure:",
    ]
    assert "WorkerError       ValueError: empty batch" in found.why
    assert "AttemptsExhausted" in found.why
    assert "ValueError: mend the input or the function, then  armonikctl task retry mixed" in found.mend
    one = await explain_object(kube, namespace, "mixed", index=0)
    assert (one.subject, one.state) == ("element 0 of task mixed (session of-lab)", "failed")
