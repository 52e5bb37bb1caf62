"""Type checkers know what futures hold: `mypy --strict` accepts the file, unused ignores included."""

from pathlib import Path

from mypy import api

REPOSITORY = Path(__file__).parents[3]


def test_the_types_of_results_are_known() -> None:
    file = REPOSITORY / "tests" / "typing_of_functions.py"
    said, errors, status = api.run(
        ["--strict", "--config-file", str(REPOSITORY / "pyproject.toml"), str(file)]
    )
    assert status == 0, said + errors
