"""Which tests of the foreign suites do not apply, and why: `not_applicable.txt`."""

from pathlib import Path

import pytest

LIST = Path(__file__).parent / "not_applicable.txt"
MOST = 8
"""Tests that may be listed. Who lists another one changes this number, and a reader sees it."""


def listed() -> dict[str, str]:
    """Reasons by the name of the test, without its parameters or with them."""
    lines = [line for line in LIST.read_text().splitlines() if line and not line.startswith("#")]
    assert len(lines) <= MOST, f"{len(lines)} tests are listed as not applicable, more than {MOST}"
    return dict(map(str.strip, line.split(" -- ", 1)) for line in lines)  # type: ignore[misc]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip those that are listed; an entry that names no test of a suite that runs is an error."""
    reasons = listed()
    for item in items:
        # Of a file outside of pytest's root folder the id may lack the name.
        name = f"{item.path.name}::{item.nodeid.partition('::')[2]}"
        for listed_name, reason in reasons.items():
            if name == listed_name or name.startswith(f"{listed_name}["):
                item.add_marker(pytest.mark.skip(reason=reason))
