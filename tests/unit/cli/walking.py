"""Goes through all commands."""

from collections.abc import Iterator

import click

from armonik_sdk.cli.commands.root import root


def commands(command: click.Command = root, path: str = "armonikctl") -> Iterator[tuple[str, click.Command]]:
    """Every command and group, by how it is typed."""
    yield path, command
    if isinstance(command, click.Group):
        ctx = click.Context(command)
        for name in command.list_commands(ctx):
            inner = command.get_command(ctx, name)
            assert inner is not None
            yield from commands(inner, f"{path} {name}")
