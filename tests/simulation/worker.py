"""A worker beside a simulated agent: it calls the real Agent service with real messages, in the same process."""

import asyncio
import random
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from armonik.protogen.common import agent_common_pb2 as wire
from armonik.protogen.common.objects_pb2 import Empty, Output
from armonik.protogen.common.worker_common_pb2 import ProcessReply

from armonik_agent.elements import Element
from armonik_agent.worker_api import AgentService
from simulation.process import CURRENT, Process


class Refused(Exception):
    """The Agent service has refused a call."""


class _Context:
    """What a gRPC server hands to its methods."""

    async def abort(self, code: grpc.StatusCode, text: str) -> None:
        raise Refused(f"{code.name}: {text}")


class _Server:
    async def stop(self, grace: float | None) -> None:
        """Nothing was opened."""


class SimulatedAgentService(AgentService):
    """The real service without a socket; the worker of its process finds it."""

    async def serve(self, socket: Path) -> Any:
        """Be found instead of listening."""
        SERVICES[CURRENT.get()] = self
        return _Server()


SERVICES: dict[Process, AgentService] = {}


class SimulatedWorker:
    """Does what the element's options ask for.

    `mode`: `ok` (default), `error`, `crash` (the call fails), `flaky` (every other call fails), `parent` (hands
    its output to a sub-task), `hang`; `seconds`: how long it takes.
    """

    chance = random.Random(0)

    def __init__(self, socket: Path) -> None:
        self._process = CURRENT.get()

    async def close(self) -> None:
        """Nothing is open."""

    async def healthy(self) -> bool:
        """Always."""
        return True

    async def until_healthy(self) -> None:
        """At once."""
        await asyncio.sleep(0)

    async def process(self, element: Element, session: str, token: str, folder: Path) -> Any:
        """One execution."""
        options = element.options.options or {}
        mode = options.get("mode", "ok")
        inputs = [(folder / name).read_bytes() for name in element.inputs]
        limit = element.max_duration
        seconds = float(options.get("seconds", "0.05")) * self.chance.uniform(0.2, 1.8)
        if mode == "hang" or seconds > limit:
            await asyncio.sleep(limit)
            raise _failure(grpc.StatusCode.DEADLINE_EXCEEDED)
        await asyncio.sleep(seconds)
        if mode == "crash" or (mode == "flaky" and self.chance.random() < 0.5):
            raise _failure(grpc.StatusCode.UNAVAILABLE)
        if mode == "error":
            return ProcessReply(output=Output(error=Output.Error(details="asked to fail")))
        service = SERVICES[self._process]
        if mode == "parent":
            await self._delegate(service, element, token)
        else:
            for name in element.expected:
                (folder / name).write_bytes(f"{element.task_id}|{token}|{len(inputs)}".encode())
            ids = [
                wire.NotifyResultDataRequest.ResultIdentifier(session_id=session, result_id=name)
                for name in element.expected
            ]
            request = wire.NotifyResultDataRequest(communication_token=token, ids=ids)
            await service.NotifyResultData(request, _Context())
        return ProcessReply(output=Output(ok=Empty()))

    async def _delegate(self, service: AgentService, element: Element, token: str) -> None:
        made = await service.CreateResults(
            wire.CreateResultsRequest(
                communication_token=token,
                results=[wire.CreateResultsRequest.ResultCreate(name="payload", data=b"child")],
            ),
            _Context(),
        )
        child = wire.SubmitTasksRequest.TaskCreation(
            payload_id=made.results[0].result_id, expected_output_keys=list(element.expected)
        )
        request = wire.SubmitTasksRequest(communication_token=token, task_creations=[child])
        await service.SubmitTasks(request, _Context())


def _failure(code: grpc.StatusCode) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), "simulated")


