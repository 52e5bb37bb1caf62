"""`why` of a cluster's grid: the explanation's text, and its reason on one line."""

from types import SimpleNamespace
from typing import Any, cast

from explained import Apiserver, needing, observed, partition, pod, running, session, submitted, task, written

from armonik_sdk.aio.core.counting import OfMap, OfSession
from armonik_sdk.aio.display.pace import Counts
from armonik_sdk.api.kinds import Session, Task
from armonik_sdk.client.handles.session import SessionHandle
from armonik_sdk.client.handles.task import TaskHandle
from armonik_sdk.grid.cluster.session import ClusterSession
from armonik_sdk.grid.cluster.task import ClusterTask
from armonik_sdk.grid.protocol import Why

OF = session()
BUSY = observed(partition(), [pod("default-a", ready=True), pod("default-b", ready=True)])
GIST = "all 2 pods of partition default are busy, and 1,200 elements of other tasks are before these"


class Watched(Apiserver):
    """The same for handles, which read by the UID."""

    async def until(self, kind: Any, namespace: str, name: str, uid: str, done: Any) -> Any:
        found = await self.get(kind, namespace, name)
        assert found["metadata"]["uid"] == uid
        assert done(found)
        return found


def grid_task(made: Task, *others: Any) -> tuple[ClusterTask, Watched]:
    kube = Watched(made, *others)
    connection = cast("Any", SimpleNamespace(kube=kube, namespace="default"))
    return ClusterTask(connection, cast("Any", None), TaskHandle(connection, made)), kube


def grid_session(of: Session, *others: Any) -> tuple[ClusterSession, Watched]:
    kube = Watched(of, *others)
    connection = cast("Any", SimpleNamespace(kube=kube, namespace="default"))
    return ClusterSession(connection, SessionHandle(connection, of), of.spec), kube


def queued() -> Task:
    records = [running(0, 1), running(1, 2), submitted(2, 9)]
    return written(task("squares", 9), OF, BUSY, records, ahead=1200)


async def test_a_task_says_why_in_two_requests() -> None:
    made, kube = grid_task(queued(), BUSY)
    found = await made.why()
    assert found.text.startswith(
        "task squares (session demo): 7 of 9 elements wait, 2 run\nwhy     All 2 pods"
    )
    assert "mend    More pods:   kubectl patch akp default" in found.text
    assert found.gist == GIST
    assert len(kube.requests) == 2
    assert (await made.why(4)).text.startswith("element 4 of task squares (session demo): waits or runs")


async def test_the_only_element_is_its_task() -> None:
    made, _ = grid_task(written(task("t"), OF, BUSY, [submitted(0, 1)]), BUSY)
    assert (await made.why(0)).text.startswith("task t (session demo): 1 of 1 elements waits")


async def test_what_runs_is_held_back_by_nothing() -> None:
    made, _ = grid_task(written(task("t"), OF, BUSY, [running(0, 1)]), BUSY)
    found = await made.why()
    assert found.gist == ""
    assert "Nothing holds it back: 1 element runs." in found.text


async def test_what_has_ended_has_no_why() -> None:
    over = written(task("t"), OF, BUSY, [submitted(0, 1)])
    assert over.status is not None
    done = over.status.conditions[0].model_copy(update={"type": "Finished", "reason": "Succeeded"})
    over = over.model_copy(update={"status": over.status.model_copy(update={"conditions": [done]})})
    made, kube = grid_task(over)
    assert await made.why() == Why()
    assert len(kube.requests) == 1


async def test_a_session_says_why_its_tasks_wait() -> None:
    waits = written(
        task("reduce", dependsOn=[{"task": "squares"}]),
        OF,
        BUSY,
        readiness=needing("task squares has not ended"),
    )
    made, kube = grid_session(OF, queued(), waits, BUSY)
    found = await made.why()
    assert "  task squares: All 2 pods of partition default are busy" in found.text
    assert "  task reduce: It needs all outputs of task squares" in found.text
    assert found.gist == GIST
    assert len(kube.requests) == 4
    made, _ = grid_session(OF)
    assert await made.why() == Why()
    made, _ = grid_session(session(desiredState="Paused"))
    assert (await made.why()).gist == "it is paused"


async def test_the_progress_bar_shows_the_reason_on_one_line() -> None:
    made, kube = grid_task(queued(), BUSY)

    class Core:
        """A map that was sent as one Task."""

        lost, placed, chunksize, again, seen = False, True, 1, dict[int, Any](), (0, 0)

        def __len__(self) -> int:
            return 9

        async def task(self) -> ClusterTask:
            return made

    counted = OfMap(cast("Any", Core()))
    assert await counted.why() == ""
    assert await counted.counts() == Counts(9, 0, 0, 2, 7, 0)
    assert len(kube.requests) == 1
    assert await counted.why() == GIST
    of, _ = grid_session(OF, queued(), BUSY)
    assert await OfSession(cast("Any", SimpleNamespace(grid=of))).why() == GIST
