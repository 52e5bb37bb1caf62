"""A namespace that is made again, or lost one of its objects, is given its share again."""

import re
from types import SimpleNamespace
from typing import Any, cast

import pytest

from armonik_operator.provisioning import credentials as module
from armonik_operator.provisioning.credentials import RENEW, Provision
from armonik_operator.settings import Settings
from simulation.kube import SimulatedKube

OBJECTS = {
    "namespace": {"client": "secrets", "configuration": "configmaps"},
    "agent": {"account": "serviceaccounts", "agent": "secrets"},
}
ALL = {name for objects in OBJECTS.values() for name in objects}


class Bench:
    """A namespace and a clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock: Any = SimpleNamespace(wall=lambda: 0.0)
        self.kube = SimulatedKube(clock)
        settings = Settings(
            namespace="armonik", nats_url="nats://n:4222", s3_endpoint="s:8333", agent_image="agent"
        )
        self.provision = Provision(cast("Any", self.kube), settings)
        self.provision.buckets = cast("Any", SimpleNamespace(values=self._values))
        self.now = 0.0
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.now))
        for whose, objects in OBJECTS.items():
            made = [(plural, {"metadata": {"name": name}}) for name, plural in objects.items()]
            monkeypatch.setattr(module.build, f"{whose}_objects", lambda *_, made=made: made)

    async def _values(self, namespace: str) -> dict[str, str]:
        return {"bucket": namespace}

    async def furnish(self, owner: str) -> set[str]:
        await self.provision.ensure_namespace("team", owner)
        return {name for _, _, name in self.kube.objects}


async def test_a_namespace_made_again_gets_its_objects_for_its_first_owner(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench(monkeypatch)
    assert await bench.furnish("first") == ALL
    bench.kube.objects.clear()  # the namespace was deleted and made again
    assert await bench.furnish("second") == ALL


async def test_an_object_that_somebody_deletes_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    await bench.furnish("first")
    bench.kube.remove("secrets", "team", "agent")
    assert await bench.furnish("first") == ALL - {"agent"}
    bench.now += RENEW
    assert await bench.furnish("first") == ALL


async def test_an_owner_that_was_seen_costs_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    await bench.furnish("first")
    await bench.furnish("second")
    bench.kube.down = True

    async def fails(*_: Any, **__: Any) -> Any:
        raise AssertionError("a request")

    bench.kube.apply = fails  # type: ignore[method-assign]
    for owner in ("first", "second"):
        await bench.furnish(owner)


@pytest.mark.parametrize(
    ("watched", "accounts", "bucket", "told"),
    [
        ("", False, "", "share the users of NATS"),
        ("a,b", False, "the bucket is shared", "share the users of NATS.*; the bucket is shared"),
        ("a", False, "", "^$"),
        ("a,b", True, "", "^$"),
        ("a,b", True, "the bucket is shared", "^the bucket is shared$"),
    ],
)
def test_what_other_namespaces_can_reach_is_reported(
    *, watched: str, accounts: bool, bucket: str, told: str
) -> None:
    environ = {
        "namespace": "armonik",
        "nats_url": "nats://n:4222",
        "s3_endpoint": "s:8333",
        "agent_image": "a",
    }
    made = Provision(cast("Any", None), Settings.model_validate(environ | {"watch_namespaces": watched}))
    made.buckets = cast("Any", SimpleNamespace(isolation=lambda _: bucket))
    made.namespaces = cast("Any", object()) if accounts else None
    assert re.search(told, made.isolation("a"))
