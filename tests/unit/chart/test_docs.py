"""docs/install.md lists the permissions on NATS; they are the operator's, word for word."""

from __future__ import annotations

import pytest
from rendering import REPOSITORY

from armonik_operator.resources import nats_auth

LISTS = {
    "agent publish": nats_auth.AGENT_PUBLISH,
    "agent subscribe": nats_auth.AGENT_SUBSCRIBE,
    "client publish": nats_auth.CLIENT_PUBLISH,
    "client subscribe": nats_auth.CLIENT_SUBSCRIBE,
}


@pytest.mark.parametrize("which", LISTS)
def test_permissions_are_documented(which: str) -> None:
    page = (REPOSITORY / "docs" / "install.md").read_text()
    _, marker, rest = page.partition(f"<!-- {which} -->\n```\n")
    assert marker, f"docs/install.md has lost its list of {which}"
    listed = rest.partition("\n```")[0].splitlines()
    assert tuple(listed) == LISTS[which]
