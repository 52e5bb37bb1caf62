"""The page about bad input is the table that is tried."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
TABLE = ROOT / "tests" / "integration" / "bad_input.py"


def test_the_page_is_made_from_the_table() -> None:
    made = subprocess.run([sys.executable, str(TABLE)], capture_output=True, text=True, check=True)
    told = f"make it again: python {TABLE.relative_to(ROOT)} > docs/bad-input.md"
    assert (ROOT / "docs" / "bad-input.md").read_text() == made.stdout, told
