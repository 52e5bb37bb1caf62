"""Whom a client trusts, and what it says of a server that it does not."""

import ssl
from pathlib import Path

import pytest
import urllib3

from armonik_sdk.dataplane.credentials import Credentials
from armonik_sdk.dataplane.errors import InvalidCredentials
from armonik_sdk.dataplane.tls import distrust, trusting

VALUES = {
    "nats-url": "tls://nats:4222",
    "nats-user": "agent",
    "nats-password": "p",
    "s3-endpoint": "s3:8333",
    "s3-secure": "true",
    "s3-region": "r",
    "s3-bucket": "b",
    "s3-access-key": "a",
    "s3-secret-key": "s",
}


def refused(code: int, words: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError("refused")
    error.verify_code, error.verify_message = code, words
    return error


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (10, "renew it"),
        (62, "tls.names of the chart"),
        (64, "tls.names of the chart"),
        (19, "tls-ca of the credentials"),
    ],
)
def test_each_refusal_names_its_remedy(code: int, remedy: str) -> None:
    words = distrust(refused(code, "the words of OpenSSL"))
    assert remedy in words
    assert "docs/install.md, TLS" in words


def test_a_refusal_is_found_inside_of_other_errors() -> None:
    inner = urllib3.exceptions.SSLError("outer")
    inner.__cause__ = refused(19, "self-signed")
    outer = urllib3.exceptions.MaxRetryError(None, "/", inner)  # type: ignore[arg-type]  # no pool is needed
    assert "self-signed" in distrust(outer)
    assert distrust(OSError("refused")) == ""


def test_an_authority_that_is_no_pem_is_named() -> None:
    with pytest.raises(InvalidCredentials, match="tls-ca has no certificates in PEM"):
        trusting("nonsense")


def test_names_and_certificates_are_always_checked() -> None:
    context = trusting("")
    assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)


def test_the_authority_is_a_key_of_the_credentials_that_may_be_absent(tmp_path: Path) -> None:
    assert Credentials.from_mapping(VALUES).tls_ca == ""
    for key, value in (VALUES | {"tls-ca": "pem\n"}).items():
        (tmp_path / key).write_text(value)
    assert Credentials.from_directory(tmp_path).tls_ca == "pem"
    assert (
        Credentials.from_mapping(VALUES | {"tls-ca": "in", "outside-tls-ca": "out"}, outside=True).tls_ca
        == "out"
    )
