"""A team with all that its users may read, against another team: on the apiserver, NATS and the object store.

The users have Kubernetes' own roles `edit` and `admin` in team A, with those of the chart, and nothing in B.
Attempts on servers are those of tests/hostile_nats.py and tests/hostile_store.py, which the integration tests
make without the guard as well. docs/security.md lists them.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import nats.errors
import pytest
from minio import Minio
from nats.aio.client import Client, RawCredentials

sys.path.insert(0, str(Path(__file__).parent))
sys.path.append(str(Path(__file__).parents[1]))  # what several suites share

from observe import Entry, ask, assert_each_element_ended_once, environment, has_accounts, reach_store
from release import NAMESPACE, PATIENCE, allowed, apply, attempt, kubectl, objects, session, task, until
from space import PARTITION, SESSION, Space, space

from armonik_operator.provisioning.buckets.tenant import Tenant
from armonik_sdk.api.const import NATS_STORE_ANNOTATION
from armonik_sdk.api.names import RESULTS, bucket_subject, consumer, control_key
from armonik_sdk.client import Client as GridClient
from armonik_sdk.client.errors import Refused
from armonik_sdk.dataplane.credentials import Credentials
from armonik_sdk.dataplane.nats.connection import close_nats, connect_nats
from hostile_nats import ATTEMPTS, Arena, Target, fills_the_store
from hostile_store import REFUSALS, agents_object, attempts, clients_object, outcome

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

USERS = {"ed": "edit", "ada": "admin"}
"""Roles in team A."""
ROLES = ("agent", "client")
SMALL = 20 << 20
"""Bytes that team A may keep while it tries to fill its store."""
MANY = 300
"""Sessions that team A makes at once."""


@dataclass(frozen=True)
class Teams:
    """Both teams at work."""

    a: Space
    b: Space
    entries: list[Entry]
    """Records of a Task of team B that has ended."""

    def secret(self, user: str, role: str) -> dict[str, str]:
        """What a user of team A reads of its credentials."""
        words = ("get", "secret", f"armonik-{role}", "--namespace", self.a.namespace, "--output", "json")
        data = json.loads(kubectl(*words, *_as(user)))["data"]
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def unharmed(self) -> None:
        """What team B had done is as it was, and it works."""
        assert assert_each_element_ended_once(self.b.observe, self.b.get("secret")) == self.entries


@pytest.fixture(scope="module")
def teams() -> Iterator[Teams]:
    if not has_accounts():
        pytest.skip("namespaces share the users of NATS (nats.accounts.enabled=false)")
    with space("team-a") as a, space("team-b") as b:
        for user, role in USERS.items():
            words = (f"--clusterrole={role}", f"--user={user}", "--namespace", a.namespace)
            kubectl("create", "rolebinding", user, *words)
        for here in (a, b):
            here.submit("secret", payload={"inline": f"of {here.namespace}"}, count=3)
        a.end("secret")
        _, entries = b.end("secret")
        # Kubernetes' own roles have ours once its controller has aggregated them.
        until(
            "the users may make Tasks",
            lambda: all(allowed("create", "tasks.armonik.io", *_in(a), user=user) for user in USERS),
        )
        yield Teams(a, b, entries)


def _as(user: str) -> tuple[str, str]:
    return f"--as={user}", "--as-group=system:authenticated"


def _in(here: Space) -> tuple[str, str]:
    return "--namespace", here.namespace


WISHES = [
    *(("get", f"secrets/armonik-{role}") for role in ROLES),
    *((verb, "secrets") for verb in ("list", "create", "delete")),
    *((verb, "tasks.armonik.io") for verb in ("get", "list", "watch", "create", "patch", "delete")),
    *((verb, "sessions.armonik.io") for verb in ("get", "create", "patch", "delete", "deletecollection")),
    *((verb, "partitions.armonik.io") for verb in ("get", "create", "patch", "delete")),
    *((verb, "pods") for verb in ("get", "create", "delete")),
    ("create", "pods", "--subresource=exec"),
    ("get", "pods", "--subresource=log"),
    ("get", "configmaps/armonik-service-configuration"),
    ("create", "serviceaccounts", "--subresource=token"),
    ("create", "rolebindings"),
]


@pytest.mark.parametrize("user", USERS)
def test_a_user_of_one_team_has_no_right_in_the_other(teams: Teams, user: str) -> None:
    granted = [wish for wish in WISHES if allowed(*wish, *_in(teams.b), user=user)]
    assert granted == []
    for name in ("tasks.armonik.io/secret", "secrets/armonik-agent"):
        refused = attempt("kubectl", "get", name, *_in(teams.b), *_as(user))
        assert "Forbidden" in refused.stderr
        assert attempt("kubectl", "get", name, *_in(teams.a), *_as(user)).returncode == 0


@pytest.mark.parametrize("user", USERS)
def test_a_user_neither_raises_the_limits_of_the_team_nor_reads_the_servers_secrets(
    teams: Teams, user: str
) -> None:
    assert not allowed("patch", f"namespaces/{teams.a.namespace}", *_in(teams.a), user=user)
    for secret in ("armonik-nats", "armonik-s3"):
        assert not allowed("get", f"secrets/{secret}", "--namespace", NAMESPACE, user=user)
    for verb in ("patch", "update"):
        assert not allowed(verb, "tasks.armonik.io", "--subresource=status", *_in(teams.a), user=user)


def test_a_task_names_no_data_of_the_other_team(teams: Teams) -> None:
    """Neither what lies in the other's bucket, nor its Session by UID."""
    theirs = teams.b.get(SESSION, "session.armonik.io")["metadata"]["uid"]
    ref = {"key": f"{teams.b.namespace}/{theirs}/client/x", "sha256": "0" * 64}
    spec = {"session": SESSION, "payload": {"object": ref}}
    _task_is_refused(teams, "stolen", spec)
    _task_is_refused(teams, "joined", {"session": SESSION, "sessionUid": theirs, "payload": {"inline": "x"}})


def _task_is_refused(teams: Teams, name: str, spec: dict[str, object]) -> None:
    manifest = {"apiVersion": "armonik.io/v1alpha1", "kind": "Task", "spec": spec}
    manifest["metadata"] = {"name": name, "namespace": teams.a.namespace}
    done = attempt("kubectl", "apply", "--filename", "-", *_as("ed"), stdin=json.dumps(manifest))
    if done.returncode != 0:
        return  # the schema refuses it
    conditions = teams.a.until(name, "is looked at", lambda status: bool(status.get("conditions")))
    assert not conditions.get("elements", {}).get("succeeded")
    assert teams.a.observe.kinds(teams.a.get(name)["metadata"]["uid"]) == []


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("user", USERS)
def test_no_credentials_of_one_team_reach_the_other_on_nats(teams: Teams, user: str, role: str) -> None:
    credentials = Credentials.from_mapping(teams.secret(user, role))
    target = _target(teams)

    async def attack(victim: Client) -> list[str]:
        arena = Arena(target, victim, SMALL)
        await arena.wiretap()
        client = await _attacker(credentials, victim)
        client.of_clients = role == "client"  # type: ignore[attr-defined]
        tried = [each for each in ATTEMPTS if each is not fills_the_store]
        try:
            return [each.__name__ for each in tried if await each(arena, client)]
        finally:
            await close_nats(client)

    try:
        assert ask(teams.b.namespace, attack) == []
    finally:
        ask(teams.a.namespace, lambda own: _forget(target, own))
    teams.unharmed()


async def _forget(target: Target, own: Client) -> None:
    """Remove what the attempts wrote to team A's own account, which the next ones would take for team B's."""
    js = own.jetstream(timeout=10)
    written = (target.head, target.result, target.queued, target.control, target.entry, target.event)
    for info in await js.streams_info():
        for subject in written:
            await js.purge_stream(str(info.config.name), subject=subject)


def _target(teams: Teams) -> Target:
    name, run = teams.b.namespace, teams.entries[0].run
    return Target(
        head=run.journal,
        result=f"armonik.journal.{name}.{run.session}.result.hostile",
        queued=run.queue(PARTITION, 1),
        consumer=consumer(name, PARTITION),
        control=f"$KV.CONTROL.{control_key(name, run.session)}",
        entry=bucket_subject(RESULTS, run.results),
        event=f"armonik.event.{name}.hostile",
        probe="armonik.agent.hostile",
        mark=name.encode(),
        spoken=(f"armonik.journal.{name}.hostile.result.room", "_INBOX.operator.hostile"),
        filler="armonik.journal.x.session.result",
    )


async def _attacker(credentials: Credentials, victim: Client) -> Client:
    """By the address at which the victim is."""
    assert victim.connected_url is not None
    return await connect_nats(replace(credentials, nats_url=f"nats://{victim.connected_url.netloc}"), "a")


@pytest.mark.parametrize("role", ROLES)
def test_no_key_of_one_team_reaches_the_bucket_of_the_other(teams: Teams, role: str) -> None:
    if environment("ARMONIK_S3_PROVISIONER") == "static":
        pytest.skip("namespaces share a bucket")
    prefix = environment("ARMONIK_S3_BUCKET")
    a, b = (Tenant.of(prefix, here.namespace, "", "") for here in (teams.a, teams.b))
    for here, tenant in ((teams.a, a), (teams.b, b)):
        for key in (agents_object(tenant), clients_object(tenant)):
            here.observe.put(key, b"theirs")
    keys = teams.secret("ed", role)

    async def attack(credentials: Credentials) -> dict[str, str]:
        mine = Minio(
            credentials.s3_endpoint,
            access_key=keys["s3-access-key"],
            secret_key=keys["s3-secret-key"],
            secure=credentials.s3_secure,
            region=credentials.s3_region,
        )
        return {what: outcome(each) for what, each in attempts(mine, a, b, prefix).items()}

    ended = reach_store(attack)
    assert {what: code for what, code in ended.items() if code not in REFUSALS} == {}
    assert set(teams.b.observe.objects("session")) == {agents_object(b), clients_object(b)}
    teams.unharmed()


def test_connections_of_one_team_leave_room_for_the_other(teams: Teams) -> None:
    most = int(environment("ARMONIK_NATS_NAMESPACE_CONNECTIONS"))
    if most > 300:
        pytest.skip(f"{most} connections are too many for this machine; set nats.accounts.connections")
    credentials = Credentials.from_mapping(teams.secret("ed", "client"))

    async def use_up(victim: Client) -> str:
        assert victim.connected_url is not None
        made: list[Client] = []
        try:
            while len(made) <= most:
                made.append(Client())
                await made[-1].connect(
                    f"nats://{victim.connected_url.netloc}",
                    user_credentials=RawCredentials(credentials.nats_creds),
                    allow_reconnect=False,
                    error_cb=_ignore,
                )
        except nats.errors.Error as error:
            teams_b = await asyncio.to_thread(teams.b.observe.kinds, teams.entries[0].run.task)
            assert teams_b, "the other team has no connection"
            return str(error)
        finally:
            await asyncio.gather(*(client.close() for client in made))
        return "no limit"

    assert "maximum account active connections" in ask(teams.b.namespace, use_up)
    _works(teams.b, "after-connections")


async def _ignore(_: Exception) -> None:
    """What is wrong is raised by the call itself."""


def test_a_full_account_of_one_team_leaves_room_for_the_other(teams: Teams) -> None:
    a, target = teams.a, _target(teams)
    note = f"{NATS_STORE_ANNOTATION}={SMALL}"
    kubectl("annotate", "namespace", a.namespace, note)

    async def limit(client: Client) -> int:
        return int((await client.jetstream(timeout=10).account_info()).limits.max_storage)

    until("the limit is in force", lambda: ask(a.namespace, limit) == SMALL, 2 * PATIENCE)
    credentials = Credentials.from_mapping(teams.secret("ada", "agent"))

    async def fill(victim: Client) -> bool:
        client = await _attacker(credentials, victim)
        try:
            return await fills_the_store(Arena(target, victim, SMALL), client)
        finally:
            await close_nats(client)

    assert not ask(teams.b.namespace, fill), "the other team has no room either"
    _works(teams.b, "after-filling")

    numbers = count()

    def held_back() -> bool:
        name = f"late-{next(numbers)}"
        a.submit(name, payload={"inline": "x"})
        status = a.until(name, "is looked at", lambda status: bool(status.get("phase")))
        found = {c["type"]: c for c in status.get("conditions", ())}
        return "QueueFull" in found and NATS_STORE_ANNOTATION in found["QueueFull"]["message"]

    until("new work of the team waits, and says why", held_back, 2 * PATIENCE)
    kubectl("annotate", "namespace", a.namespace, f"{NATS_STORE_ANNOTATION}-")


def test_many_sessions_of_one_team_hold_up_no_other(teams: Teams) -> None:
    apply(*(session(teams.a.namespace, f"many-{number}", PARTITION) for number in range(MANY)))
    apply(session(teams.b.namespace, "beside", PARTITION))
    teams.b.ready("session", "beside")
    apply(task(teams.b.namespace, "beside", "beside", payload={"inline": "x"}))
    teams.b.end("beside")
    kubectl("delete", "sessions.armonik.io", "--all", *_in(teams.a), "--wait=false")
    until("its Sessions go", lambda: not objects("sessions.armonik.io", *_in(teams.a)), 2 * PATIENCE)
    teams.unharmed()


def test_a_quota_bounds_the_sessions_of_a_team(teams: Teams) -> None:
    a = teams.a.namespace
    kubectl("create", "quota", "armonik", "--hard=count/sessions.armonik.io=3", "--namespace", a)
    quota = ("resourcequota", "armonik", "--namespace", a, "--output", "jsonpath={.status.hard}")
    until("the quota is in force", lambda: "sessions" in kubectl("get", *quota))

    async def make() -> list[str]:
        async with await GridClient.connect(a) as client:
            return [(await client.create_session(partitions=[PARTITION])).name for _ in range(4)]

    try:
        with pytest.raises(Refused, match=r"exceeded quota: armonik.*count/sessions\.armonik\.io"):
            asyncio.run(make())
    finally:
        kubectl("delete", "quota", "armonik", "--namespace", a)
    teams.unharmed()


def _works(here: Space, name: str) -> None:
    here.submit(name, payload={"inline": "x"})
    here.end(name)
