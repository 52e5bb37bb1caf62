"""How the end-to-end tests share processes, and what must hold after all of them."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Tests are imported by path, not as packages; helpers beside them are found here.
sys.path.insert(0, str(Path(__file__).parent))

from release import await_leaving

ANYWHERE = {"test_partitions.py"}
"""Files whose tests share nothing: each makes all that it needs."""


@pytest.fixture(scope="session", autouse=True)
def _namespaces_go() -> Iterator[None]:
    """No namespace of a test is kept from going, whatever was in it."""
    yield
    await_leaving()


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of a file share a namespace with its pods, so one process runs them (`--dist loadgroup`)."""
    for item in items:
        if item.path.name not in ANYWHERE:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
