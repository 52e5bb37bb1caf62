"""A worker that takes whole runs and does not keep to what was agreed where the payload asks for that."""

import asyncio
import math
import os
import sys
from typing import Any

import grpc
import grpc.aio
from armonik.protogen.common.worker_common_pb2 import HealthCheckReply
from armonik.protogen.worker.worker_service_pb2_grpc import WorkerServicer, add_WorkerServicer_to_server

from armonik_sdk.api.runcall import METHOD, frame, unframe
from armonik_sdk.worker.serve_function import WORKER_ADDRESS

STRANGE = {
    b"unknown": frame({"ended": [{"index": 4711, "outputs": {}}]}),
    b"no list": frame({"ended": 1}),
    b"no blob": frame({"ended": [{"index": 1, "outputs": {"result": 3}}]}),
    b"no number": frame({"ended": [{"index": [1]}]}),
    b"not a number": frame({"ended": [{"index": 1, "outputs": {"result": 0}, "seconds": math.nan}]}, [b""]),
    b"infinite": frame({"ended": [{"index": 1, "outputs": {"result": 0}, "seconds": math.inf}]}, [b""]),
    b"negative": frame({"ended": [{"index": 1, "outputs": {"result": 0}, "seconds": -1}]}, [b""]),
    b"for ages": frame(
        {"ended": [{"index": 1, "outputs": {"result": 0}, "seconds": sys.float_info.max}]}, [b""]
    ),
    b"beyond floats": frame({"ended": [{"index": 1, "outputs": {"result": 0}, "seconds": 10**400}]}, [b""]),
    b"no frame": b"\0",
}


class Health(WorkerServicer):  # type: ignore[misc]  # generated without types
    """Says that all is well."""

    async def HealthCheck(self, request: Any, context: Any) -> Any:  # noqa: N802 - the service's name
        """It is."""
        return HealthCheckReply(status=HealthCheckReply.SERVING)


async def process_run(requests: Any, context: Any) -> None:
    """Every element succeeds but for those."""
    async for data in requests:
        head, blobs = unframe(data)
        for element in head.get("elements", ()):
            payload = bytes(blobs[element["payload"]])
            good = frame({"ended": [{"index": element["index"], "outputs": {"result": 0}}]}, [payload])
            await context.write(STRANGE.get(payload, good))


async def main() -> None:
    """Serve until killed."""
    server = grpc.aio.server()
    add_WorkerServicer_to_server(Health(), server)
    service, name = METHOD.strip("/").split("/")
    handler = grpc.stream_stream_rpc_method_handler(process_run)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {name: handler}),))
    server.add_insecure_port(f"unix://{os.environ[WORKER_ADDRESS]}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main())
