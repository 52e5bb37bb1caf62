"""The operator with accounts for each namespace, on a real apiserver and NATS; the test plays the kubelet."""

import asyncio
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nats.errors
import pytest
from accounts_server import AccountsServer
from nats.aio.client import Client
from operator_process import DEADLINE, TEMPLATE, FakeAgent, Process, conditions, manifest, until
from ports import free_port
from stores import ROOT_KEY, ROOT_SECRET

from armonik_operator.clients.kube import NAMESPACES, PARTITIONS, SECRETS, SESSIONS, TASKS, Kube
from armonik_operator.errors import NotFound
from armonik_operator.manifests.accounts import claims
from armonik_operator.manifests.accounts.keys import Key, Role
from armonik_operator.manifests.accounts.namespace import Limits, NamespaceAccounts
from armonik_operator.manifests.accounts.trust import Trust
from armonik_operator.manifests.secrets import decode
from armonik_sdk.api.const import (
    AGENT_SECRET,
    CLIENT_SECRET,
    NATS_CREDENTIALS_ANNOTATION,
    NATS_PART_ANNOTATIONS,
    NATS_SECRET,
    NATS_STORE_ANNOTATION,
    ROTATE_ANNOTATION,
)
from armonik_sdk.dataplane.credentials import Credentials
from armonik_sdk.dataplane.nats.connection import Renewal, close_nats, connect_nats
from armonik_sdk.dataplane.s3.store import S3Store

pytestmark = pytest.mark.integration


class ChartsNats(AccountsServer):
    """As the chart's: it is started with the file in the Secret that the operator has made."""

    def __init__(self, folder: Path) -> None:
        self.content = ""
        super().__init__(folder)

    def auth_conf(self, _: str) -> str:
        """The Secret's file."""
        return self.content

    def serve_file(self, content: str) -> None:
        """Start with this content, again if it runs."""
        self.stop()
        self.content = content
        self._write_auth("")
        self.start()


@dataclass
class Installation:
    """An operator, its NATS, and two teams."""

    kube: Kube
    own: str
    """Namespace of the release."""
    teams: tuple[str, str]
    nats: ChartsNats
    operator: Process
    owner: Trust | None = None
    """Who owns NATS, if it is not the chart's."""

    async def secret(self, name: str, namespace: str) -> dict[str, str]:
        return decode(await self.kube.get(SECRETS, name, namespace))

    async def trust(self) -> Trust:
        return Trust.from_mapping(await self.secret(NATS_SECRET, self.own))

    async def start(self) -> None:
        """Start the operator, and NATS as soon as its Secret is there."""
        self.operator.start()
        if self.owner is not None:
            return
        await eventually(self._has_secret)
        self.nats.serve_file((await self.secret(NATS_SECRET, self.own))["auth.conf"])

    async def _has_secret(self) -> bool:
        try:
            return bool((await self.secret(NATS_SECRET, self.own))["auth.conf"])
        except NotFound:
            return False

    async def uid(self, namespace: str) -> str:
        return str((await self.kube.get(NAMESPACES, namespace))["metadata"]["uid"])

    @asynccontextmanager
    async def connected(self, namespace: str, secret: str) -> AsyncIterator[tuple[Client, Credentials]]:
        """As an agent or a client of a team, by its Secret."""
        credentials = Credentials.from_mapping(await self.secret(secret, namespace))
        client = await connect_nats(credentials, "test")
        try:
            yield client, credentials
        finally:
            await close_nats(client)

    async def begin(self, namespace: str) -> None:
        """A Session and a Partition, of the same names in each team."""
        partition = manifest("Partition", "default", podMax=1, podReserved=0, template=TEMPLATE)
        await self.kube.create(PARTITIONS, partition, namespace)
        await self.kube.create(SESSIONS, manifest("Session", "demo", partitions=["default"]), namespace)
        await until(
            self.kube, SESSIONS, "demo", namespace, lambda o: conditions(o).get("Ready") == "Accepted"
        )

        async def furnished() -> bool:
            try:
                return bool(await self.secret(AGENT_SECRET, namespace))
            except NotFound:
                return False

        await eventually(furnished)  # of the Partition; the Session may be the first

    async def work(self, namespace: str, name: str) -> None:
        """A Task from its creation to its end."""
        await self.kube.create(
            TASKS, manifest("Task", name, session="demo", payload={"inline": "x"}), namespace
        )
        async with self.connected(namespace, AGENT_SECRET) as (client, credentials):
            message = await FakeAgent(client, namespace, S3Store(credentials)).compute()
        assert message.task_name == name
        await until(self.kube, TASKS, name, namespace, lambda o: "Finished" in conditions(o))


async def eventually(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not await true():  # noqa: ASYNC110 - the servers set no event
            await asyncio.sleep(0.1)


@pytest.fixture
def owner() -> Trust | None:
    """Of NATS; None: it is the chart's."""
    return None


@pytest.fixture
async def installation(
    owner: Trust | None,
    apiserver: Any,
    operator_rights: None,
    nats_rights: None,
    kube: Kube,
    namespace: str,
    s3_endpoint: str,
    tmp_path: Path,
) -> AsyncIterator[Installation]:
    folder = tmp_path / "nats"
    folder.mkdir()
    nats = ChartsNats(folder)
    teams = (f"team-a-{secrets.token_hex(3)}", f"team-b-{secrets.token_hex(3)}")
    for team in teams:
        make_namespace(apiserver, team)
    keys = {"access-key": ROOT_KEY, "secret-key": ROOT_SECRET}
    own = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "own-s3"}, "stringData": keys}
    await kube.create(SECRETS, own, namespace)
    environ = {
        "KUBECONFIG": str(apiserver.operator_kubeconfig),
        "POD_NAME": f"operator-{secrets.token_hex(2)}",
        "ARMONIK_NAMESPACE": namespace,
        "ARMONIK_WATCH_NAMESPACES": ",".join(teams),
        "ARMONIK_NATS_URL": nats.url,
        "ARMONIK_NATS_ACCOUNTS": "true",
        "ARMONIK_NATS_ACCOUNTS_DIR": str(folder / "jwt"),
        "ARMONIK_NATS_NAMESPACE_STORE": "100MB",
        "ARMONIK_SWEEP_SECONDS": "1",
        "ARMONIK_S3_ENDPOINT": s3_endpoint,
        "ARMONIK_S3_SECRET": "own-s3",
        "ARMONIK_S3_EXTERNAL": "true",
        "ARMONIK_AGENT_IMAGE": "agent:1",
        "ARMONIK_MANAGE_CRDS": "false",
        "ARMONIK_HEALTH_PORT": str(free_port()),
    }
    if owner is not None:
        nats.serve_file(owner.server_conf(str(folder / "jwt"), time.time()))
        await kube.create(SECRETS, given(owner), namespace)
        environ |= {"ARMONIK_NATS_EXTERNAL": "true", "ARMONIK_NATS_SECRET": "own-nats"}
    made = Installation(kube, namespace, teams, nats, Process(environ, tmp_path / "operator.log"), owner)
    try:
        await made.start()
        yield made
    finally:
        code = await made.operator.stop()
        nats.stop()
        assert code == 0, made.operator.log.read_text()[-4000:]


def given(owner: Trust) -> dict[str, Any]:
    """What the owner of a NATS gives: a signing key, a root for the keys, and the file of a system user."""
    values = {
        "signing-seed": owner.signing.seed,
        "accounts-seed": Key.make(Role.ACCOUNT).seed,
        "system-creds": owner.system_credentials(time.time()),
    }
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "own-nats"}, "stringData": values}


def make_namespace(apiserver: Any, name: str) -> None:
    code, body = apiserver.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    assert code == 201, body


async def test_two_teams_work_side_by_side_in_accounts_of_their_own(installation: Installation) -> None:
    teams = installation.teams
    for team in teams:
        await installation.begin(team)
    for team in teams:
        await installation.work(team, "same-name")
    given = [await installation.secret(AGENT_SECRET, team) for team in teams]
    assert given[0]["nats-creds"] != given[1]["nats-creds"]
    assert not any("nats-password" in secret for secret in given)
    trust = await installation.trust()
    for team, other in (teams, teams[::-1]):
        accounts = NamespaceAccounts.of(trust, team, await installation.uid(team))
        owner = await installation.nats.user(accounts.credentials(trust, "operator", time.time()), "operator")
        try:
            for stream in ("JOURNAL", "KV_RESULTS"):
                info = await owner.jetstream().stream_info(stream, subjects_filter=">")
                assert info.state.subjects, stream
                assert not [subject for subject in info.state.subjects if f".{other}." in subject]
        finally:
            await owner.close()
        said = await installation.kube.get(PARTITIONS, "default", team)
        messages = [c["message"] for c in said["status"]["conditions"] if c["type"] == "Isolated"]
        assert not any("NATS" in message for message in messages)
    async with installation.connected(teams[0], CLIENT_SECRET) as (client, credentials):
        js = client.jetstream(prefix=credentials.nats_api)
        assert (await js.stream_info("KV_RESULTS", subjects_filter=">")).state.subjects


async def test_a_restarted_operator_finds_the_accounts_again(installation: Installation) -> None:
    team = installation.teams[0]
    await installation.begin(team)
    await installation.work(team, "before")
    given = await installation.secret(AGENT_SECRET, team)
    assert await installation.operator.stop() == 0
    installation.operator.start()
    await installation.work(team, "after")
    assert await installation.secret(AGENT_SECRET, team) == given


async def test_a_nats_that_has_lost_its_volume_gets_accounts_and_work_again(
    installation: Installation,
) -> None:
    teams = installation.teams
    for team in teams:
        await installation.begin(team)
        await installation.work(team, "before")
    installation.nats.kill()
    for folder in ("jwt", "data"):
        shutil.rmtree(installation.nats.folder / folder)
    installation.nats.start()
    for team in teams:
        await installation.work(team, "after")


async def test_a_full_account_shows_the_namespaces_own_limit_and_holds_up_no_other(
    installation: Installation,
) -> None:
    kube, (small, other) = installation.kube, installation.teams
    await kube.patch(NAMESPACES, small, {"metadata": {"annotations": {NATS_STORE_ANNOTATION: "2MB"}}})
    for team in (small, other):
        await installation.begin(team)
    trust = await installation.trust()
    accounts = NamespaceAccounts.of(trust, small, await installation.uid(small))
    owner = await installation.nats.user(accounts.credentials(trust, "operator", time.time()), "operator")
    try:
        for number in range(16):
            subject = f"armonik.journal.{small}.session.result.{number}"
            await owner.jetstream(timeout=10).publish(subject, bytes(100_000))
    finally:
        await owner.close()
    name = 0

    async def held_back() -> bool:
        nonlocal name
        name += 1
        task = manifest("Task", f"late-{name}", session="demo", payload={"inline": "x"})
        await kube.create(TASKS, task, small)
        obj = await until(kube, TASKS, f"late-{name}", small, lambda o: bool(conditions(o)))
        await asyncio.sleep(0.5)
        return "QueueFull" in conditions(await kube.get(TASKS, obj["metadata"]["name"], small))

    await eventually(held_back)
    obj = await kube.get(TASKS, f"late-{name}", small)
    (said,) = (c for c in obj["status"]["conditions"] if c["type"] == "QueueFull")
    assert "what this namespace may keep in NATS (2 MiB)" in said["message"]
    assert NATS_STORE_ANNOTATION in said["message"]
    await installation.work(other, "beside")


async def test_accounts_and_data_go_with_the_namespace(apiserver: Any, installation: Installation) -> None:
    kube, (gone, kept) = installation.kube, installation.teams
    for team in (gone, kept):
        await installation.begin(team)
        await installation.work(team, "work")
    trust, uid = await installation.trust(), await installation.uid(gone)
    accounts = NamespaceAccounts.of(trust, gone, uid)
    data = installation.nats.folder / "data" / "jetstream" / accounts.streams.public / "streams" / "JOURNAL"
    assert data.is_dir()
    await kube.delete(SESSIONS, "demo", gone)
    await kube.delete(PARTITIONS, "default", gone)
    await delete_namespace(apiserver, kube, gone)
    installation.nats.trust = trust

    async def removed() -> bool:
        async with installation.nats.accounts() as known:
            return not {accounts.streams.public, accounts.clients.public} & await known.list()

    await eventually(removed)
    assert not data.exists()
    former = await installation.secret(AGENT_SECRET, gone)  # nobody removes it from this apiserver
    make_namespace(apiserver, gone)
    await installation.begin(gone)

    async def given() -> bool:
        return (await installation.secret(AGENT_SECRET, gone))["nats-creds"] != former["nats-creds"]

    await eventually(given)
    await installation.work(gone, "again")
    assert NamespaceAccounts.of(trust, gone, await installation.uid(gone)) != accounts
    await installation.work(kept, "beside")


async def delete_namespace(apiserver: Any, kube: Kube, name: str) -> None:
    """Delete it, and play the controller that this apiserver has not."""
    for kind in (TASKS, SESSIONS, PARTITIONS):
        await eventually(lambda kind=kind: empty(kube, kind, name))
    apiserver.request("DELETE", f"/api/v1/namespaces/{name}")
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}, "spec": {"finalizers": []}}
    code, said = apiserver.request("PUT", f"/api/v1/namespaces/{name}/finalize", body)
    assert code == 200, said


async def empty(kube: Kube, kind: Any, namespace: str) -> bool:
    return not await kube.list(kind, namespace)


async def test_the_signing_key_is_rotated_by_an_annotation(installation: Installation) -> None:
    kube, team = installation.kube, installation.teams[0]
    await installation.begin(team)
    await installation.work(team, "before")
    old = await installation.trust()
    asked = {"metadata": {"annotations": {ROTATE_ANNOTATION: "true"}}}
    await kube.patch(SECRETS, NATS_SECRET, asked, installation.own)
    assert await installation.operator.stop() == 0
    installation.operator.start()

    async def rotated() -> bool:
        return (await installation.trust()).signing != old.signing

    await eventually(rotated)
    during = await installation.secret(NATS_SECRET, installation.own)
    installation.nats.serve_file(during["auth.conf"])  # its pod was replaced

    async def settled() -> bool:
        return (await installation.trust()).former is None

    await eventually(settled)
    after = await installation.secret(NATS_SECRET, installation.own)
    assert after["auth.conf"] != during["auth.conf"]
    installation.nats.serve_file(after["auth.conf"])
    await installation.work(team, "after")
    secret = await kube.get(SECRETS, NATS_SECRET, installation.own)
    assert ROTATE_ANNOTATION not in secret["metadata"]["annotations"]
    # The former key is worth nothing any more.
    stale = NamespaceAccounts.of(old, "forged", "uid")
    installation.nats.trust = await installation.trust()
    async with installation.nats.accounts() as known:
        for token in stale.tokens(old, Limits(), time.time()):
            await known.push(token)
    with pytest.raises(nats.errors.Error, match=r"(?i)authorization"):
        await installation.nats.user(stale.credentials(old, "agent", time.time()), "agent")


async def test_files_of_a_namespace_are_revoked_by_an_annotation_and_no_work_is_lost(
    installation: Installation,
) -> None:
    kube, (leaky, other) = installation.kube, installation.teams
    for team in (leaky, other):
        await installation.begin(team)
        await installation.work(team, "before")
    untouched = await installation.secret(AGENT_SECRET, other)
    leaked = [await installation.secret(name, leaky) for name in (AGENT_SECRET, CLIENT_SECRET)]
    now = [Credentials.from_mapping(leaked[0])]

    async def mounted() -> None:
        """As the kubelet keeps the Secret in the agent's volume."""
        now[0] = Credentials.from_mapping(await installation.secret(AGENT_SECRET, leaky))

    agent = await connect_nats(now[0], "agent", renewal=Renewal(lambda: now[0], mounted))
    try:
        task = manifest("Task", "during", session="demo", payload={"inline": "x"})
        await kube.create(TASKS, task, leaky)
        notes = {"metadata": {"annotations": {NATS_CREDENTIALS_ANNOTATION: "1"}}}
        await kube.patch(NAMESPACES, leaky, notes)

        async def revoked() -> bool:
            try:
                client = await installation.nats.user(leaked[0]["nats-creds"], "agent")
            except nats.errors.Error:
                return True
            await client.close()
            return False

        await eventually(revoked)
        with pytest.raises(nats.errors.Error, match=r"(?i)auth"):
            await installation.nats.user(leaked[1]["nats-creds"], "client")
        message = await FakeAgent(agent, leaky, S3Store(now[0])).compute()
        assert message.task_name == "during"
        await until(kube, TASKS, "during", leaky, lambda o: "Finished" in conditions(o))
    finally:
        await close_nats(agent)
    async with installation.connected(leaky, CLIENT_SECRET) as (client, credentials):
        assert await client.jetstream(prefix=credentials.nats_api).stream_info("KV_RESULTS")
    assert await installation.secret(AGENT_SECRET, other) == untouched
    await installation.work(other, "beside")
    await installation.work(leaky, "after")


async def test_a_namespace_whose_queue_has_its_bound_says_so_and_how_to_raise_it(
    installation: Installation,
) -> None:
    kube, (bounded, other) = installation.kube, installation.teams
    note = NATS_PART_ANNOTATIONS["queue"]
    await kube.patch(NAMESPACES, bounded, {"metadata": {"annotations": {note: "1"}}})
    for team in (bounded, other):
        await installation.begin(team)
    first = manifest("Task", "first", session="demo", payload={"inline": "x"})
    await kube.create(TASKS, first, bounded)
    number = 0

    async def held_back() -> bool:
        nonlocal number
        number += 1
        # Two elements: the status of one would show an end of waiting a minute later.
        late = manifest("Task", f"late-{number}", session="demo", payload={"inline": "x"}, count=2)
        await kube.create(TASKS, late, bounded)
        await until(kube, TASKS, f"late-{number}", bounded, lambda o: bool(conditions(o)))
        return "QueueFull" in conditions(await kube.get(TASKS, f"late-{number}", bounded))

    await eventually(held_back)
    obj = await kube.get(TASKS, f"late-{number}", bounded)
    (said,) = (c for c in obj["status"]["conditions"] if c["type"] == "QueueFull")
    assert "the queue of this namespace in NATS holds" in said["message"]
    assert note in said["message"]
    await installation.work(other, "beside")
    await kube.patch(NAMESPACES, bounded, {"metadata": {"annotations": {note: "10MB"}}})
    await until(kube, TASKS, f"late-{number}", bounded, lambda o: o["status"]["phase"] == "Submitted")


@pytest.mark.parametrize("owner", [Trust.make()], ids=["signing-key"])
async def test_a_nats_of_somebody_else_serves_namespaces_by_a_signing_key_of_its_owner(
    installation: Installation, owner: Trust
) -> None:
    for team in installation.teams:
        await installation.begin(team)
        await installation.work(team, "work")
    installation.nats.trust = owner
    async with installation.nats.accounts() as known:
        tokens = [await known.lookup(public) for public in await known.list()]
    found = [claims.read(token) for token in tokens if token]
    served = {str(each["name"]).split("/")[0] for each in found if each["iss"] == owner.signing.public}
    assert set(installation.teams) <= served
