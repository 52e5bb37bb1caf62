"""docs/install.md lists the permissions on NATS; they are the operator's, word for word."""

from __future__ import annotations

import pytest

from armonik_operator.manifests import nats_auth
from armonik_operator.manifests.accounts import permissions
from rendering import REPOSITORY

LISTS = {
    "agent publish": permissions.AGENT_PUBLISH,
    "agent subscribe": permissions.AGENT_SUBSCRIBE,
    "client publish": permissions.CLIENT_PUBLISH,
    "client subscribe": permissions.CLIENT_SUBSCRIBE,
}


@pytest.mark.parametrize("which", LISTS)
def test_permissions_are_documented(which: str) -> None:
    page = (REPOSITORY / "docs" / "install.md").read_text()
    _, marker, rest = page.partition(f"<!-- {which} -->\n```\n")
    assert marker, f"docs/install.md has lost its list of {which}"
    listed = rest.partition("\n```")[0].splitlines()
    assert tuple(listed) == LISTS[which]


def test_the_accounts_are_documented() -> None:
    page = (REPOSITORY / "docs" / "install.md").read_text()
    shown = page.partition("<!-- accounts -->\n```\n")[2].partition("\n```")[0]
    rendered = nats_auth.render_auth_conf({"operator": "a", "agent": "b", "client": "c"})
    assert _shared(shown) == _shared(rendered)
    assert all(f"{name} {{" in shown for name in (nats_auth.MAIN_ACCOUNT, nats_auth.CLIENT_ACCOUNT))


def _shared(text: str) -> list[str]:
    """The lines that say what one account gives to the other."""
    return [line for line in text.splitlines() if line.lstrip().startswith(("{ service:", "{ stream:"))]
