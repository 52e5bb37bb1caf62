"""The Lease: who may take it when."""

from datetime import UTC, datetime, timedelta

import pytest

from armonik_operator.clients.leader_election import DURATION, free

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _spec(holder: str, age: float) -> dict[str, object]:
    renewed = (NOW - timedelta(seconds=age)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {"holderIdentity": holder, "leaseDurationSeconds": DURATION, "renewTime": renewed}


@pytest.mark.parametrize(
    ("spec", "may"),
    [
        ({}, True),
        (_spec("other", DURATION - 1), False),
        (_spec("other", DURATION + 1), True),
        (_spec("me", DURATION - 1), True),
        ({"holderIdentity": "other"}, True),
        (_spec("", 0), True),
    ],
)
def test_a_lease_is_free_when_nobody_else_renews_it(spec: dict[str, object], may: bool) -> None:
    assert free(spec, "me", NOW) is may
