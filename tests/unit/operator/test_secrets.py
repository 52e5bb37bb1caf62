"""The servers' Secrets: made once, rendered anew from what stands."""

import json

import pytest

from armonik_operator.resources.nats_auth import USERS
from armonik_operator.resources.secrets import decode, digest, namespace_objects, nats_secret, s3_secret
from armonik_operator.settings import Settings
from armonik_sdk.dataplane.connect import Credentials


def test_secrets_agree_with_the_files_the_servers_read() -> None:
    nats = decode(nats_secret("armonik-nats"))
    assert all(nats[f"{user}-password"] in nats["auth.conf"] for user in USERS)
    s3 = decode(s3_secret("armonik-s3", "armonik"))
    assert s3["agent-secret-key"] in s3["s3.json"]


def test_rendering_anew_keeps_every_password_and_makes_missing_ones() -> None:
    made = decode(nats_secret("armonik-nats"))
    old = {key: value for key, value in made.items() if key != "client-password"} | {"auth.conf": "older"}
    fresh = decode(nats_secret("armonik-nats", old))
    assert {key: fresh[key] for key in ("operator-password", "agent-password")}.items() <= old.items()
    assert fresh["client-password"] not in ("", made["client-password"])
    assert fresh["client-password"] in fresh["auth.conf"]
    assert decode(nats_secret("armonik-nats", fresh)) == fresh


def test_identities_follow_the_bucket_and_keep_their_keys() -> None:
    made = decode(s3_secret("armonik-s3", "armonik"))
    moved = decode(s3_secret("armonik-s3", "other", made))
    assert {key for key in made if made[key] != moved[key]} == {"s3.json"}
    actions = {i["name"]: i["actions"] for i in json.loads(moved["s3.json"])["identities"]}
    assert actions["agent"] == ["Read:other", "Write:other", "List:other"]


def test_a_password_that_would_need_quoting_is_refused() -> None:
    with pytest.raises(ValueError, match="agent must be ASCII letters and digits"):
        nats_secret("armonik-nats", {"agent-password": 'x" }'})


def test_the_digest_tells_contents_apart() -> None:
    assert digest("a") != digest("b")
    assert digest("a") == digest("a")


def _given(**more: str) -> dict[str, dict[str, str]]:
    """What agents and clients of a namespace are told, by the Secret's name."""
    settings = Settings.model_validate(
        {
            "namespace": "a",
            "nats_url": "nats://n.a.svc:4222",
            "s3_endpoint": "s.a.svc:8333",
            "agent_image": "i",
        }
        | more
    )
    nats, s3 = decode(nats_secret("n")), decode(s3_secret("s", "armonik"))
    objects = [made for plural, made in namespace_objects(settings, nats, s3) if plural == "secrets"]
    return {made["metadata"]["name"]: decode(made) for made in objects}


def test_clients_outside_of_the_cluster_are_told_their_addresses_and_nobody_else() -> None:
    given = _given(nats_outside_url="tls://nats.example.org:4222", s3_outside_endpoint="s3.example.org:443")
    outside = Credentials.from_mapping(given["armonik-client"], outside=True)
    assert outside.nats_url == "tls://nats.example.org:4222"
    assert (outside.s3_endpoint, outside.s3_secure) == ("s3.example.org:443", True)
    for inside in (
        Credentials.from_mapping(given["armonik-client"]),
        Credentials.from_mapping(given["armonik-agent"], outside=True),
    ):
        assert inside.nats_url == "nats://n.a.svc:4222"
        assert (inside.s3_endpoint, inside.s3_secure) == ("s.a.svc:8333", False)


def test_one_server_may_have_an_address_outside_without_the_other() -> None:
    given = _given(s3_outside_endpoint="s3.example.org:80", s3_outside_secure="false")
    outside = Credentials.from_mapping(given["armonik-client"], outside=True)
    assert outside.nats_url == "nats://n.a.svc:4222"
    assert (outside.s3_endpoint, outside.s3_secure) == ("s3.example.org:80", False)
    assert not [key for key in _given()["armonik-client"] if key.startswith("outside")]
