"""Keys of NATS (nkeys): made, derived, checked and used to sign."""

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Self

import nkeys

from armonik_operator.errors import InvalidKey


class Role(IntEnum):
    """Whose key it is; the value is the first byte that nkeys encodes."""

    OPERATOR = nkeys.PREFIX_BYTE_OPERATOR
    ACCOUNT = nkeys.PREFIX_BYTE_ACCOUNT
    USER = nkeys.PREFIX_BYTE_USER


@dataclass(frozen=True)
class Key:
    """A key that can sign."""

    seed: str = field(repr=False)
    """The secret part, as nkeys writes it: `SO…`, `SA…` or `SU…`."""
    public: str
    """The public part: `O…`, `A…` or `U…`."""

    @classmethod
    def make(cls, role: Role) -> Self:
        """A new random key."""
        return cls._of(role, secrets.token_bytes(32))

    @classmethod
    def parse(cls, text: str, role: Role, what: str) -> Self:
        """A key from its seed; `what` names the field for the error.

        Raises:
            InvalidKey: it is no seed, or one of another role.
        """
        seed = text.strip()
        try:
            prefix, _ = nkeys.decode_seed(seed.encode())
            if nkeys.crc16_checksum(_decoded(seed)[:-2]) != _decoded(seed)[-2:]:
                raise nkeys.ErrInvalidSeed
        except (nkeys.NkeysError, ValueError):
            raise InvalidKey(
                f"{what} is no seed of a NATS key; it begins with {_BEGINS[role]}, as `nsc` writes it"
            ) from None
        if prefix != role:
            raise InvalidKey(f"{what} is the seed of another kind of key; it begins with {_BEGINS[role]}")
        return cls(seed, nkeys.from_seed(seed.encode()).public_key.decode())

    def derive(self, role: Role, *path: str) -> "Key":
        """A key that follows from this one and `path`: the same each time, so it need not be kept.

        Who has the derived key learns nothing of this one or of another path (HMAC-SHA256).
        """
        message = b"\0".join(part.encode() for part in (role.name, *path))
        return self._of(role, hmac.digest(self.seed.encode(), message, hashlib.sha256))

    def sign(self, data: bytes) -> bytes:
        """The Ed25519 signature, 64 bytes."""
        return bytes(nkeys.from_seed(self.seed.encode()).sign(data))

    @classmethod
    def _of(cls, role: Role, raw: bytes) -> Self:
        seed: bytes = nkeys.encode_seed(raw, int(role))
        return cls(seed.decode(), nkeys.from_seed(seed).public_key.decode())


_BEGINS = {Role.OPERATOR: "SO", Role.ACCOUNT: "SA", Role.USER: "SU"}


def _decoded(seed: str) -> bytes:
    return base64.b32decode(seed + "=" * (-len(seed) % 8))
