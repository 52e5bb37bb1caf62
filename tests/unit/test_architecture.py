"""ARCHITECTURE.md names the test that observes each step; each of them exists."""

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def test_every_test_that_the_diagram_names_exists() -> None:
    text = (REPOSITORY / "ARCHITECTURE.md").read_text()
    named = re.findall(r"(?:(test_\w+\.py): )?(test_[a-z_]+)\b(?!\.py)", text)
    assert len(named) > 15
    for file, test in named:
        source = (REPOSITORY / "tests" / "e2e" / (file or "test_flow.py")).read_text()
        assert f"def {test}(" in source, f"{file or 'test_flow.py'} has no {test}"
