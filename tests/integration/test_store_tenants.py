"""A hostile namespace at the object store: the keys of team-a try everything on the bucket of team-b.

Guards were removed by hand, once, to see that no attempt fails for a reason of its own:
- MinIO, with `s3:*` on all buckets in the users' policies: all 21 attempts on the other bucket succeeded, and
  so did the writes and deletions inside of the namespace.
- versitygw, with users of the role `admin`: all 21, the making of users, and the writes and deletions inside.
- versitygw, with bucket policies that let everybody do everything, and the role `user`: 16 of 21 (they open
  neither themselves nor the making of buckets), and who has no key was let in.
"""

import asyncio
import io
import time
import uuid
from collections.abc import Awaitable
from dataclasses import replace

import pytest
from minio import Minio, MinioAdmin
from minio.credentials.providers import StaticProvider
from minio.error import MinioAdminException
from stores import each_store

from armonik_operator.errors import BucketRefused
from armonik_operator.provisioning.buckets.minio_server import MinioServer
from armonik_operator.provisioning.buckets.provisioner import Provisioner
from armonik_operator.provisioning.buckets.tenant import ROLES, Key, Tenant
from armonik_operator.provisioning.buckets.versitygw import Versitygw
from armonik_sdk.api.names import environment_key, environments
from armonik_sdk.dataplane.credentials import Credentials
from armonik_sdk.dataplane.errors import ObjectMissing, StoreUnavailable
from armonik_sdk.dataplane.s3.store import S3Store
from hostile_store import REFUSALS, agents_object, attempts, clients_object, outcome

pytestmark = [pytest.mark.integration, each_store]

INSTALLATION = "armonik-system.armonik"


class Site:
    """Two namespaces on one server, each with objects of its own."""

    def __init__(self, kind: str, credentials: Credentials) -> None:
        prefix = f"t{uuid.uuid4().hex[:8]}"
        self.root = replace(credentials, s3_bucket=prefix)
        self.provisioner = provisioner(kind, self.root)
        self.a, self.b = (self.tenant(name) for name in ("team-a", "team-b"))
        self.admin = self.client(Key(credentials.s3_access_key, credentials.s3_secret_key))
        for tenant in (self.a, self.b):
            self.provisioner.ensure(tenant)
            for key in (agents_object(tenant), clients_object(tenant)):
                self.admin.put_object(tenant.bucket, key, io.BytesIO(b"theirs"), 6)

    def tenant(self, namespace: str, uid: str = "uid-1") -> Tenant:
        return Tenant.of(self.root.s3_bucket, namespace, uid, "master")

    def client(self, key: Key) -> Minio:
        return Minio(
            self.root.s3_endpoint,
            access_key=key.access,
            secret_key=key.secret,
            secure=False,
            region="us-east-1",
        )

    def store(self, tenant: Tenant, role: str) -> S3Store:
        access, secret = tenant.keys[role]
        own = replace(self.root, s3_bucket=tenant.bucket, s3_access_key=access, s3_secret_key=secret)
        return S3Store(own)


def provisioner(kind: str, root: Credentials) -> Provisioner:
    return MinioServer(root, INSTALLATION) if kind == "minio" else Versitygw(root, INSTALLATION)


@pytest.fixture
def site(store_kind: str, credentials: Credentials) -> Site:
    return Site(store_kind, credentials)


@pytest.mark.parametrize("role", ROLES)
def test_no_key_of_a_namespace_reaches_the_bucket_of_another(site: Site, role: str) -> None:
    tried = attempts(site.client(site.a.keys[role]), site.a, site.b, site.root.s3_bucket)
    outcomes = {what: outcome(attempt) for what, attempt in tried.items()}
    assert {what: code for what, code in outcomes.items() if code not in REFUSALS} == {}
    assert site.admin.get_object(site.b.bucket, agents_object(site.b)).read() == b"theirs"
    names = {o.object_name for o in site.admin.list_objects(site.b.bucket, recursive=True)}
    assert names == {agents_object(site.b), clients_object(site.b)}
    assert site.b.bucket not in {bucket.name for bucket in site.client(site.a.keys[role]).list_buckets()}


def test_a_key_of_the_name_of_another_but_with_a_secret_of_one_s_own_is_refused(site: Site) -> None:
    forged = site.client(Key(site.b.keys["agent"].access, site.a.keys["agent"].secret))
    assert outcome(lambda: forged.get_object(site.b.bucket, agents_object(site.b))) == "SignatureDoesNotMatch"


def test_nobody_without_a_key_is_let_in(site: Site) -> None:
    anybody = Minio(site.root.s3_endpoint, secure=False, region="us-east-1")
    for attempt in (
        lambda: anybody.get_object(site.b.bucket, agents_object(site.b)),
        lambda: list(anybody.list_objects(site.b.bucket)),
        lambda: anybody.put_object(site.b.bucket, "x", io.BytesIO(b"x"), 1),
    ):
        assert outcome(attempt) == "AccessDenied"


@pytest.mark.parametrize("role", ROLES)
def test_users_of_a_namespace_make_no_users(site: Site, store_kind: str, role: str) -> None:
    key = site.a.keys[role]
    if store_kind == "minio":
        admin = MinioAdmin(
            endpoint=site.root.s3_endpoint,
            credentials=StaticProvider(*key),
            region="us-east-1",
            secure=False,
        )
        with pytest.raises(MinioAdminException, match="AccessDenied"):
            admin.user_add("evil", "evil-secret")
        with pytest.raises(MinioAdminException, match="AccessDenied"):
            admin.policy_set("readwrite", user=key.access)
        return
    mine = Versitygw(replace(site.root, s3_access_key=key.access, s3_secret_key=key.secret), INSTALLATION)
    for path, xml in (
        ("create-user", "<Account><Access>evil</Access><Secret>s</Secret><Role>admin</Role></Account>"),
        (f"update-user?access={key.access}", "<MutableProps><Role>admin</Role></MutableProps>"),
        ("list-users", ""),
        (f"change-bucket-owner?bucket={site.b.bucket}&owner={key.access}", ""),
    ):
        with pytest.raises(BucketRefused, match="403"):
            mine._ask(path, xml)


async def test_agents_and_clients_do_their_work_with_their_keys(site: Site) -> None:
    agent, client = (site.store(site.a, role) for role in ("agent", "client"))
    written = await agent.put(agents_object(site.a) + "-2", b"data")
    uploaded = await client.put(f"{site.a.namespace}/session/results/r/2", b"result")
    payload = await client.put(f"{site.a.namespace}/session/client/3", b"p" * (12 << 20))
    assert await client.get(written) == b"data"
    assert await agent.get(uploaded) == b"result"
    assert len(await agent.get(payload)) == 12 << 20
    with pytest.raises(ObjectMissing):  # and not that it is forbidden
        await agent.stat("none")


async def test_inside_a_namespace_clients_write_where_clients_write_and_nobody_deletes(site: Site) -> None:
    agent, client = (site.store(site.a, role) for role in ("agent", "client"))
    written, uploaded = agents_object(site.a), clients_object(site.a)
    keys = (written, f"{site.a.namespace}/session/task/results-0", "elsewhere")
    tried: list[Awaitable[object]] = [client.put(key, b"forged") for key in keys]
    tried += [store.delete([key]) for store in (agent, client) for key in (written, uploaded)]
    for refused in await asyncio.gather(*tried, return_exceptions=True):  # each after some tries
        assert isinstance(refused, StoreUnavailable)
        assert "AccessDenied" in str(refused)
    assert site.admin.get_object(site.a.bucket, written).read() == b"theirs"


async def test_clients_keep_and_delete_environments_and_nothing_else(site: Site) -> None:
    agent, client = (site.store(site.a, role) for role in ("agent", "client"))
    kept = environment_key(site.a.namespace, "a" * 64)
    theirs = environment_key(site.b.namespace, "a" * 64)
    site.admin.put_object(site.b.bucket, theirs, io.BytesIO(b"theirs"), 6)
    await client.put(kept, b"z" * (12 << 20))
    assert await agent.stat(kept) == 12 << 20
    (listed,) = await client.page(environments(site.a.namespace), "", 10, time.time())
    assert (listed.key, listed.size) == (kept, 12 << 20)
    with pytest.raises(StoreUnavailable, match="AccessDenied"):
        await agent.delete([kept])
    with pytest.raises(StoreUnavailable, match="AccessDenied"):
        await client.delete([kept, agents_object(site.a)])
    mine = site.client(site.a.keys["client"])
    assert outcome(lambda: mine.remove_object(site.b.bucket, theirs)) in REFUSALS
    await client.delete([kept])
    with pytest.raises(ObjectMissing):
        await client.stat(kept)
    assert site.admin.get_object(site.a.bucket, agents_object(site.a)).read() == b"theirs"


def test_a_namespace_made_again_finds_nothing_and_its_old_keys_open_nothing(site: Site) -> None:
    later = site.tenant("team-a", "uid-2")
    site.provisioner.ensure(later)
    assert later.keys["agent"].access == site.a.keys["agent"].access
    assert list(site.client(later.keys["agent"]).list_objects(later.bucket, recursive=True)) == []
    old = site.client(site.a.keys["agent"])
    assert outcome(lambda: list(old.list_objects(later.bucket))) == "SignatureDoesNotMatch"
    assert site.provisioner.tenants() == {"team-a": "uid-2", "team-b": "uid-1"}


def test_a_namespace_that_is_gone_leaves_nothing_and_others_stay(site: Site) -> None:
    site.provisioner.remove(site.a)
    assert not site.admin.bucket_exists(site.a.bucket)
    gone = site.client(site.a.keys["agent"])
    assert outcome(lambda: gone.list_buckets()) == "InvalidAccessKeyId"
    assert site.provisioner.tenants() == {"team-b": "uid-1"}
    assert (
        site.client(site.b.keys["agent"]).get_object(site.b.bucket, agents_object(site.b)).read() == b"theirs"
    )
    site.provisioner.remove(site.a)  # may be repeated
    site.provisioner.ensure(site.a)


def test_what_is_made_may_be_made_again(site: Site) -> None:
    for _ in range(2):
        site.provisioner.ensure(site.a)
    assert (
        site.client(site.a.keys["client"]).get_object(site.a.bucket, agents_object(site.a)).read()
        == b"theirs"
    )


def test_a_bucket_of_somebody_else_is_neither_taken_nor_removed(site: Site) -> None:
    foreign = site.tenant("team-c")
    site.admin.make_bucket(foreign.bucket)
    site.admin.put_object(foreign.bucket, "photos/1", io.BytesIO(b"x"), 1)
    with pytest.raises(BucketRefused, match="was not made by this installation"):
        site.provisioner.ensure(foreign)
    site.provisioner.remove(foreign)
    assert site.admin.get_object(foreign.bucket, "photos/1").read() == b"x"
    assert "team-c" not in site.provisioner.tenants()


def test_another_installation_sees_none_of_its_buckets(site: Site, store_kind: str) -> None:
    other = (MinioServer if store_kind == "minio" else Versitygw)(site.root, "elsewhere.armonik")
    assert other.tenants() == {}
    with pytest.raises(BucketRefused):
        other.ensure(site.a)
