"""Whether a worker takes whole runs, and what it says it is."""

from collections import deque
from typing import Any

import grpc
import grpc.aio
import pytest

from armonik_agent.worker.run_stream import RunCalls
from armonik_sdk.api.kinds import WorkerInfo
from armonik_sdk.api.runcall import frame, unframe


class Call:
    """A call whose worker answers so."""

    def __init__(self, *answers: bytes | Exception) -> None:
        self._answers = deque(answers)

    async def done_writing(self) -> None:
        """A call that has ended meanwhile fails so."""
        if self._answers and isinstance(self._answers[0], Exception):
            raise grpc.aio.InternalError

    async def read(self) -> Any:
        answer = self._answers.popleft() if self._answers else grpc.aio.EOF
        if isinstance(answer, Exception):
            raise answer
        return answer


def calls(*answers: bytes | Exception) -> RunCalls:
    class Channel:
        def stream_stream(self, method: str) -> Any:
            return lambda **_: Call(*answers)

    async def ask(_: bytes, __: float) -> bytes:
        raise failed(grpc.StatusCode.INTERNAL)  # an answer of no message

    return RunCalls(Channel, ask)


def failed(code: grpc.StatusCode) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), "no")


FUNCTIONS = {"kind": "functions", "python": "3.12", "sdk": "0.2.0", "cloudpickle": "3.1.3", "platform": "x"}


@pytest.mark.parametrize(
    ("answers", "served", "about"),
    [
        ((frame({"ended": [], "worker": FUNCTIONS}),), True, WorkerInfo.model_validate(FUNCTIONS)),
        ((), True, WorkerInfo(kind="function")),  # of a version that does not say it
        ((frame({"ended": [], "worker": {"kind": "x" * 100}}),), True, WorkerInfo(kind="function")),
        ((frame({"ended": [], "worker": 3}),), True, WorkerInfo(kind="function")),
        ((b"no frame",), False, None),
        ((failed(grpc.StatusCode.UNIMPLEMENTED),), False, WorkerInfo(kind="armonik")),
        ((failed(grpc.StatusCode.UNAVAILABLE),), False, None),
    ],
)
async def test_a_worker_is_asked_once_what_it_is(
    answers: tuple[bytes | Exception, ...], served: bool, about: WorkerInfo | None
) -> None:
    runs = calls(*answers)
    assert await runs.served() is served
    assert runs.about == about


async def test_a_worker_that_knows_no_runs_costs_no_channel_for_streams() -> None:
    asked: list[float] = []

    async def ask(frame_: bytes, seconds: float) -> bytes:
        unframe(frame_)
        asked.append(seconds)
        raise failed(grpc.StatusCode.UNIMPLEMENTED)

    def channel() -> Any:
        raise AssertionError("a channel is made")

    runs = RunCalls(channel, ask)
    for _ in range(3):
        assert not await runs.served()
        assert runs.about == WorkerInfo(kind="armonik")
    assert len(asked) == 1
    runs.forget()
    assert not await runs.served()
    assert len(asked) == 2
