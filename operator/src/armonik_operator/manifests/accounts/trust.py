"""The operator in the sense of NATS: who signs accounts, what the server trusts, rotation of signing keys.

The identity is made once and always trusted by the server. It signs nothing but the token of the operator,
which names the keys that sign accounts. So these can be replaced: the server is started with a token that
names the old and the new one, all accounts are signed with the new one, and then the old one is left out.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Self

from armonik_operator.manifests.accounts import claims
from armonik_operator.manifests.accounts.credentials_file import credentials_file
from armonik_operator.manifests.accounts.keys import Key, Role

SYSTEM, SYSTEM_USER = "SYSTEM", "sys"
UNLIMITED = -1
SERVER_TIMEOUT = 1.9
"""Seconds that the server waits for its folder of accounts, less than who asks it."""
_IDENTITY, _SIGNING, _FORMER, _ROOT = "operator-seed", "signing-seed", "former-signing-seed", "accounts-seed"
CLAIMS_UPDATE = "$SYS.REQ.CLAIMS.UPDATE"
CLAIMS_DELETE = "$SYS.REQ.CLAIMS.DELETE"
CLAIMS_LIST = "$SYS.REQ.CLAIMS.LIST"
CLAIMS_LOOKUP = "$SYS.REQ.ACCOUNT.{}.CLAIMS.LOOKUP"


@dataclass(frozen=True)
class Signing:
    """What accounts are made with."""

    signing: Key
    """Signs accounts from now on."""
    root: Key
    """The keys of all accounts follow from it, so it is not rotated."""

    @classmethod
    def of_owner(cls, values: Mapping[str, str]) -> "Signing":
        """On a NATS of somebody else, who has given a signing key: from the keys of a Secret, decoded.

        Raises:
            InvalidKey: a seed is missing or unusable; the message names its key.
        """
        return Signing(_key(values, _SIGNING, Role.OPERATOR), _key(values, _ROOT, Role.ACCOUNT))

    def deletion(self, accounts: Iterable[str], now: float) -> str:
        """A request to delete these accounts, by their public keys."""
        nats = {"type": "generic", "accounts": list(accounts)}
        return claims.sign(self.signing, self.signing.public, "delete", nats, now)


@dataclass(frozen=True)
class Trust(Signing):
    """The keys of the operator on a NATS of its own."""

    identity: Key
    former: Key | None = None
    """Signed accounts before, and is still trusted."""

    @classmethod
    def make(cls) -> Self:
        """New keys."""
        return cls(Key.make(Role.OPERATOR), Key.make(Role.ACCOUNT), Key.make(Role.OPERATOR))

    @classmethod
    def from_mapping(cls, values: Mapping[str, str]) -> Self:
        """From the keys of a Secret, decoded.

        Raises:
            InvalidKey: a seed is missing or unusable; the message names its key.
        """
        return cls(
            _key(values, _SIGNING, Role.OPERATOR),
            _key(values, _ROOT, Role.ACCOUNT),
            _key(values, _IDENTITY, Role.OPERATOR),
            _key(values, _FORMER, Role.OPERATOR) if values.get(_FORMER) else None,
        )

    def to_mapping(self) -> dict[str, str]:
        """What `from_mapping` reads."""
        seeds = {_IDENTITY: self.identity.seed, _SIGNING: self.signing.seed, _ROOT: self.root.seed}
        return seeds | ({_FORMER: self.former.seed} if self.former else {})

    def rotated(self) -> "Trust":
        """With a new signing key; the one that signed until now is still trusted."""
        return replace(self, signing=Key.make(Role.OPERATOR), former=self.signing)

    def settled(self) -> "Trust":
        """Without the former signing key: what it signed is refused from now on."""
        return replace(self, former=None)

    @property
    def system(self) -> Key:
        """The account by which the server itself is asked."""
        return self.root.derive(Role.ACCOUNT, SYSTEM)

    def operator_token(self, now: float) -> str:
        """What the server is started with: it names the keys that may sign accounts."""
        keys = [key.public for key in (self.signing, self.former) if key]
        nats = {
            "type": "operator",
            "signing_keys": keys,
            "system_account": self.system.public,
            "strict_signing_key_usage": False,
        }
        return claims.sign(self.identity, self.identity.public, "armonik", nats, now)

    def system_token(self, now: float) -> str:
        """The system account; it has no JetStream."""
        nats = {"type": "account", "limits": _free_limits()}
        return claims.sign(self.signing, self.system.public, SYSTEM, nats, now)

    def system_credentials(self, now: float) -> str:
        """Credentials file of the user who may push, delete and look up accounts, and nothing else."""
        user = self.root.derive(Role.USER, SYSTEM)
        publish = [CLAIMS_UPDATE, CLAIMS_DELETE, CLAIMS_LIST, CLAIMS_LOOKUP.format("*")]
        nats = {
            "type": "user",
            "pub": {"allow": publish},
            "sub": {"allow": [f"_INBOX.{SYSTEM_USER}.>"]},
            **dict.fromkeys(("subs", "data", "payload"), UNLIMITED),
        }
        return credentials_file(claims.sign(self.system, user.public, SYSTEM_USER, nats, now), user)

    def server_conf(self, folder: str, now: float) -> str:
        """Lines of nats-server's configuration by which it trusts this operator; `folder` keeps accounts."""
        timeouts = f'interval: "2m", timeout: "{SERVER_TIMEOUT}s"'
        return f"""operator: {self.operator_token(now)}
system_account: {self.system.public}
resolver {{ type: full, dir: {json.dumps(folder)}, allow_delete: true, {timeouts} }}
resolver_preload {{ {self.system.public}: {self.system_token(now)} }}
"""


def _key(values: Mapping[str, str], name: str, role: Role) -> Key:
    return Key.parse(values.get(name, ""), role, name)


def _free_limits() -> dict[str, int]:
    names = ("subs", "data", "payload", "imports", "exports", "conn", "leaf")
    return dict.fromkeys(names, UNLIMITED)
