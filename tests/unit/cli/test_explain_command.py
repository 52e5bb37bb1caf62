"""`explain`: what is asked about, and that each command it advises is one that there is."""

import ast
import re
import shlex
from pathlib import Path

import click
import pytest
from walking import commands

from armonik_sdk import explain
from armonik_sdk.cli.actions.daily.explaining import Subject
from armonik_sdk.cli.errors import BadInput
from armonik_sdk.cli.frame.global_options import GLOBAL_OPTIONS

SOURCES = sorted(Path(explain.__file__).parent.glob("*.py"))
COMMANDS = dict(commands())


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("squares", Subject("squares")),
        ("squares/17", Subject("squares", index=17)),
        ("task/squares", Subject("squares", "task")),
        ("tk/squares/17", Subject("squares", "tk", 17)),
        ("task/17", Subject("17", "task")),
        ("Partition/gpu", Subject("gpu", "Partition")),
        ("@latest", Subject("@latest")),
        ("task", Subject("task")),
    ],
)
def test_what_is_asked_about(text: str, subject: Subject) -> None:
    assert Subject.of(text) == subject


@pytest.mark.parametrize("text", ["", "/", "pod/x", "task/x/y", "task/x/1/2", "x/"])
def test_what_is_unclear_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="task/NAME"):
        Subject.of(text)


def advised() -> list[str]:
    """Commands in the texts of explanations, with X for each value."""
    found = []
    for source in SOURCES:
        for node in ast.walk(ast.parse(source.read_text())):
            text = ""
            if isinstance(node, ast.JoinedStr):
                text = "".join(v.value if isinstance(v, ast.Constant) else "X" for v in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                text = node.value
            found += re.findall(r"armonikctl [^\n;,]*", text)
    return sorted(set(found))


def test_each_command_that_an_explanation_advises_exists() -> None:
    wrong = []
    for line in advised():
        path, *words = shlex.split(line)
        while words and f"{path} {words[0]}" in COMMANDS:
            path = f"{path} {words.pop(0)}"
        command = COMMANDS[path]
        known = {name for param in [*command.params, *GLOBAL_OPTIONS] for name in param.opts}
        options = {word for word in words if word.startswith("-")}
        if isinstance(command, click.Group) or not options <= known:
            wrong.append(line)
    assert len(advised()) > 15
    assert wrong == []
