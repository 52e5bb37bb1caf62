"""Claims of NATS as signed tokens (JWT of version 2): operator, account, user, activation, deletion.

nats-server checks a token's signature and that who signed it is trusted; its content is what holds.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from armonik_operator.errors import InvalidKey
from armonik_operator.manifests.accounts.keys import Key

Claims = dict[str, Any]
VERSION = 2
_HEADER = {"typ": "JWT", "alg": "ed25519-nkey"}
_MOMENT = ("iat", "jti")
"""What differs between two tokens that say the same."""


def sign(signer: Key, subject: str, name: str, nats: Mapping[str, object], now: float) -> str:
    """A token.

    Args:
        signer: who vouches for it.
        subject: public key of what it is about.
        name: for people.
        nats: the claims; `type` says of what kind.
        now: seconds since the epoch, of the server's clock at most.
    """
    claims: Claims = {
        "iat": int(now),
        "iss": signer.public,
        "sub": subject,
        "name": name,
        "nats": {**nats, "version": VERSION},
    }
    digest = hashlib.sha256(_json(claims)).digest()
    claims["jti"] = base64.b32encode(digest).decode().rstrip("=")
    signed = f"{_encode(_json(_HEADER))}.{_encode(_json(claims))}"
    return f"{signed}.{_encode(signer.sign(signed.encode()))}"


def read(token: str) -> Claims:
    """What a token says. The signature is not checked: nats-server has done so, or will.

    Raises:
        InvalidKey: it is no token.
    """
    try:
        _, body, _ = token.strip().split(".")
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (ValueError, binascii.Error):
        raise InvalidKey(f"{token[:20]!r}… is no token of NATS (JWT)") from None
    if not isinstance(claims, dict) or not isinstance(claims.get("nats"), dict):
        raise InvalidKey(f"{token[:20]!r}… has no claims of NATS")
    return claims


def same(one: str, other: str) -> bool:
    """Whether two tokens say the same and the same key signed them, whenever that was."""
    return _lasting(read(one)) == _lasting(read(other))


def _lasting(claims: Claims) -> Claims:
    claims = {key: value for key, value in claims.items() if key not in _MOMENT}
    for entry in claims["nats"].get("imports", ()):
        if entry.get("token"):
            entry["token"] = _lasting(read(entry["token"]))
    return claims


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
