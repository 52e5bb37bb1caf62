"""Values of NATS' Secret where each namespace has accounts: keys, and the file that nats-server includes."""

from collections.abc import Mapping

from armonik_operator.manifests.accounts.trust import Trust

TRUST_FILE = "auth.conf"
_ROOT = "accounts-seed"
_MEND = (
    "; or let all Sessions end, read their results and delete them, then delete this Secret and NATS' claim "
    "(docs/install.md, Change between shared users and accounts)"
)


def trust_values(folder: str, known: Mapping[str, str]) -> dict[str, str]:
    """Keys by which NATS trusts the operator, known ones kept, and the file for nats-server.

    Args:
        folder: where nats-server keeps accounts.
        known: values of the Secret as it is.

    Raises:
        InvalidKey: a known key is unusable; the message names it.
        ValueError: the Secret is of an installation whose namespaces share users.
    """
    if "operator-password" in known and _ROOT not in known:
        raise ValueError(
            "it is of an installation whose namespaces share the users of NATS, and streams are not moved "
            f"into accounts: keep it so with nats.accounts.enabled=false{_MEND}"
        )
    return values_of(Trust.from_mapping(known) if _ROOT in known else Trust.make(), folder)


def refuse_trust(known: Mapping[str, str]) -> None:
    """Check that a Secret is of an installation whose namespaces share users.

    Raises:
        ValueError: they have accounts, whose streams the users would not see.
    """
    if _ROOT in known and "operator-password" not in known:
        raise ValueError(
            "it is of an installation whose namespaces have accounts of their own, and streams are not moved "
            f"out of them: keep it so with nats.accounts.enabled=true{_MEND}"
        )


def values_of(trust: Trust, folder: str) -> dict[str, str]:
    """The values for these keys; one that is trusted no more is empty."""
    return {"former-signing-seed": "", **trust.to_mapping(), TRUST_FILE: trust.server_conf(folder, 0.0)}
