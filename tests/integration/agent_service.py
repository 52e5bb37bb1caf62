"""The agent's service for workers alone, with one execution that never ends. Arguments: folder, socket."""

import asyncio
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import uvloop

from armonik_agent.data.elements import Elements
from armonik_agent.data.shared_folder import Folder
from armonik_agent.worker.agent_service import AgentService, Execution
from armonik_sdk.api.messages import RunMessage
from armonik_sdk.api.names import RunId

NOWHERE = cast("Any", SimpleNamespace())


async def main(folder: Path, socket: Path) -> None:
    """Serve until killed."""
    message = RunMessage(
        namespace="ns", session="session", task="task", partition="p", start=0, end=1, n=1, single=True
    )
    element = Elements(message).of(0)
    service = AgentService(NOWHERE, NOWHERE, folder)
    async with Folder(folder / "run") as laid:
        service.begin(Execution("token", RunId("ns", "session", "task", 0), element, laid))
        await service.serve(socket)
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
