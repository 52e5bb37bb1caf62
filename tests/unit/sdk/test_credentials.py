"""Credentials of a role, with a password or a credentials file of NATS."""

from pathlib import Path

import nkeys
import pytest

from armonik_sdk.dataplane.credentials import Credentials
from armonik_sdk.dataplane.errors import InvalidCredentials

SEED = nkeys.encode_seed(bytes(32), nkeys.PREFIX_BYTE_USER).decode()
FILE = (
    "-----BEGIN NATS USER JWT-----\nheader.claims.sig_n-ature\n------END NATS USER JWT------\n\n"
    f"-----BEGIN USER NKEY SEED-----\n{SEED}\n------END USER NKEY SEED------\n"
)
DATA = {
    "nats-url": "nats://n:4222",
    "nats-user": "agent",
    "s3-endpoint": "s:9000",
    "s3-secure": "false",
    "s3-region": "r",
    "s3-bucket": "b",
    "s3-access-key": "a",
    "s3-secret-key": "s",
}


def test_a_credentials_file_is_in_place_of_the_password() -> None:
    made = Credentials.from_mapping(DATA | {"nats-creds": FILE})
    assert (made.nats_creds, made.nats_password) == (FILE, "")
    assert SEED not in repr(made)


def test_line_ends_of_another_system_are_read(tmp_path: Path) -> None:
    for key, value in (DATA | {"nats-creds": FILE.replace("\n", "\r\n")}).items():
        (tmp_path / key).write_bytes(value.encode())
    assert Credentials.from_directory(tmp_path).nats_creds == FILE


def test_one_of_both_is_needed() -> None:
    for given in ({}, {"nats-creds": ""}):
        with pytest.raises(InvalidCredentials, match="no key nats-password"):
            Credentials.from_mapping(DATA | given)
    made = Credentials.from_mapping(DATA | {"nats-password": "p", "nats-creds": ""})
    assert (made.nats_password, made.nats_creds) == ("p", "")


@pytest.mark.parametrize(
    "file",
    [
        "no file",
        FILE.partition("\n\n")[0],
        FILE.partition("\n\n")[2],
        FILE.replace(SEED, "SUAB"),
        FILE.replace("header.claims.sig_n-ature", ""),
    ],
)
def test_what_is_no_credentials_file_is_refused(file: str) -> None:
    """nats-py would look for its beginning without end, and hold the event loop."""
    with pytest.raises(InvalidCredentials, match="nats-creds is no credentials file"):
        Credentials.from_mapping(DATA | {"nats-creds": file})
