"""The operator's probes while a server that it needs is silent or away, and once it is back."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from operator_process import DEADLINE, Process
from proxy import Proxy
from servers import NatsServer

from armonik_operator.clients.kube import LEASES, Kube

pytestmark = pytest.mark.integration


class Ways:
    """The operator's own ways to NATS, the apiserver and the object store."""

    def __init__(self, nats: Proxy, apiserver: Proxy, store: Proxy) -> None:
        self.nats, self.apiserver, self.store = nats, apiserver, store


@pytest.fixture
async def ways(nats_server: NatsServer, apiserver: Any, store_proxy: Proxy) -> AsyncIterator[Ways]:
    ways = Ways(Proxy(f"127.0.0.1:{nats_server.port}"), Proxy(f"127.0.0.1:{apiserver.port}"), store_proxy)
    for way in (ways.nats, ways.apiserver):
        await way.mend()
    yield ways
    for way in (ways.nats, ways.apiserver):
        await way.cut()


@pytest.fixture
async def operator_environ(ways: Ways, apiserver: Any, tmp_path: Path) -> dict[str, str]:
    kubeconfig = tmp_path / "operator.kubeconfig"
    direct = apiserver.operator_kubeconfig.read_text()
    kubeconfig.write_text(direct.replace(f"127.0.0.1:{apiserver.port}", ways.apiserver.address))
    return {"KUBECONFIG": str(kubeconfig), "ARMONIK_NATS_URL": f"nats://{ways.nats.address}"}


@pytest.fixture
async def standing_lease(kube: Kube, namespace: str) -> None:
    """Another operator holds the Lease, and will for an hour."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    spec = {"holderIdentity": "another", "leaseDurationSeconds": 3600, "renewTime": now}
    lease: dict[str, Any] = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
    lease |= {"metadata": {"name": "armonik-operator"}, "spec": spec}
    await kube.create(LEASES, lease, namespace)


class Probes:
    """What the operator says."""

    def __init__(self, operator: Process) -> None:
        self._operator = operator

    async def get(self, path: str) -> tuple[int, str]:
        """Status and text; status 0 while nobody listens."""
        async with aiohttp.ClientSession() as session:
            try:
                async with session.get(self._operator.address + path) as answer:
                    return answer.status, await answer.text()
            except aiohttp.ClientConnectionError:
                return 0, ""

    async def say(self, status: int, words: str, path: str = "/readyz") -> None:
        """Wait until it answers so. It has to be alive all the time."""
        said = (0, "")
        try:
            async with asyncio.timeout(DEADLINE):
                while not (said[0] == status and words in said[1]):
                    await asyncio.sleep(0.1)
                    said = await self.get(path)
                    assert (await self.get("/livez"))[0] != 503
        except TimeoutError:
            raise AssertionError(f"{path} stays {said}, not {status} {words}") from None

    async def gauge(self, dependency: str, value: float) -> None:
        """Wait until the metrics say so of a dependency."""
        await self.say(200, f'armonik_dependency_up{{dependency="{dependency}"}} {value}', "/metrics")


@pytest.fixture
def probes(operator: Process) -> Probes:
    return Probes(operator)


@pytest.mark.parametrize("away", ["silent", "cut"])
async def test_without_nats_the_leader_is_not_ready_until_it_is_back(
    probes: Probes, ways: Ways, away: str
) -> None:
    await probes.say(200, "ok")
    await _lose(ways.nats, away)
    await probes.say(503, "nats is down: ")
    await probes.gauge("nats", 0.0)
    await _give_back(ways.nats)
    await probes.say(200, "ok")


async def test_a_silent_object_store_is_known_though_nobody_needs_it_and_all_stays_ready(
    probes: Probes, ways: Ways
) -> None:
    await probes.say(200, "ok")
    await probes.gauge("store", 1.0)
    await _lose(ways.store, "silent")
    await probes.gauge("store", 0.0)
    assert await probes.get("/readyz") == (200, "ok\n")
    await _give_back(ways.store)
    await probes.gauge("store", 1.0)


@pytest.mark.parametrize("away", ["silent", "cut"])
async def test_without_the_apiserver_a_standby_is_not_ready_until_it_is_back(
    standing_lease: None, probes: Probes, ways: Ways, away: str
) -> None:
    await probes.say(200, "ok")
    await _lose(ways.apiserver, away)
    await probes.say(503, "apiserver is down: ")
    await _give_back(ways.apiserver)
    await probes.say(200, "ok")


async def test_a_leader_whose_apiserver_is_silent_ends_with_its_lease_and_its_successor_works(
    operator: Process, probes: Probes, ways: Ways
) -> None:
    await probes.say(200, "ok")
    await _lose(ways.apiserver, "silent")
    assert await operator.ended() != 0
    assert "LeaseLost" in operator.log.read_text()
    operator.start()
    await probes.say(503, "apiserver is down: ")
    await _give_back(ways.apiserver)
    await probes.say(200, "ok")


async def _lose(way: Proxy, how: str) -> None:
    if how == "cut":
        await way.cut()
    else:
        way.mute()


async def _give_back(way: Proxy) -> None:
    await way.cut()
    await way.mend()
