"""The client outside the cluster, where the two servers have addresses for it: nothing is forwarded."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from release import NAMESPACE, RELEASE, kubectl, objects, until, upgrade

from armonik_sdk.client import Client
from armonik_sdk.client.forward import Forward

pytestmark = [pytest.mark.e2e, pytest.mark.alone, pytest.mark.timeout(900)]
WAIT = 180.0
LARGE = 2_000_000
SERVERS = ("nats", "objectStore")
_SERVICE = '"service": {"type": "", "nodePort": null, "annotations": {}}'
CLOSED = {
    "nats": f'{{"url": "", {_SERVICE}}}',
    "objectStore": f'{{"endpoint": "", "secure": true, {_SERVICE}}}',
}
"""The chart's own values."""


@pytest.fixture
def opened() -> Iterator[None]:
    """Both servers have a port on every node, and clients are told of it; afterwards neither is so."""
    try:
        upgrade(*(word for name in SERVERS for word in ("--set", f"{name}.outside.service.type=NodePort")))
        node = _address_of_a_node()
        nats, store = (f"{node}:{_node_port(component)}" for component in ("nats", "s3"))
        told = {"nats.outside.url": f"nats://{nats}", "objectStore.outside.endpoint": store}
        told["objectStore.outside.secure"] = "false"
        upgrade(*(word for path, value in told.items() for word in ("--set", f"{path}={value}")))
        until("clients are told", lambda: _told().get("outside-s3-endpoint") == store)
        assert _told()["outside-nats-url"] == f"nats://{nats}"
        yield
    finally:
        upgrade(
            *(word for server in SERVERS for word in ("--set-json", f"{server}.outside={CLOSED[server]}"))
        )
        until("clients are told", lambda: not [key for key in _told() if key.startswith("outside")])


def _address_of_a_node() -> str:
    addresses = objects("nodes")[0]["status"]["addresses"]
    return str(next(found["address"] for found in addresses if found["type"] == "InternalIP"))


def _node_port(component: str) -> int:
    text = kubectl(
        "get", "service", f"{RELEASE}-{component}-outside", "--namespace", NAMESPACE, "--output", "json"
    )
    (port,) = json.loads(text)["spec"]["ports"]
    return int(port["nodePort"])


def _told() -> dict[str, str]:
    """What clients in the namespace `default` are told."""
    text = kubectl("get", "secret", "armonik-client", "--namespace", "default", "--output", "json")
    return {key: base64.b64decode(value).decode() for key, value in json.loads(text)["data"].items()}


@pytest.mark.usefixtures("opened")
async def test_clients_go_straight_to_the_addresses_that_they_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def start(forward: Forward) -> int:
        raise AssertionError("a port is forwarded")

    monkeypatch.setattr(Forward, "start", start)
    async with await Client.connect("default") as client:
        session = await client.create_session(partitions=["default"])
        try:
            assert await (await session.submit("7")).result(timeout=WAIT) == b"49"
            (stored,) = await session.create_results()
            await stored.upload(bytes(LARGE))
            assert await stored.result(timeout=WAIT) == bytes(LARGE)
        finally:
            await session.delete()
