"""Keys and signed claims of NATS: what follows from what, and what is refused."""

import base64
import json
from dataclasses import replace

import nkeys
import pytest

from armonik_operator.errors import InvalidKey
from armonik_operator.manifests.accounts import claims
from armonik_operator.manifests.accounts.keys import Key, Role
from armonik_operator.manifests.accounts.namespace import Limits, NamespaceAccounts, generation_of
from armonik_operator.manifests.accounts.permissions import AGENT_PUBLISH, CLIENT_PUBLISH
from armonik_operator.manifests.accounts.trust import Trust
from armonik_sdk.dataplane.credentials import Credentials

NOW = 1_700_000_000.0


@pytest.fixture(scope="module")
def trust() -> Trust:
    return Trust.make()


def user_claims(trust: Trust, role: str) -> claims.Claims:
    file = NamespaceAccounts.of(trust, "ns", "uid").credentials(trust, role, NOW)
    return claims.read(file.splitlines()[1])


def test_keys_of_accounts_follow_from_the_root_and_need_not_be_kept(trust: Trust) -> None:
    again = Trust.from_mapping(trust.to_mapping())
    assert NamespaceAccounts.of(again, "ns", "uid") == NamespaceAccounts.of(trust, "ns", "uid")
    keys = {
        key.public
        for name, uid in (("ns", "uid"), ("ns", "other"), ("other", "uid"))
        for made in [NamespaceAccounts.of(trust, name, uid)]
        for key in (made.streams, made.clients)
    }
    assert len(keys) == 6
    assert NamespaceAccounts.of(Trust.make(), "ns", "uid").streams.public not in keys


def test_parts_of_a_path_do_not_run_together(trust: Trust) -> None:
    assert trust.root.derive(Role.ACCOUNT, "ab", "c") != trust.root.derive(Role.ACCOUNT, "a", "bc")
    assert trust.root.derive(Role.ACCOUNT, "a").public[0] == "A"
    assert trust.root.derive(Role.USER, "a").public[0] == "U"


def test_no_secret_is_printed(trust: Trust) -> None:
    shown = repr((trust, NamespaceAccounts.of(trust, "ns", "uid")))
    assert not [seed for seed in trust.to_mapping().values() if seed in shown]
    assert NamespaceAccounts.of(trust, "ns", "uid").streams.seed not in shown


@pytest.mark.parametrize("role", Role)
def test_a_seed_is_read_back(role: Role) -> None:
    key = Key.make(role)
    assert Key.parse(f" {key.seed}\n", role, "x") == key


SEED = Key.make(Role.OPERATOR).seed


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "signing-seed is no seed"),
        ("hunter2", "signing-seed is no seed"),
        (SEED[:20] + ("A" if SEED[20] != "A" else "B") + SEED[21:], "signing-seed is no seed"),
        (Key.make(Role.OPERATOR).public, "signing-seed is no seed"),
        (Key.make(Role.ACCOUNT).seed, "signing-seed is the seed of another kind of key; it begins with SO"),
    ],
    ids=["absent", "no key", "mistyped", "public", "of an account"],
)
def test_an_unusable_seed_is_refused_by_the_name_of_its_field(text: str, words: str) -> None:
    values = Trust.make().to_mapping() | {"signing-seed": text}
    with pytest.raises(InvalidKey, match=words) as refused:
        Trust.from_mapping(values)
    assert not text or text not in str(refused.value)


def test_tokens_are_signed_as_nats_checks_them(trust: Trust) -> None:
    token = NamespaceAccounts.of(trust, "ns", "uid").tokens(trust, Limits(), NOW)[0]
    signed, _, signature = token.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    key = nkeys.from_seed(trust.signing.seed.encode())
    assert key.verify(signed.encode(), raw)
    with pytest.raises(nkeys.ErrInvalidSignature):
        key.verify(signed.encode() + b"x", raw)
    assert claims.read(token)["iss"] == trust.signing.public


def test_tokens_of_other_moments_say_the_same(trust: Trust) -> None:
    made = NamespaceAccounts.of(trust, "ns", "uid")
    for first, later in zip(
        made.tokens(trust, Limits(), NOW), made.tokens(trust, Limits(), NOW + 9), strict=True
    ):
        assert first != later
        assert claims.same(first, later)
    streams, other = (made.tokens(trust, Limits(disk_bytes=size), NOW)[0] for size in (1, 2))
    assert not claims.same(streams, other)
    assert not claims.same(streams, made.tokens(trust.rotated(), Limits(disk_bytes=1), NOW)[0])


@pytest.mark.parametrize("token", ["", "a.b", "a.b.c", "a.e30.c", f"a.{base64.b64encode(b'[]').decode()}.c"])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidKey, match=r"is no token of NATS|has no claims"):
        claims.read(token)


def test_rotation_trusts_both_keys_and_then_the_new_one(trust: Trust) -> None:
    def trusted(of: Trust) -> list[str]:
        found: list[str] = claims.read(of.operator_token(NOW))["nats"]["signing_keys"]
        return found

    rotated = Trust.from_mapping(trust.rotated().to_mapping())
    assert trusted(trust) == [trust.signing.public]
    assert trusted(rotated) == [rotated.signing.public, trust.signing.public]
    assert trusted(rotated.settled()) == [rotated.signing.public]
    assert rotated.root == trust.root


def test_roles_have_their_permissions_and_their_account(trust: Trust) -> None:
    made = NamespaceAccounts.of(trust, "ns", "uid")
    users = {role: user_claims(trust, role) for role in ("operator", "agent", "client")}
    assert [users[role]["iss"] for role in users] == [
        made.streams.public,
        made.streams.public,
        made.clients.public,
    ]
    assert "pub" not in users["operator"]["nats"]
    assert users["agent"]["nats"]["pub"]["allow"] == list(AGENT_PUBLISH)
    assert users["client"]["nats"]["pub"]["allow"] == list(CLIENT_PUBLISH)
    with pytest.raises(KeyError):
        made.credentials(trust, "thief", NOW)


def test_the_accounts_of_clients_have_no_streams_of_their_own(trust: Trust) -> None:
    streams, clients = (
        claims.read(token)["nats"]["limits"]
        for token in NamespaceAccounts.of(trust, "ns", "uid").tokens(trust, Limits(disk_bytes=7), NOW)
    )
    assert streams["disk_storage"] == 7
    assert not {"disk_storage", "mem_storage"} & clients.keys()


def test_credentials_files_are_those_that_agents_and_clients_read(trust: Trust) -> None:
    data = json.loads(
        '{"nats-url":"nats://n","nats-user":"agent","s3-endpoint":"s","s3-secure":"false","s3-region":"r",'
        '"s3-bucket":"b","s3-access-key":"a","s3-secret-key":"s"}'
    )
    file = NamespaceAccounts.of(trust, "ns", "uid").credentials(trust, "agent", NOW)
    assert Credentials.from_mapping(data | {"nats-creds": file}).nats_creds == file


def test_a_later_generation_has_other_keys_for_what_is_handed_out_and_revokes_the_former(
    trust: Trust,
) -> None:
    first = NamespaceAccounts.of(trust, "ns", "uid")
    third = replace(first, generation=2)
    tokens = [claims.read(token)["nats"] for token in first.tokens(trust, Limits(), NOW)]
    assert not any("revocations" in token for token in tokens)
    revoked = [claims.read(token)["nats"]["revocations"] for token in third.tokens(trust, Limits(), NOW)]
    for role, there in (("agent", revoked[0]), ("client", revoked[1])):
        subjects = [
            claims.read(_token(replace(first, generation=number).credentials(trust, role, NOW)))["sub"]
            for number in range(3)
        ]
        assert set(there) == set(subjects[:2])
        assert all(until > NOW for until in there.values())
        assert subjects[2] not in there
    assert first.credentials(trust, "operator", NOW) == third.credentials(trust, "operator", NOW)
    assert [generation_of(token) for token in third.tokens(trust, Limits(), NOW)] == [2, 2]


def _token(file: str) -> str:
    return file.splitlines()[1]
