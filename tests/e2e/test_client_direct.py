"""The client outside the cluster, where the two servers have addresses for it: nothing is forwarded."""

from __future__ import annotations

import base64
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from release import NAMESPACE, RELEASE, kubectl, objects, until, upgrade

from armonik_sdk.client import Client
from armonik_sdk.client.transport.port_forward import Forward

pytestmark = [pytest.mark.e2e, pytest.mark.alone, pytest.mark.timeout(900)]
WAIT = 180.0
REACH = 60.0
"""Seconds until a fresh NodePort must answer. On the local control plane one that does not is a failure."""
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
    """Both servers have a port on every node, and clients get it; afterwards neither is so."""
    try:
        upgrade(*(word for name in SERVERS for word in ("--set", f"{name}.outside.service.type=NodePort")))
        node = _address_of_a_node()
        _skip_unless_reachable(node, _node_port("nats"))
        nats, store = (f"{node}:{_node_port(component)}" for component in ("nats", "s3"))
        told = {"nats.outside.url": f"nats://{nats}", "objectStore.outside.endpoint": store}
        told["objectStore.outside.secure"] = "false"
        upgrade(*(word for path, value in told.items() for word in ("--set", f"{path}={value}")))
        until("clients get it", lambda: _told().get("outside-s3-endpoint") == store)
        assert _told()["outside-nats-url"] == f"nats://{nats}"
        yield
    finally:
        upgrade(
            *(word for server in SERVERS for word in ("--set-json", f"{server}.outside={CLOSED[server]}"))
        )
        until("clients no longer get it", lambda: not [key for key in _told() if key.startswith("outside")])


def _address_of_a_node() -> str:
    addresses = objects("nodes")[0]["status"]["addresses"]
    return str(next(found["address"] for found in addresses if found["type"] == "InternalIP"))


def _skip_unless_reachable(node: str, port: int) -> None:
    """Docker Desktop runs its nodes in a virtual machine, whose addresses nobody outside of it reaches."""
    deadline = time.monotonic() + REACH
    while time.monotonic() < deadline:
        try:
            socket.create_connection((node, port), timeout=5).close()
        except OSError:
            time.sleep(0.5)
        else:
            return
    assert not os.environ.get("ARMONIK_LOCAL_CLUSTER"), f"NodePort {port} of {node} does not answer"
    pytest.skip(f"NodePorts on {node} cannot be reached from here within {REACH:.0f} s")


def _node_port(component: str) -> int:
    text = kubectl(
        "get", "service", f"{RELEASE}-{component}-outside", "--namespace", NAMESPACE, "--output", "json"
    )
    (port,) = json.loads(text)["spec"]["ports"]
    return int(port["nodePort"])


def _told() -> dict[str, str]:
    """What clients in the namespace `default` get."""
    text = kubectl("get", "secret", "armonik-client", "--namespace", "default", "--output", "json")
    return {key: base64.b64decode(value).decode() for key, value in json.loads(text)["data"].items()}


@pytest.mark.usefixtures("opened")
async def test_clients_go_straight_to_the_addresses_that_they_are_given(
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
