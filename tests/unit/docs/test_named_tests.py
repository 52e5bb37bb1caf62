"""A document that names a test as its proof must name one that exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DOCUMENTS = [
    "ARCHITECTURE.md",
    "README.md",
    *(str(p.relative_to(ROOT)) for p in (ROOT / "docs").glob("*.md")),
]


def _defined() -> set[str]:
    """Names of test functions and of test files."""
    files = [*(ROOT / "tests").rglob("test_*.py")]
    found = {name for file in files for name in re.findall(r"def (test_\w+)\(", file.read_text())}
    return found | {file.stem for file in files}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_test_that_a_document_names_exists(document: str) -> None:
    named = set(re.findall(r"\btest_\w+", (ROOT / document).read_text()))
    assert named <= _defined(), sorted(named - _defined())
