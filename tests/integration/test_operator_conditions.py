"""What stops a Task from outside: each a condition that names the remedy, and that ends with its cause."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from nats.aio.client import Client
from nats.js.errors import APIError
from operator_process import (
    DEADLINE,
    FakeAgent,
    Process,
    conditions,
    finished,
    manifest,
    ready_reason,
    session_folder,
    until,
)
from proxy import Proxy
from servers import NatsServer

from armonik_operator.clients.kube import EVENTS, PARTITIONS, PODS, SESSIONS, TASKS, Kube
from armonik_sdk.api.names import QUEUE

pytestmark = pytest.mark.integration


async def test_a_missing_payload_object_is_waited_for(
    demo: None, agent: FakeAgent, kube: Kube, namespace: str
) -> None:
    key = f"{await session_folder(kube, namespace)}missing"
    payload = {"object": {"key": key}}
    await kube.create(TASKS, manifest("Task", "early", session="demo", payload=payload), namespace)
    message = await ready_reason(kube, "early", namespace, "PayloadNotFound")
    assert message == f"payload.object: object {key} does not exist in the store; upload it"
    task = await kube.get(TASKS, "early", namespace)
    assert task["status"]["phase"] == "Creating"
    await agent.store.put(key, b"here")
    await agent.compute()
    assert conditions(await finished(kube, "early", namespace)) == {"Finished": "Succeeded"}


async def test_items_that_are_not_understood_name_the_line(
    demo: None, agent: FakeAgent, kube: Kube, namespace: str
) -> None:
    ref: dict[str, Any] = {"object": f"{await session_folder(kube, namespace)}items", "count": 2}
    await agent.store.put(ref["object"], b'{"payload": {"inline": "a"}}\n{"payload": {"inline": 7}}\n')
    await kube.create(TASKS, manifest("Task", "listed", session="demo", itemsRef=ref), namespace)
    message = await ready_reason(kube, "listed", namespace, "PayloadNotFound")
    assert f"itemsRef.object {ref['object']}, line 2: payload.inline:" in message
    await agent.store.put(ref["object"], b'{"payload": {"inline": "a"}}\n{"payload": {"inline": "b"}}\n')
    for _ in range(2):
        await agent.compute()
    assert (await finished(kube, "listed", namespace))["status"]["progress"] == "2/2"


async def test_dependencies_that_cannot_be_are_named(
    demo: None, agent: FakeAgent, kube: Kube, namespace: str
) -> None:
    await kube.create(SESSIONS, manifest("Session", "other", partitions=["default"]), namespace)
    await kube.create(TASKS, manifest("Task", "elsewhere", session="other"), namespace)
    await kube.create(TASKS, manifest("Task", "two", session="demo", count=2), namespace)
    uid = (await kube.get(TASKS, "two", namespace))["metadata"]["uid"]
    wrong: dict[str, tuple[dict[str, Any], str, str]] = {
        "index": ({"task": "two", "index": 2}, "DependencyInvalid", "has no element 2, only 0 to 1"),
        "output": ({"task": "two", "output": "log"}, "DependencyInvalid", "has no output log, only result"),
        "session": ({"task": "elsewhere"}, "DependencyInvalid", "is of session other, not of demo"),
        "implied": ({"result": f"{uid}.5.result"}, "DependencyInvalid", "has no element 5"),
        "name": ({"task": "nobody"}, "DependencyNotFound", "task nobody does not exist in session demo"),
        "result": ({"result": "no-such"}, "DependencyNotFound", "result no-such does not exist in session"),
    }
    for name, (dependency, _, _) in wrong.items():
        await kube.create(TASKS, manifest("Task", name, session="demo", dependsOn=[dependency]), namespace)
    for name, (_, reason, words) in wrong.items():
        assert words in await ready_reason(kube, name, namespace, reason)
    await kube.create(TASKS, manifest("Task", "nobody", session="demo"), namespace)
    computed: set[str] = set()
    while "name" not in computed:
        computed.add((await agent.compute()).task_name)
    assert conditions(await finished(kube, "name", namespace)) == {"Finished": "Succeeded"}


@pytest.mark.parametrize("operator", [{"ARMONIK_NATS_STORE": "4MiB"}], indirect=True)
async def test_a_full_queue_is_waited_for_and_shown(
    demo: None, agent: FakeAgent, kube: Kube, namespace: str, nats_client: Client
) -> None:
    js = nats_client.jetstream(timeout=30)
    share = int(4 * 1024 * 1024 * 0.4)
    async with asyncio.timeout(DEADLINE):
        while (await js.stream_info(QUEUE)).config.max_bytes != share:  # noqa: ASYNC110 - NATS sets no event
            await asyncio.sleep(0.1)

    async def fill(size: int) -> None:
        for n in range(1000):
            await js.publish(f"armonik.queue.elsewhere.p.0.s.{size}.{n}.1", bytes(size), stream=QUEUE)

    for size in (8000, 10):
        with pytest.raises(APIError, match="maximum bytes exceeded"):
            await fill(size)
    for name, count in (("one", 1), ("many", 30)):
        await kube.create(TASKS, manifest("Task", name, session="demo", count=count), namespace)
    for name in ("one", "many"):
        task = await until(kube, TASKS, name, namespace, lambda task: "QueueFull" in conditions(task))
        assert conditions(task)["QueueFull"] == "QueueFull"
        said = next(c for c in task["status"]["conditions"] if c["type"] == "QueueFull")
        assert said["status"] == "True"
        assert "NATS has no room left (maximum bytes exceeded)" in said["message"]
        assert "nats.jetstream.maxFileStore" in said["message"]
    await js.purge_stream(QUEUE, subject="armonik.queue.elsewhere.>")
    left = 31
    while left:
        message = await agent.compute()
        left -= message.end - message.start
    assert conditions(await finished(kube, "one", namespace)) == {"Finished": "Succeeded"}
    many = await finished(kube, "many", namespace)
    assert conditions(many) == {"Finished": "Succeeded"}
    assert many["status"]["progress"] == "30/30"


async def test_the_bound_of_a_namespace_holds_tasks_back(
    demo: None, agent: FakeAgent, kube: Kube, namespace: str, apiserver: Any
) -> None:
    note(apiserver, namespace, "3")
    await kube.create(TASKS, manifest("Task", "first", session="demo", count=2), namespace)
    taken = await agent.take()
    await kube.create(TASKS, manifest("Task", "second", session="demo", count=2), namespace)
    message = await ready_reason(kube, "second", namespace, "QuotaExceeded")
    assert f"2 elements do not fit: 2 of 3 allowed in namespace {namespace} are unfinished" in message
    await agent.succeed(taken)
    assert (await agent.take()).message.task_name in ("first", "second")
    note(apiserver, namespace, "many")
    await kube.create(TASKS, manifest("Task", "third", session="demo", count=5), namespace)
    await until(kube, TASKS, "third", namespace, lambda o: "is 'many', not a number" in json.dumps(o))
    note(apiserver, namespace, "100")
    await until(kube, TASKS, "third", namespace, lambda o: o["status"].get("phase") != "Creating")


def note(apiserver: Any, namespace: str, bound: str) -> None:
    body = {"metadata": {"annotations": {"armonik.io/max-elements": bound}}}
    patched = apiserver.kubectl("patch", "namespace", namespace, "--type=merge", "-p", json.dumps(body))
    assert patched.returncode == 0, patched.stderr


async def test_a_store_that_is_away_is_waited_for(
    operator: Process, demo: None, agent: FakeAgent, kube: Kube, namespace: str, store_proxy: Proxy
) -> None:
    await kube.create(TASKS, manifest("Task", "before", session="demo"), namespace)
    await agent.compute()
    await store_proxy.cut()
    payload = {"inline": "hello" * 300}  # longer than what rides in the queue's message
    await kube.create(TASKS, manifest("Task", "patient", session="demo", payload=payload), namespace)
    message = await ready_reason(kube, "patient", namespace, "StoreUnavailable")
    expected = f"the object store at {store_proxy.address} cannot be reached; work resumes when it is back: "
    assert message.startswith(expected)
    await store_proxy.mend()
    await agent.compute()
    assert conditions(await finished(kube, "patient", namespace)) == {"Finished": "Succeeded"}


async def test_nats_that_is_away_at_the_start_is_reported(
    operator: Process, agent: FakeAgent, kube: Kube, namespace: str, nats_server: NatsServer, demo: None
) -> None:
    await until(kube, SESSIONS, "demo", namespace, lambda o: "Ready" in conditions(o))
    assert await operator.stop() == 0
    nats_server.stop()
    operator.start()
    await kube.create(TASKS, manifest("Task", "patient", session="late"), namespace)
    await kube.create(SESSIONS, manifest("Session", "late", partitions=["default"]), namespace)
    message = await ready_reason(kube, "patient", namespace, "QueueUnavailable")
    assert message.startswith(f"NATS at {nats_server.url} cannot be reached; work starts when it is back: ")
    session = await until(kube, SESSIONS, "late", namespace, lambda o: "Ready" in conditions(o))
    assert conditions(session)["Ready"] == "QueueUnavailable"
    nats_server.start()
    await until(kube, SESSIONS, "late", namespace, lambda o: conditions(o).get("Ready") == "Accepted")
    await agent.compute()
    assert conditions(await finished(kube, "patient", namespace)) == {"Finished": "Succeeded"}
    told = await kube.list(EVENTS, namespace)
    about = [e for e in told if e["involvedObject"]["name"] == "patient"]
    assert [(e["type"], e["reason"], e["message"]) for e in about] == [
        ("Warning", "QueueUnavailable", message)
    ]


async def test_nats_that_is_away_is_waited_for(
    demo: None, agent: FakeAgent, kube: Kube, namespace: str, nats_server: NatsServer, nats_client: Client
) -> None:
    await kube.create(TASKS, manifest("Task", "before", session="demo"), namespace)
    await agent.compute()
    await finished(kube, "before", namespace)
    nats_server.stop()
    await kube.create(TASKS, manifest("Task", "patient", session="demo"), namespace)
    message = await ready_reason(kube, "patient", namespace, "QueueUnavailable")
    assert message.startswith("NATS cannot be reached; work resumes when it is back: ")
    nats_server.start()
    await agent.compute()
    assert conditions(await finished(kube, "patient", namespace)) == {"Finished": "Succeeded"}


@pytest.mark.parametrize(("reason", "count"), [("FailedMount", 1), ("FailedCreatePodSandBox", 2)])
async def test_why_a_pod_does_not_start_is_in_the_words_of_the_kubelet(
    reason: str, count: int, demo: None, kube: Kube, namespace: str
) -> None:
    """On the Partition, and on a Task that said before that pods were starting: of one element later."""
    await kube.create(TASKS, manifest("Task", "parked", session="demo", count=count), namespace)
    (pod,) = await pods_of(kube, namespace)
    await until(kube, TASKS, "parked", namespace, lambda o: "NoPods" in conditions(o).values())
    words = 'MountVolume.SetUp failed for volume "v": configmap "not-there" not found'
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    about = {"kind": "Pod", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
    event = {
        "metadata": {"generateName": "said."},
        "involvedObject": {"apiVersion": "v1", "namespace": namespace, **about},
        "type": "Warning",
        "reason": reason,
        "message": words,
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
    }
    await kube.create(EVENTS, event, namespace)

    def says(obj: dict[str, Any]) -> bool:
        said = obj.get("status", {}).get("conditions", [])
        return any("PodStartFailed" in c["reason"] + c["message"] and words in c["message"] for c in said)

    await until(kube, PARTITIONS, "default", namespace, says)
    await until(kube, TASKS, "parked", namespace, says)


async def pods_of(kube: Kube, namespace: str) -> list[dict[str, Any]]:
    """The pods that the operator has made."""
    async with asyncio.timeout(60):
        while not (found := await kube.list(PODS, namespace)):  # noqa: ASYNC110 - it sets no event
            await asyncio.sleep(0.1)
    return found
