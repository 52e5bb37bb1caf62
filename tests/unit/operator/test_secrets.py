"""The servers' Secrets: made once, rendered again from what exists."""

import json

import pytest

from armonik_operator.manifests.accounts.permissions import USERS
from armonik_operator.manifests.secrets import (
    agent_objects,
    credentials,
    decode,
    digest,
    namespace_objects,
    nats_secret,
    s3_secret,
)
from armonik_operator.provisioning.buckets.tenant import Tenant
from armonik_operator.settings import Settings
from armonik_sdk.api.names import CLIENT_API
from armonik_sdk.dataplane.credentials import JETSTREAM_API, Credentials

TENANT = Tenant.of("armonik", "team", "uid", "master")


def test_the_secret_agrees_with_the_file_that_nats_reads() -> None:
    nats = decode(nats_secret("armonik-nats"))
    assert all(nats[f"{user}-password"] in nats["auth.conf"] for user in USERS)


def test_rendering_anew_keeps_every_password_and_makes_missing_ones() -> None:
    made = decode(nats_secret("armonik-nats"))
    old = {key: value for key, value in made.items() if key != "client-password"} | {"auth.conf": "older"}
    fresh = decode(nats_secret("armonik-nats", old))
    assert {key: fresh[key] for key in ("operator-password", "agent-password")}.items() <= old.items()
    assert fresh["client-password"] not in ("", made["client-password"])
    assert fresh["client-password"] in fresh["auth.conf"]
    assert decode(nats_secret("armonik-nats", fresh)) == fresh


def test_the_object_store_s_keys_are_kept_and_missing_ones_made() -> None:
    made = decode(s3_secret("armonik-s3"))
    assert decode(s3_secret("armonik-s3", made)) == made
    fresh = decode(s3_secret("armonik-s3", made | {"namespace-key": ""}))
    assert fresh["namespace-key"] not in ("", made["namespace-key"])
    assert fresh["operator-secret-key"] == made["operator-secret-key"]


def test_a_secret_of_seaweedfs_is_refused_with_the_remedy() -> None:
    with pytest.raises(ValueError, match=r"it is of SeaweedFS.*docs/install\.md, then delete this Secret"):
        s3_secret("armonik-s3", {"operator-access-key": "a", "operator-secret-key": "b", "s3.json": "{}"})


def test_a_password_that_would_need_quoting_is_refused() -> None:
    with pytest.raises(ValueError, match="agent must be ASCII letters and digits"):
        nats_secret("armonik-nats", {"agent-password": 'x" }'})


def test_the_digest_distinguishes_contents() -> None:
    assert digest("a") != digest("b")
    assert digest("a") == digest("a")


def _settings(**more: str) -> Settings:
    return Settings.model_validate(
        {
            "namespace": "a",
            "nats_url": "nats://n.a.svc:4222",
            "s3_endpoint": "s.a.svc:8333",
            "agent_image": "i",
        }
        | more
    )


def test_the_agents_password_is_only_given_to_namespaces_with_a_partition() -> None:
    nats, s3 = decode(nats_secret("n")), TENANT.values()
    objects = namespace_objects(_settings(), nats, s3)
    given = json.dumps([decode(made) for plural, made in objects if plural == "secrets"])
    assert nats["client-password"] not in ("", nats["agent-password"])
    assert nats["agent-password"] not in given
    assert s3["agent-secret-key"] not in given


def test_agents_and_clients_get_the_bucket_and_keys_of_their_namespace() -> None:
    given = _given()
    for role in ("agent", "client"):
        found = Credentials.from_mapping(given[f"armonik-{role}"])
        assert found.s3_bucket == "armonik-team"
        assert (found.s3_access_key, found.s3_secret_key) == TENANT.keys[role]


def test_clients_know_the_prefix_of_their_account() -> None:
    given = _given()
    assert Credentials.from_mapping(given["armonik-client"]).nats_api == CLIENT_API
    assert Credentials.from_mapping(given["armonik-agent"]).nats_api == JETSTREAM_API


def _given(**more: str) -> dict[str, dict[str, str]]:
    """What agents and clients of a namespace get, by the Secret's name."""
    settings = _settings(**more)
    nats, s3 = decode(nats_secret("n")), TENANT.values()
    all_objects = namespace_objects(settings, nats, s3) + agent_objects(settings, nats, s3)
    objects = [made for plural, made in all_objects if plural == "secrets"]
    return {made["metadata"]["name"]: decode(made) for made in objects}


def test_clients_outside_of_the_cluster_get_their_addresses_and_nobody_else() -> None:
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


def test_users_of_a_nats_of_ones_own_may_have_credentials_files() -> None:
    nats = {f"{user}-creds": f"file of {user}" for user in USERS}
    s3 = {"access-key": "a", "secret-key": "s"}
    for user in USERS:
        given = credentials(user, _settings(), nats, s3)
        assert (given["nats-creds"], given["nats-user"]) == (f"file of {user}", user)
        assert "nats-password" not in given
    with pytest.raises(KeyError, match="client-password"):
        credentials("client", _settings(), {"client-creds": ""}, s3)
