"""Servers that accept connections and stay silent: known in seconds, and only what needs them waits."""

from typing import Any

import pytest
from operator_process import FakeAgent, conditions, finished, manifest, ready_reason, session_folder, until
from proxy import Proxy

from armonik_operator.clients.kube import TASKS, Kube

pytestmark = pytest.mark.integration

MORE_THAN_WORKERS = 20


async def test_other_tasks_and_cancels_continue_while_the_object_store_is_silent(
    demo: None, agent: FakeAgent, kube: Kube, namespace: str, store_proxy: Proxy
) -> None:
    await kube.create(TASKS, manifest("Task", "before", session="demo"), namespace)
    await agent.compute()
    await finished(kube, "before", namespace)
    ref = await agent.store.put(f"{await session_folder(kube, namespace)}inputs", b"here")
    store_proxy.mute()
    names = [f"data-{number}" for number in range(MORE_THAN_WORKERS)]
    for name in names:
        spec: dict[str, Any] = {"session": "demo", "payload": {"object": {"key": ref.key}}}
        await kube.create(TASKS, manifest("Task", name, **spec), namespace)
    await kube.create(TASKS, manifest("Task", "plain", session="demo"), namespace)
    assert (await agent.compute()).task_name == "plain"
    assert conditions(await finished(kube, "plain", namespace)) == {"Finished": "Succeeded"}
    await kube.create(TASKS, manifest("Task", "unwanted", session="demo"), namespace)
    await until(kube, TASKS, "unwanted", namespace, lambda task: "phase" in task.get("status", {}))
    await kube.patch(TASKS, "unwanted", {"spec": {"desiredState": "Cancelled"}}, namespace)
    assert conditions(await finished(kube, "unwanted", namespace)) == {"Finished": "Cancelled"}
    for name in names:
        message = await ready_reason(kube, name, namespace, "StoreUnavailable")
        assert f"the object store at {store_proxy.address} cannot be reached" in message
    await store_proxy.cut()
    await store_proxy.mend()
    for _ in names:
        await agent.compute()
    for name in names:
        assert conditions(await finished(kube, name, namespace)) == {"Finished": "Succeeded"}
