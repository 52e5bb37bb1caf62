"""What must hold after all end-to-end tests."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Tests are imported by path, not as packages; helpers beside them are found here.
sys.path.insert(0, str(Path(__file__).parent))

from release import await_leaving

# A shell's background job ignores SIGINT, and so would the programs that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _namespaces_go() -> Iterator[None]:
    """No namespace of a test is kept from going, whatever was in it."""
    yield
    await_leaving()
