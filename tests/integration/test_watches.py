"""kopf's watches on a real apiserver: their names, and that definitions of kinds may change."""

import asyncio
import contextlib
import gc
import os
import warnings
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import kopf
import pytest
from proxy import Proxy

from armonik_operator.clients.kube import CRDS, PARTITIONS, Kube
from armonik_operator.sources.apiserver import Unremembered, make_registry
from armonik_operator.sources.watches import KINDS, until_served, unwatched

DEADLINE = 60.0


class Watched:
    """What kopf's watches bring of one namespace."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        self._kube, self._namespace = kube, namespace
        self._came: set[str] = set()
        self._events = asyncio.Event()
        self.again = False
        """Something came by a list a second time."""

    def receive(self, _: str, event: str | None, obj: dict[str, Any]) -> None:
        name = obj["metadata"]["name"]
        if obj["metadata"]["namespace"] == self._namespace:
            self.again |= event is None and name in self._came
            self._came.add(name)
            self._events.set()

    async def seen(self, name: str) -> None:
        """Make a Partition and wait until it comes."""
        partition = {"apiVersion": "armonik.io/v1alpha1", "kind": "Partition", "metadata": {"name": name}}
        partition |= {"spec": {"podMax": 1, "template": {"spec": {"worker": {"image": "worker:1"}}}}}
        await self._kube.create(PARTITIONS, partition, self._namespace)
        while name not in self._came:
            self._events.clear()
            await self._events.wait()


@contextlib.asynccontextmanager
async def watching(kube: Kube, namespace: str) -> AsyncIterator[Watched]:
    """kopf at work, with all its watches."""
    await until_served(kube, lambda _: None)
    watched, stop = Watched(kube, namespace), asyncio.Event()
    running = asyncio.create_task(
        kopf.operator(
            registry=make_registry(watched.receive),
            memories=Unremembered(),
            standalone=True,
            clusterwide=True,
            stop_flag=stop,
        )
    )
    try:
        async with asyncio.timeout(DEADLINE):
            await watched.seen("before")
            while unwatched(task.get_name() for task in asyncio.all_tasks()):  # noqa: ASYNC110 - kopf has no event
                await asyncio.sleep(0.05)
            yield watched
    finally:
        stop.set()
        async with asyncio.timeout(DEADLINE):
            await running
        del running
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # kopf leaves its connections open
            gc.collect()


async def test_watches_outlast_a_change_of_the_definitions(
    monkeypatch: pytest.MonkeyPatch, apiserver: Any, kube: Kube, namespace: str
) -> None:
    """`unwatched` knows watches by the names that kopf gives to their tasks."""
    monkeypatch.setitem(os.environ, "KUBECONFIG", str(apiserver.kubeconfig))
    async with watching(kube, namespace) as watched:
        for kind in KINDS:
            await _change(kube, f"{kind.plural}.{kind.group}")
        await watched.seen("after")
        assert not unwatched(task.get_name() for task in asyncio.all_tasks())


async def test_watches_that_fall_silent_begin_anew_where_they_ended(
    monkeypatch: pytest.MonkeyPatch, apiserver: Any, kube: Kube, namespace: str, tmp_path: Path
) -> None:
    """As when a node or a load balancer on the way forgets the connections."""
    monkeypatch.setattr("armonik_operator.sources.apiserver.WATCH_SECONDS", 4)
    monkeypatch.setattr("armonik_operator.sources.apiserver.WATCH_MARGIN", 1.0)
    proxy = Proxy(f"127.0.0.1:{apiserver.port}")
    await proxy.mend()
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        apiserver.kubeconfig.read_text().replace(f"127.0.0.1:{apiserver.port}", proxy.address)
    )
    monkeypatch.setitem(os.environ, "KUBECONFIG", str(kubeconfig))
    async with watching(kube, namespace) as watched:
        proxy.swallow()
        await watched.seen("after")
        assert not watched.again, "it was listed again"
    await proxy.cut()


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
