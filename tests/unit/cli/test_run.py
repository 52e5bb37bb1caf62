"""`run`: what is called with what, and what is written; on processes of this machine."""

import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest

from armonik_sdk.cli import main as program
from armonik_sdk.cli.actions.daily.calling import Call, argument, function_of, line
from armonik_sdk.cli.errors import BadInput

MODULE = """
def add(a, b=0):
    if a < 0:
        raise ValueError("negative")
    return a + b

class Group:
    @staticmethod
    def squares(n):
        return {x * x for x in range(n)}

number = 7
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of a module of the working folder."""
    name = f"job_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(sys.path))
    return name


@pytest.mark.parametrize(
    ("text", "value"),
    [("7", 7), ("7.5", 7.5), ('"7"', "7"), ("seven", "seven"), ("[1, 2]", [1, 2]), ("", "")],
)
def test_an_argument_is_json_or_a_text(text: str, value: object) -> None:
    assert argument(text) == value


def test_a_function_is_found_in_the_working_folder_and_among_what_is_installed(module: str) -> None:
    assert function_of(f"{module}:add")(1, 2) == 3
    assert function_of(f"{module}:Group.squares")(3) == {0, 1, 4}
    assert function_of("math:sqrt") is math.sqrt
    for wrong, said in (
        ("math", "write MODULE:FUNCTION"),
        (":f", "write MODULE:FUNCTION"),
        ("no_such_module:f", "cannot be imported"),
        ("math:no_such", "cannot be imported"),
        (f"{module}:number", "is no function"),
    ):
        with pytest.raises(BadInput, match=said):
            function_of(wrong)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"a": [1, None]}, {"value": {"a": [1, None]}}),
        ({1}, {"repr": "{1}"}),
        (ValueError("no"), {"error": {"type": "ValueError", "message": "no"}}),
    ],
)
def test_a_line_is_json_whatever_came_back(value: Any, said: dict[str, Any]) -> None:
    assert json.loads(line(3, value)) == {"index": 3, **said}


def call(**given: Any) -> Call:
    values = {"function": "m:f", "arguments": (), "items_file": None, "partition": "python", "packages": ()}
    return Call(**{**values, "code": (), "timeout": None, "keep": False, **given})


def test_calls_come_from_the_command_line_or_from_a_file(tmp_path: Path) -> None:
    assert list(call(arguments=("1", "x")).calls()) == [(1, "x")]
    file = tmp_path / "items"
    file.write_text('[1, 2]\n\n{"a": 1}\n"x"\n')
    assert list(call(items_file=str(file)).calls()) == [(1, 2), ({"a": 1},), ("x",)]
    file.write_text("[1]\n{")
    with pytest.raises(BadInput, match="line 2"):
        list(call(items_file=str(file)).calls())


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes of this machine take the place of a cluster."""
    monkeypatch.setenv("ARMONIK_GRID", "local")


@pytest.mark.usefixtures("local")
def test_results_are_lines_of_json_and_a_failure_is_1(
    module: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main(["run", f"{module}:add", "3", "4"]) == 0
    assert json.loads(capsys.readouterr().out) == {"index": 0, "value": 7}
    file = tmp_path / "items"
    file.write_text("1\n[2, 3]\n-1\n")
    assert program.main(["run", f"{module}:add", "--items-file", str(file)]) == 1
    lines = sorted(map(json.loads, capsys.readouterr().out.splitlines()), key=lambda said: said["index"])
    assert lines == [
        {"index": 0, "value": 1},
        {"index": 1, "value": 5},
        {"index": 2, "error": {"type": "ValueError", "message": "negative"}},
    ]


def test_wrong_calls_are_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["run", "math:sqrt", "4", "--items-file", __file__]) == 2
    assert program.main(["run", "nonsense"]) == 2
    assert "write MODULE:FUNCTION" in capsys.readouterr().err
