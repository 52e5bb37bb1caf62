"""The examples with plain functions print what their page says, as programs of a user, on each grid."""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hack.cluster.settings import Cache
from hack.dist.__main__ import find_uv

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "examples.md").read_text()
EXAMPLES = re.findall(r"\$ python (examples/functions/(\w+)\.py.*)\n((?:.+\n)+?)```", PAGE)
GRIDS = ["local", pytest.param("", marks=pytest.mark.e2e, id="cluster")]


def run(command: str, grid: str, *more: str) -> str:
    env = {**os.environ, "ARMONIK_GRID": grid} if grid else dict(os.environ)
    if not grid:  # packages are installed by uv, which a machine may have in the cache alone
        env["PATH"] += os.pathsep + str(Path(find_uv(Cache.from_environ())).parent)
    ran = subprocess.run(
        [sys.executable, "-W", "error", *command.split(), *more],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_each_example_has_a_place_in_the_page() -> None:
    there = {path.stem for path in (ROOT / "examples" / "functions").glob("*.py")}
    assert {name for _, name, _ in EXAMPLES} == there


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize(("command", "name", "said"), EXAMPLES, ids=[name for _, name, _ in EXAMPLES])
def test_the_example_prints_what_its_page_says(command: str, name: str, said: str, grid: str) -> None:
    if name == "word_count":  # its files, the decisions of this project, become more
        words = Counter[str]()
        for file in (ROOT / "docs" / "adr").glob("*.md"):
            words.update(re.findall(r"[a-z]{5,}", file.read_text().lower()))
        frequent = sorted(words.items(), key=lambda entry: (-entry[1], entry[0]))[:3]
        said = "".join(f"{word}: {times}\n" for word, times in frequent)
    assert run(command, grid) == said


def test_the_first_example_prints_what_it_says() -> None:
    said = re.search(r"Prints (.+) and (.+)\.", (ROOT / "examples" / "hello.py").read_text())
    assert said
    assert run("examples/hello.py", "local").splitlines() == list(said.groups())


def test_the_demo_agrees_with_a_plain_computation() -> None:
    assert "The numbers equal those of a plain, single-process computation" in run(
        "examples/demo.py", "local"
    )


def test_the_plot_is_written(tmp_path: Path) -> None:
    command = "examples/functions/monte_carlo.py --blocks 3 --paths 50"
    assert "after 150 paths" in run(command, "local", "--plot", str(tmp_path / "price.svg"))
    assert "<svg" in (tmp_path / "price.svg").read_text()
