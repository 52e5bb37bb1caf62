"""A bucket and keys for each namespace: names, rights, and who makes and removes them when."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from armonik_operator.clients.kube import NAMESPACES
from armonik_operator.errors import BucketRefused, NotFound
from armonik_operator.provisioning.buckets import made
from armonik_operator.provisioning.buckets.given import GivenBuckets
from armonik_operator.provisioning.buckets.made import MadeBuckets
from armonik_operator.provisioning.buckets.tenant import (
    MAX_BUCKET,
    ROLES,
    Tenant,
    bucket_name,
    grants,
    may_be_of,
)
from armonik_sdk.dataplane.credentials import Credentials
from simulation.kube import SimulatedKube

ROOT = Credentials(
    nats_url="nats://n",
    nats_user="operator",
    s3_endpoint="s:8333",
    s3_secure=False,
    s3_region="us-east-1",
    s3_bucket="armonik",
    s3_access_key="root",
    s3_secret_key="root-secret",
)
LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)
PREFIXES = st.from_regex(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", fullmatch=True)


@given(PREFIXES, LABELS, LABELS)
def test_no_two_namespaces_share_a_bucket_and_its_name_is_valid(prefix: str, one: str, other: str) -> None:
    buckets = [bucket_name(prefix, name) for name in (one, other)]
    assert all(3 <= len(bucket) <= MAX_BUCKET and may_be_of(prefix, bucket) for bucket in buckets)
    assert (buckets[0] == buckets[1]) == (one == other)


def test_a_namespace_that_is_made_again_has_other_secrets_and_the_same_names() -> None:
    first, again = (Tenant.of("armonik", "team", uid, "master") for uid in ("1", "2"))
    assert first == Tenant.of("armonik", "team", "1", "master")
    for role in ROLES:
        assert first.keys[role].access == again.keys[role].access == f"armonik-team.{role}"
        assert first.keys[role].secret != again.keys[role].secret
    assert len({key.secret for key in (*first.keys.values(), *again.keys.values())}) == 4
    assert first.keys != Tenant.of("armonik", "team", "1", "another").keys


def test_clients_write_where_clients_write_and_only_environments_are_deleted() -> None:
    tenant = Tenant.of("armonik", "team", "1", "master")
    kept = "armonik-team/team/env/*"
    for role, deleted in (("agent", []), ("client", [(kept,)])):
        given = grants(tenant, role)
        assert {action for grant in given for action in grant.actions} - {"s3:DeleteObject"} == {
            *("s3:ListBucket", "s3:GetBucketLocation", "s3:GetObject"),
            *("s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"),
        }
        assert [grant.resources for grant in given if "s3:DeleteObject" in grant.actions] == deleted
    (written,) = (g.resources for g in grants(tenant, "client") if "s3:PutObject" in g.actions)
    assert written == ("armonik-team/team/*/client/*", "armonik-team/team/*/results/*", kept)


class Servers:
    """A provisioner in memory, and the apiserver's namespaces."""

    def __init__(self) -> None:
        clock: Any = SimpleNamespace(wall=lambda: 0.0)
        self.kube = SimulatedKube(clock)
        self.made: dict[str, Tenant] = {}
        self.down = False
        self.buckets = MadeBuckets(
            cast("Any", self.kube), ROOT, "master", self, lambda name: name != "foreign"
        )

    async def namespace(self, name: str) -> str:
        """Make it; its UID."""
        return str((await self.kube.create(NAMESPACES, {"metadata": {"name": name}}))["metadata"]["uid"])

    def ensure(self, tenant: Tenant) -> None:
        if self.down:
            raise OSError("down")
        self.made[tenant.namespace] = tenant

    def remove(self, tenant: Tenant) -> None:
        del self.made[tenant.namespace]

    def tenants(self) -> dict[str, str]:
        return {name: tenant.uid for name, tenant in self.made.items()}

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not holds():  # noqa: ASYNC110 - what is made in threads sets no event
                await asyncio.sleep(0.01)


async def test_a_namespace_gets_its_bucket_with_its_values() -> None:
    servers = Servers()
    uid = await servers.namespace("team")
    values = await servers.buckets.values("team")
    assert values == servers.made["team"].values()
    assert servers.made["team"].uid == uid
    assert servers.buckets.of("team").s3_bucket == values["bucket"]
    assert (servers.buckets.isolation("team"), servers.buckets.namespaces()) == ("", {"team"})


async def test_while_the_store_is_down_values_are_given_and_the_bucket_follows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(made, "PATIENCE", 0.05)
    monkeypatch.setattr(made, "RETRY", 0.01)
    servers = Servers()
    await servers.namespace("team")
    servers.down = True
    values = await servers.buckets.values("team")
    assert servers.made == {}
    servers.down = False
    await servers.until(lambda: servers.made)
    assert servers.made["team"].values() == values
    await servers.buckets.close()


async def test_a_bucket_that_is_lost_is_made_again() -> None:
    servers = Servers()
    await servers.namespace("team")
    await servers.buckets.values("team")
    servers.made.clear()
    await servers.buckets.check({"team"})
    await servers.until(lambda: "team" in servers.made)


async def test_a_bucket_goes_with_its_namespace_and_no_other_does() -> None:
    servers = Servers()
    for name in ("gone", "again", "unused"):
        await servers.namespace(name)
        await servers.buckets.values(name)
    servers.made["foreign"] = Tenant.of("armonik", "foreign", "1", "master")
    for name in ("gone", "again"):
        servers.kube.remove("namespaces", "", name)
    await servers.namespace("again")
    await servers.buckets.check({"gone"})  # a Session of it is still known
    assert set(servers.made) == {"gone", "unused", "foreign"}
    await servers.buckets.check(set())
    assert set(servers.made) == {"unused", "foreign"}
    with pytest.raises(NotFound):
        await servers.buckets.values("gone")
    assert (await servers.buckets.values("again"))["bucket"] == "armonik-again"


SHARED = {"access-key": "a", "secret-key": "s", "client-access-key": "ca", "client-secret-key": "cs"}


def _given(values: dict[str, str]) -> GivenBuckets:
    async def read() -> dict[str, str]:
        return values

    return GivenBuckets(ROOT, {}, read)


async def test_namespaces_share_what_is_given_unless_they_have_their_own() -> None:
    own = {"rich.bucket": "theirs", "rich.access-key": "ra", "rich.secret-key": "rs"}
    buckets = _given(SHARED | own)
    assert await buckets.values("rich") == {"bucket": "theirs", "access-key": "ra", "secret-key": "rs"}
    assert await buckets.values("poor") == SHARED
    place = buckets.of("rich")
    assert (place.s3_bucket, place.s3_access_key, place.s3_secret_key) == ("theirs", "ra", "rs")
    assert (buckets.of("poor"), buckets.namespaces()) == (ROOT, {"rich"})
    assert buckets.isolation("rich") == ""
    assert "shared by all namespaces" in buckets.isolation("poor")


async def test_half_a_key_is_refused_by_name() -> None:
    with pytest.raises(BucketRefused, match=r"lacks rich\.bucket, rich\.secret-key"):
        await _given(SHARED | {"rich.access-key": "ra"}).values("rich")
