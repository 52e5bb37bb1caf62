"""Rows about objects, and about what agent and worker say to each other."""

import base64
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock, patch

import grpc
import grpc.aio
from armonik.protogen.common import agent_common_pb2 as wire
from bounds_nats import TASK, state
from bounds_world import RUN, Case, World, refused

from armonik_agent.context import TextOutage
from armonik_agent.data.elements import Elements
from armonik_agent.data.shared_folder import Folder
from armonik_agent.data.subtask_lines import Line, Lines
from armonik_agent.executors.run_frames import parse_beside
from armonik_agent.journal.packing import FinishedElement, Kept, pack, store_output
from armonik_agent.rpc import Server
from armonik_agent.rpc.server import CONTEXT, Aborted
from armonik_agent.rpc.status import MAX_DETAILS_BYTES
from armonik_agent.worker.agent_service import AgentService, Execution
from armonik_agent.worker.client import CHANNEL_OPTIONS
from armonik_operator.dependencies.resolution import DependencyResolver
from armonik_operator.errors import Parked
from armonik_operator.items.scan import Scan
from armonik_operator.queueing.messages import Inputs, MessageBuilder
from armonik_sdk.api import bounds
from armonik_sdk.api.kinds import Dependency, ItemsRef, ObjectRef, Task, TaskOptions
from armonik_sdk.api.messages import RunMessage
from armonik_sdk.api.names import TaskRef
from armonik_sdk.api.records import OutcomeKind
from armonik_sdk.dataplane.errors import InvalidKey
from armonik_sdk.worker import Element
from armonik_sdk.worker.executor.process import run_element
from armonik_sdk.worker.executor.transcript import Transcript
from armonik_sdk.worker.server import _LIMITS
from armonik_sdk.worker.subtasks import SubTask, SubTasks

NONE: Any = None


def preparer(world: World) -> MessageBuilder:
    known = state()
    other = {"metadata": {"name": "many", "namespace": "ns", "uid": "m"}, "spec": {"session": "s"}}
    other["spec"] = {"session": "s", "count": bounds.MAX_NEEDED + 1}
    known.task_named = lambda *_: Task.from_object(other)  # type: ignore[method-assign]
    items: Any = SimpleNamespace(of=AsyncMock(return_value=None))
    pins: Any = SimpleNamespace(of=AsyncMock(return_value={}))
    looks: Any = SimpleNamespace(resolver=DependencyResolver(known, NONE, items, pins))
    return MessageBuilder(world.servers, known, NONE, items, looks)


async def spill(world: World, extra: int) -> str:
    options = TaskOptions(partition="p")

    async def make(text: str) -> RunMessage:
        inputs = Inputs(payload_ids={-1: text})
        return await preparer(world).message(TASK, RUN, (0, 1), 1, options, inputs)

    around = len((await make("x")).encode()) - 1
    try:
        said = await make("x" * (bounds.MAX_SPILL_BYTES + extra - around))
    except Parked as parked:
        return refused(parked.message, "elements 0 to 0")
    assert said.spill is not None
    assert await world.store.stat(said.spill.key) == bounds.MAX_SPILL_BYTES + extra
    return "accepted"


async def riding(world: World, extra: int) -> str:
    content = b"x" * (bounds.MAX_RIDING_BYTES + extra)
    spec = {"session": "s", "payload": {"data": base64.b64encode(content).decode()}}
    task = Task.from_object({"metadata": {"name": "t", "namespace": "ns", "uid": "t"}, "spec": spec})
    ref = (
        await preparer(world).prepare(task, TaskRef("ns", "session-uid", task.metadata.uid), [(0, 1)])
    ).payloads[-1]
    assert await world.store.get(ref) == content
    return "accepted" if not ref.key else "spilled"


async def key(world: World, extra: int) -> str:
    try:
        await world.store.put("/".join(["k" * 127] * 8) + "k" * (1 + extra), b"x")
    except InvalidKey:
        return "refused"
    return "accepted"


async def scanned(world: World, name: str, content: bytes, count: int) -> str:
    await world.store.put(name, content)
    scan = Scan(world.servers, ItemsRef(object=name, count=count), None, lambda *_: None)
    try:
        while not await scan.step():
            pass
    except Parked as parked:
        return refused(parked.message, f"itemsRef.object {name}")
    return "accepted"


async def items_object(world: World, extra: int) -> str:
    most = 3_000_000
    line = b"{}".ljust(most // 2 - 1) + b"\n"
    with patch("armonik_operator.items.scan.MAX_ITEMS_OBJECT_BYTES", most):
        return await scanned(world, f"ns/s/items-{extra}", (line + line)[: most - 1] + b"\n" * (1 + extra), 2)


async def items_line(world: World, extra: int) -> str:
    line = b"{}".ljust(bounds.MAX_LINE_BYTES + extra)
    lines = Lines()
    try:
        lines.grow(Line("p", 1, line))
    except ValueError:
        assert extra > 0
    return await scanned(world, f"ns/s/line-{extra}", line + b"\n{}\n", 2)


async def lines(_: World, extra: int) -> str:
    one = Line("p", 1, bytes(1024 * 1024 - 1))
    try:
        made = Lines()
        made.grow(*[one] * 47)
        made.grow(Line("p", 1, bytes(1024 * 1024 - 1 + extra)))
    except ValueError as error:
        return refused(error, bounds.MAX_LINES_BYTES + extra)
    return "accepted"


async def packed(world: World, extra: int) -> str:
    async with Folder(world.folder / "outputs") as folder:
        content = bytes(bounds.MAX_PACKED_BYTES + extra)
        folder.write("out", content)
        kept = await store_output(world.store, "ns/s/t/0/1-aa", folder, "out")
    if isinstance(kept, ObjectRef):
        assert await world.store.get(kept) == content
        return "spilled"
    return "accepted"


async def held(world: World, extra: int) -> str:
    kept = Kept(world.store, "ns/s/t/0/1-bb")
    await kept.add("a", bytes(bounds.MAX_HELD_BYTES - 1))
    await kept.add("b", b"x" * (1 + extra))
    found = [ref for ref in kept.data.values() if isinstance(ref, ObjectRef)]
    assert len(found) in (0, 2)
    return "spilled" if found else "accepted"


async def needed(world: World, extra: int) -> str:
    made = preparer(world)
    known = made._state.task_named("ns", "many")
    assert known is not None
    known.spec.count = bounds.MAX_NEEDED + extra
    made._state.task_named = lambda *_: known  # type: ignore[method-assign]
    try:
        found = await made._looks.resolver.result_ids(TASK, Dependency(task="many"))
    except Parked as parked:
        return refused(parked.message, "task many has more")
    assert len(found) == bounds.MAX_NEEDED + extra
    return "accepted"


async def inline(world: World, extra: int) -> str:
    content = bytes(bounds.MAX_RESULT_INLINE_BYTES + extra)
    ended = FinishedElement(0, OutcomeKind.COMPLETED, 1, 0.1, outputs={"result": content})
    change = await pack(
        world.store, f"ns/s/t/0/1-cc/pack-{extra}", [ended], 0, single=True, outage=TextOutage()
    )
    return "spilled" if change.objects else "accepted"


def echo(server: Any) -> None:
    async def same(message: bytes, context: Any) -> bytes:
        if message.isdigit():
            await context.abort(grpc.StatusCode.INTERNAL, "x" * int(message))
        return message[:1]

    handler = grpc.unary_unary_rpc_method_handler(same, bytes, bytes)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.E", {"Say": handler}),))


async def said(address: str, message: bytes, options: Any) -> grpc.aio.AioRpcError | None:
    async with grpc.aio.insecure_channel(f"unix://{address}", options=options) as channel:
        try:
            await channel.unary_unary("/t.E/Say")(message, timeout=120)
        except grpc.aio.AioRpcError as error:
            return error
    return None


async def to_agent(world: World, message: bytes) -> grpc.aio.AioRpcError | None:
    server = Server(bounds.MAX_REQUEST_BYTES)
    echo(server)
    await server.start(world.folder / "s")
    try:
        return await said(str(world.folder / "s"), message, [("grpc.max_send_message_length", -1)])
    finally:
        await server.stop(0)


async def request(world: World, extra: int) -> str:
    error = await to_agent(world, bytes(bounds.MAX_REQUEST_BYTES + extra))
    assert error is None or error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    return "accepted" if error is None else "refused"


async def details(world: World, extra: int) -> str:
    size = MAX_DETAILS_BYTES + extra
    error = await to_agent(world, str(size).encode())
    assert error is not None
    text = error.details() or ""
    assert len(text.encode()) <= MAX_DETAILS_BYTES
    return "accepted" if text == "x" * size else "cut"


async def detail(world: World, extra: int) -> str:
    size = bounds.MAX_DETAIL_BYTES + extra
    blobs = [memoryview(bytes(size))]
    said = parse_beside("detail", {"detail": 0}, blobs, bounds.MAX_DETAIL_BYTES)
    return "accepted" if len(said) == size else "dropped"


async def printed(world: World, extra: int) -> str:
    text = b"a line\n" * (bounds.MAX_PRINTED_BYTES // 7 + 1)
    text = text[: bounds.MAX_PRINTED_BYTES + extra]
    transcript = Transcript()
    transcript.limit = bounds.MAX_PRINTED_BYTES
    transcript.add(None, b"t", text)
    kept = transcript.take("t")
    said = parse_beside("printed", {"printed": 0}, [memoryview(kept)], bounds.MAX_PRINTED_BYTES)
    assert said == kept
    return "accepted" if kept == text else "cut"


async def whole_frame(world: World, extra: int) -> str:
    server = grpc.aio.server(options=_LIMITS)
    echo(server)
    server.add_insecure_port(f"unix://{world.folder}/w")
    await server.start()
    options = [option for option in CHANNEL_OPTIONS if "send" not in option[0]]
    error = await said(f"{world.folder}/w", bytes(bounds.MAX_FRAME_BYTES + extra), options)
    own = await said(f"{world.folder}/w", bytes(bounds.MAX_FRAME_BYTES + extra), CHANNEL_OPTIONS)
    await server.stop(0)
    assert (error is None) == (own is None)
    assert error is None or error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    return "accepted" if error is None else "refused"


async def created(world: World, extra: int) -> str:
    message = RunMessage(namespace="ns", session="s", task="t", partition="p", start=0, end=1, n=1)
    async with Folder(world.folder / "run") as folder:
        service = AgentService(NONE, NONE, world.folder)
        execution = Execution("token", RUN, Elements(message).of(0), folder)
        service.begin(execution)
        results = [wire.CreateResultsMetaDataRequest.ResultCreate()] * (bounds.MAX_CREATED + extra)
        asked = wire.CreateResultsMetaDataRequest(communication_token="token", results=results)
        try:
            service.CreateResultsMetaData(asked, CONTEXT)
        except Aborted as error:
            return refused(f"{error.code} {execution.beyond}", "RESOURCE_EXHAUSTED", bounds.MAX_CREATED)
    return "accepted"


def element(world: World) -> Element:
    return Element(0, "t", b"", {}, ("result",), {}, "s", folder=world.folder)


async def ended(world: World, extra: int) -> str:
    def function(one: Element) -> bytes:
        one.submit(b"x", options={"text": "t"})
        return b"done"

    at = patch("armonik_sdk.worker.executor.process.time", SimpleNamespace(monotonic=lambda: 0.0))
    with at:
        size = len(run_element(function, element(world), {"result": "r"}, world.folder))
        with patch("armonik_sdk.worker.executor.process.MAX_ENDED_BYTES", size - extra):
            made = run_element(function, element(world), {"result": "r"}, world.folder)
    return "refused" if b"sub-tasks take" in made else "accepted"


async def blob(world: World, extra: int) -> str:
    content = bytes(bounds.MAX_BLOB_BYTES + extra)
    run_element(lambda _: content, element(world), {"result": "r"}, world.folder)
    return "spilled" if (world.folder / "r").exists() else "accepted"


async def blobs(world: World, extra: int) -> str:
    made, first = SubTasks(), [bytes(bounds.MAX_BLOBS_BYTES - 1000)]
    made.add(SubTask(bytes(1000 + extra), (), None, {}, "", 0), (), ())
    (entry,) = made.entries(world.folder, first)
    return "spilled" if isinstance(entry["payload"], str) else "accepted"


async def needs(world: World, extra: int) -> str:
    one = element(world)
    promise = one.submit(b"x")
    try:
        one.submit(b"y", depends_on=[promise] * (bounds.MAX_NEEDS + extra))
    except ValueError:
        return "refused"
    return "accepted"


CASES: dict[str, Case] = {
    "object of a queue message": spill,
    "payload that rides in a queue message": riding,
    "key of an object": key,
    "object of items": items_object,
    "line of an object of items": items_line,
    "sub-tasks of one element, as lines": lines,
    "output that is packed with others": packed,
    "small outputs of one element in memory": held,
    "results that one dependency covers": needed,
    "bytes of a result that ride in records and in a status": inline,
    "request of a worker to its agent": request,
    "text of an error of gRPC": details,
    "frame of a call that takes a whole run": whole_frame,
    "results, and sub-tasks, of one execution": created,
    "how one element of such a call ended": ended,
    "payload, dependency or output in a frame": blob,
    "all of these of one element": blobs,
    "detail of an element that failed": detail,
    "what is kept of what an element prints": printed,
    "needs of one sub-task of a function": needs,
}
