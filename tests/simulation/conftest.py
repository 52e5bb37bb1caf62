"""Lets the modules of the simulation be imported as `simulation.…`."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

import hypothesis_profiles  # noqa: F401 - chooses the profile


def pytest_configure(config: pytest.Config) -> None:
    """A process that is killed leaves a pull of nats-py that its loop has made a task of and not begun."""
    config.addinivalue_line("filterwarnings", "ignore:coroutine 'Queue.get' was never awaited:RuntimeWarning")
