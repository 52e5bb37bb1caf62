"""NATS' Secret where each namespace has accounts: made once, rendered the same, else refused."""

import pytest

from armonik_operator.errors import InvalidKey
from armonik_operator.manifests.accounts import claims
from armonik_operator.manifests.accounts.trust import Signing, Trust
from armonik_operator.manifests.nats_trust import TRUST_FILE, refuse_trust, trust_values, values_of
from armonik_operator.manifests.secrets import decode, nats_secret


def test_keys_are_made_once_and_the_file_stays_the_same() -> None:
    made = trust_values("/data/jwt", {})
    assert trust_values("/data/jwt", made) == made
    assert trust_values("/data/jwt", {}) != made
    trust = Trust.from_mapping(made)
    assert f"system_account: {trust.system.public}" in made[TRUST_FILE]
    assert not [seed for seed in trust.to_mapping().values() if seed in made[TRUST_FILE]]


def test_a_rotation_keeps_the_former_key_until_it_is_settled() -> None:
    made = Trust.from_mapping(trust_values("/jwt", {}))
    during = values_of(made.rotated(), "/jwt")
    assert Trust.from_mapping(during).former == made.signing
    after = values_of(Trust.from_mapping(during).settled(), "/jwt")
    assert after["former-signing-seed"] == ""
    assert Trust.from_mapping(after).former is None
    assert len({made_of[TRUST_FILE] for made_of in (during, after)}) == 2


def test_a_secret_of_the_other_kind_is_refused_with_the_remedy() -> None:
    """Streams of one kind are not seen by users of the other."""
    shared = decode(nats_secret("n"))
    refuse_trust(shared)
    with pytest.raises(ValueError, match=r"keep it so with nats\.accounts\.enabled=false; or let all"):
        trust_values("/jwt", shared)
    with pytest.raises(ValueError, match=r"keep it so with nats\.accounts\.enabled=true; or let all"):
        refuse_trust(trust_values("/jwt", {}))


def test_a_key_that_is_unusable_is_named() -> None:
    with pytest.raises(InvalidKey, match="operator-seed is no seed"):
        trust_values("/jwt", trust_values("/jwt", {}) | {"operator-seed": "x"})


def test_the_owner_of_a_nats_gives_a_signing_key_and_a_root() -> None:
    trust = Trust.make()
    values = {"signing-seed": trust.signing.seed, "accounts-seed": trust.root.seed}
    given = Signing.of_owner(values)
    request = claims.read(given.deletion(["A"], 1.0))
    assert (request["iss"], request["nats"]["accounts"]) == (trust.signing.public, ["A"])
    for missing in values:
        with pytest.raises(InvalidKey, match=f"{missing} is no seed"):
            Signing.of_owner({name: seed for name, seed in values.items() if name != missing})
