"""kopf's watches on a real apiserver: their names, and that definitions of kinds may change."""

import asyncio
import gc
import os
import warnings
from typing import Any

import kopf
import pytest

from armonik_operator.clients.kube import CRDS, PARTITIONS, Kube
from armonik_operator.sources.apiserver import Unremembered, make_registry
from armonik_operator.sources.watches import KINDS, until_served, unwatched

DEADLINE = 60.0


async def test_watches_outlast_a_change_of_the_definitions(
    monkeypatch: pytest.MonkeyPatch, apiserver: Any, kube: Kube, namespace: str
) -> None:
    """`unwatched` knows watches by the names that kopf gives to their tasks."""
    monkeypatch.setitem(os.environ, "KUBECONFIG", str(apiserver.kubeconfig))
    came: set[str] = set()
    events = asyncio.Event()

    def receive(plural: str, _: str | None, obj: dict[str, Any]) -> None:
        if obj["metadata"]["namespace"] == namespace:
            came.add(obj["metadata"]["name"])
            events.set()

    async def seen(name: str) -> None:
        partition = {"apiVersion": "armonik.io/v1alpha1", "kind": "Partition", "metadata": {"name": name}}
        partition |= {"spec": {"podMax": 1, "template": {"spec": {"worker": {"image": "worker:1"}}}}}
        await kube.create(PARTITIONS, partition, namespace)
        while name not in came:
            events.clear()
            await events.wait()

    await until_served(kube, lambda _: None)
    stop = asyncio.Event()
    running = asyncio.create_task(
        kopf.operator(
            registry=make_registry(receive),
            memories=Unremembered(),
            standalone=True,
            clusterwide=True,
            stop_flag=stop,
        )
    )
    try:
        async with asyncio.timeout(DEADLINE):
            await seen("before")
            while unwatched(task.get_name() for task in asyncio.all_tasks()):  # noqa: ASYNC110 - kopf has no event
                await asyncio.sleep(0.05)
            for kind in KINDS:
                await _change(kube, f"{kind.plural}.{kind.group}")
            await seen("after")
            assert not unwatched(task.get_name() for task in asyncio.all_tasks())
    finally:
        stop.set()
        async with asyncio.timeout(DEADLINE):
            await running
        del running
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # kopf leaves its connections open
            gc.collect()


async def _change(kube: Kube, name: str) -> None:
    """Let the apiserver end the watches of a kind, as an upgrade does, and put its definition back."""
    columns = (await kube.get(CRDS, name))["spec"]["versions"]
    fewer = [dict(version) for version in columns]
    fewer[0].pop("additionalPrinterColumns")
    await kube.patch(CRDS, name, {"spec": {"versions": fewer}})
    await kube.patch(CRDS, name, {"spec": {"versions": columns}})


async def test_a_kind_without_a_definition_is_not_served(kube: Kube) -> None:
    await until_served(kube, lambda _: None)
    missing = [KINDS[0].__class__("Nothing", "nothings", KINDS[0].group, KINDS[0].version)]
    missing += [KINDS[0].__class__("Nothing", "nothings", "nowhere.example", "v1")]
    assert await kube.unserved([*KINDS, *missing]) == ["nothings.armonik.io", "nothings.nowhere.example"]
