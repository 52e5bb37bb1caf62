"""Builds Secrets and the other objects of a namespace. Pure but for the random passwords."""

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from armonik_operator.manifests.accounts.permissions import USERS
from armonik_operator.manifests.nats_auth import render_auth_conf
from armonik_operator.settings import Settings
from armonik_sdk.api.const import (
    AGENT_SECRET,
    AGENT_SERVICE_ACCOUNT,
    CLIENT_SECRET,
    DATA_CHUNK_BYTES,
    GROUP_VERSION,
    MANAGED_BY_LABEL,
    MAX_DEPENDENCIES,
    MAX_ELEMENTS,
    MAX_INLINE_BYTES,
    MAX_ITEM_DEPENDENCIES,
    MAX_ITEMS,
    MAX_OUTPUTS,
    MAX_RESULT_INLINE_BYTES,
    MAX_SPEC_BYTES,
    PART_OF,
    PART_OF_LABEL,
    SERVICE_CONFIGURATION,
)
from armonik_sdk.api.names import CLIENT_API
from armonik_sdk.api.records import RECORD_VERSION

Object = dict[str, Any]
NATS_FILE = "auth.conf"
S3_ROOT = "operator-secret-key"
_NOTHING: Mapping[str, str] = MappingProxyType({})
_LIMITS = {
    "chunkBytes": DATA_CHUNK_BYTES,
    "dependencies": MAX_DEPENDENCIES,
    "elements": MAX_ELEMENTS,
    "inlineBytes": MAX_INLINE_BYTES,
    "itemDependencies": MAX_ITEM_DEPENDENCIES,
    "items": MAX_ITEMS,
    "outputs": MAX_OUTPUTS,
    "resultInlineBytes": MAX_RESULT_INLINE_BYTES,
    "specBytes": MAX_SPEC_BYTES,
}
_LABELS = {MANAGED_BY_LABEL: "armonik-operator", PART_OF_LABEL: PART_OF}


def decode(secret: Object) -> dict[str, str]:
    """The values of a Secret as text."""
    return {key: base64.b64decode(value).decode() for key, value in (secret.get("data") or {}).items()}


def nats_secret(name: str, known: Mapping[str, str] = _NOTHING) -> Object:
    """Passwords of the three NATS users, known ones kept, and the file that nats-server includes.

    Raises:
        ValueError: a known password has characters that would need quoting in the file.
    """
    passwords = {user: known.get(f"{user}-password") or secrets.token_hex(24) for user in USERS}
    values = {f"{user}-password": password for user, password in passwords.items()}
    return _secret(name, values | {NATS_FILE: render_auth_conf(passwords)})


def s3_secret(name: str, known: Mapping[str, str] = _NOTHING) -> Object:
    """The object store's root key, and the key from which those of namespaces follow; known ones are kept.

    Raises:
        ValueError: it is of SeaweedFS, which earlier releases had.
    """
    if "s3.json" in known:
        raise ValueError(
            "it is of SeaweedFS, whose objects the object store of this release does not have: see "
            "'From a release with SeaweedFS' in docs/install.md, then delete this Secret"
        )
    values = {
        "operator-access-key": known.get("operator-access-key") or secrets.token_hex(10),
        S3_ROOT: known.get(S3_ROOT) or secrets.token_hex(20),
        "namespace-key": known.get("namespace-key") or secrets.token_hex(32),
    }
    return _secret(name, values)


def digest(text: str) -> str:
    """Hash of a server's file, which reveals nothing of the passwords in it."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def credentials(
    user: str, settings: Settings, nats: Mapping[str, str], s3: Mapping[str, str]
) -> dict[str, str]:
    """What one role needs to reach NATS and the object store.

    Raises:
        KeyError: the Secrets lack a key; it names the key.
    """
    api = {"nats-api": CLIENT_API} if user == "client" else {}
    if settings.tls_ca:
        api |= {"tls-ca": settings.tls_ca}
    file = nats.get(f"{user}-creds")  # of an external NATS whose users are signed
    proof = {"nats-creds": file} if file else {"nats-password": nats[f"{user}-password"]}
    return (
        api
        | proof
        | {
            "nats-url": settings.nats_url,
            "nats-user": user,
            "s3-endpoint": settings.s3_endpoint,
            "s3-secure": "true" if settings.s3_secure else "false",
            "s3-region": settings.s3_region,
            "s3-bucket": s3.get("bucket") or settings.s3_bucket,
            "s3-access-key": s3.get(f"{user}-access-key") or s3["access-key"],
            "s3-secret-key": s3.get(f"{user}-secret-key") or s3["secret-key"],
        }
    )


def outside(settings: Settings) -> dict[str, str]:
    """Addresses for clients outside of the cluster, in place of those in `credentials`."""
    found: dict[str, str] = {}
    if settings.nats_outside_url:
        found["outside-nats-url"] = settings.nats_outside_url
    if settings.s3_outside_endpoint:
        found["outside-s3-endpoint"] = settings.s3_outside_endpoint
        found["outside-s3-secure"] = "true" if settings.s3_outside_secure else "false"
    return found


def namespace_objects(
    settings: Settings, nats: Mapping[str, str], s3: Mapping[str, str]
) -> list[tuple[str, Object]]:
    """What every namespace with a Session or Partition gets for clients, each with the plural of its kind."""
    defaults = settings.task_defaults.model_dump(mode="json", by_alias=True, exclude_none=True)
    configuration = {
        "defaults": json.dumps(defaults, sort_keys=True),
        "limits": json.dumps(_LIMITS, sort_keys=True),
        "versions": json.dumps({"api": GROUP_VERSION, "records": RECORD_VERSION}, sort_keys=True),
        "nats-url": settings.nats_url,
        "s3-endpoint": settings.s3_endpoint,
        "s3-secure": "true" if settings.s3_secure else "false",
        "s3-region": settings.s3_region,
        "s3-bucket": s3.get("bucket") or settings.s3_bucket,
        "operator-namespace": settings.namespace,
    }
    return [
        ("secrets", _secret(CLIENT_SECRET, credentials("client", settings, nats, s3) | outside(settings))),
        ("configmaps", _object("ConfigMap", SERVICE_CONFIGURATION) | {"data": configuration}),
    ]


def agent_objects(
    settings: Settings, nats: Mapping[str, str], s3: Mapping[str, str]
) -> list[tuple[str, Object]]:
    """What a namespace with a Partition also gets. The agents' password has the operator's power on NATS."""
    account = _object("ServiceAccount", AGENT_SERVICE_ACCOUNT) | {"automountServiceAccountToken": False}
    return [
        ("serviceaccounts", account),
        ("secrets", _secret(AGENT_SECRET, credentials("agent", settings, nats, s3))),
    ]


def _object(kind: str, name: str) -> Object:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "labels": dict(_LABELS)}}


def opaque(name: str, values: Mapping[str, str]) -> Object:
    """A Secret with these values."""
    return _secret(name, values)


def _secret(name: str, values: Mapping[str, str]) -> Object:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    return _object("Secret", name) | {"type": "Opaque", "data": encoded}
