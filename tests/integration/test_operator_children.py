"""Sub-tasks in the operator: made after the commit, admitted once, answering for what they owe."""

import asyncio
from typing import Any

import pytest
from nats.aio.client import Client
from operator_process import DEADLINE, FakeAgent, Process, conditions, finished, manifest, until

from armonik_operator.clients.kube import SESSIONS, TASKS, Kube
from armonik_operator.errors import NotFound
from armonik_sdk.api.kinds import Dependency, Payload, TaskOptions
from armonik_sdk.api.messages import ManifestItem
from armonik_sdk.api.names import RESULTS, result_key
from armonik_sdk.api.results import ResultEntry, ResultState
from armonik_sdk.dataplane.nats.buckets import Bucket

pytestmark = pytest.mark.integration


async def settled(client: Client, namespace: str, session: str, result: str) -> ResultEntry:
    """The entry of a result, once it is completed or aborted."""
    bucket = Bucket(client, RESULTS, ResultEntry)
    async with asyncio.timeout(DEADLINE):
        while True:
            entry = await bucket.get(result_key(namespace, session, result))
            if entry is not None and entry[0].state is not ResultState.CREATED:
                return entry[0]
            await asyncio.sleep(0.1)


def owing(result: str, **fields: Any) -> ManifestItem:
    return ManifestItem(payload=Payload.of("x"), output_ids=[result], **fields)


async def test_an_output_handed_to_a_child_is_the_childs(
    demo: None, agent: FakeAgent, kube: Kube, namespace: str, nats_client: Client
) -> None:
    options = {"maxRetries": 7, "options": {"colour": "green", "size": "1"}}
    await kube.create(TASKS, manifest("Task", "parent", session="demo", options=options), namespace)
    parent = await agent.take()
    handed = f"{parent.message.task}.0.result"
    after = manifest("Task", "after", session="demo", dependsOn=[{"task": "parent"}])
    await kube.create(TASKS, after, namespace)
    item = owing(handed, options=TaskOptions(options={"size": "2"}))
    group = await agent.group(parent, [item], priority=5)
    await agent.succeed(parent, delegated=[handed], children=(group,))

    child = await until(kube, TASKS, group.name, namespace, lambda o: "status" in o)
    assert child["metadata"]["labels"]["armonik.io/parent"] == parent.message.task
    expected = {"uid": parent.message.task, "name": "parent", "run": 0, "index": 0}
    assert child["status"]["parent"] == expected
    assert child["spec"]["options"]["maxRetries"] == 7
    assert child["spec"]["options"]["priority"] == 5
    assert conditions(await finished(kube, "parent", namespace))["Finished"] == "Succeeded"
    owner = await Bucket(nats_client, RESULTS, ResultEntry).get(
        result_key(namespace, parent.message.session, handed)
    )
    assert owner is not None
    assert (owner[0].state, owner[0].task) == (ResultState.CREATED, child["metadata"]["uid"])

    taken = await agent.take()
    assert taken.message.task_name == group.name
    element = taken.message.elements[0]
    assert element.options is not None
    assert element.options.options == {"colour": "green", "size": "2"}
    await agent.succeed(taken)
    last = await agent.take()
    assert last.message.task_name == "after"
    assert await agent.store.get(last.message.locators[handed]) == b"X"


async def test_children_of_one_commit_wait_for_each_other(
    demo: None, agent: FakeAgent, kube: Kube, namespace: str
) -> None:
    await kube.create(TASKS, manifest("Task", "tree", session="demo"), namespace)
    parent = await agent.take()
    handed = f"{parent.message.task}.0.result"
    leaves = [owing(f"leaf-{i}") for i in range(3)]
    root = owing(handed, depends_on=[Dependency(result=f"leaf-{i}") for i in range(3)])
    group = await agent.group(parent, [root, *leaves])
    await agent.succeed(parent, delegated=[handed], children=(group,))
    computed: list[int] = []
    while 0 not in computed:
        taken = await agent.take()
        computed += taken.indexes
        if 0 in taken.indexes:
            assert sorted(taken.message.elements[0].dependencies or ()) == ["leaf-0", "leaf-1", "leaf-2"]
        await agent.succeed(taken)
    assert sorted(computed) == [0, 1, 2, 3]
    assert (await finished(kube, group.name, namespace))["status"]["progress"] == "4/4"


@pytest.mark.parametrize("how", ["fails", "is cancelled", "is deleted", "session is closed"])
async def test_what_a_child_owes_is_aborted_with_the_reasons(
    how: str, demo: None, agent: FakeAgent, kube: Kube, namespace: str, nats_client: Client
) -> None:
    await kube.create(TASKS, manifest("Task", "parent", session="demo"), namespace)
    parent = await agent.take()
    handed = f"{parent.message.task}.0.result"
    after = manifest("Task", "after", session="demo", dependsOn=[{"result": handed}])
    await kube.create(TASKS, after, namespace)
    group = await agent.group(parent, [owing(handed)])
    if how == "session is closed":
        await kube.patch(SESSIONS, "demo", {"spec": {"desiredState": "Closed"}}, namespace)
    await agent.succeed(parent, delegated=[handed], children=(group,))
    word = {"fails": "no such model", "is cancelled": "by request", "is deleted": "deleted"}.get(
        how, "closed"
    )
    match how:
        case "fails":
            await agent.fail(await agent.take(), "no such model")
        case "is cancelled":
            await until(kube, TASKS, group.name, namespace, lambda o: "status" in o)
            await kube.patch(TASKS, group.name, {"spec": {"desiredState": "Cancelled"}}, namespace)
        case "is deleted":
            await until(kube, TASKS, group.name, namespace, lambda o: "status" in o)
            await kube.delete(TASKS, group.name, namespace)
    entry = await settled(nats_client, namespace, parent.message.session, handed)
    assert entry.state is ResultState.ABORTED
    assert word in entry.reason
    ended = await finished(kube, "after", namespace)
    if how != "session is closed":
        (failure,) = ended["status"]["failures"]
        assert failure["reason"] == "DependencyAborted"
        assert f"result {handed} ended as Aborted: " in failure["message"]
        assert word in failure["message"]
    assert conditions(await finished(kube, "parent", namespace))["Finished"] == "Succeeded"


async def test_a_quota_holds_children_back_and_their_parent_open(
    demo: None, agent: FakeAgent, kube: Kube, namespace: str, apiserver: Any
) -> None:
    await kube.create(TASKS, manifest("Task", "parent", session="demo"), namespace)
    parent = await agent.take()
    path = f"/api/v1/namespaces/{namespace}/resourcequotas"
    hard = {"count/tasks.armonik.io": "1"}
    quota = {"metadata": {"name": "few"}, "spec": {"hard": hard}}
    code, body = apiserver.request("POST", path, quota)
    assert code == 201, body
    # No controllers run here: what is used is said by the test.
    code, body = apiserver.request(
        "PUT", f"{path}/few/status", body | {"status": {"hard": hard, "used": hard}}
    )
    assert code == 200, body
    group = await agent.group(parent, [owing("made")])
    await agent.succeed(parent, children=(group,))
    blocked = await until(kube, TASKS, "parent", namespace, lambda o: "ChildrenBlocked" in conditions(o))
    (message,) = [c["message"] for c in blocked["status"]["conditions"] if c["type"] == "ChildrenBlocked"]
    assert "exceeded quota: few" in message
    assert "Finished" not in conditions(blocked)
    code, body = apiserver.request("DELETE", f"{path}/few")
    assert code == 200, body
    ended = await finished(kube, "parent", namespace)
    assert conditions(ended) == {"Finished": "Succeeded"}
    assert (await kube.get(TASKS, group.name, namespace))["spec"]["itemsRef"]["count"] == 1


async def test_children_survive_a_restart_and_are_made_once(
    operator: Process, demo: None, agent: FakeAgent, kube: Kube, namespace: str, nats_client: Client
) -> None:
    await kube.create(TASKS, manifest("Task", "parent", session="demo"), namespace)
    parent = await agent.take()
    handed = f"{parent.message.task}.0.result"
    assert await operator.stop() == 0
    group = await agent.group(parent, [owing(handed)])
    await agent.succeed(parent, delegated=[handed], children=(group,))
    operator.start()
    child = await until(kube, TASKS, group.name, namespace, lambda o: "status" in o)
    await agent.succeed(await agent.take())
    await finished(kube, group.name, namespace)
    assert await operator.stop() == 0
    await kube.delete(TASKS, group.name, namespace)
    operator.start()
    ended = await finished(kube, "parent", namespace)
    entry = await settled(nats_client, namespace, parent.message.session, handed)
    assert (entry.state, entry.task) == (ResultState.COMPLETED, child["metadata"]["uid"])
    # What follows shows that the operator is past the replay, and still has not made the child again.
    await kube.create(TASKS, manifest("Task", "later", session="demo"), namespace)
    await agent.compute()
    assert ended["status"]["progress"] == "1/1"
    with pytest.raises(NotFound):
        await kube.get(TASKS, group.name, namespace)


async def test_a_child_deleted_before_it_was_admitted_leaves_no_one_waiting(
    operator: Process, demo: None, agent: FakeAgent, kube: Kube, namespace: str, nats_client: Client
) -> None:
    await kube.create(TASKS, manifest("Task", "parent", session="demo"), namespace)
    parent = await agent.take()
    handed = f"{parent.message.task}.0.result"
    group = await agent.group(parent, [owing(handed)])
    await operator.kill()
    await agent.succeed(parent, delegated=[handed], children=(group,))
    # As if the operator had died right after creating the child and its key.
    labels = {"armonik.io/parent": parent.message.task, "armonik.io/session": "demo"}
    body = manifest("Task", group.name, session="demo", itemsRef={"object": group.items, "count": 1})
    body["metadata"]["labels"] = labels
    made = await kube.create(TASKS, body, namespace)
    await agent.remember_child(namespace, parent, group.name, made["metadata"]["uid"], handed)
    await kube.delete(TASKS, group.name, namespace)
    operator.start()
    entry = await settled(nats_client, namespace, parent.message.session, handed)
    assert entry.state is ResultState.ABORTED
    assert "deleted before it ran" in entry.reason
    await finished(kube, "parent", namespace)


@pytest.mark.parametrize("run", ["0", "7"])
async def test_a_task_made_beforehand_under_a_childs_name_is_not_taken_for_it(
    demo: None, agent: FakeAgent, kube: Kube, namespace: str, run: str
) -> None:
    await kube.create(TASKS, manifest("Task", "parent", session="demo"), namespace)
    parent = await agent.take()
    handed = f"{parent.message.task}.0.result"
    group = await agent.group(parent, [owing(handed)])
    forged = manifest("Task", group.name, session="demo", payload={"inline": "of somebody else"})
    forged["metadata"]["labels"] = {"armonik.io/parent": parent.message.task, "armonik.io/session": "demo"}
    forged["metadata"]["annotations"] = {"armonik.io/parent-run": run, "armonik.io/parent-index": "0"}
    made = await kube.create(TASKS, forged, namespace)
    await agent.succeed(parent, delegated=[handed], children=(group,))
    child = await until(kube, TASKS, group.name, namespace, lambda o: "itemsRef" in o["spec"])
    assert child["metadata"]["uid"] != made["metadata"]["uid"]
    await agent.compute()
    assert conditions(await finished(kube, "parent", namespace)) == {"Finished": "Succeeded"}


async def test_a_sub_task_for_a_partition_outside_of_the_session_is_refused_and_its_parent_says_so(
    demo: None, agent: FakeAgent, kube: Kube, namespace: str, nats_client: Client
) -> None:
    await kube.create(TASKS, manifest("Task", "parent", session="demo"), namespace)
    parent = await agent.take()
    handed = f"{parent.message.task}.0.result"
    group = await agent.group(parent, [owing(handed)])
    group = group.model_copy(update={"partition": "elsewhere"})
    await agent.succeed(parent, delegated=[handed], children=(group,))
    entry = await settled(nats_client, namespace, parent.message.session, handed)
    assert entry.state is ResultState.ABORTED
    words = "partition elsewhere is not one of session demo's: default"
    assert words in entry.reason
    done = await finished(kube, "parent", namespace)
    assert conditions(done) == {"Finished": "Succeeded", "ChildrenRefused": "SubTaskInvalid"}
    assert any(words in condition["message"] for condition in done["status"]["conditions"])
    assert [task["metadata"]["name"] for task in await kube.list(TASKS, namespace)] == ["parent"]
