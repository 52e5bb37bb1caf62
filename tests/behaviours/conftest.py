"""The same behaviours on local grids and on a cluster, so that the local ones stay honest."""

import sys
from collections.abc import Iterator
from pathlib import Path

import cloudpickle
import pytest

import armonik_sdk as ak
from armonik_sdk.testing import LocalGrid

# Tests are imported by path, not as packages; helpers that several suites share are found here.
sys.path.insert(0, str(Path(__file__).parents[1]))

GRIDS = ["local", "inline", pytest.param("cluster", marks=pytest.mark.e2e)]


@pytest.fixture(scope="session", params=GRIDS)
def client(request: pytest.FixtureRequest) -> Iterator[ak.Client]:
    local = LocalGrid(inline=request.param == "inline")
    with local if request.param != "cluster" else ak.connect() as client:
        yield client


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is tested of workers' processes does not hold where they have none."""
    items[:] = [
        item
        for item in items
        if item.get_closest_marker("processes") is None
        or getattr(item, "callspec").params.get("client") != "inline"  # noqa: B009 - not of each item
    ]


@pytest.fixture(autouse=True, scope="module")
def by_value(request: pytest.FixtureRequest) -> None:
    # Workers of a cluster do not have the tests. Left registered: calls of a module may be encoded after it.
    cloudpickle.register_pickle_by_value(sys.modules[request.module.__name__])


@pytest.fixture
def session(client: ak.Client) -> Iterator[ak.Session]:
    with client.session(on_exit="cancel") as made:
        yield made
