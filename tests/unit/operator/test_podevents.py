"""A message about a pod deletes nothing but pods that a living Partition of a served namespace made."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import AsyncMock, patch

import pytest

from armonik_operator.cache.keys import WorkKey
from armonik_operator.cache.partition_load import PartitionLoads
from armonik_operator.cache.state import ClusterState
from armonik_operator.clients.kube import PODS
from armonik_operator.controllers.partition import PartitionReconciler
from armonik_operator.planning.pod_facts import evicted
from armonik_operator.settings import Settings
from armonik_operator.sources.pod_events import AT_A_TIME, MOST_OF_NAMESPACE, MOST_WAITING, PodEvents
from armonik_sdk.api.bounds import MAX_EVENT_BYTES
from armonik_sdk.api.kinds import Partition, WorkerInfo
from armonik_sdk.api.messages import PodEvent
from armonik_sdk.api.names import NamespacedName
from armonik_sdk.dataplane.nats.requests import bounded
from simulation.kube import SimulatedKube


def _settings(*spaces: str) -> Settings:
    return Settings(
        namespace="armonik",
        nats_url="nats://n:4222",
        s3_endpoint="s:8333",
        agent_image="agent",
        watch_namespaces=spaces,
    )


def message(kind: str, namespace: str, body: bytes) -> Any:
    """As NATS delivers it."""
    return SimpleNamespace(subject=f"armonik.event.{namespace}.{kind}", data=body)


class Bench:
    """Pods of a Partition and of others, and the handler of the messages."""

    def __init__(self, *spaces: str) -> None:
        clock: Any = SimpleNamespace(wall=lambda: 0.0)
        self.kube = SimulatedKube(clock)
        self.state = ClusterState(_settings(*spaces), PartitionLoads(lambda: 0.0, lambda _: None))
        meta = {"name": "default", "namespace": "team", "uid": "partition-uid"}
        spec = {"podMax": 1, "template": {"spec": {"worker": {"image": "w"}}}}
        body = {"apiVersion": "armonik.io/v1alpha1", "kind": "Partition", "metadata": meta, "spec": spec}
        self.state.partitions[NamespacedName("team", "default")] = Partition.from_object(body)
        self.down: list[str] = []
        self.events = PodEvents(cast("Any", self.kube), self.state, self._down, self._down, self._down)

    def answered_by(self, worker: PartitionReconciler) -> None:
        """Have events answered as in the operator."""
        self.events = PodEvents(
            cast("Any", self.kube), self.state, worker.worker_down, worker.worker_silent, worker.worker_about
        )

    async def send(self, kind: str, namespace: str, body: bytes) -> None:
        """Have the operator receive an event, and answer it."""
        await self.events.take(message(kind, namespace, body))
        answering = asyncio.create_task(self.events.run())
        async with asyncio.timeout(30):
            while self.events.waiting:  # noqa: ASYNC110 - ends when all were answered
                await asyncio.sleep(0)
        for _ in range(10):
            await asyncio.sleep(0)
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)

    async def _down(self, namespace: str, event: PodEvent) -> None:
        self.down.append(f"{namespace}/{event.pod}")

    async def pod(self, name: str, namespace: str = "team", *, owner: str = "partition-uid") -> str:
        meta: dict[str, Any] = {"name": name}
        if owner:
            meta["labels"] = {"armonik.io/partition": "default"}
            meta["ownerReferences"] = [{"uid": owner}]
        made = await self.kube.create(PODS, {"metadata": meta}, namespace)
        return str(made["metadata"]["uid"])

    async def told(self, kind: str, namespace: str, body: str) -> set[str]:
        """Send an event of a pod; names of the pods that are not being deleted then."""
        await self.send(kind, namespace, body.encode())
        pods = await self.kube.list(PODS)
        return {pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"]}


async def test_a_worker_pod_is_deleted_by_uid() -> None:
    bench = Bench()
    uid = await bench.pod("worker")
    assert await bench.told("drained", "team", f'{{"pod":"{uid}","name":"worker"}}') == set()


@pytest.mark.parametrize("kind", ["drained", "worker-down"])
@pytest.mark.parametrize(
    ("namespace", "pod", "name"),
    [
        ("payments", "", "postgres-0"),
        ("payments", "its uid", "postgres-0"),
        ("team", "", "worker"),
        ("team", "another", "worker"),
        ("team", "its uid", ""),
        ("team", "its uid", "other,metadata.namespace!=x"),
        ("team", "its uid", "of-nobody"),
        ("team", "its uid", "of-a-former-partition"),
    ],
)
async def test_nothing_else_is_touched(kind: str, namespace: str, pod: str, name: str) -> None:
    bench = Bench()
    uids = {
        "worker": await bench.pod("worker"),
        "postgres-0": await bench.pod("postgres-0", "payments"),
        "of-nobody": await bench.pod("of-nobody", owner=""),
        "of-a-former-partition": await bench.pod("of-a-former-partition", owner="gone"),
    }
    uid = uids.get(name, uids["worker"]) if pod == "its uid" else pod
    assert await bench.told(kind, namespace, f'{{"pod":"{uid}","name":"{name}"}}') == set(uids)
    assert bench.down == []


async def test_a_namespace_that_is_not_served_is_left_alone() -> None:
    bench = Bench("other")
    uid = await bench.pod("worker")
    assert await bench.told("drained", "team", f'{{"pod":"{uid}","name":"worker"}}') == {"worker"}


async def test_what_is_no_message_is_ignored() -> None:
    bench = Bench()
    for body in ("", "[]", '{"pod": 7}', "\x00"):
        assert await bench.told("drained", "team", body) == set()


@pytest.mark.parametrize(("extra", "taken"), [(-1, True), (0, True), (1, False)])
async def test_a_message_beyond_its_bound_is_dropped(
    extra: int, taken: bool, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench()
    uid = await bench.pod("worker")
    room = MAX_EVENT_BYTES + extra - len(PodEvent(pod=uid, name="worker", reason="r").encode()) + 1
    body = PodEvent(pod=uid, name="worker", reason="r" * room).encode()
    assert len(body) == MAX_EVENT_BYTES + extra
    await bench.told("worker-down", "team", body.decode())
    assert bench.down == ([f"team/{uid}"] if taken else [])
    assert (f"has {len(body)} bytes, more than {MAX_EVENT_BYTES}" in caplog.text) is not taken


@pytest.mark.parametrize("letter", ["r", "😀", "\x01"])
async def test_a_long_eviction_message_does_not_keep_a_pod_from_being_gone(letter: str) -> None:
    bench = Bench()
    none: Any = None
    worker = PartitionReconciler(SimpleNamespace(control=none), bench.state, none, none, none)  # type: ignore[arg-type]
    bench.state.evicted["u"] = evicted({"status": {"reason": "Evicted", "message": letter * 5_000}})
    with patch("armonik_operator.controllers.partition.put_control", AsyncMock()) as put:
        await worker.mark_gone(WorkKey("pod", "team", "u"))
    (_, _, said), _ = put.await_args_list[0]
    assert bounded("it", said)
    assert said.reason.startswith(f"the pod was evicted: {letter}")


async def test_what_an_agent_says_its_worker_is_is_known_while_its_pod_is_there() -> None:
    bench, keys = Bench(), list[WorkKey]()
    none: Any = None
    worker = PartitionReconciler(
        SimpleNamespace(control=none),
        bench.state,
        keys.append,
        none,
        none,  # type: ignore[arg-type]
    )
    uid = await bench.pod("worker")
    about = WorkerInfo(kind="functions", python="3.12")
    data = PodEvent(pod=uid, name="worker", worker=about).encode()
    bench.answered_by(worker)
    for _ in range(2):  # agents repeat it
        await bench.send("worker-about", "team", data)
    assert worker._about == {uid: about}
    assert keys == [WorkKey("partition", "team", "default")]
    with patch("armonik_operator.controllers.partition.put_control", AsyncMock()):
        await worker.mark_gone(WorkKey("pod", "team", uid))
    assert worker._about == {}


async def test_what_an_agent_says_its_worker_is_is_bounded() -> None:
    bench = Bench()
    uid = await bench.pod("worker")
    body = f'{{"pod":"{uid}","name":"worker","worker":{{"kind":"{"x" * 33}"}}}}'
    await bench.told("worker-down", "team", body)
    assert bench.down == []


async def test_what_an_agent_says_of_a_silent_worker_is_known_until_its_pod_is_ready_or_gone() -> None:
    bench = Bench()
    none: Any = None
    worker = PartitionReconciler(
        SimpleNamespace(control=none),
        bench.state,
        none,
        none,
        none,  # type: ignore[arg-type]
    )
    uid = await bench.pod("worker")
    data = PodEvent(pod=uid, name="worker", reason="HealthCheck of the worker: INTERNAL: no").encode()
    bench.answered_by(worker)
    await bench.send("worker-silent", "team", data)
    pods = await bench.kube.list(PODS)
    said = worker._silent_workers(pods)
    assert {pod: str(warned) for pod, warned in said.items()} == {
        uid: "WorkerSilent: HealthCheck of the worker: INTERNAL: no"
    }
    assert not said[uid].stops
    status = {"conditions": [{"type": "Ready", "status": "True"}]}
    assert worker._silent_workers([{**pod, "status": status} for pod in pods]) == {}
    with patch("armonik_operator.controllers.partition.put_control", AsyncMock()):
        await worker.mark_gone(WorkKey("pod", "team", uid))
    assert worker._silent_workers(pods) == {}


async def test_a_flood_from_one_namespace_delays_no_event_of_another() -> None:
    """Each event of the flood asks the apiserver, which does not answer about that namespace."""
    bench = Bench()
    meta = {"name": "default", "namespace": "flood", "uid": "other-partition"}
    spec = {"podMax": 1, "template": {"spec": {"worker": {"image": "w"}}}}
    bench.state.partitions[NamespacedName("flood", "default")] = Partition.from_object(
        {"apiVersion": "armonik.io/v1alpha1", "kind": "Partition", "metadata": meta, "spec": spec}
    )
    uid, asked, metadata = await bench.pod("worker"), list[str](), bench.kube.metadata

    async def hanging(kind: Any, namespace: str, **options: Any) -> Any:
        asked.append(namespace)
        if namespace == "flood":
            await asyncio.Event().wait()
        async for one in metadata(kind, namespace, **options):
            yield one

    client = Deliveries()
    with patch.object(bench.kube, "metadata", hanging):
        await bench.events.serve(cast("Any", client))
        answering = asyncio.create_task(bench.events.run())
        for number in range(2 * MOST_WAITING):
            client.deliver("worker-down", "flood", PodEvent(pod=f"pod-{number}", name="x").encode())
            await asyncio.sleep(0)
        client.deliver("worker-down", "team", PodEvent(pod=uid, name="worker").encode())
        async with asyncio.timeout(30):
            while not bench.down:  # noqa: ASYNC110 - the event is answered by what runs beside
                await asyncio.sleep(0)
        assert bench.down == [f"team/{uid}"]
        assert asked.count("flood") <= AT_A_TIME
        assert bench.events.waiting <= MOST_OF_NAMESPACE
        for task in (answering, *client.tasks):
            task.cancel()
        await asyncio.gather(answering, *client.tasks, return_exceptions=True)


async def test_pods_of_a_namespace_without_partitions_cost_no_request() -> None:
    bench = Bench()
    with patch.object(bench.kube, "metadata", side_effect=AssertionError("the apiserver is asked")):
        await bench.send("drained", "nobody", PodEvent(pod="u", name="worker").encode())


class Deliveries:
    """A client of NATS with subscriptions: each calls its callback for one message after the other."""

    def __init__(self) -> None:
        self.tasks: list[asyncio.Task[None]] = []
        self._queues: dict[str, asyncio.Queue[Any]] = {}

    async def subscribe(self, subject: str, cb: Any, pending_msgs_limit: int, **_: Any) -> None:
        """As nats-py does it."""
        queue = self._queues[subject.rsplit(".", 1)[1]] = asyncio.Queue(pending_msgs_limit)

        async def serve() -> None:
            while True:
                await cb(await queue.get())

        self.tasks.append(asyncio.create_task(serve()))

    async def flush(self) -> None:
        """Nothing is left to be sent."""

    def deliver(self, kind: str, namespace: str, body: bytes) -> None:
        """A message that the server sends; a full subscription drops it."""
        queue = self._queues[kind]
        if not queue.full():
            queue.put_nowait(message(kind, namespace, body))
