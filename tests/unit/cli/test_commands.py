"""The grammar as a whole: names, options, texts."""

import click
import pytest
from walking import commands

from armonik_sdk.cli.commands.root import root
from armonik_sdk.cli.frame.global_options import GLOBAL_OPTIONS

COMMANDS = dict(commands())
SHARED = {option.name for option in GLOBAL_OPTIONS}
WORDS = {name for option in GLOBAL_OPTIONS for name in option.opts} | {"-h", "--help"}


@pytest.mark.parametrize("path", COMMANDS)
def test_options_of_a_command_do_not_collide_with_those_of_all(path: str) -> None:
    """A value is kept by the name of its parameter: two of the same name would be mixed up."""
    own = COMMANDS[path].params
    assert [param.name for param in own if param.name in SHARED] == []
    assert [word for param in own for word in param.opts if word in WORDS] == []


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_and_option_says_what_it_is_for(path: str) -> None:
    command = COMMANDS[path]
    assert command.help
    assert "." in command.help, "a sentence"
    options = [param for param in command.params if isinstance(param, click.Option)]
    assert [
        option.name for option in options if not (option.help or "").rstrip().endswith((".", "]", "9"))
    ] == []
    if path != "armonikctl":
        assert command.short_help
        assert len(command.short_help) <= 60


def test_the_nouns_have_other_names() -> None:
    ctx = click.Context(root)
    for name, word in (
        ("sessions", "session"),
        ("aks", "session"),
        ("tk", "task"),
        ("akp", "partition"),
        ("envs", "env"),
    ):
        assert root.get_command(ctx, name) is root.get_command(ctx, word)
    assert root.get_command(ctx, "nonsense") is None


def test_what_destroys_can_be_done_without_a_question() -> None:
    destroys = {"close", "cancel", "purge", "delete", "abort", "prune"}
    found = {path for path in COMMANDS if path.split()[-1] in destroys}
    assert len(found) == 8
    for path in found:
        assert "--yes" in {word for param in COMMANDS[path].params for word in param.opts}, path
