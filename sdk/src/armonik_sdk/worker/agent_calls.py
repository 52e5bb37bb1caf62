"""Sends outputs and sub-tasks of an element by ArmoniK's own calls, for an agent without whole-run calls."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from armonik.protogen.common.agent_common_pb2 import (
    CreateResultsMetaDataRequest,
    NotifyResultDataRequest,
    SubmitTasksRequest,
)

AGENT_SECONDS: Final = 30.0


async def tell(
    agent: Any, request: Any, entry: dict[str, Any], blobs: list[memoryview], outputs: dict[str, str]
) -> None:
    """What an element produced; `outputs` are their ids by name. The agent keeps it until its success.

    Raises:
        grpc.aio.AioRpcError: the agent refuses it.
    """
    folder = Path(request.data_folder)
    for name, blob in entry["outputs"].items():
        if blob is not None:
            await asyncio.to_thread((folder / outputs[name]).write_bytes, blobs[blob])
    children = entry.get("children", ())
    payloads = dict.fromkeys(child["payload"] for child in children)
    fresh = [number for number, child in enumerate(children) if "output" not in child]
    ids = iter(await _create(agent, request, len(payloads) + len(fresh)))
    payload_ids = dict(zip(payloads, ids, strict=False))
    for place, result in payload_ids.items():
        if isinstance(place, int):
            await asyncio.to_thread((folder / result).write_bytes, blobs[place])
        else:
            await asyncio.to_thread((folder / place).rename, folder / result)
    await _notify(agent, request, [*(outputs[name] for name in entry["outputs"]), *payload_ids.values()])
    if children:
        results = dict(zip(fresh, ids, strict=True))
        results |= {n: outputs[child["output"]] for n, child in enumerate(children) if "output" in child}
        await _submit(agent, request, children, payload_ids, results)


async def _create(agent: Any, request: Any, count: int) -> list[str]:
    """Ids of `count` new results."""
    if not count:
        return []
    created = await agent.CreateResultsMetaData(
        CreateResultsMetaDataRequest(
            session_id=request.session_id,
            communication_token=request.communication_token,
            results=[CreateResultsMetaDataRequest.ResultCreate(name=str(number)) for number in range(count)],
        ),
        timeout=AGENT_SECONDS,
    )
    return [result.result_id for result in created.results]


async def _notify(agent: Any, request: Any, results: Iterable[str]) -> None:
    ids = [
        NotifyResultDataRequest.ResultIdentifier(session_id=request.session_id, result_id=result)
        for result in results
    ]
    notification = NotifyResultDataRequest(communication_token=request.communication_token, ids=ids)
    await agent.NotifyResultData(notification, timeout=AGENT_SECONDS)


async def _submit(
    agent: Any,
    request: Any,
    children: list[dict[str, Any]],
    payloads: dict[int | str, str],
    results: dict[int, str],
) -> None:
    """All in one call; `results` are the ids of what they make, by their number."""
    creations = []
    for number, child in enumerate(children):
        needs = [results[needed] if isinstance(needed, int) else needed for needed in child.get("needs", ())]
        creation = SubmitTasksRequest.TaskCreation(
            payload_id=payloads[child["payload"]],
            expected_output_keys=[results[number]],
            data_dependencies=needs,
        )
        if child.keys() & {"options", "partition", "priority"}:
            options = creation.task_options
            options.CopyFrom(request.task_options)
            options.options.update(child.get("options", {}))
            options.partition_id = child.get("partition", options.partition_id)
            options.priority = child.get("priority", options.priority)
        creations.append(creation)
    asked = SubmitTasksRequest(
        session_id=request.session_id,
        communication_token=request.communication_token,
        task_creations=creations,
        task_options=request.task_options,
    )
    await agent.SubmitTasks(asked, timeout=AGENT_SECONDS)
