"""Accounts are compared with namespaces: one that may not be read holds up no other, and loses nothing."""

import logging
import time
from collections.abc import Mapping
from typing import Any, cast

import pytest

from armonik_operator.clients.kube import NAMESPACES
from armonik_operator.errors import AccountError, KubeError, NotFound
from armonik_operator.manifests.accounts import claims
from armonik_operator.manifests.accounts.namespace import Limits, NamespaceAccounts
from armonik_operator.manifests.accounts.trust import Trust
from armonik_operator.provisioning.nats_namespaces import NatsNamespaces
from armonik_operator.settings import Settings
from armonik_sdk.api.const import NATS_CREDENTIALS_ANNOTATION, NATS_PART_ANNOTATIONS

TRUST = Trust.make()
ENVIRON: dict[str, object] = {
    "namespace": "armonik-system",
    "nats_url": "nats://n:4222",
    "s3_endpoint": "s:1",
    "agent_image": "a:1",
    "nats_accounts": True,
}
FORBIDDEN, BROKEN = 403, 500


class Api:
    """Namespaces by name, with their UID or the status of the refusal."""

    def __init__(self, **namespaces: str | int) -> None:
        self.namespaces = namespaces
        self.notes: dict[str, str] = {}
        """Annotations of all namespaces."""

    async def get(self, kind: object, name: str) -> dict[str, Any]:
        assert kind is NAMESPACES
        found = self.namespaces.get(name)
        if found is None:
            raise NotFound(404, {}, name)
        if isinstance(found, int):
            raise KubeError(found, {"reason": "Forbidden"}, name)
        meta = {"name": name, "uid": found, "creationTimestamp": "2026-01-01T00:00:00Z"}
        return {"metadata": meta | {"annotations": self.notes}}


class Server:
    """Tokens of accounts by public key."""

    def __init__(self, *namespaces: str) -> None:
        self.tokens: dict[str, str] = {}
        for namespace in namespaces:
            made = NamespaceAccounts.of(TRUST, namespace, f"uid-{namespace}")
            for token in made.tokens(TRUST, Limits(), time.time()):
                self.tokens[str(claims.read(token)["sub"])] = token
        self.ensured: list[str] = []
        self.deleted: list[str] = []
        self.order: list[str] = []

    async def list(self) -> set[str]:
        return set(self.tokens)

    async def lookup(self, public: str) -> str | None:
        return self.tokens.get(public)

    async def ensure(self, token: str) -> bool:
        self.ensured.append(str(claims.read(token)["name"]))
        self.order.append(f"push {self.ensured[-1].partition('/')[0]}")
        self.tokens[str(claims.read(token)["sub"])] = token
        return False

    async def delete(self, request: str) -> None:
        for public in claims.read(request)["nats"]["accounts"]:
            self.deleted.append(str(claims.read(self.tokens.pop(public))["name"]))


def made(api: Api, server: Server, monkeypatch: pytest.MonkeyPatch, watched: str = "") -> NatsNamespaces:
    settings = Settings.model_validate(ENVIRON | {"watch_namespaces": watched})

    async def hand_out(namespace: str, values: Mapping[str, str]) -> None:
        assert await namespaces.values(namespace) == values, "whoever asks meanwhile gets the former ones"
        server.order.append(f"hand out {namespace}")

    namespaces = NatsNamespaces(cast("Any", api), settings, TRUST, cast("Any", None), hand_out)
    monkeypatch.setattr(namespaces, "_accounts", server)
    namespaces._connected.set()

    async def delete_streams(_: NamespaceAccounts) -> None:
        pass

    monkeypatch.setattr(namespaces, "_delete_streams", delete_streams)
    return namespaces


async def test_only_the_accounts_of_a_namespace_that_is_gone_are_removed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = Server("here", "gone")
    await made(Api(here="uid-here"), server, monkeypatch).collect()
    assert sorted(server.deleted) == ["gone/uid-gone/clients", "gone/uid-gone/streams"]
    assert server.ensured == ["here/uid-here/streams", "here/uid-here/clients"]


async def test_a_namespace_that_may_not_be_read_keeps_what_it_has_and_is_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With `watchNamespaces`, the right to read a namespace goes when it is deleted."""
    server = Server("team-a", "team-b")
    api = Api(**{"team-a": "uid-team-a", "team-b": "uid-team-b"})
    namespaces = made(api, server, monkeypatch, "team-a,team-b")
    await namespaces.values("team-b")
    api.namespaces["team-b"] = FORBIDDEN
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            await namespaces.collect()
            assert not await namespaces.replaced("team-b")
    assert [r.getMessage().count("team-b") for r in caplog.records] == [2]
    assert server.deleted == []
    assert "team-a/uid-team-a/streams" in server.ensured
    api.namespaces["team-b"] = "another-uid"
    assert await namespaces.replaced("team-b")


async def test_a_server_that_has_lost_its_accounts_gets_them_again(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    namespaces = made(Api(team="uid-team"), server, monkeypatch)
    await namespaces.values("team")
    server.ensured.clear()
    await namespaces.values("team")
    assert server.ensured == []
    await namespaces.collect()
    assert server.ensured == ["team/uid-team/streams", "team/uid-team/clients"]


async def test_a_namespace_that_is_not_served_is_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server("team-a", "other")
    api = Api(**{"team-a": "uid-team-a", "other": BROKEN})
    await made(api, server, monkeypatch, "team-a").collect()
    assert server.deleted == []
    assert server.ensured == ["team-a/uid-team-a/streams", "team-a/uid-team-a/clients"]


async def test_one_that_cannot_be_compared_now_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("a", "b", "c", "d")
    server = Server(*names)
    api = Api(**{name: f"uid-{name}" for name in names} | {"b": BROKEN})
    namespaces = made(api, server, monkeypatch)
    with pytest.raises(KubeError, match="500"):  # so that no key is trusted no more before all are signed
        await namespaces.collect()
    assert {each.split("/")[0] for each in server.ensured} == {"a", "c", "d"}


async def test_a_namespace_made_again_is_known_by_its_uid(monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api(team="uid-team")
    namespaces = made(api, Server("team"), monkeypatch)
    await namespaces.values("team")
    assert not await namespaces.replaced("team")
    api.namespaces["team"] = "another"
    assert await namespaces.replaced("team")
    with pytest.raises(AccountError, match="made again"):
        await namespaces._serve("team")
    assert namespaces.changed.is_set()
    del api.namespaces["team"]
    assert await namespaces.replaced("team")


async def test_new_credentials_are_handed_out_before_the_former_are_revoked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    api, server = Api(team="uid-team"), Server()
    namespaces = made(api, server, monkeypatch)
    before = await namespaces.values("team")
    api.notes[NATS_CREDENTIALS_ANNOTATION] = "1"
    server.order.clear()
    await namespaces.collect()
    assert server.order == ["hand out team", "push team", "push team"]
    after = await namespaces.values("team")
    assert [role for role in before if before[role] == after[role]] == ["operator-creds"]


async def test_what_is_revoked_stays_revoked_when_the_annotation_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An apply of the namespace's manifest must not make a leaked file good again."""
    api, server = Api(team="uid-team"), Server()
    api.notes[NATS_CREDENTIALS_ANNOTATION] = "2"
    revoked = await made(api, server, monkeypatch).values("team")
    api.notes.clear()
    later = made(api, server, monkeypatch)
    assert await later.values("team") == revoked
    tokens = [claims.read(token)["nats"]["revocations"] for token in server.tokens.values()]
    assert [len(each) for each in tokens] == [2, 2]


@pytest.mark.parametrize("text", ["-1", "1001", "soon", "99999999999"])
async def test_a_number_of_credentials_that_is_none_changes_nothing_and_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    api, server = Api(team="uid-team"), Server()
    namespaces = made(api, server, monkeypatch)
    before = await namespaces.values("team")
    api.notes[NATS_CREDENTIALS_ANNOTATION] = text
    await namespaces.collect()
    assert await namespaces.values("team") == before
    assert f"{NATS_CREDENTIALS_ANNOTATION} is {text!r}, write a number from 0 to 1000" in caplog.text


async def test_bounds_of_parts_come_from_the_namespace_and_else_from_the_installation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    api, server = Api(team="uid-team"), Server()
    monkeypatch.setitem(ENVIRON, "nats_namespace_queue", "3MB")
    monkeypatch.setitem(ENVIRON, "nats_namespace_results", "4MB")
    api.notes[NATS_PART_ANNOTATIONS["results"]] = "5MB"
    namespaces = made(api, server, monkeypatch)
    assert namespaces.bounds("team").most == {}, "it is not served yet"
    await namespaces.values("team")
    assert namespaces.bounds("team").most == {"queue": 3 << 20, "results": 5 << 20}
