"""Plugin of pytest: the fixture `armonik_session`, a session of a local grid that all tests share."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import armonik_sdk as ak


@pytest.fixture(scope="session")
def armonik_client() -> "Iterator[ak.Client]":
    """A client of a local grid, one for the whole run."""
    from armonik_sdk.testing import LocalGrid  # a run without functions shall not import clients

    with LocalGrid() as client:
        yield client


@pytest.fixture
def armonik_session(armonik_client: "ak.Client") -> "Iterator[ak.Session]":
    """A session of the test's own; what it has submitted and has not ended is cancelled."""
    with armonik_client.session(on_exit="cancel") as session:
        yield session
