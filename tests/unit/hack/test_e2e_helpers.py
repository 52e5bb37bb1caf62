"""The end-to-end tests' own helpers, where no cluster is needed to show that they are right."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "e2e"))

import observe

from armonik_operator.manifests.accounts import claims
from armonik_operator.manifests.accounts.namespace import NamespaceAccounts
from armonik_operator.manifests.accounts.trust import Trust
from armonik_sdk.api.records import RecordKind
from armonik_sdk.client.transport.port_forward import Service
from armonik_sdk.dataplane.credentials import Credentials


@pytest.fixture
def forwarded(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A cluster that is not local: the names of the Services to which a port was forwarded."""
    opened: list[str] = []

    class Forward:
        def __init__(self, service: Service) -> None:
            self._service = service

        async def start(self) -> int:
            opened.append(self._service.name)
            return 4711

        async def close(self) -> None:
            pass

    monkeypatch.delenv("ARMONIK_LOCAL_CLUSTER", raising=False)
    monkeypatch.setattr(observe, "Forward", Forward)
    monkeypatch.setattr(observe, "_secret", lambda name: dict.fromkeys(_KEYS, "secret"))
    monkeypatch.setattr(observe, "environment", lambda _: "armonik")
    caches = (observe._credentials, observe._nats_secret, observe._uid)
    for each in caches:
        each.cache_clear()
    yield opened
    for each in caches:
        each.cache_clear()


_KEYS = ("operator-password", "operator-access-key", "operator-secret-key")


class _Client:
    def __init__(self, credentials: Credentials) -> None:
        self.url = credentials.nats_url

    async def close(self) -> None:
        pass


def test_a_question_to_nats_does_not_need_the_object_store(
    forwarded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def connect(credentials: Credentials, name: str) -> _Client:
        return _Client(credentials)

    async def url(client: Any) -> str:
        return str(client.url)

    monkeypatch.setattr(observe, "connect_nats", connect)
    assert observe.ask("default", url) == "nats://127.0.0.1:4711"
    assert forwarded == [observe._NATS.name]


def test_a_question_about_a_namespace_with_accounts_uses_its_own_account(
    forwarded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trust = Trust.make()
    secret = dict.fromkeys(_KEYS[1:], "secret") | trust.to_mapping()
    monkeypatch.setattr(observe, "_secret", lambda _: secret)
    monkeypatch.setattr(observe, "kubectl", lambda *words: f"uid of {words[2]}")
    used = []

    async def connect(credentials: Credentials, name: str) -> _Client:
        used.append(credentials)
        return _Client(credentials)

    async def nothing(_: Any) -> None:
        pass

    monkeypatch.setattr(observe, "connect_nats", connect)
    for namespace in ("team-a", "team-b"):
        observe.ask(namespace, nothing)
        accounts = NamespaceAccounts.of(trust, namespace, f"uid of {namespace}")
        (token,) = re.findall(r"USER JWT-+\n(\S+)", used[-1].nats_creds)
        assert claims.read(token)["iss"] == accounts.streams.public
    assert used[0].nats_creds != used[1].nats_creds
    assert forwarded == [observe._NATS.name] * 2


def test_a_question_to_the_object_store_does_not_need_nats(
    forwarded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def minio(credentials: Credentials) -> Any:
        assert credentials.s3_endpoint == "127.0.0.1:4711"
        return SimpleNamespace(bucket_exists=lambda _: True, list_objects=lambda *_, **__: [])

    monkeypatch.setattr(observe, "_minio", minio)
    assert observe.Observer("default").objects("session") == {}
    assert forwarded == [observe._S3.name]


@pytest.mark.parametrize(
    ("kinds", "taken"),
    [
        ([], None),
        ([RecordKind.SUBMITTED], None),
        ([RecordKind.SUBMITTED, RecordKind.DISPATCHED], 1),
        ([RecordKind.SUBMITTED, RecordKind.DISPATCHED, RecordKind.PROGRESS], 2),
        ([RecordKind.SUBMITTED, RecordKind.DISPATCHED, RecordKind.DONE], 1),
        ([RecordKind.SUBMITTED, RecordKind.DISPATCHED, RecordKind.RELEASED], None),
        ([RecordKind.SUBMITTED, RecordKind.CANCELLED], None),
    ],
)
def test_an_owner_that_has_ended_its_run_is_found_by_a_slow_observer(
    kinds: list[RecordKind], taken: int | None
) -> None:
    entries: list[Any] = [SimpleNamespace(record=SimpleNamespace(kind=kind)) for kind in kinds]
    assert observe.taken_by(entries) == ([] if taken is None else [entries[taken]])
