"""What the worker asks of its agent, where calls come between each other."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from armonik.protogen.common import agent_common_pb2 as wire

from armonik_agent.data.elements import Elements
from armonik_agent.data.shared_folder import Folder
from armonik_agent.rpc.server import CONTEXT, Aborted
from armonik_agent.worker.agent_service import AgentService, Execution
from armonik_sdk.api.messages import RunMessage
from armonik_sdk.api.names import RunId
from armonik_sdk.api.results import ResultState

RUN = RunId("ns", "session", "task", 0)


class SlowResults:
    """Looks results up when it is let, and finds what it is asked for."""

    def __init__(self) -> None:
        self.let = asyncio.Event()
        self.asked = asyncio.Event()
        self.state: ResultState | None = ResultState.COMPLETED

    async def find(self, _run: RunId, _name: str) -> tuple[ResultState | None, None]:
        """Wait, then answer."""
        self.asked.set()
        await self.let.wait()
        return self.state, None


@pytest.fixture
def results() -> SlowResults:
    return SlowResults()


@pytest.fixture
async def execution(tmp_path: Path) -> AsyncIterator[Execution]:
    message = RunMessage(
        namespace="ns", session="session", task="task", partition="p", start=0, end=1, n=1, single=True
    )
    async with Folder(tmp_path / "run") as folder:
        yield Execution("token", RUN, Elements(message).of(0), folder)


@pytest.fixture
def service(results: SlowResults, execution: Execution, tmp_path: Path) -> AgentService:
    made = AgentService(results, SimpleNamespace(), tmp_path)  # type: ignore[arg-type]
    made.begin(execution)
    return made


def submission(*outputs: str, needs: str = "elsewhere") -> Any:
    creation = wire.SubmitTasksRequest.TaskCreation(
        expected_output_keys=outputs, data_dependencies=[needs], payload_id=needs
    )
    return wire.SubmitTasksRequest(communication_token="token", task_creations=[creation])


async def refusal(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(Aborted) as refused:
        await call
    return refused.value.code, refused.value.details


async def test_two_submissions_at_once_are_not_both_given_one_output(
    service: AgentService, execution: Execution, results: SlowResults
) -> None:
    output = execution.element.expected[0]
    first = asyncio.create_task(service.SubmitTasks(submission(output), CONTEXT))
    await results.asked.wait()
    code, text = await refusal(service.SubmitTasks(submission(output), CONTEXT))
    assert (code, "handed to another" in text) == (grpc.StatusCode.INVALID_ARGUMENT, True)
    results.let.set()
    await first
    assert len(execution.children) == 1
    assert execution.missing == []


async def test_an_output_is_not_written_while_its_submission_is_checked(
    service: AgentService, execution: Execution, results: SlowResults
) -> None:
    output = execution.element.expected[0]
    first = asyncio.create_task(service.SubmitTasks(submission(output), CONTEXT))
    await results.asked.wait()
    execution.folder.write(output, b"x")
    ids = [wire.NotifyResultDataRequest.ResultIdentifier(session_id="session", result_id=output)]
    written = wire.NotifyResultDataRequest(communication_token="token", ids=ids)
    with pytest.raises(Aborted, match="handed to a sub-task already"):
        service.NotifyResultData(written, CONTEXT)
    assert execution.missing == [output], "nobody has it before the submission is accepted"
    results.let.set()
    await first


async def test_a_refused_submission_gives_its_outputs_back(
    service: AgentService, execution: Execution, results: SlowResults
) -> None:
    output = execution.element.expected[0]
    results.state = ResultState.ABORTED
    results.let.set()
    assert (await refusal(service.SubmitTasks(submission(output), CONTEXT)))[
        0
    ] is grpc.StatusCode.FAILED_PRECONDITION
    results.state = ResultState.COMPLETED
    await service.SubmitTasks(submission(output), CONTEXT)
    assert len(execution.children) == 1


async def test_submissions_at_once_keep_the_bound_together(
    service: AgentService, execution: Execution, results: SlowResults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("armonik_agent.worker.agent_service.MAX_CREATED", 1)
    first = asyncio.create_task(service.SubmitTasks(submission(), CONTEXT))
    await results.asked.wait()
    assert (await refusal(service.SubmitTasks(submission(), CONTEXT)))[
        0
    ] is grpc.StatusCode.RESOURCE_EXHAUSTED
    results.let.set()
    await first


async def test_created_results_at_once_keep_the_bound_together(
    service: AgentService, execution: Execution, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("armonik_agent.worker.agent_service.MAX_CREATED", 3)
    asked = [wire.CreateResultsRequest.ResultCreate(name="a", data=b"x")] * 2
    request = wire.CreateResultsRequest(communication_token="token", results=asked)
    done = await asyncio.gather(
        *(service.CreateResults(request, CONTEXT) for _ in range(2)), return_exceptions=True
    )
    assert [type(one).__name__ for one in done] == ["CreateResultsResponse", "Aborted"]
    assert len(execution.created) == len(execution.written) == 2


async def test_what_exceeds_a_bound_is_noted_as_final_and_none_of_it_is_taken(
    service: AgentService, execution: Execution, results: SlowResults, monkeypatch: pytest.MonkeyPatch
) -> None:
    results.let.set()
    await service.SubmitTasks(submission(), CONTEXT)
    monkeypatch.setattr("armonik_agent.data.subtask_lines.MAX_LINES_BYTES", execution.children.size + 10)
    output = execution.element.expected[0]
    code, text = await refusal(service.SubmitTasks(submission(output), CONTEXT))
    assert (code, execution.beyond) == (grpc.StatusCode.RESOURCE_EXHAUSTED, text)
    assert "bytes to describe" in text
    assert (len(execution.children), execution.missing) == (1, [output])


async def test_a_request_that_is_too_long_is_the_only_executions(
    service: AgentService, execution: Execution
) -> None:
    service._too_long("a request of 99 bytes; the limit is 9 bytes")
    assert execution.beyond.startswith("a request of 99 bytes")
