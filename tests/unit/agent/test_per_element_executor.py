"""An executor of one element a call says how it ended, whatever the worker does, and knows no journal."""

import asyncio
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from armonik.protogen.common.objects_pb2 import Empty, Output
from armonik.protogen.common.worker_common_pb2 import ProcessReply
from tests.unit.agent.executor_pair import RUN, Worker, element, failure

from armonik_agent.data.subtask_lines import Line
from armonik_agent.executors.executor import ElementEnd
from armonik_agent.executors.per_element import PerElementExecutor
from armonik_agent.executors.verdict import Disposition
from armonik_agent.worker.agent_service import AgentService, Execution

SUCCESS = ProcessReply(output=Output(ok=Empty()))
RESULT = element(0).expected[0]


class Site:
    """An executor, the worker that it calls, and the service that the worker calls meanwhile."""

    def __init__(self) -> None:
        unused: Any = None
        folder: Any = SimpleNamespace(path="/folder")
        self.worker: Any = Worker()
        self.service = AgentService(unused, unused, unused)
        self.executor = PerElementExecutor(self.worker, self.service, RUN, folder)

    @property
    def execution(self) -> Execution:
        """The one that the worker may call for."""
        (execution,) = self.service.executions.values()
        return execution

    async def end(self) -> ElementEnd:
        """What is reported next: of one element, always."""
        (end,) = (await self.executor.wait()).ended
        return end


@pytest.fixture
def site() -> Site:
    return Site()


async def test_an_element_that_wrote_its_output_is_completed(site: Site) -> None:
    await site.executor.give([element(0)], {})
    site.execution.written[RESULT] = None
    site.execution.children.append(Line("", 0, b"{}"))
    site.worker.calls[0].set_result(SUCCESS)
    end = await site.end()
    assert end.element.index == 0
    assert end.result.ending is Disposition.COMPLETED
    assert end.produced.files == {RESULT: RESULT}
    assert end.produced.subtasks == [Line("", 0, b"{}")]
    assert RESULT in end.leftovers
    assert end.seconds >= 0
    assert site.worker.answers == 1
    assert not site.service.executions, "its token is known no more"
    assert not site.executor.busy


async def test_an_output_that_a_sub_task_makes_is_delegated(site: Site) -> None:
    await site.executor.give([element(0)], {})
    site.execution.delegated.update((RESULT, "of another element"))
    site.worker.calls[0].set_result(SUCCESS)
    end = await site.end()
    assert end.result.ending is Disposition.COMPLETED
    assert end.produced.delegated == {RESULT}


async def test_an_output_that_nobody_wrote_is_final(site: Site) -> None:
    await site.executor.give([element(0)], {})
    site.worker.calls[0].set_result(SUCCESS)
    end = await site.end()
    assert end.result.ending is Disposition.FINAL
    assert end.result.text == f"never written: {RESULT}"


async def test_a_call_that_fails_is_a_failed_attempt_and_the_worker_is_doubted(
    site: Site,
) -> None:
    await site.executor.give([element(0)], {})
    site.worker.calls[0].set_exception(failure(grpc.StatusCode.UNAVAILABLE, "gone"))
    end = await site.end()
    assert end.result.ending is Disposition.FAILED
    assert end.result.text == "UNAVAILABLE: gone"
    assert (site.worker.answers, site.worker.doubts) == (0, 1)
    assert not site.executor.busy


async def test_a_bound_that_a_request_exceeded_is_final(site: Site) -> None:
    await site.executor.give([element(0)], {})
    site.execution.beyond = "a request of 1 GB"
    site.worker.calls[0].set_exception(failure(grpc.StatusCode.INTERNAL))
    end = await site.end()
    assert end.result.ending is Disposition.FINAL
    assert end.result.text == "a request of 1 GB"


async def test_the_worker_has_one_element_at_a_time(site: Site) -> None:
    executor = site.executor
    assert executor.room(256) == 1
    assert executor.current is None
    await executor.give([element(7)], {})
    assert executor.room(256) == 0
    assert executor.in_flight == [7]
    assert executor.current is not None
    await executor.recall([7])
    assert executor.in_flight == [7], "it has begun"
    site.worker.calls[0].set_result(SUCCESS)
    await site.end()
    assert executor.room(256) == 1
    assert executor.in_flight == []


async def test_an_interrupted_element_is_reported_and_its_worker_still_busy(site: Site) -> None:
    await site.executor.give([element(0)], {})
    waiting = asyncio.create_task(site.executor.wait())
    await asyncio.sleep(0)
    site.executor.interrupt()
    (end,) = (await waiting).ended
    assert end.result.ending is Disposition.INTERRUPTED
    assert end.result.worker_busy
    assert not site.service.executions
    assert not site.executor.busy


async def test_what_is_abandoned_is_waited_for(site: Site) -> None:
    await site.executor.give([element(0)], {})
    site.executor.abandon()
    assert site.executor.busy
    site.worker.calls[0].set_result(SUCCESS)
    assert (await site.end()).element.index == 0


async def test_only_the_element_that_is_named_is_stopped(site: Site) -> None:
    await site.executor.give([element(3)], {})
    assert not await site.executor.stop([2, 4])
    assert not site.worker.calls[0].cancelled()
    assert await site.executor.stop([2, 3])
    assert site.worker.calls[0].cancelled()
    assert (await site.end()).result.ending is Disposition.INTERRUPTED


async def test_who_is_cancelled_while_waiting_is_cancelled(site: Site) -> None:
    await site.executor.give([element(0)], {})
    waiting = asyncio.create_task(site.executor.wait())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not site.service.executions
