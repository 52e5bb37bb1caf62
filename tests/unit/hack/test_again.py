"""Failed tests run once more, by themselves: seen with pytest itself on test files made here."""

from __future__ import annotations

from pathlib import Path

import pytest
from hack import again

_FILE = """
import pathlib
import pytest

@pytest.mark.parametrize("number", range({number}))
def test_counts_its_runs(number):
    runs = pathlib.Path(__file__).parent / f"runs-{{number}}"
    runs.open("a").write("x")
    assert len(runs.read_text()) > {failures}

def test_passes():
    (pathlib.Path(__file__).parent / "runs-passes").open("a").write("x")
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with settings of its own, in which pytest is started."""
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _runs(project: Path, name: str) -> int:
    return len((project / f"runs-{name}").read_text())


@pytest.mark.parametrize(
    ("tests", "failures", "status", "runs"),
    [
        pytest.param(1, 0, 0, 1, id="what passes runs once"),
        pytest.param(2, 1, 0, 2, id="what fails once passes, and is named"),
        pytest.param(1, 2, 1, 2, id="what fails twice fails"),
        pytest.param(again.FEW + 1, 1, 1, 1, id="many failures are no accident"),
    ],
)
def test_failed_tests_run_once_more(
    project: Path, capfd: pytest.CaptureFixture[str], tests: int, failures: int, status: int, runs: int
) -> None:
    (project / "test_some.py").write_text(_FILE.format(number=tests, failures=failures))
    assert again.main(["-q", "test_some.py"]) == status
    assert _runs(project, "0") == runs
    assert _runs(project, "passes") == 1
    named = capfd.readouterr().out.count("== passed the second time only: test_some.py::test_counts_its_runs")
    assert named == (tests if failures and not status else 0)


def test_a_file_that_cannot_be_read_is_an_error_at_once(project: Path) -> None:
    (project / "test_some.py").write_text("import no_such_module\n")
    assert again.main(["-q", "test_some.py"]) == 2


def test_none_chosen_is_pytests_own_status(project: Path) -> None:
    (project / "test_some.py").write_text("def test_passes(): pass\n")
    assert again.main(["-q", "test_some.py", "-k", "nothing"]) == 5
