"""The CA and the servers' certificates over the years: kept, renewed, succeeded."""

import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from armonik_operator.manifests.certificates import (
    CA_LIFE,
    LIFE,
    RENEWED,
    authority_values,
    server_values,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
NAMES = ("armonik-nats.armonik-system.svc", "127.0.0.1")
Values = dict[str, str]


def certificates(pem: str) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(pem.encode())


def trusted_by(server: Values, bundle: str) -> bool:
    """Whether who has the bundle accepts the server, as far as signatures say."""
    (own,) = certificates(server["tls.crt"])
    for authority in certificates(bundle):
        try:
            own.verify_directly_issued_by(authority)
        except (ValueError, Exception):  # noqa: BLE001 - of another authority, by any of the library's errors
            continue
        return True
    return False


def test_what_is_good_is_kept() -> None:
    authority = authority_values({}, NOW)
    server = server_values({}, authority, NAMES, NOW)
    later = NOW + LIFE - RENEWED - DAY
    assert authority_values(authority, later) == authority
    assert server_values(server, authority, NAMES, later) == server


def test_a_certificate_is_for_its_names_and_for_servers_alone() -> None:
    authority = authority_values({}, NOW)
    (made,) = certificates(server_values({}, authority, NAMES, NOW)["tls.crt"])
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [NAMES[0]]
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == [NAMES[1]]
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert made.not_valid_after_utc - NOW == LIFE


@pytest.mark.parametrize("case", ["time", "names", "authority", "damaged"])
def test_a_certificate_is_renewed(case: str) -> None:
    authority = authority_values({}, NOW)
    server = server_values({}, authority, NAMES, NOW)
    now, names = NOW, NAMES
    if case == "time":
        now = NOW + LIFE - RENEWED + DAY
    elif case == "names":
        names = (*NAMES, "nats.example.org")
    elif case == "authority":
        authority = authority_values({}, NOW)
    else:
        server = server | {"tls.crt": "damaged"}
    renewed = server_values(server, authority, names, now)
    assert renewed["tls.crt"] != server["tls.crt"]
    assert renewed["tls.key"] != server["tls.key"]
    assert trusted_by(renewed, authority["ca.crt"])


def test_a_successor_is_handed_out_a_year_before_it_signs() -> None:
    """Whoever starts in any month, and runs for a year, trusts every server certificate of that year."""
    authority: Values = {}
    server: Values = {}
    bundles: list[tuple[datetime, str]] = []
    signers = set()
    now = NOW
    while now < NOW + CA_LIFE + 3 * 365 * DAY:
        authority = authority_values(authority, now)
        server = server_values(server, authority, NAMES, now)
        signers.add(authority["tls.crt"])
        bundles = [(at, bundle) for at, bundle in bundles if now - at <= 330 * DAY]
        bundles.append((now, authority["ca.crt"]))
        assert all(trusted_by(server, bundle) for _, bundle in bundles), now
        (own,) = certificates(server["tls.crt"])
        (signer,) = certificates(authority["tls.crt"])
        assert now < own.not_valid_after_utc < signer.not_valid_after_utc
        now += 20 * DAY
    assert len(signers) == 2


def test_a_bundle_is_one_that_ssl_reads() -> None:
    context = ssl.create_default_context()
    context.load_verify_locations(cadata=authority_values({}, NOW)["ca.crt"])


@pytest.mark.parametrize("damage", [{"tls.key": ""}, {"tls.crt": "x"}, "foreign key"])
def test_an_unusable_ca_is_refused_and_not_replaced(damage: Values | str) -> None:
    authority = authority_values({}, NOW)
    if isinstance(damage, str):
        damage = {"tls.key": authority_values({}, NOW)["tls.key"]}
    with pytest.raises(ValueError, match=r"tls\.(crt|key)"):
        authority_values(authority | damage, NOW)
