"""The CA of an installation and certificates of its servers: made, kept, replaced; pure but for random keys.

A successor of the CA is made two years before the CA ends, and handed out beside it; it signs from one year
before the end. So what was started in the year between trusts both, and no connection is refused.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from armonik_sdk.api.errors import explain

CERTIFICATE, KEY, BUNDLE = "tls.crt", "tls.key", "ca.crt"
"""Keys of the Secrets of the CA and of servers, as cert-manager has them. The last: every CA that is to be
trusted."""
_NEXT_CERTIFICATE, _NEXT_KEY, _FORMER = "next.crt", "next.key", "former.crt"
CA_LIFE = timedelta(days=3650)
CA_HEIR = timedelta(days=730)
"""Before the end of a CA when its successor is made."""
CA_SWITCH = timedelta(days=365)
"""Before the end of a CA when its successor signs."""
LIFE = timedelta(days=90)
RENEWED = timedelta(days=30)
"""Before the end of a server's certificate when the next one is made."""
_SLACK = timedelta(hours=1)
"""By which clocks may differ."""


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def values(self, certificate: str, key: str) -> dict[str, str]:
        """Both in PEM, by these keys of a Secret."""
        private = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return {certificate: _pem(self.certificate), key: private.decode()}

    def left(self, now: datetime) -> timedelta:
        """Until it ends."""
        return self.certificate.not_valid_after_utc - now


def authority_values(known: Mapping[str, str], now: datetime) -> dict[str, str]:
    """Values of the CA's Secret: known ones while they last, and the successor when it is time.

    Raises:
        ValueError: a known value is unusable.
    """
    current = _pair(known, CERTIFICATE, KEY) or _make_authority(now)
    heir = _pair(known, _NEXT_CERTIFICATE, _NEXT_KEY)
    former = known.get(_FORMER, "")
    if heir is None and current.left(now) < CA_HEIR:
        heir = _make_authority(now)
    if heir is not None and current.left(now) < CA_SWITCH:
        former, current, heir = _pem(current.certificate), heir, None
    values = {_NEXT_CERTIFICATE: "", _NEXT_KEY: "", _FORMER: former} | current.values(CERTIFICATE, KEY)
    if heir is not None:
        values |= heir.values(_NEXT_CERTIFICATE, _NEXT_KEY)
    return values | {BUNDLE: values[CERTIFICATE] + values[_NEXT_CERTIFICATE] + former}


def server_values(
    known: Mapping[str, str], authority: Mapping[str, str], names: Iterable[str], now: datetime
) -> dict[str, str]:
    """Values of a server's Secret: known ones while they are good, else a new key and certificate.

    Args:
        known: values of the Secret as it is.
        authority: values of the CA's Secret.
        names: host names and addresses that the certificate is for.
        now: the time.

    Raises:
        ValueError: the CA's Secret is unusable.
    """
    signer, wanted = _pair(authority, CERTIFICATE, KEY), list(dict.fromkeys(names))
    if signer is None:
        raise ValueError(f"{CERTIFICATE} is empty")
    try:
        present = _pair(known, CERTIFICATE, KEY)
    except ValueError:
        present = None  # replaced: nothing is lost with it
    if present is None or not _good(present, signer, wanted, now):
        present = _issue(signer, wanted, now)
    return present.values(CERTIFICATE, KEY) | {BUNDLE: authority[BUNDLE]}


def _good(present: Pair, signer: Pair, names: list[str], now: datetime) -> bool:
    try:
        present.certificate.verify_directly_issued_by(signer.certificate)
    except (ValueError, TypeError, InvalidSignature):
        return False
    found = present.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return set(found) == set(_alternatives(names)) and present.left(now) > RENEWED


def _make_authority(now: datetime) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"ArmoniK CA {now:%Y-%m-%d}")
    use = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    made = _builder(name, name, key, now, CA_LIFE).add_extension(use, critical=True)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return Pair(made.sign(key, SHA256()), key)


def _issue(signer: Pair, names: list[str], now: datetime) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    made = _builder(_name(names[0][:64]), signer.certificate.subject, key, now, LIFE)
    usages = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    identity = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key())
    made = (
        made.add_extension(x509.SubjectAlternativeName(_alternatives(names)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usages, critical=False)
        .add_extension(identity, critical=False)
    )
    return Pair(made.sign(signer.key, SHA256()), key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SLACK)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _alternatives(names: Iterable[str]) -> list[x509.GeneralName]:
    found: list[x509.GeneralName] = []
    for name in names:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            found.append(x509.DNSName(name))
    return found


def _pair(values: Mapping[str, str], certificate: str, key: str) -> Pair | None:
    if not values.get(certificate):
        return None
    try:
        private = load_pem_private_key(values.get(key, "").encode(), None)
        public = x509.load_pem_x509_certificate(values[certificate].encode())
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{certificate} and {key} are no certificate and its key in PEM: {explain(error)}"
        ) from None
    if not isinstance(private, ec.EllipticCurvePrivateKey) or private.public_key() != public.public_key():
        raise ValueError(f"{key} is not the key of {certificate}")
    return Pair(public, private)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()
