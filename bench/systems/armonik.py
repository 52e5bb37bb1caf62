"""ArmoniK for Kubernetes as a user meets it: the chart on a cluster, the Python client outside of it."""

import json
import os
import subprocess
from collections.abc import AsyncIterator
from typing import Final

from armonik_sdk.api.kinds import PartitionSpec, PodTemplate, WorkerContainer, WorkerPodSpec
from armonik_sdk.api.kinds.pod import ResourceRequirements
from armonik_sdk.client import (
    Client,
    ClientResult,
    Element,
    PartitionHandle,
    Payload,
    ResultHandle,
    SessionHandle,
    TaskHandle,
    TaskOptions,
)
from bench.workloads import MIB, Work, data, inputs, pieces

REGISTRY: Final = os.environ.get("ARMONIK_IMAGE_REGISTRY") or "localhost"
IMAGE: Final = os.environ.get("ARMONIK_BENCH_IMAGE", f"{REGISTRY}/armonik-worker-bench:dev")
OWN_IMAGE: Final = os.environ.get("ARMONIK_BENCH_OWN_IMAGE", f"{REGISTRY}/armonik-worker-bench-own:dev")
NAMESPACE: Final = os.environ.get("ARMONIK_BENCH_NAMESPACE", "default")
PARTITION: Final = "bench"
OWN_PARTITION: Final = "bench-own"
NAME: Final = "ArmoniK for Kubernetes"
OWN_NAME: Final = "ArmoniK for Kubernetes, its own worker"
URGENT: Final = 90
"""Priority of a task that shall not wait for all others."""
WORKER_CPU: Final = "20m"
"""Requested by a worker: twice its agent's request (charts/armonik/values-local.yaml), as by default."""
UPLOADED: Final = 4 * MIB
"""Bytes of an input above which a client makes a result of it, and uploads that bit by bit."""
TIMEOUT: Final = 400.0
"""Seconds that anything may take, but for work of very many elements."""
SLOWEST: Final = 500
"""Elements a second below which that is given up, too."""


class ArmoniK:
    """Durable as installed by default; workers of PyPI `armonik`, unchanged, one a pod."""

    name = NAME
    slow = False
    image = IMAGE
    partition = PARTITION

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._client: Client
        self._partition: PartitionHandle
        self._session: SessionHandle
        self._filled: TaskHandle
        self._stored: list[ClientResult | ResultHandle] = []

    async def start(self) -> None:
        """Make the partition and a session, and wait for the pods."""
        self._client = await Client.connect(NAMESPACE)
        worker = WorkerContainer(
            image=self.image, resources=ResourceRequirements(requests={"cpu": WORKER_CPU})
        )
        template = PodTemplate(spec=WorkerPodSpec(worker=worker))
        spec = PartitionSpec(pod_reserved=self.workers, pod_max=self.workers, template=template)
        self._partition = await self._client.apply_partition(self.partition, spec)
        self._session = await self._client.create_session(
            partitions=[self.partition], ttl_seconds_after_finished=3_600
        )
        await self._partition.wait(TIMEOUT)
        await self._session.ready(TIMEOUT)

    async def stop(self) -> None:
        """Delete both; the data goes with the session."""
        await self._session.delete()
        await self._partition.delete()
        await self._client.close()

    async def one(self, work: Work) -> None:
        """A Task of one element."""
        task = await self._session.submit(data(work.payload), options=self._options(work))
        await task.result(timeout=TIMEOUT)

    async def urgent(self, work: Work) -> None:
        """The same with a high priority."""
        task = await self._session.submit(data(work.payload), options=self._options(work, priority=URGENT))
        await task.result(timeout=TIMEOUT)

    async def many(self, count: int, work: Work) -> None:
        """One Task of many elements."""
        if work.payload > UPLOADED:
            await self._large(count, work)
            return
        timeout = TIMEOUT + count / SLOWEST
        await _drain(count, (await self._submit(count, work)).results(timeout=timeout))

    async def tree(self, levels: int, width: int) -> int:
        """A Task whose worker submits the first level, and hands its own result on to it."""
        options = TaskOptions(partition=self.partition, options={"tree": "yes"})
        root = await self._session.submit(f"{levels} {width} 0", options=options)
        return int(await root.result(timeout=TIMEOUT))

    async def fill(self, count: int, work: Work) -> None:
        """One Task of many elements, until it has finished."""
        self._filled = await self._submit(count, work)
        await self._filled.wait(TIMEOUT)

    async def collect(self) -> None:
        """Its results, which lie in NATS and in the object store."""
        await _drain(self._filled.total, self._filled.results(timeout=TIMEOUT))

    async def settle(self) -> None:
        """Delete large data, which would fill the object store."""
        for result in self._stored:
            await result.delete()
        self._stored.clear()

    async def _large(self, count: int, work: Work) -> None:
        """Inputs and results bit by bit, so that no process of ours holds one whole."""
        given = await self._session.create_results([""] * count)
        self._stored += given
        for number, result in enumerate(given, 1):
            await result.upload(pieces(work.payload, number))
        items = [Element(payload=Payload(result=result.id)) for result in given]
        task = await self._session.submit(items=items, options=self._options(work))
        for index in range(count):
            output = task.output(index)
            self._stored.append(output)
            size = 0
            async for part in output.chunks(timeout=TIMEOUT):
                size += len(part)
            if size != work.size:
                raise AssertionError(f"a result of {size} bytes, not {work.size}")

    async def _submit(self, count: int, work: Work) -> TaskHandle:
        if work.payload:
            items = list(inputs(count, work.payload))
            return await self._session.submit(items=items, options=self._options(work))
        return await self._session.submit(b"", count=count, options=self._options(work))

    def _options(self, work: Work, priority: int | None = None) -> TaskOptions:
        options = {"ms": f"{work.milliseconds:g}", "bytes": str(work.size)}
        return TaskOptions(partition=self.partition, priority=priority, options=options)


class OwnWorker(ArmoniK):
    """The same installation; workers of `armonik_sdk.worker`, which take a whole run in one call."""

    name = OWN_NAME
    image = OWN_IMAGE
    partition = OWN_PARTITION


async def _drain(count: int, results: AsyncIterator[tuple[int, bytes]]) -> None:
    got = 0
    async for _ in results:
        got += 1
    if got != count:
        raise AssertionError(f"{got} results of {count}")


def versions() -> dict[str, str]:
    """Of the cluster that kubectl reaches."""
    said = subprocess.run(["kubectl", "version", "-o", "json"], capture_output=True, text=True, check=True)
    pods = subprocess.run(
        ["kubectl", "get", "pods", "-A", "-l", "app.kubernetes.io/name=armonik", "-o", "json"],
        capture_output=True,
        text=True,
        check=True,
    )
    images = {
        container["image"]
        for pod in json.loads(pods.stdout)["items"]
        for container in pod["spec"]["containers"] + pod["spec"].get("initContainers", [])
    }
    return {
        "kubernetes": json.loads(said.stdout)["serverVersion"]["gitVersion"],
        "images": ", ".join(sorted(images)),
    }
