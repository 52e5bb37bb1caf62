"""The servers' Secrets: made once, rendered anew from what stands."""

import json

import pytest

from armonik_operator.resources.nats_auth import USERS
from armonik_operator.resources.secrets import decode, digest, nats_secret, s3_secret


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
