"""Options and arguments that several commands have."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from armonik_sdk.cli.commands.completing import names
from armonik_sdk.cli.frame.click_classes import Group
from armonik_sdk.cli.frame.kinds_of_values import DURATION, KEY_VALUE, WHOLE_SECONDS, Words

F = TypeVar("F", bound=Callable[..., Any])

yes: Final = click.option("-y", "--yes", is_flag=True, help="Do it without a question.")
everywhere: Final = click.option(
    "-A", "--all-namespaces", "everywhere", is_flag=True, help="In all namespaces."
)
labels: Final = click.option(
    "-l",
    "--selector",
    "labels",
    metavar="SELECTOR",
    default="",
    help="Only those with these labels: team=a,stage!=test.",
)
of_session: Final = click.option(
    "-s",
    "--session",
    metavar="NAME",
    required=True,
    shell_complete=names("session"),
    help="The session it belongs to.",
)
watch: Final = click.option(
    "-w", "--watch", is_flag=True, help="Then show each change as it comes, until Ctrl-C."
)
wait: Final = click.option(
    "--wait", is_flag=True, help="Return when it has happened, not when it was asked for."
)
wait_timeout: Final = click.option(
    "--wait-timeout",
    metavar="DURATION",
    type=DURATION,
    help="Longest time to wait: 90s, 5m.  [default: no limit]",
)
option: Final = click.option(
    "--option",
    "settings",
    metavar="KEY=VALUE",
    type=KEY_VALUE,
    multiple=True,
    help="A free text for the workers; may be repeated.",
)
priority: Final = click.option(
    "--priority", metavar="N", type=click.IntRange(1, 99), help="1 to 99; higher runs first."
)
max_retries: Final = click.option(
    "--max-retries",
    metavar="N",
    type=click.IntRange(0, 1000),
    help="How often an element is run again whose worker crashed. An error that a worker returns is final.",
)
timeout: Final = click.option(
    "--timeout", metavar="DURATION", type=WHOLE_SECONDS, help="Longest time that one element may take."
)


def group(name: str, short: str, text: str) -> Group:
    """A group of commands about one kind of objects."""
    return Group(name=name, short_help=short, help=text, no_args_is_help=True)


def name_of(word: str, *, required: bool = True) -> Callable[[F], F]:
    """The name of one object."""
    metavar = "NAME" if required else "[NAME]"
    return click.argument("name", metavar=metavar, required=required, shell_complete=names(word))


def names_of(word: str) -> Callable[[F], F]:
    """The names of one or several objects."""
    return click.argument("names", metavar="NAME...", nargs=-1, required=True, shell_complete=names(word))


def of_functions(text: str) -> Callable[[F], F]:
    """The partition whose workers call Python functions."""
    return click.option(
        "-p",
        "--partition",
        metavar="NAME",
        default="python",
        show_default=True,
        shell_complete=names("partition"),
        help=text,
    )


def phases(known: tuple[str, ...]) -> Callable[[F], F]:
    """Which phases the objects of a list are in."""
    return click.option(
        "--phase",
        "phases",
        metavar="PHASE,...",
        type=Words(known),
        default=(),
        help=f"Only those in these phases: {', '.join(known)}.",
    )


def all_of(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Several options at once, in this order."""

    def decorate(function: F) -> F:
        for one in reversed(options):
            function = one(function)
        return function

    return decorate
