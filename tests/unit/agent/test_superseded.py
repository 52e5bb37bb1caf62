"""Whether a process ends because its mounted credentials lead elsewhere."""

from dataclasses import fields, replace
from pathlib import Path

import pytest

from armonik_agent.main import superseded
from armonik_sdk.dataplane.credentials import Credentials
from armonik_sdk.dataplane.tls import UNTRUSTED

USED = Credentials("nats://n:4222", "agent", "s:8333", False, "us-east-1", "b", "a", "s", nats_password="p")
REFUSED = "nats: 'Authorization Violation'"


def mount(folder: Path, credentials: Credentials) -> Path:
    for field in fields(credentials):
        value = getattr(credentials, field.name)
        (folder / field.name.replace("_", "-")).write_text(
            str(value).lower() if isinstance(value, bool) else value
        )
    return folder


@pytest.mark.parametrize("changed", [{}, {"nats_password": "q"}, {"s3_secret_key": "t"}, {"tls_ca": "more"}])
def test_new_keys_of_the_same_kind_are_taken_over(tmp_path: Path, changed: dict[str, str]) -> None:
    assert not superseded(mount(tmp_path, replace(USED, **changed)), USED, REFUSED)


@pytest.mark.parametrize("changed", [{"nats_url": "tls://n:4222"}, {"nats_api": "$JS.clients.API"}])
def test_another_address_ends_the_process(tmp_path: Path, changed: dict[str, str]) -> None:
    assert superseded(mount(tmp_path, replace(USED, **changed)), USED, REFUSED)


def test_other_authorities_end_it_only_where_they_are_needed(tmp_path: Path) -> None:
    mounted = mount(tmp_path, replace(USED, tls_ca="other"))
    assert superseded(mounted, USED, f"the server's certificate is {UNTRUSTED} (self-signed)")
    assert not superseded(mounted, replace(USED, tls_ca="other"), f"… {UNTRUSTED} …")


def test_credentials_that_cannot_be_read_end_nothing(tmp_path: Path) -> None:
    assert not superseded(tmp_path / "absent", USED, REFUSED)
