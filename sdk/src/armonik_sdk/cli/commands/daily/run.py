"""`armonikctl run`."""

from typing import Any

import click

from armonik_sdk.cli.commands import parts
from armonik_sdk.cli.frame.click_classes import Command
from armonik_sdk.cli.frame.kinds_of_values import WHOLE_SECONDS
from armonik_sdk.cli.frame.settings import Settings


@click.command(cls=Command, short_help="Call a Python function on the cluster.")
@click.argument("function", metavar="MODULE:FUNCTION")
@click.argument("arguments", metavar="[ARG]...", nargs=-1)
@click.option(
    "--items-file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help="One call for each line: a JSON list are its arguments, another JSON value is the one argument.",
)
@parts.of_functions("Where it runs: a partition with workers of Python functions.")
@click.option(
    "--package",
    "packages",
    metavar="REQUIREMENT",
    multiple=True,
    help="A package that the workers do not have, such as polars>=1; may be repeated.",
)
@click.option(
    "--code",
    metavar="PATH",
    type=click.Path(exists=True),
    multiple=True,
    help="A file or folder that goes along; may be repeated.  [default: modules of this folder]",
)
@click.option(
    "--timeout", metavar="DURATION", type=WHOLE_SECONDS, help="Longest time that one call may take."
)
@click.option("--keep", is_flag=True, help="Keep the session with its results for a day.")
@click.pass_obj
def run(settings: Settings, /, **given: Any) -> int:
    """Call a function of a module of this folder in a worker, and write what it returns.

    Each ARG is a JSON value, or a text. A line is written for each call when it has ended: {"index": 0,
    "value": 49}, with "repr" for a value that JSON does not have, or with "error". Exit code 1 if a call
    failed.
    """
    from armonik_sdk.cli.actions.daily import calling
    from armonik_sdk.cli.frame import running

    if given["items_file"] is not None and given["arguments"]:
        raise click.UsageError("arguments are given here, or by --items-file")
    wanted = calling.Call(**given)
    return running.run(settings, lambda: calling.call(settings, wanted))
