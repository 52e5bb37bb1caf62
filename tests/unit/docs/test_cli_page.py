"""docs/reference/ is what the commands and the forms of their output say of themselves."""

import subprocess
import sys
from pathlib import Path

from hack.generate import cli

ROOT = Path(__file__).parents[3]


def test_the_pages_are_up_to_date() -> None:
    command = [sys.executable, "-m", "hack.generate.cli", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_option_has_a_text() -> None:
    rows = [line for line in cli.page().splitlines() if line.startswith("| `")]
    assert len(rows) > 20
    assert [row for row in rows if row.endswith("|  |")] == []
