"""The snippets of the guide for functions work, one after the other, as a reader would type them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[3] / "docs"
PAGES = ["python.md", "from-dask.md", "from-ray.md", "from-pymonik.md"]


def snippets(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)


def run(script: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "ARMONIK_GRID": "local"}
    command = [sys.executable, str(script)]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=240, check=False)


@pytest.mark.parametrize("page", PAGES)
def test_the_snippets_of_the_page_work(page: str, tmp_path: Path) -> None:
    script = tmp_path / "guide.py"
    script.write_text("\n\n".join(snippets(page)))
    ran = run(script)
    assert ran.returncode == 0, ran.stderr


def test_the_first_snippet_prints_what_it_computes(tmp_path: Path) -> None:
    script = tmp_path / "first.py"
    script.write_text(snippets("python.md")[0])
    assert run(script).stdout.splitlines() == ["[0, 1, 4, 9, 16, 25, 36, 49, 64, 81]", "285"]
