"""`python -m bench.restart`: what a restart of the operator costs in memory and time.

Real servers on loopback are filled with what Tasks leave behind; then the operator's process is started in a
bounded control group.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from nats.aio.client import Client

from armonik_operator.clients.kube import NAMESPACES, PARTITIONS, SECRETS, SESSIONS, TASKS, Kube
from armonik_sdk.api.const import API_GROUP
from armonik_sdk.api.names import client_object_key, queue_of_task
from armonik_sdk.dataplane.credentials import Credentials
from armonik_sdk.dataplane.nats.connection import connect_nats
from armonik_sdk.dataplane.nats.queue import queued
from armonik_sdk.dataplane.nats.streams import ensure, journal_state
from armonik_sdk.dataplane.s3.store import S3Store
from bench.report import OUT, Sample, environment, summarise, table, write
from bench.restart.apiserver import Address, apiserver
from bench.restart.memory import bounded
from bench.restart.objects import Objects
from bench.restart.process import Operator, operator
from bench.restart.sizes import WORKLOADS, Sizes
from bench.restart.stored import PARTITION, Filler, Made
from bench.systems.servers import KEY, nats, s3

NAMESPACE: Final = "bench"
MEBIBYTES: Final = 768
"""Memory that the chart gives the operator."""
OF_A_TASK: Final = 10_000
"""Elements of a Task that has many."""
NAME: Final = "operator"


@dataclass
class Place:
    """The servers, filled."""

    address: Address
    credentials: Credentials
    kube: Kube
    client: Client


async def measure(sizes: Sizes, most: float) -> list[Sample]:
    """Fill servers of its own, restart the operator under that, and look at it."""
    samples: list[Sample] = []

    def row(what: str, unit: str, value: float) -> None:
        samples.append(Sample(f"{sizes.workload}: {what}", NAME, unit, value))
        print(f"  {what}: {value:.1f} {unit}", flush=True)

    print(f"\n{sizes}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        async with _servers(Path(folder)) as place:
            began = time.monotonic()
            await _fill(place, sizes)
            print(f"  filled in {time.monotonic() - began:.0f} s", flush=True)
            with bounded(MEBIBYTES) as bound:
                if bound.group is None:
                    print(f"  the operator's memory is only looked at, not bounded: {bound.why}")
                log = OUT / f"restart-{sizes.workload.replace(',', '').replace(' ', '-')}.log"
                started = operator(log, bound, place.address.kubeconfig, place.credentials, NAMESPACE)
                async with started as running:
                    row("until it works", "s", await running.works())
                    row("until a new Task is queued", "s", await _new_task(place, running))
                    row("until it rests", "s", await running.rests(most))
                    now, peak = running.memory()
                    row("memory at most", "MiB", peak)
                    row("memory at rest", "MiB", now)
    return samples


@asynccontextmanager
async def _servers(folder: Path) -> AsyncIterator[Place]:
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(nats(folder / "nats"))
        endpoint = await stack.enter_async_context(s3(folder / "s3"))
        address = await stack.enter_async_context(apiserver(folder / "apiserver"))
        credentials = Credentials(
            nats_url=url,
            nats_user="operator",
            nats_password=KEY,
            s3_endpoint=endpoint,
            s3_secure=False,
            s3_region="us-east-1",
            s3_bucket="armonik",
            s3_access_key=KEY,
            s3_secret_key=KEY,
        )
        kube = await Kube.connect(str(address.kubeconfig))
        stack.push_async_callback(kube.close)
        client = await connect_nats(credentials, "bench")
        stack.push_async_callback(client.close)
        await ensure(client)
        yield Place(address, credentials, kube, client)


async def _fill(place: Place, sizes: Sizes) -> None:
    kube = place.kube
    await kube.create(NAMESPACES, {"metadata": {"name": NAMESPACE}})
    passwords = {f"{user}-password": KEY for user in ("operator", "agent", "client")}
    for name, values in (("own-s3", {"access-key": KEY, "secret-key": KEY}), ("own-nats", passwords)):
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values}
        await kube.create(SECRETS, secret, NAMESPACE)
    session = await kube.create(SESSIONS, _manifest("Session", "demo", partitions=[PARTITION]), NAMESPACE)
    template = {"spec": {"worker": {"image": "worker:1"}}}
    partition = _manifest("Partition", PARTITION, podMax=1, template=template)
    await kube.create(PARTITIONS, partition, NAMESPACE)
    uid = session["metadata"]["uid"]
    filler = Filler(place.client, NAMESPACE, uid)
    life = int((await journal_state(place.client))[0].timestamp())
    objects = Objects(kube, place.address.etcd, NAMESPACE, uid, life)

    async def put(made: AsyncIterator[Made], **spec: Any) -> None:
        tasks = [task async for task in made]
        if tasks:
            await objects.put(tasks, {"session": "demo", "outputs": ["result"], **spec})

    many = min(OF_A_TASK, sizes.finished)
    await put(filler.tasks("many", sizes.finished // max(1, many), many, many), count=many)
    payload = {"inline": "x" * 100}
    await put(filler.tasks("single", sizes.singles, 1, 1), payload=payload)
    if sizes.items:
        key = client_object_key(NAMESPACE, uid, "items")
        store = S3Store(place.credentials)
        await store.ensure_bucket()
        lines = (json.dumps({"payload": {"inline": f"item {number:09}"}}) for number in range(sizes.items))
        await store.put(key, "\n".join(lines).encode())
        made = filler.tasks("items", 1, sizes.items, sizes.items // 2)
        await put(made, itemsRef={"object": key, "count": sizes.items})
    many = min(OF_A_TASK, sizes.unfinished)
    made = filler.tasks("open", sizes.unfinished // max(1, many), many, 0, queue=True)
    await put(made, count=many)


async def _new_task(place: Place, running: Operator) -> float:
    """Seconds since the operator's start after which a Task that is made now is queued."""
    task = await place.kube.create(TASKS, _manifest("Task", "new", session="demo"), NAMESPACE)
    pattern = queue_of_task(NAMESPACE, task["metadata"]["uid"])
    while not await queued(place.client, pattern):
        running.check()
        await asyncio.sleep(0.1)
    return running.age


def _manifest(kind: str, name: str, **spec: Any) -> dict[str, Any]:
    version = f"{API_GROUP}/{TASKS.version}"
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec}


async def main(arguments: argparse.Namespace) -> None:
    """The command line."""
    OUT.mkdir(exist_ok=True)
    samples: list[Sample] = []
    for sizes in WORKLOADS:
        if not arguments.only or any(word in sizes.workload for word in arguments.only):
            samples += await measure(sizes.scaled(arguments.scale), arguments.rest)
    results = summarise(samples)
    print(f"\nscale {arguments.scale}, at most {MEBIBYTES} MiB\n\n{table(results)}")
    write(results, environment({}) | {"scale": arguments.scale}, OUT / "restart")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.restart", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="times the full sizes")
    parser.add_argument("--only", action="append", default=[], help="workloads whose name holds this word")
    parser.add_argument("--rest", type=float, default=600.0, help="seconds after which it need not rest")
    sys.exit(asyncio.run(main(parser.parse_args())))
