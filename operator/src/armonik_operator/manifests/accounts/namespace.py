"""The two accounts of one namespace: one with its streams, for operator and agents, and one for its clients.

Clients have an account of their own because an answer of nats-server goes to whatever reply subject a request
names, with rights of the server's; across accounts it stays with who asked (ADR 0014). The clients' account
imports the few subjects they need, each with a token of the first one: no other account can import them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from armonik_operator.manifests.accounts import claims
from armonik_operator.manifests.accounts.credentials_file import credentials_file
from armonik_operator.manifests.accounts.keys import Key, Role
from armonik_operator.manifests.accounts.permissions import (
    AGENT_PUBLISH,
    AGENT_SUBSCRIBE,
    CLIENT_NEWS,
    CLIENT_PUBLISH,
    CLIENT_SERVICES,
    CLIENT_SUBSCRIBE,
)
from armonik_operator.manifests.accounts.trust import UNLIMITED, Signing

MAX_GENERATION = 1_000
"""Times that the credentials files of a namespace can be revoked."""
REVOKED = ("agent", "client")
"""Roles whose files are handed out. The operator's own is never in a Secret."""
_ALWAYS = 1 << 40
"""Moment in seconds until which a revoked key's files are refused, whenever they were issued."""
_RESPONSES = {"max": 1, "ttl": 5_000_000_000}
"""An agent may answer a request once, within these nanoseconds."""
_PERMISSIONS: Mapping[str, Mapping[str, object]] = {
    "operator": {},
    "agent": {
        "pub": {"allow": list(AGENT_PUBLISH)},
        "sub": {"allow": list(AGENT_SUBSCRIBE)},
        "resp": _RESPONSES,
    },
    "client": {"pub": {"allow": list(CLIENT_PUBLISH)}, "sub": {"allow": list(CLIENT_SUBSCRIBE)}},
}


@dataclass(frozen=True)
class Limits:
    """What an account may use; -1 is unlimited."""

    disk_bytes: int = UNLIMITED
    """Of all its streams and buckets."""
    memory_bytes: int = 0
    streams: int = UNLIMITED
    consumers: int = UNLIMITED
    connections: int = UNLIMITED
    """Of the operator and agents together, and as many of clients."""


@dataclass(frozen=True)
class NamespaceAccounts:
    """The keys of the accounts of one namespace; they follow from its name and UID."""

    namespace: str
    uid: str
    """Of the Namespace: one that is made again under the same name has accounts of its own."""
    streams: Key
    clients: Key
    generation: int = 0
    """Of the keys of agents and clients; files of lower ones are refused."""

    @classmethod
    def of(cls, signing: Signing, namespace: str, uid: str) -> "NamespaceAccounts":
        """The same keys each time."""
        streams, clients = (
            signing.root.derive(Role.ACCOUNT, namespace, uid, part) for part in ("streams", "clients")
        )
        return cls(namespace, uid, streams, clients)

    def tokens(self, signing: Signing, limits: Limits, now: float) -> tuple[str, str]:
        """Both accounts, in the order in which they are pushed."""
        streams: dict[str, object] = {
            "type": "account",
            "exports": [
                {"name": subject, "subject": subject, "type": kind, "token_req": True}
                for kind, subject, _ in _shared()
            ],
            "limits": _limits(limits.connections)
            | {
                "disk_storage": limits.disk_bytes,
                "mem_storage": limits.memory_bytes,
                "streams": limits.streams,
                "consumer": limits.consumers,
            },
        }
        clients: dict[str, object] = {
            "type": "account",
            "imports": [
                {
                    "name": subject,
                    "subject": subject,
                    "local_subject": local,
                    "account": self.streams.public,
                    "type": kind,
                    "token": self._activation(kind, subject, now),
                }
                for kind, subject, local in _shared()
            ],
            "limits": _limits(limits.connections),
        }
        if self.generation:
            streams["revocations"], clients["revocations"] = (
                {
                    self._user(signing, role, generation).public: _ALWAYS
                    for generation in range(self.generation)
                }
                for role in REVOKED
            )
        return (
            claims.sign(
                signing.signing, self.streams.public, f"{self.namespace}/{self.uid}/streams", streams, now
            ),
            claims.sign(
                signing.signing, self.clients.public, f"{self.namespace}/{self.uid}/clients", clients, now
            ),
        )

    def credentials(self, signing: Signing, role: str, now: float) -> str:
        """The text of the credentials file of one role: operator, agent or client.

        Raises:
            KeyError: there is no such role.
        """
        permissions = _PERMISSIONS[role]
        account = self.clients if role == "client" else self.streams
        user = self._user(signing, role, self.generation if role in REVOKED else 0)
        unlimited = dict.fromkeys(("subs", "data", "payload"), UNLIMITED)
        nats = {"type": "user", **permissions, **unlimited}
        return credentials_file(claims.sign(account, user.public, role, nats, now), user)

    def _user(self, signing: Signing, role: str, generation: int) -> Key:
        path = (role, str(generation)) if generation else (role,)
        return signing.root.derive(Role.USER, self.namespace, self.uid, *path)

    def _activation(self, kind: str, subject: str, now: float) -> str:
        nats = {"type": "activation", "subject": subject, "kind": kind}
        return claims.sign(self.streams, self.clients.public, subject, nats, now)


def generation_of(token: str) -> int:
    """The generation that an account was pushed with, by its token."""
    return len(claims.read(token)["nats"].get("revocations") or ())


def _shared() -> list[tuple[str, str, str]]:
    """What the clients' account imports: kind, subject there, subject here."""
    services = [("service", there, here) for here, there in CLIENT_SERVICES.items()]
    return services + [("stream", subject, subject) for subject in CLIENT_NEWS]


def _limits(connections: int) -> dict[str, int | bool]:
    names = ("subs", "data", "payload", "imports", "exports")
    return dict.fromkeys(names, UNLIMITED) | {"wildcards": True, "conn": connections, "leaf": 0}
