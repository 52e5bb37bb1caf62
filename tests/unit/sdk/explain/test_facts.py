"""What is read for an explanation: no more than it needs, with bounds, and past what cannot be read."""

from collections.abc import Sequence
from typing import Any

import pytest
from explained import (
    Apiserver,
    needing,
    observed,
    partition,
    pod,
    session,
    submitted,
    task,
    waiting_container,
    written,
)

from armonik_operator.planning.task import DependencyState
from armonik_sdk.api.kinds import Task
from armonik_sdk.client.errors import NotFound, Refused, Unavailable
from armonik_sdk.client.facts import MOST_REQUESTS, explain_object
from armonik_sdk.client.transport.kube import Object

OF = session()
EMPTY = observed(partition(), [])


async def explained(kube: Any, name: str, **more: Any) -> Any:
    return await explain_object(kube, "default", name, **more)


def a_pod(name: str, **status: Any) -> Object:
    return {"apiVersion": "v1", "kind": "Pod", **pod(name, **status)}


def waits_for(name: str, other: str) -> Task:
    made = task(name, dependsOn=[{"task": other}])
    return written(made, OF, EMPTY, readiness=needing(f"task {other} has not ended"))


async def test_a_queued_task_costs_two_requests() -> None:
    place = observed(partition(), [pod("default-a", ready=True)])
    kube = Apiserver(written(task("t", 3), OF, place, [submitted(0, 3)], ahead=5), place, OF)
    kube.objects["Partition", "default"]["status"]["elementsPerMinute"] = 10
    found = await explained(kube, "t", kind="task")
    assert (found.reason, found.likely_seconds) == ("Queued", 30)
    assert kube.requests == ["Task t", "Partition default"]


async def test_a_crash_is_followed_to_the_last_words_of_the_pod() -> None:
    ended = {"lastState": {"terminated": {"exitCode": 1}}, "restartCount": 6}
    made = a_pod("default-x", **waiting_container("CrashLoopBackOff", "back-off", **ended))
    place = observed(partition(), [made])
    waits = written(task("t"), OF, place, [submitted(0, 1)])
    kube = Apiserver(waits, place, a_pod("default-a"), made, log="KeyError: 'x'\n")
    found = await explained(kube, "t")
    assert "KeyError: 'x'" in found.why
    assert found.look == ["kubectl logs default-x -c worker --previous"]
    assert len(kube.requests) == 5


async def test_pods_that_may_not_be_read_are_named() -> None:
    made = a_pod("default-x", **waiting_container("ErrImagePull", 'image "w:1": denied'))
    place = observed(partition(), [made])
    waits = written(task("t"), OF, place, [submitted(0, 1)])
    found = await explained(Apiserver(waits, place, made, forbidden=["Pod"]), "t")
    assert "image w:1 cannot be pulled: denied" in found.why
    assert "Not read: pods of partition default: pods is forbidden: user alice" in found.why


async def test_a_chain_of_tasks_is_followed_to_its_root() -> None:
    pods = [a_pod("default-x", **waiting_container("ErrImagePull", 'image "w:1": denied'))]
    place = observed(partition(), pods)
    fetch = written(task("fetch"), OF, place, [submitted(0, 1)])
    kube = Apiserver(waits_for("reduce", "parse"), waits_for("parse", "fetch"), fetch, place, *pods)
    found = await explained(kube, "reduce")
    assert [link.reason for link in found.chain[:3]] == ["WaitingForData", "NoPods", "ImagePullFailed"]
    assert len(kube.requests) == 6


async def test_tasks_that_wait_for_each_other_are_read_once() -> None:
    kube = Apiserver(waits_for("one", "two"), waits_for("two", "three"), waits_for("three", "one"))
    found = await explained(kube, "one")
    assert found.reason == "WaitingForData"
    assert len(kube.requests) <= 5


async def test_a_long_chain_is_followed_for_a_bounded_way() -> None:
    many = [waits_for(f"t-{number}", f"t-{number + 1}") for number in range(100)]
    kube = Apiserver(*many)
    found = await explained(kube, "t-0")
    assert len(kube.requests) < 20
    assert found.look[0] == "armonikctl explain task/t-1"


async def test_a_name_that_is_not_there_is_compared_with_those_that_are() -> None:
    made = task("reduce", dependsOn=[{"task": "prase"}])
    words = needing("task prase does not exist in session demo; create it", DependencyState.MISSING)
    kube = Apiserver(written(made, OF, EMPTY, readiness=words), task("parse"), task("other"))
    found = await explained(kube, "reduce")
    assert "There is a task parse." in found.why
    assert kube.requests[-1] == "Task list {'fieldSelector': 'spec.session=demo'}"


async def test_a_partition_that_is_not_there() -> None:
    of = session("demo", "gpus")
    kube = Apiserver(written(task("t"), of, None), of, partition("default"), partition("gpu"))
    found = await explained(kube, "t")
    assert "Partition gpus does not exist in namespace default. Those that do: default, gpu." in found.why


async def test_a_session_reads_tasks_that_have_not_ended() -> None:
    kube = Apiserver(written(task("t"), OF, EMPTY, [submitted(0, 1)]), OF, EMPTY)
    found = await explained(kube, "demo")
    assert "task t: Partition default has no ready pod" in found.why
    assert "status.phase!=Completed" in next(one for one in kube.requests if "list" in one)


async def test_one_element_and_one_too_many() -> None:
    kube = Apiserver(written(task("t", 3), OF, EMPTY, [submitted(0, 3)]), EMPTY)
    assert (await explained(kube, "t", index=2)).subject == "element 2 of task t (session demo)"
    for wrong in (3, -1):
        with pytest.raises(NotFound, match="has no element"):
            await explained(kube, "t", index=wrong)


async def test_the_kind_is_found_by_the_name() -> None:
    kube = Apiserver(OF, EMPTY)
    assert (await explained(kube, "demo")).subject == "session demo"
    assert (await explained(kube, "default", kind="akp")).subject == "partition default"
    with pytest.raises(NotFound, match="no task or session or partition nothing in namespace default"):
        await explained(kube, "nothing")
    with pytest.raises(Refused, match="pod: what can be explained"):
        await explained(kube, "demo", kind="pod")
    with pytest.raises(Refused, match="tasks is forbidden"):
        await explained(Apiserver(OF, forbidden=["Task"]), "demo", kind="task")


async def test_an_object_of_another_schema_is_explained_as_such() -> None:
    kube = Apiserver({"kind": "Task", "metadata": {"name": "t"}, "spec": {"session": "s", "count": -1}})
    found = await explained(kube, "t")
    assert found.state == "not readable"
    assert "spec.count" in found.why


async def test_an_apiserver_that_no_longer_answers_leaves_what_is_known() -> None:
    class Gone(Apiserver):
        async def first(self, *args: Any, **more: Any) -> Sequence[Object]:
            raise Unavailable("no answer")

    place = observed(partition(), [a_pod("default-x", **waiting_container("ErrImagePull", "denied"))])
    found = await explained(Gone(written(task("t"), OF, place, [submitted(0, 1)]), place), "t")
    assert found.reason == "NoPods"
    assert "Not read: pods of partition default: no answer" in found.why


async def test_the_number_of_requests_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_REQUESTS == 60
    monkeypatch.setattr("armonik_sdk.client.facts.MOST_REQUESTS", 3)
    many = [waits_for(f"t-{number}", f"t-{number + 1}") for number in range(9)]
    kube = Apiserver(*many)
    found = await explained(kube, "t-0")
    assert len(kube.requests) == 4
    assert "Not read: more than 3 objects" in found.why
