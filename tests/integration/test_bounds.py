"""The table of bounds in docs/protocol.md, walked with values just below, at and above each bound."""

from pathlib import Path

import pytest
from api_requests import Api
from bounds_manifests import CASES as MANIFESTS
from bounds_nats import CASES as MESSAGES
from bounds_objects import CASES as OBJECTS
from bounds_world import World, table
from nats.aio.client import Client

from armonik_operator.clients.servers import Clients
from armonik_sdk.dataplane.credentials import Credentials
from armonik_sdk.dataplane.s3.store import S3Store

pytestmark = pytest.mark.integration

CASES = {**MESSAGES, **OBJECTS, **MANIFESTS}
ELSEWHERE = {
    "record of a run with what `manifest` names": "the one of an agent is walked, through the same function",
    "object of a RESULTS entry of a run": "as the object of a record; 128 MiB are much for a test",
    "piece of data in a message of gRPC": "a number that workers and clients are given; they split",
    "answer of a worker": "tests/unit/agent/test_rpc_bounds.py",
    "headers of a call of gRPC": "tests/unit/agent/test_rpc_headers.py",
}
"""Rows that are not walked here, and why."""


@pytest.fixture
async def world(nats_client: Client, credentials: Credentials, api: Api, tmp_path: Path) -> World:
    """Real servers."""
    store = S3Store(credentials)
    await store.ensure_bucket()
    none: None = None
    return World(nats_client, store, Clients(none, nats_client, store), api, tmp_path)  # type: ignore[arg-type]


@pytest.mark.parametrize("extra", [-1, 0, 1])
@pytest.mark.parametrize("row", CASES)
async def test_what_the_table_says_happens(row: str, extra: int, world: World) -> None:
    assert await CASES[row](world, extra) == (table()[row] if extra > 0 else "accepted")


def test_every_row_is_walked() -> None:
    assert table().keys() == CASES.keys() | ELSEWHERE.keys()
