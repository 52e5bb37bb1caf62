"""A whole installation in one process and in virtual time: the real operator and the real agents on simulated
servers, with everything that can go wrong at the push of a button."""

import asyncio
import contextlib
import copy
import random
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

import nats.aio.client

import armonik_agent.main as agent_main
import armonik_agent.worker.client as worker_module
import armonik_operator.app.lifecycle as controller_module
import armonik_operator.planning.task as task_plan
from armonik_agent.context import Drain
from armonik_agent.settings import Settings as AgentSettings
from armonik_operator.app.lifecycle import Operator
from armonik_operator.clients.kube import PARTITIONS, PODS, SECRETS, SESSIONS, TASKS
from armonik_operator.clients.store_usage import PartBounds
from armonik_operator.manifests.secrets import nats_secret
from armonik_operator.settings import Settings as OperatorSettings
from armonik_sdk.api.const import GROUP_VERSION, SESSION_FINALIZER
from armonik_sdk.dataplane.credentials import Credentials
from simulation import process as processes
from simulation.client import ResultClient
from simulation.kube import WATCHED, Object, SimulatedKube
from simulation.link import Link, SimulatedTransport
from simulation.loop import VirtualLoop, virtual_clocks
from simulation.process import CURRENT, OUTSIDE, Process
from simulation.runworker import SimulatedChannel
from simulation.server import NatsServer
from simulation.store import SimulatedStore
from simulation.worker import SERVICES, SimulatedAgentService, SimulatedWorker

NAMESPACE = "team"
LATE_SECONDS = 40.0
"""Longest time, by chance, until a watch of an operator that starts again delivers anything."""
T = TypeVar("T")
_CREDENTIALS = Credentials(
    nats_url="nats://simulation:4222",
    nats_user="agent",
    nats_password="simulation",
    s3_endpoint="simulation:8333",
    s3_secure=False,
    s3_region="none",
    s3_bucket="armonik",
    s3_access_key="",
    s3_secret_key="",
)


class SimulatedNamespaces:
    """Accounts that are there when they are needed, and stay."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()

    async def connect(self, answered: Callable[[], None], *_: object) -> None:
        """Nothing is asked of NATS."""
        answered()

    async def close(self) -> None:
        """Nothing is open."""

    async def values(self, _: str) -> dict[str, str]:
        """What agents and clients find in their Secrets; the simulation gives them theirs otherwise."""
        return {f"{role}-creds": "simulated" for role in ("operator", "agent", "client")}

    def bounds(self, _: str) -> PartBounds:
        """No part has a bound of its own."""
        return PartBounds()

    async def replaced(self, _: str) -> bool:
        """No namespace goes."""
        return False

    async def collect(self) -> None:
        """Nothing is left over."""


class Pod:
    """A pod with its agent, as the kubelet keeps it."""

    def __init__(self, obj: Object) -> None:
        self.name: str = obj["metadata"]["name"]
        self.uid: str = obj["metadata"]["uid"]
        self.namespace: str = obj["metadata"]["namespace"]
        self.folder = Path(tempfile.mkdtemp(prefix="simulated-pod-"))
        self.process: Process | None = None
        self.drain = Drain()
        self.leaving = False


class World:
    """The installation. Its methods are called from outside of the loop unless they are coroutines."""

    def __init__(self, seed: int, pods: int = 2, *, whole: bool = False, tenants: bool = False) -> None:
        """A namespace of the operator and one of users.

        Args:
            seed: of all chance.
            pods: of each Partition.
            whole: the operator cuts each Task into as few runs as it can, which agents then split.
            tenants: each namespace has accounts of its own on NATS; what these keep is in `accounts`.
        """
        self._whole = whole
        self._tenants = tenants
        self.chance = random.Random(seed)
        SimulatedWorker.chance = random.Random(seed + 1)
        SimulatedChannel.chance = random.Random(seed + 2)
        self.loop = VirtualLoop()
        processes.install(self.loop)
        self.loop.set_exception_handler(self._unhandled)
        self.nats = NatsServer(self.loop, self.chance)
        self.accounts = {NAMESPACE: self.nats}
        """The part of NATS that a namespace sees, by its name: with `tenants` each has one."""
        self.store = SimulatedStore()
        self.kube = SimulatedKube(self.loop)
        self.pods: dict[str, Pod] = {}
        self.operator: Process | None = None
        """The newest; an older one may live on, frozen or about to lose its Lease."""
        self.processes: list[Process] = []
        self.problems: list[BaseException] = []
        self.crashes: list[BaseException] = []
        """What operators ended with."""
        self._client: ResultClient | None = None
        self._client_process: Process | None = None
        self.late: dict[str, float] = {}
        """Seconds until the watch of a kind delivers to an operator that starts; by chance if unset."""
        self._starts = 0
        self._pod_count = pods
        self._patches = contextlib.ExitStack()
        self._background: set[asyncio.Task[None]] = set()

    # Life ----------------------------------------------------------------------------------------------

    def __enter__(self) -> "World":
        enter = self._patches.enter_context
        enter(virtual_clocks(self.loop, "armonik_"))

        class Transport(SimulatedTransport):
            dial = staticmethod(self._dial)

        enter(patch.object(nats.aio.client, "TcpTransport", Transport))
        enter(patch.object(controller_module, "NamespaceStore", lambda *_, **__: self.store))
        enter(patch.object(controller_module.Kube, "connect", self._connect_kube))
        if self._tenants:
            enter(patch.object(controller_module.Provision, "credentials", self._credentials_of))
            enter(patch.object(controller_module.Provision, "_make_namespaces", self._make_namespaces))
        enter(patch.object(agent_main, "S3Store", lambda *_, **__: self.store))
        enter(patch.object(worker_module, "WorkerStub", SimulatedWorker))
        enter(patch.object(worker_module.grpc.aio, "insecure_channel", lambda *_, **__: SimulatedChannel()))
        enter(patch.object(agent_main, "AgentService", SimulatedAgentService))
        enter(patch.object(agent_main, "serve_http", self._no_http))
        if self._whole:
            enter(patch.object(task_plan, "run_size", lambda total, *_: total))
        self.run(self._begin())
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.run(self._end())
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        finally:
            self._patches.close()
            self.loop.close()
            SERVICES.clear()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Let the world continue until this is done."""
        result = self.loop.run_until_complete(coroutine)
        if self.problems:
            raise self.problems[0]
        return result

    def passes(self, seconds: float) -> None:
        """Let time pass."""
        self.run(asyncio.sleep(seconds))

    def until(self, what: str, holds: Callable[[], object], patience: int = 600) -> None:
        """Let time pass until it is so, second by second."""
        for _ in range(patience):
            if holds():
                return
            self.passes(1.0)
        raise AssertionError(f"not within {patience} s: {what}")

    async def _begin(self) -> None:
        self.kube.listeners.append(self._kubelet)
        if not self._tenants:
            await self.kube.create(SECRETS, nats_secret("armonik-nats"), "armonik")
        keys = {"access-key": "c2ltdWxhdGlvbg==", "secret-key": "c2ltdWxhdGlvbg=="}
        await self.kube.create(SECRETS, {"metadata": {"name": "armonik-s3"}, "data": keys}, "armonik")
        self.start_operator()
        await self._create_partition(NAMESPACE)

    async def _create_partition(self, namespace: str) -> None:
        template = {"spec": {"worker": {"image": "worker"}}}
        spec = {"podReserved": self._pod_count, "podMax": self._pod_count, "template": template}
        await self._create(PARTITIONS, "Partition", "default", spec, namespace)

    def add_namespace(self, namespace: str) -> None:
        """Give a further namespace a Partition."""
        self.run(self._create_partition(namespace))

    async def _end(self) -> None:
        for task in self._background:
            task.cancel()
        for one in self.processes:
            await one.kill()
        await asyncio.gather(*self._background, return_exceptions=True)
        for pod in self.pods.values():
            shutil.rmtree(pod.folder, ignore_errors=True)

    # The operator --------------------------------------------------------------------------------------

    def start_operator(self) -> None:
        """Start one, beside any that is there already."""
        self._starts += 1
        self.operator = self._start(f"operator-{self._starts}", self._operate(f"operator-{self._starts}"))

    async def _operate(self, holder: str) -> None:
        process, starts = CURRENT.get(), self._starts
        settings = OperatorSettings(
            namespace="armonik",
            nats_url="nats://simulation:4222",
            s3_endpoint="simulation:8333",
            s3_external=True,
            agent_image="agent",
            manage_crds=False,
            nats_accounts=self._tenants,
        )
        events = {plural: asyncio.Queue[tuple[str | None, Object]]() for plural in WATCHED}
        self.kube.listeners.append(lambda plural, *event: events[plural].put_nowait(event))
        for plural, obj in self.kube.watched():
            events[plural].put_nowait((None, obj))
        controller = Operator(settings, holder)

        async def watch(plural: str) -> None:
            """Each kind is watched by itself, and none waits for another, or for the operator's start."""
            late = self.chance.choice((0.0, 0.0, 0.0, self.chance.uniform(0, LATE_SECONDS) * (starts > 1)))
            await asyncio.sleep(self.late.get(plural, late))
            while True:
                event = await events[plural].get()
                await asyncio.sleep(self.chance.uniform(0, 0.02))
                await process.turn()
                controller.on_event(plural, *event)

        watching = [asyncio.create_task(watch(plural)) for plural in WATCHED]
        try:
            await controller.run()
        finally:
            for task in watching:
                task.cancel()

    async def _connect_kube(self, *_: object, **__: object) -> SimulatedKube:
        return self.kube

    async def kill_operator(self, back_after: float = 1.0) -> None:
        """Kill it at any await; Kubernetes starts another."""
        if self.operator is not None:
            await self.operator.kill()
        self._later(back_after, self.start_operator)

    # Agents --------------------------------------------------------------------------------------------

    def _kubelet(self, plural: str, event: str | None, obj: Object) -> None:
        if plural != "pods":
            return
        name = obj["metadata"]["name"]
        if event == "ADDED":
            pod = self.pods[name] = Pod(obj)
            self._later(self.chance.uniform(0.5, 2.0), self._start_agent, pod)
        elif event == "MODIFIED" and "deletionTimestamp" in obj["metadata"]:
            pod = self.pods[name]
            if not pod.leaving:
                pod.leaving = True
                self.background(self._stop_pod(pod))
        elif event == "DELETED":
            self.pods.pop(name, None)

    def _start_agent(self, pod: Pod) -> None:
        if pod.leaving or pod.name not in self.pods:
            return
        pod.drain = Drain()
        pod.process = self._start(pod.name, self._serve(pod))
        self._set_pod_status(pod, {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]})

    async def _serve(self, pod: Pod) -> None:
        settings = AgentSettings.model_validate(
            {
                "POD_UID": pod.uid,
                "POD_NAME": pod.name,
                "POD_NAMESPACE": pod.namespace,
                "ARMONIK_PARTITION": "default",
                "ARMONIK_CACHE_DIR": str(pod.folder),
                "ARMONIK_HTTP_PORT": "0",
            }
        )
        await agent_main.serve(settings, self._in_account(pod.namespace), pod.drain)
        if not pod.leaving:  # the container ended by itself and is started again
            self._later(1.0, self._start_agent, pod)

    async def _stop_pod(self, pod: Pod) -> None:
        pod.drain.end(20.0)
        if pod.process is not None and pod.process.root is not None:
            await asyncio.wait({pod.process.root}, timeout=30.0)
            await pod.process.kill()
        self._set_pod_status(pod, {"phase": "Succeeded"})
        self.kube.remove(PODS.plural, pod.namespace, pod.name)
        shutil.rmtree(pod.folder, ignore_errors=True)

    async def kill_agent(self, pod: Pod) -> None:
        """Kill the container's process; the kubelet starts it again in the same pod."""
        if pod.process is not None:
            await pod.process.kill()
            pod.process = None
            self._later(self.chance.uniform(0.5, 3.0), self._start_agent, pod)

    async def kill_pod(self, pod: Pod) -> None:
        """The node takes the pod away without a word."""
        pod.leaving = True
        if pod.process is not None:
            await pod.process.kill()
        self.kube.remove(PODS.plural, pod.namespace, pod.name)
        shutil.rmtree(pod.folder, ignore_errors=True)

    async def evict_pod(self, pod: Pod, message: str, grace: float = 1.0) -> None:
        """The kubelet says why in the pod's status, gives the process a moment, and kills it."""
        if pod.leaving:
            return
        pod.leaving = True
        self._set_pod_status(pod, {"phase": "Failed", "reason": "Evicted", "message": message})
        pod.drain.end(0.0)
        if pod.process is not None and pod.process.root is not None:
            await asyncio.wait({pod.process.root}, timeout=grace)
            await pod.process.kill()
        shutil.rmtree(pod.folder, ignore_errors=True)
        key = (PODS.plural, pod.namespace, pod.name)
        while key in self.kube.objects:  # it stays until somebody deletes it
            if "deletionTimestamp" in self.kube.objects[key]["metadata"]:
                self.kube.remove(*key)
            await asyncio.sleep(0.5)

    async def _no_http(self, *_: object) -> Any:
        class Runner:
            async def cleanup(self) -> None:
                """Nothing listens."""

        return Runner()

    def _set_pod_status(self, pod: Pod, status: Object) -> None:
        key = (PODS.plural, pod.namespace, pod.name)
        if key in self.kube.objects:
            self.kube._put(key, copy.deepcopy(self.kube.objects[key]) | {"status": status}, "MODIFIED")

    # A program of a user's ------------------------------------------------------------------------------

    @property
    def client(self) -> ResultClient:
        """The program that makes results; started at first use, and again when it was killed."""
        if self._client is None:
            self._client = ResultClient(_CREDENTIALS, self.store, NAMESPACE)
            self.run(self._start_client(self._client))
        return self._client

    async def _start_client(self, client: ResultClient) -> None:
        self._client_process = self._start("client", client.serve())

    async def kill_client(self) -> None:
        """Kill it at any await; what it was asked for and has not begun is forgotten."""
        if self._client_process is not None:
            await self._client_process.kill()
        self._client = self._client_process = None

    @property
    def client_busy(self) -> bool:
        """Whether it has something to do."""
        return self._client is not None and self._client.busy > 0

    # What users do -------------------------------------------------------------------------------------

    def create_session(self, name: str, namespace: str = NAMESPACE) -> None:
        """Apply a Session."""
        self.run(self._create(SESSIONS, "Session", name, {"partitions": ["default"]}, namespace))

    def create_task(self, name: str, session: str, namespace: str = NAMESPACE, **spec: Any) -> None:
        """Apply a Task."""
        self.run(self._create(TASKS, "Task", name, {"session": session} | spec, namespace))

    def want(self, kind: str, name: str, state: str) -> None:
        """Set a desired state."""
        self.change(kind, name, {"desiredState": state})

    async def wish(self, kind: str, name: str, state: str) -> None:
        """The same, from inside of the loop."""
        where = SESSIONS if kind == "Session" else TASKS
        await self.kube.patch(where, name, {"spec": {"desiredState": state}}, NAMESPACE)

    def change(self, kind: str, name: str, spec: Object) -> None:
        """Change a spec."""
        where = SESSIONS if kind == "Session" else TASKS
        self.run(self.kube.patch(where, name, {"spec": spec}, NAMESPACE))

    def delete(self, kind: str, name: str) -> None:
        """Delete a Session or Task."""
        self.run(self.kube.delete(SESSIONS if kind == "Session" else TASKS, name, NAMESPACE))

    def tasks(self, namespace: str = "") -> dict[str, Object]:
        """Living Tasks by name; of all namespaces, or of one."""
        return {
            name: obj
            for (plural, of, name), obj in self.kube.objects.items()
            if plural == TASKS.plural and namespace in ("", of)
        }

    def sessions(self) -> dict[str, Object]:
        """Living Sessions by name."""
        return {n: o for (p, _, n), o in self.kube.objects.items() if p == SESSIONS.plural}

    async def _create(
        self, kind: Any, word: str, name: str, spec: Object, namespace: str = NAMESPACE
    ) -> None:
        defaults = {} if word == "Partition" else {"desiredState": "Active" if word == "Task" else "Running"}
        meta: Object = {"name": name}
        if word == "Session":
            meta["finalizers"] = [SESSION_FINALIZER]
        body = {"apiVersion": GROUP_VERSION, "kind": word, "metadata": meta, "spec": defaults | spec}
        await self.kube.create(kind, body, namespace)

    def _unhandled(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not isinstance(error, asyncio.CancelledError):
            self.problems.append(error or AssertionError(context["message"]))

    # Plumbing ------------------------------------------------------------------------------------------

    async def _make_namespaces(self) -> SimulatedNamespaces:
        return SimulatedNamespaces()

    async def _credentials_of(self, settings: OperatorSettings) -> Credentials:
        return self._in_account(settings.watch_namespaces[0])

    def _in_account(self, namespace: str) -> Credentials:
        """Credentials that lead to what this namespace sees of NATS."""
        account = namespace if self._tenants else NAMESPACE
        if account not in self.accounts:
            self.accounts[account] = NatsServer(self.loop, self.chance)
        return replace(_CREDENTIALS, nats_url=f"nats://{account}:4222")

    def _dial(self, account: str) -> Link:
        process, nats = CURRENT.get(), self.accounts.get(account, self.nats)
        if not nats.up or not process.alive:
            raise ConnectionRefusedError("the server is down")
        link = Link(self.loop, self.chance, process.name)
        process.links.append(link)
        nats.accept(link)
        return link

    def _start(self, name: str, program: Coroutine[Any, Any, None]) -> Process:
        process = processes.start(name, program)
        assert process.root is not None
        self.processes.append(process)
        process.root.add_done_callback(lambda task: self._ended(process, task))
        return process

    def _ended(self, process: Process, task: asyncio.Task[Any]) -> None:
        if task.cancelled() or not process.alive:
            return
        error = task.exception()
        if error is None:
            return
        if not process.name.startswith("operator"):
            self.problems.append(error)
            return
        self.crashes.append(error)
        if process is self.operator:  # Kubernetes starts it again
            self._later(1.0, self.start_operator)

    def _later(self, seconds: float, call: Any, *arguments: Any) -> None:
        async def work() -> None:
            await asyncio.sleep(seconds)
            call(*arguments)

        self.background(work())

    def background(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Do this as nobody's process."""
        token = CURRENT.set(OUTSIDE)  # whoever caused it: it must not die with them
        try:
            task = asyncio.get_running_loop().create_task(coroutine)
        finally:
            CURRENT.reset(token)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
