"""`armonikctl top`."""

import importlib.util
import sys

import click

from armonik_sdk.cli.frame.click_classes import Command
from armonik_sdk.cli.frame.global_options import output_of_environment
from armonik_sdk.cli.frame.kinds_of_values import DURATION
from armonik_sdk.cli.frame.settings import Settings

TABLES = ("partitions", "sessions", "pods")


@click.command(cls=Command, short_help="Show partitions, sessions and pods, and how much they do.")
@click.argument("table", metavar="[partitions|sessions|pods]", type=click.Choice(TABLES), required=False)
@click.option("--once", is_flag=True, help="Write it once, and end.")
@click.option(
    "--interval",
    metavar="DURATION",
    type=DURATION,
    default=2.0,
    help="Time between two looks, at least 1s.  [default: 2s]",
)
@click.pass_obj
def top(settings: Settings, table: str | None, once: bool, interval: float) -> None:
    """Show partitions, sessions and pods of the namespace, with how many elements end in a minute.

    It fills the terminal and is refreshed until q or Ctrl-C; Tab goes to the next table, arrows scroll.
    LEFT is the time for what waits, at the rate of now. Rates of partitions are of the last five minutes,
    those of sessions of the last minute that this program saw: --once does not know them.
    """
    from armonik_sdk.cli.actions.daily import overlooking
    from armonik_sdk.cli.cluster.connected import connected

    wanted = TABLES if table is None else (table,)
    if once:
        connected(settings, lambda cluster: overlooking.once(cluster, wanted))
        return
    output_of_environment(settings)
    if interval < 1:
        raise click.UsageError("--interval: at least 1s")
    if settings.form not in ("table", "wide") or not (sys.stdout.isatty() and sys.stdin.isatty()):
        raise click.UsageError("it fills a terminal; add --once to write it once, in any form")
    if importlib.util.find_spec("textual") is None:
        raise click.UsageError(
            "it needs a package that is missing: pip install 'armonik-k8s-sdk[top]'; --once does without it"
        )
    connected(settings, lambda cluster: overlooking.again(cluster, wanted, interval))
