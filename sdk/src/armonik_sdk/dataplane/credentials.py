"""Credentials of one role for NATS and the object store, from a Secret or its mounted folder."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import nkeys

from armonik_sdk.dataplane.errors import InvalidCredentials

JETSTREAM_API = "$JS.API"
"""Prefix of JetStream's API in the account that owns the streams."""
_OPTIONAL = frozenset({"nats_api", "nats_creds", "tls_ca"})
_USER_TOKEN = re.compile(r"-BEGIN NATS USER JWT-+\n([\w-]+\.[\w-]+\.[\w-]+)\n-+END")
_USER_SEED = re.compile(r"-BEGIN USER NKEY SEED-+\n(SU[A-Z2-7]+)\n-+END")


@dataclass(frozen=True)
class Credentials:
    """How one role reaches NATS and the object store."""

    nats_url: str
    nats_user: str
    """The role: operator, agent or client; replies arrive below `_INBOX.<role>`."""
    s3_endpoint: str
    """host:port"""
    s3_secure: bool
    s3_region: str
    s3_bucket: str
    s3_access_key: str
    s3_secret_key: str = field(repr=False)
    nats_api: str = JETSTREAM_API
    """Prefix of JetStream's API for this user; the key may be absent."""
    nats_password: str = field(default="", repr=False)
    nats_creds: str = field(default="", repr=False)
    """Text of a credentials file, in place of the password where NATS has an account for each namespace."""
    tls_ca: str = ""
    """Certificates in PEM of the authorities that signed the servers' own, beside those of the system."""

    @property
    def user_token(self) -> str:
        """The signed token (JWT) in the credentials file."""
        found = _USER_TOKEN.search(self.nats_creds)
        return found[1] if found else ""

    @property
    def user_seed(self) -> str:
        """The seed in the credentials file, by which the user signs."""
        found = _USER_SEED.search(self.nats_creds)
        return found[1] if found else ""

    @classmethod
    def from_mapping(cls, data: Mapping[str, str], *, outside: bool = False) -> Self:
        """From the keys of the Secrets `armonik-agent` and `armonik-client`, decoded.

        Args:
            data: the values by key.
            outside: this is not a pod of the cluster: a key `outside-…` is preferred to the one without.

        Raises:
            InvalidCredentials: a key is missing or unusable; the message names it.
        """
        values: dict[str, str | bool] = {}
        optional = _OPTIONAL | ({"nats_password"} if data.get("nats-creds") else set())
        for name in cls.__dataclass_fields__:
            key = name.replace("_", "-")
            if key not in data and name in optional:
                continue
            if key not in data:
                raise InvalidCredentials(f"the credentials have no key {key}")
            elsewhere = data.get(f"outside-{key}") if outside else None
            values[name] = (elsewhere or data[key]).strip()
        if values["s3_secure"] not in ("true", "false"):
            raise InvalidCredentials(f"s3-secure is {values['s3_secure']!r}, must be true or false")
        values["s3_secure"] = values["s3_secure"] == "true"
        if values.get("nats_creds"):
            values["nats_creds"] = _credentials_file(str(values["nats_creds"]))
        return cls(**values)  # type: ignore[arg-type]  # the fields' types were made right above

    @classmethod
    def from_directory(cls, folder: Path) -> Self:
        """From a folder with one file a key, as a Secret is mounted.

        Raises:
            InvalidCredentials: a file is missing or its content unusable.
        """
        names = (name.replace("_", "-") for name in cls.__dataclass_fields__)
        files = {name: folder / name for name in names}
        return cls.from_mapping({name: file.read_text() for name, file in files.items() if file.is_file()})


def _credentials_file(text: str) -> str:
    """The same with newlines as nats-py reads them; it looks without end for a beginning that is not there.

    Raises:
        InvalidCredentials: it is no credentials file of a user.
    """
    text = "\n".join(line.strip() for line in text.splitlines()) + "\n"
    seed = _USER_SEED.search(text)
    try:
        usable = _USER_TOKEN.search(text) and seed and nkeys.from_seed(seed[1].encode())
    except (nkeys.NkeysError, ValueError):
        usable = None
    if not usable:
        raise InvalidCredentials(
            "nats-creds is no credentials file of NATS: it needs the blocks NATS USER JWT and USER NKEY SEED"
        )
    return text
