"""A worker beside a simulated agent: it calls the real Agent service, with real messages, in its process."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
from armonik.protogen.common import agent_common_pb2 as wire
from armonik.protogen.common.objects_pb2 import Empty, Output
from armonik.protogen.common.worker_common_pb2 import HealthCheckReply, ProcessReply

from armonik_agent.worker.agent_service import AgentService
from simulation.process import CURRENT, Process
from simulation.runworker import CHILD, failure


class Refused(Exception):  # noqa: N818 - reads as what happened
    """The Agent service has refused a call."""


class _Context:
    """What a gRPC server hands to its methods."""

    def refuse(self, code: grpc.StatusCode, text: str) -> None:
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
    """The stub that the agent's real client calls; it does what the element's options ask for.

    `mode`: `ok` (default), `error`, `crash` (the call fails), `flaky` (every other call fails), `parent`
    (hands its output to a sub-task), `tree` (payload `child <n>`: it and n - 1 below it, in two sub-trees),
    `hang`; `seconds`: how long it takes.
    """

    chance = random.Random(0)
    begun: Callable[[Process, str, str], None] | None = None
    """Called with each execution: the process of its agent, the mode, the id of its task."""

    def __init__(self, channel: object) -> None:
        self._process = CURRENT.get()

    async def HealthCheck(self, request: Any, timeout: float) -> Any:  # noqa: N802 - the service's name
        """Always well."""
        await asyncio.sleep(0.001)
        return HealthCheckReply(status=HealthCheckReply.SERVING)

    def Process(self, request: Any, timeout: float) -> asyncio.Task[Any]:  # noqa: N802 - the service's name
        """One execution, which may be awaited or cancelled."""
        return asyncio.get_running_loop().create_task(self._work(request, timeout))

    async def _work(self, request: Any, limit: float) -> Any:
        options, folder = dict(request.task_options.options), Path(request.data_folder)
        mode = options.get("mode", "ok")
        if SimulatedWorker.begun is not None:
            SimulatedWorker.begun(self._process, mode, request.task_id)
        inputs = [(folder / name).read_bytes() for name in (request.payload_id, *request.data_dependencies)]
        seconds = float(options.get("seconds", "0.05")) * self.chance.uniform(0.2, 1.8)
        if mode == "hang" or seconds > limit:
            await asyncio.sleep(limit)
            raise failure(grpc.StatusCode.DEADLINE_EXCEEDED)
        await asyncio.sleep(seconds)
        if mode == "crash" or (mode == "flaky" and self.chance.random() < 0.5):
            raise failure(grpc.StatusCode.UNAVAILABLE)
        if mode == "error":
            return ProcessReply(output=Output(error=Output.Error(details="asked to fail")))
        service, token = SERVICES[self._process], request.communication_token
        try:
            size = int(inputs[0].removeprefix(CHILD)) if mode == "tree" else 1
            if size > 1:
                below = (size // 2, size - 1 - size // 2)
                await self._delegate(service, request, [b"%s %d" % (CHILD, part) for part in below if part])
            elif mode == "parent" and inputs[0] != CHILD:
                await self._delegate(service, request, [CHILD])
            else:
                for name in request.expected_output_keys:
                    (folder / name).write_bytes(f"{request.task_id}|{token}|{len(inputs)}".encode())
                ids = [
                    wire.NotifyResultDataRequest.ResultIdentifier(
                        session_id=request.session_id, result_id=name
                    )
                    for name in request.expected_output_keys
                ]
                told = wire.NotifyResultDataRequest(communication_token=token, ids=ids)
                service.NotifyResultData(told, _Context())
        except Refused as error:
            raise failure(grpc.StatusCode.UNKNOWN) from error
        return ProcessReply(output=Output(ok=Empty()))

    async def _delegate(self, service: AgentService, request: Any, payloads: list[bytes]) -> None:
        """Sub-tasks with these payloads; the first is handed this task's own outputs."""
        token = request.communication_token
        given = [
            wire.CreateResultsRequest.ResultCreate(name=f"payload-{at}", data=payload)
            for at, payload in enumerate(payloads)
        ]
        made = await service.CreateResults(
            wire.CreateResultsRequest(communication_token=token, results=given), _Context()
        )
        own = [
            wire.CreateResultsMetaDataRequest.ResultCreate(name=f"output-{at}")
            for at in range(1, len(payloads))
        ]
        promised = service.CreateResultsMetaData(
            wire.CreateResultsMetaDataRequest(communication_token=token, results=own), _Context()
        )
        outputs = [list(request.expected_output_keys), *([r.result_id] for r in promised.results)]
        children = [
            wire.SubmitTasksRequest.TaskCreation(payload_id=payload.result_id, expected_output_keys=expected)
            for payload, expected in zip(made.results, outputs, strict=True)
        ]
        asked = wire.SubmitTasksRequest(communication_token=token, task_creations=children)
        await service.SubmitTasks(asked, _Context())
