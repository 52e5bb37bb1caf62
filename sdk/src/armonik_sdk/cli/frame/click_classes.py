"""Commands and groups: the options of all, groups that load when they are used, help."""

import importlib
import sys
from collections.abc import Mapping
from typing import Any, Final

import click
from rich_click import RichCommand, RichGroup
from rich_click.rich_panel import RichCommandPanel, RichOptionPanel, RichPanel

from armonik_sdk.cli.frame.global_options import GLOBAL_OPTIONS, PANEL, settings_of

WIDTH: Final = 100
"""Columns of help that no terminal shows."""


class _Common(RichCommand):
    """What commands and groups have in common."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        panels: list[RichPanel[Any, Any]] = [
            RichCommandPanel("Commands"),
            RichOptionPanel("Options"),
            RichOptionPanel(PANEL),
        ]
        super().__init__(*args, panels=panels, **kwargs)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Its own, then the global ones, then help."""
        *own, help_option = super().get_params(ctx)
        return [*own, *GLOBAL_OPTIONS, help_option]

    def get_help(self, ctx: click.Context) -> str:
        """In colours on a terminal, and as plain text elsewhere, which needs nothing of Rich."""
        if settings_of(ctx).coloured(sys.stdout):
            return super().get_help(ctx)
        return plain_help(self, ctx)


class Command(_Common):
    """A command."""


class Group(_Common, RichGroup):  # type: ignore[misc]  # as RichGroup itself: click and Rich disagree
    """A group of commands."""

    command_class = Command

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of their definition, which is that of their use."""
        return list(self.commands)


class LazyGroup(Group):
    """A group whose commands are imported when they are asked for."""

    def __init__(
        self, *args: Any, lazy: Mapping[str, str], also: Mapping[str, str] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = lazy
        """Module by the name of the command in it."""
        self._also = also or {}
        """Command by other names of it, which no help lists."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All of them, in their order."""
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import it."""
        name = self._also.get(cmd_name, cmd_name)
        module = self._lazy.get(name)
        if module is None:
            return None
        command = getattr(importlib.import_module(module), name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return command


def plain_help(command: click.Command, ctx: click.Context) -> str:
    """Help as plain text."""
    formatter = click.HelpFormatter(max_width=WIDTH, width=WIDTH)
    click.Command.format_usage(command, ctx, formatter)
    click.Command.format_help_text(command, ctx, formatter)
    if isinstance(command, click.Group):
        click.Group.format_commands(command, ctx, formatter)
    options = [param for param in command.get_params(ctx) if isinstance(param, click.Option)]
    own = [param for param in options if param not in GLOBAL_OPTIONS]
    for title, params in (("Options", own), (PANEL, GLOBAL_OPTIONS)):
        records = [record for param in params if (record := param.get_help_record(ctx)) is not None]
        with formatter.section(title):
            formatter.write_dl(records)
    click.Command.format_epilog(command, ctx, formatter)
    return formatter.getvalue().rstrip("\n")


def plain_usage(ctx: click.Context) -> str:
    """The usage line, as plain text."""
    formatter = click.HelpFormatter(width=WIDTH)
    click.Command.format_usage(ctx.command, ctx, formatter)
    return formatter.getvalue().rstrip("\n")
