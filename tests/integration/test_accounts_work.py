"""Agents and clients of a namespace with an account of its own need a credentials file and nothing else."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import servers
from accounts_server import AccountsServer
from servers import FILES
from test_agent_down import (
    agent_process,
    test_sigterm_gives_back_what_has_not_begun_and_lets_end_what_runs,
    way,
)
from test_client import (
    client,
    store,
    test_a_result_is_returned_once_it_is_committed,
)

from armonik_sdk.dataplane.credentials import Credentials

pytestmark = pytest.mark.integration

__all__ = [
    "agent_process",
    "client",
    "store",
    "test_a_result_is_returned_once_it_is_committed",
    "test_sigterm_gives_back_what_has_not_begun_and_lets_end_what_runs",
    "way",
]


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[AccountsServer]:
    """In place of the one with passwords."""
    folder = tmp_path / "nats"
    folder.mkdir()
    server = AccountsServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
async def credentials(nats_server: AccountsServer, s3_endpoint: str) -> Credentials:
    """Those of the operator in the account of the namespace; the other roles find theirs by it."""
    made = await nats_server.serve("ns")
    roles = ("operator", "agent", "client")
    files = {role: made.credentials(nats_server.trust, role, time.time()) for role in roles}
    FILES[files["operator"]] = files
    return replace(
        servers.made_credentials(nats_server, s3_endpoint), nats_password="", nats_creds=files["operator"]
    )
