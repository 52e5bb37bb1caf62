"""The front page is short, shows what the examples are, and says what was measured and checked."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text()
WORDS = ["no", "one", "two", "three", "four"]
MEASURED = {
    "no-op elements a second, 10,000 at once": "no-op, 10,000 elements (elements/s)",
    "results collected a second": "collecting 10,000 results (results/s)",
    "**where we lose**: one task alone, ms (p50)": "single task, one at a time, p50 (ms)",
}
"""Rows of the front page, and of docs/performance.md."""


def _block(language: str) -> str:
    found = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    assert len(found) == 1
    return str(found[0]).strip()


def _table(text: str, head: str) -> list[list[str]]:
    """Cells of the rows below the first head that begins so."""
    lines = iter(text.split(head, 1)[1].splitlines()[2:])
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def test_it_is_two_screens() -> None:
    assert len(README.splitlines()) <= 100


def test_its_python_is_the_example_without_the_docstring() -> None:
    example = (ROOT / "examples" / "hello.py").read_text()
    assert _block("python") == example.split('"""', 2)[2].strip()


def test_its_yaml_is_the_example_without_the_comments() -> None:
    lines = (ROOT / "examples" / "hello.yaml").read_text().splitlines()
    assert _block("yaml") == "\n".join(line for line in lines if not line.startswith("#"))


def _numbers(cell: str) -> list[str]:
    return re.findall(r"\d+(?:,\d{3})*(?:\.\d+)?", cell)


def test_what_it_says_was_measured_is_what_the_page_of_results_says() -> None:
    results = (ROOT / "docs" / "performance.md").read_text().split("### How fast\n")[1]
    head = next(line for line in results.splitlines() if line.startswith("|  | Armo"))
    systems = [name.strip() for name in head.strip("|").split("|")][1:]
    page = {
        row[0]: [
            cell.split(" (")[0]
            for name, cell in zip(systems, row[1:], strict=True)
            if name != "ArmoniK functions"  # it has no column on the front page
        ]
        for row in _table(results, "|  | Armo")
    }
    ours = {row[0]: row for row in _table(README, "| | this |")}
    for name, measured in MEASURED.items():
        unchanged, own, *others = page[measured]
        assert ours[name][3 : 3 + len(others)] == others, name
        assert set(ours[name][3 + len(others) :]) == {"–"}, "it was not measured"
        assert _numbers(ours[name][1]) in ([own, unchanged], [own], [unchanged]), name


def test_the_cpu_time_it_says_is_that_of_the_page_of_results() -> None:
    results = (ROOT / "docs" / "performance.md").read_text().split("### CPU-milliseconds per element\n")[1]
    page = {
        row[0].split(":")[0]: row[3].split(" (")[0] for row in _table(results, "|  |") if "every" in row[0]
    }
    row = next(row for row in _table(README, "| | this |") if row[0] == "CPU-ms for each of them")
    mine = "ArmoniK for Kubernetes"
    assert _numbers(row[1]) == [page[f"{mine}, its own worker"], page[mine]]
    assert row[3:6] == [page[name] for name in ("Dask distributed", "Ray", "Celery with Redis")]


def test_every_statement_about_others_has_a_link() -> None:
    for row in _table(README, "| | this |"):
        for cell in row[2:]:
            if re.match("[✅⚠❌]", cell):
                assert "](https://" in cell, (row[0], cell)


def test_its_links_into_the_repository_lead_somewhere() -> None:
    targets = [target for target in re.findall(r"\]\(([^)]+)\)", README) if "://" not in target]
    assert targets
    for target in targets:
        assert (ROOT / target.split("#")[0]).exists(), target


def test_the_picture_is_drawn_by_its_script() -> None:
    checked = subprocess.run(
        [sys.executable, ROOT / "hack" / "picture.py", "--check"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


def test_its_shell_finds_the_cluster_kubectl_and_our_packages() -> None:
    found = re.search(r"After `(eval [^`]+)`", README)
    assert found
    script = f'{found[1]}; command -v kubectl python; echo "$KUBECONFIG"; python -c "import armonik_sdk"'
    environment = {name: value for name, value in os.environ.items() if name != "MAKEFLAGS"}
    environment |= {"ARMONIK_CLUSTER_DRIVER": "local", "ARMONIK_CACHE": "/nowhere/cache"}
    done = subprocess.run(
        ["bash", "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    programs = [str(ROOT / ".venv/bin" / name) for name in ("kubectl", "python")]
    assert done.stdout.splitlines() == [*programs, "/nowhere/cache/cluster/local/kubeconfig"]


def test_the_machine_it_names_is_that_of_the_page_of_results() -> None:
    named = re.search(
        r"Measured on one machine \((.+?), (\d+) cores, Kubernetes ([\d.]+), (\w+) workers", README
    )
    assert named
    processor, cores, version, workers = named.groups()
    page = (ROOT / "docs" / "performance.md").read_text()
    assert f"{processor}, {cores} cores" in page
    assert f"Kubernetes v{version}." in page
    assert f"{WORDS.index(workers)} workers of each system" in page
