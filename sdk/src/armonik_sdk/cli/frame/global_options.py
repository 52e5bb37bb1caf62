"""The options of every command: before the command, or behind it."""

import os
from typing import Any, Final

import click
from rich_click.rich_parameter import RichOption

from armonik_sdk.cli.frame.kinds_of_values import DURATION
from armonik_sdk.cli.frame.settings import FORMS, Settings

PANEL: Final = "Options of every command"


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Keep what the command line says; the option nearest to the command counts."""
    if (
        param.name is not None
        and ctx.get_parameter_source(param.name) is click.core.ParameterSource.COMMANDLINE
    ):
        setattr(settings_of(ctx), param.name, value)


def settings_of(ctx: click.Context) -> Settings:
    """The global options of this call."""
    settings = ctx.find_object(Settings)
    if settings is None:
        settings = ctx.obj = Settings.of()
    return settings


def output_of_environment(settings: Settings) -> None:
    """Take `ARMONIK_OUTPUT` where the command line names no form.

    Raises:
        click.UsageError: it names none that there is.
    """
    wanted = os.environ.get("ARMONIK_OUTPUT")
    if settings.output is None and wanted:
        found = [form for form in FORMS if form == wanted]
        if not found:
            raise click.UsageError(f"ARMONIK_OUTPUT is {wanted!r}: write one of {', '.join(FORMS)}")
        settings.output = found[0]


def _option(*names: str, **given: Any) -> click.Option:
    return RichOption(names, expose_value=False, callback=_remember, panel=PANEL, **given)


GLOBAL_OPTIONS: Final[tuple[click.Option, ...]] = (
    _option(
        "-n",
        "--namespace",
        metavar="NAME",
        help="Namespace to work in.  [default: ARMONIK_NAMESPACE, else the one of the context]",
    ),
    _option("--context", metavar="NAME", help="Which cluster and user of the kubeconfig to use."),
    _option(
        "--kubeconfig",
        metavar="FILE",
        type=click.Path(exists=True, dir_okay=False),
        help="File that says how to reach clusters.  [default: KUBECONFIG, else ~/.kube/config]",
    ),
    _option(
        "-o",
        "--output",
        metavar="|".join(FORMS),
        type=click.Choice(FORMS),
        help="Form of the output; jsonl is one JSON object a line.  [default: ARMONIK_OUTPUT, else table]",
    ),
    _option(
        "--color",
        metavar="auto|always|never",
        type=click.Choice(("auto", "always", "never")),
        help="When to write colours.  [default: auto, on terminals unless NO_COLOR is set]",
    ),
    _option("-q", "--quiet", is_flag=True, help="Write no progress and no remarks, only results and errors."),
    _option("-v", "--verbose", metavar="", count=True, help="Log what is done; twice for more."),
    _option(
        "--request-timeout",
        metavar="DURATION",
        type=DURATION,
        help="Longest time for an answer of the cluster's API server.  [default: 30s]",
    ),
)
