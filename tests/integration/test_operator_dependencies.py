"""Dependencies through the real servers: chains, fan-in, single elements, aborts; the test plays agents."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from nats.aio.client import Client
from operator_process import FakeAgent, Process, conditions, finished, manifest, ready_reason, until

from armonik_operator.clients.kube import TASKS, Kube
from armonik_sdk.api.names import JOURNAL, RunId, journal_of_task, result_id
from armonik_sdk.api.records import Outcome, OutcomeKind
from armonik_sdk.api.results import ResultState
from armonik_sdk.dataplane.credentials import Credentials
from armonik_sdk.dataplane.nats.subjects import subjects
from armonik_sdk.dataplane.result_lookup import ResultReader
from armonik_sdk.dataplane.s3.store import S3Store

pytestmark = pytest.mark.integration
LINKS = 500
MILLION = 1_000_000


async def create_all(kube: Kube, namespace: str, manifests: list[dict[str, Any]]) -> None:
    """Create many objects, some at a time."""
    at_once = asyncio.Semaphore(16)

    async def create(body: dict[str, Any]) -> None:
        async with at_once:
            await kube.create(TASKS, body, namespace)

    await asyncio.gather(*map(create, manifests))


def chain() -> list[dict[str, Any]]:
    first = manifest("Task", "link-0", session="demo", payload={"inline": "seed"})
    after = [[{"task": f"link-{i - 1}"}] for i in range(1, LINKS)]
    return [
        first,
        *(manifest("Task", f"link-{i}", session="demo", dependsOn=d) for i, d in enumerate(after, start=1)),
    ]


async def test_a_chain_of_500_runs_link_by_link(
    demo: None, agent: FakeAgent, kube: Kube, namespace: str, record_property: Callable[[str, object], None]
) -> None:
    await create_all(kube, namespace, chain())
    started = time.monotonic()
    for i in range(LINKS):
        assert (await agent.compute()).task_name == f"link-{i}"
    record_property("seconds", round(time.monotonic() - started, 1))
    assert conditions(await finished(kube, f"link-{LINKS - 1}", namespace)) == {"Finished": "Succeeded"}


async def test_a_million_elements_that_fall_together_take_one_record(
    demo: None,
    agent: FakeAgent,
    kube: Kube,
    namespace: str,
    nats_client: Client,
    credentials: Credentials,
    record_property: Callable[[str, object], None],
) -> None:
    await kube.create(TASKS, manifest("Task", "first", session="demo"), namespace)
    spec = {"session": "demo", "count": MILLION, "dependsOn": [{"task": "first"}]}
    await kube.create(TASKS, manifest("Task", "all", **spec), namespace)
    taken = await agent.take()
    started = time.monotonic()
    await agent.fail(taken, "no such model")
    ended = await finished(kube, "all", namespace)
    record_property("seconds", round(time.monotonic() - started, 1))
    status, uid = ended["status"], ended["metadata"]["uid"]
    assert (status["elements"]["failed"], status["failedIndexes"]) == (MILLION, f"0-{MILLION - 1}")
    assert [failure["index"] for failure in status["failures"]] == list(range(10))
    session = status["sessionUid"]
    records = await subjects(nats_client, JOURNAL, journal_of_task(namespace, session, uid))
    assert records == {RunId(namespace, session, uid, 0).journal}
    reader = ResultReader(nats_client, S3Store(credentials))
    found = await reader.find(namespace, session, result_id(uid, MILLION - 1, "result"))
    assert (found.state, found.reason) == (ResultState.ABORTED, "DependencyAborted")
    assert found.message == "element 0 of task first ended as Error: no such model"
    assert (await reader.find(namespace, session, result_id(uid, MILLION, "result"))).state != (
        ResultState.ABORTED
    )


async def test_a_chain_of_500_falls_with_its_first_link(
    demo: None, agent: FakeAgent, kube: Kube, namespace: str
) -> None:
    await create_all(kube, namespace, chain())
    await agent.fail(await agent.take(), "no such model")
    ended = await finished(kube, f"link-{LINKS - 1}", namespace)
    (failure,) = ended["status"]["failures"]
    assert failure["reason"] == "DependencyAborted"
    assert failure["message"].startswith(
        "element 0 of task link-498 ended as Error: element 0 of task link-497"
    )
    assert failure["message"].endswith("element 0 of task link-0 ended as Error: no such model")


async def test_a_fan_in_of_1000_waits_for_the_last(
    demo: None, agent: FakeAgent, kube: Kube, namespace: str
) -> None:
    names = [f"leaf-{i}" for i in range(1000)]
    root = manifest("Task", "root", session="demo", dependsOn=[{"task": name} for name in names])
    await create_all(kube, namespace, [root, *(manifest("Task", name, session="demo") for name in names)])
    for _ in names:
        assert (await agent.compute()).task_name != "root"
    last = await agent.take()
    assert last.message.task_name == "root"
    assert len(last.message.dependencies) == len(last.message.locators) == len(names)
    await agent.succeed(last)
    await finished(kube, "root", namespace)


async def test_diamonds_run_each_task_once_and_give_both_sides(
    demo: None, agent: FakeAgent, kube: Kube, namespace: str
) -> None:
    """Three diamonds, one below the other; the bottom of one is the top of the next."""
    needs: dict[str, list[str]] = {"top-0": []}
    for at in range(3):
        needs |= {f"left-{at}": [f"top-{at}"], f"right-{at}": [f"top-{at}"]}
        needs[f"top-{at + 1}"] = [f"left-{at}", f"right-{at}"]
    bodies = [
        manifest("Task", name, session="demo", dependsOn=[{"task": other} for other in others])
        for name, others in reversed(needs.items())
    ]
    await create_all(kube, namespace, bodies)
    done: list[str] = []
    for _ in needs:
        message = await agent.compute()
        assert set(needs[message.task_name]) <= set(done)
        assert len(message.dependencies) == len(message.locators) == len(needs[message.task_name])
        done.append(message.task_name)
    assert sorted(done) == sorted(needs)
    await finished(kube, "top-3", namespace)


@pytest.mark.parametrize("kind", [OutcomeKind.TIMEOUT, OutcomeKind.CANCELLED])
async def test_who_waits_for_what_timed_out_or_was_cancelled_ends_with_the_reason(
    kind: OutcomeKind, demo: None, agent: FakeAgent, kube: Kube, namespace: str
) -> None:
    await kube.create(TASKS, manifest("Task", "late", session="demo"), namespace)
    await kube.create(
        TASKS, manifest("Task", "after", session="demo", dependsOn=[{"task": "late"}]), namespace
    )
    taken = await agent.take()
    if kind is OutcomeKind.CANCELLED:
        await kube.patch(TASKS, "late", {"spec": {"desiredState": "Cancelled"}}, namespace)
        await agent.noted(taken)
    await agent.finish(taken, [Outcome(index=0, kind=kind, reason=str(kind), message="as it was")])
    assert f"element 0 of task late ended as {kind}" in await failure_of(kube, "after", namespace)


CIRCLE = {"a": "b", "b": "c", "c": "a"}
SAID = (
    "task a waits for task b, which waits for task c, which waits for task a: a dependency cycle;"
    " cancel or delete one of them"
)


async def make_circle(kube: Kube, namespace: str, order: str) -> None:
    for name in order:
        body = manifest("Task", name, session="demo", dependsOn=[{"task": CIRCLE[name]}])
        await kube.create(TASKS, body, namespace)
    for name in CIRCLE:
        assert await ready_reason(kube, name, namespace, "DependencyCycle") == SAID
        held = await kube.get(TASKS, name, namespace)
        assert held["status"]["phase"] == "Pending"


async def failure_of(kube: Kube, name: str, namespace: str) -> str:
    (failure,) = (await finished(kube, name, namespace))["status"]["failures"]
    assert failure["reason"] == "DependencyAborted"
    return str(failure["message"])


async def test_a_circle_is_named_by_all_on_it_and_can_be_ended(
    demo: None, agent: FakeAgent, kube: Kube, namespace: str
) -> None:
    await make_circle(kube, namespace, "cab")
    await kube.create(TASKS, manifest("Task", "free", session="demo"), namespace)
    assert (await agent.compute()).task_name == "free"  # nobody else is held up
    await kube.patch(TASKS, "a", {"spec": {"desiredState": "Cancelled"}}, namespace)
    assert conditions(await finished(kube, "a", namespace))["Finished"] == "Cancelled"
    for name in ("c", "b"):
        message = await failure_of(kube, name, namespace)
        assert "element 0 of task a ended as Cancelled: cancelled by request" in message


async def test_a_circle_ends_when_one_of_its_tasks_is_deleted(
    demo: None, agent: FakeAgent, kube: Kube, namespace: str
) -> None:
    await make_circle(kube, namespace, "abc")
    await kube.delete(TASKS, "a", namespace)
    await kube.create(TASKS, manifest("Task", "a", session="demo"), namespace)  # corrected, and another one
    assert (await agent.compute()).task_name == "a"
    for name in ("c", "b"):
        message = await failure_of(kube, name, namespace)
        assert message.endswith("task a was deleted before its element 0 had ended")


async def test_a_name_always_means_the_same_task(
    demo: None, operator: Process, agent: FakeAgent, kube: Kube, namespace: str
) -> None:
    """A Task is deleted and created again while there is no operator."""
    for name, needs in (("first", []), ("one", ["first"]), ("other", ["one"])):
        body = manifest("Task", name, session="demo", dependsOn=[{"task": each} for each in needs])
        await kube.create(TASKS, body, namespace)
    held = await agent.take()
    await until(kube, TASKS, "other", namespace, lambda o: "Waiting" in conditions(o))
    await operator.kill()
    await kube.delete(TASKS, "one", namespace)
    await kube.create(TASKS, manifest("Task", "one", session="demo"), namespace)
    operator.start()
    message = await failure_of(kube, "other", namespace)
    assert message == "task one was deleted before its element 0 had ended"
    assert (await agent.compute()).task_name == "one"  # the new one waits for nothing
    await agent.succeed(held)
    await finished(kube, "first", namespace)


async def test_what_a_deleted_task_had_completed_is_still_used(
    demo: None, agent: FakeAgent, kube: Kube, namespace: str
) -> None:
    await kube.create(TASKS, manifest("Task", "slow", session="demo"), namespace)
    slow = await agent.take()
    both = [{"task": "data"}, {"task": "slow"}]
    await kube.create(TASKS, manifest("Task", "data", session="demo", count=3), namespace)
    await kube.create(TASKS, manifest("Task", "after", session="demo", dependsOn=both), namespace)
    await until(kube, TASKS, "after", namespace, lambda o: "Waiting" in conditions(o))
    ended: set[int] = set()
    while ended != {0, 1, 2}:
        data = await agent.take()
        ended |= set(data.indexes)
        await agent.succeed(data)
    await finished(kube, "data", namespace)
    await kube.delete(TASKS, "data", namespace)
    await kube.create(TASKS, manifest("Task", "data", session="demo"), namespace)
    assert (await agent.compute()).task_name == "data"
    await agent.succeed(slow)
    after = await agent.take()
    assert [result for result in after.message.dependencies if result.startswith(data.message.task)] == [
        f"{data.message.task}.{index}.result" for index in range(3)
    ]
    assert len(after.message.locators) == 4
    await agent.succeed(after)
    await finished(kube, "after", namespace)


async def test_elements_wait_and_fall_one_by_one(
    demo: None, agent: FakeAgent, kube: Kube, namespace: str
) -> None:
    await kube.create(TASKS, manifest("Task", "good", session="demo"), namespace)
    good = await agent.take()
    await kube.create(TASKS, manifest("Task", "bad", session="demo"), namespace)
    bad = await agent.take()
    handed = f"{good.message.task}.0.result"
    items = [
        {"payload": {"inline": "free"}},
        {"dependsOn": [{"task": "good", "index": 0, "output": "result"}]},
        {"dependsOn": [{"result": handed}, {"task": "bad"}]},
        {"payload": {"result": handed}},
    ]
    await kube.create(TASKS, manifest("Task", "mixed", session="demo", items=items), namespace)
    free = await agent.take()
    assert (free.message.task_name, list(free.indexes)) == ("mixed", [0])
    await agent.succeed(free)
    said = await until(
        kube, TASKS, "mixed", namespace, lambda o: o.get("status", {}).get("progress") == "1/4"
    )
    (waiting,) = [c for c in said["status"]["conditions"] if c["type"] == "Waiting"]
    assert waiting["reason"] == "WaitingForData"
    assert "3 elements wait for data, the first of them, element 1: element 0 of" in waiting["message"]
    await agent.succeed(good)
    seen: set[int] = set()
    while seen != {1, 3}:
        taken = await agent.take()
        seen |= set(taken.indexes)
        await agent.succeed(taken)
    await agent.fail(bad, "no such model")
    ended = await finished(kube, "mixed", namespace)
    assert ended["status"]["succeededIndexes"] == "0-1,3"
    (failure,) = ended["status"]["failures"]
    assert (failure["index"], failure["reason"]) == (2, "DependencyAborted")
    assert failure["message"].endswith("element 0 of task bad ended as Error: no such model")


async def test_a_task_that_others_wait_for_outlives_its_ttl(
    demo: None, agent: FakeAgent, kube: Kube, namespace: str
) -> None:
    await kube.create(TASKS, manifest("Task", "slow", session="demo"), namespace)
    slow = await agent.take()
    quick = manifest("Task", "quick", session="demo", ttlSecondsAfterFinished=0)
    both = [{"task": "quick"}, {"task": "slow"}]
    await kube.create(TASKS, manifest("Task", "after", session="demo", dependsOn=both), namespace)
    await kube.create(TASKS, quick, namespace)
    await until(kube, TASKS, "after", namespace, lambda o: "status" in o)
    assert (await agent.compute()).task_name == "quick"
    await finished(kube, "quick", namespace)
    await agent.succeed(slow)
    assert (await agent.compute()).task_name == "after"
    await finished(kube, "after", namespace)


async def test_a_dependency_with_a_uid_is_that_task_and_no_other_of_its_name(
    demo: None, agent: FakeAgent, kube: Kube, namespace: str
) -> None:
    """As the client's handles name it: what is gone ends the wait, and another's data is never given."""
    body = manifest("Task", "data", session="demo")
    first = await kube.create(TASKS, body, namespace)
    await agent.compute()
    await finished(kube, "data", namespace)
    needed = {"task": "data", "uid": first["metadata"]["uid"]}
    await kube.create(TASKS, manifest("Task", "early", session="demo", dependsOn=[needed]), namespace)
    early = await agent.take()
    assert list(early.message.dependencies) == [f"{first['metadata']['uid']}.0.result"]
    await agent.succeed(early)
    await kube.delete(TASKS, "data", namespace)
    await kube.create(TASKS, body, namespace)
    assert (await agent.compute()).task_name == "data"
    for uid in (first["metadata"]["uid"], "0b0c-never-there"):
        late = manifest("Task", f"late-{uid[:4]}", session="demo", dependsOn=[needed | {"uid": uid}])
        await kube.create(TASKS, late, namespace)
        message = await failure_of(kube, f"late-{uid[:4]}", namespace)
        assert "data" in message
        assert "deleted" in message or "not of" in message
    element = manifest("Task", "element", session="demo", dependsOn=[needed | {"index": 0}])
    await kube.create(TASKS, element, namespace)  # what it had completed stays
    taken = await agent.take()
    assert list(taken.message.dependencies) == [f"{first['metadata']['uid']}.0.result"]


async def test_a_task_for_a_session_that_is_gone_says_so(demo: None, kube: Kube, namespace: str) -> None:
    """A Session of the same name is another one."""
    body = manifest("Task", "stray", session="demo", sessionUid="0b0c-another")
    await kube.create(TASKS, body, namespace)
    message = await ready_reason(kube, "stray", namespace, "SessionNotFound")
    assert "session demo with the UID 0b0c-another does not exist any more" in message
