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


def _tests_of(file: str) -> set[str]:
    path = ROOT / "tests" / file
    return set(re.findall(r"def (test_\w+)\(", path.read_text())) if path.exists() else set()


def test_the_comparison_names_the_file_of_each_test() -> None:
    """A test without a file is in the one at the head of its table."""
    wrong, head = [], ""
    for line in (ROOT / "docs" / "behaviour.md").read_text().splitlines():
        if line.startswith("## "):
            head = ""
        if found := re.match(r"In `(\S+\.py)`\.", line):
            head = found[1]
        for file, name in re.findall(r"`(?:([\w/]+\.py)(?:::)?)?(test_\w+)?`", line):
            if name and name not in _tests_of(file or head or "nowhere"):
                wrong.append(f"{file or head}: {name}")
            if file and not (ROOT / "tests" / file).exists():
                wrong.append(file)
    assert wrong == []
