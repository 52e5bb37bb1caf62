"""`armonikctl logs`."""

from typing import Any

import click

from armonik_sdk.cli.commands.completing import names
from armonik_sdk.cli.frame.click_classes import Command
from armonik_sdk.cli.frame.kinds_of_values import DURATION
from armonik_sdk.cli.frame.settings import Settings


@click.command(cls=Command, short_help="Show what workers print.")
@click.argument("task", metavar="[TASK[/INDEX]]", required=False, shell_complete=names("task"))
@click.option(
    "-s", "--session", metavar="NAME", shell_complete=names("session"), help="Of all tasks of a session."
)
@click.option(
    "-p", "--partition", metavar="NAME", shell_complete=names("partition"), help="Of all pods of a partition."
)
@click.option("-f", "--follow", is_flag=True, help="Then show what is printed, as it comes, until Ctrl-C.")
@click.option(
    "--since", metavar="DURATION", type=DURATION, help="Only what was printed in the last time: 5m."
)
@click.option("--tail", metavar="N", type=click.IntRange(0, 100_000), help="Only the last lines of each pod.")
@click.option("--previous", is_flag=True, help="Of the container before its last restart.")
@click.option("--grep", "pattern", metavar="REGEX", help="Only lines in which this is found.")
@click.option(
    "-c",
    "--container",
    type=click.Choice(("worker", "agent")),
    default="worker",
    show_default=True,
    help="worker: what computes. agent: what gives it elements and keeps their results.",
)
@click.option("--timestamps", is_flag=True, help="With the time of each line.")
@click.pass_obj
def logs(settings: Settings, /, **given: Any) -> None:
    """Show what the workers of a task, a session or a partition have printed.

    Workers of Python functions mark each line with its element. The beginning and the end of what an element
    printed are kept with its outcome: they are shown of TASK/INDEX, and of those elements of TASK of whose
    last execution no pod has the lines. With --follow, --since, --previous or --timestamps, and of a session
    or partition, only logs of pods that exist now are read. Of other workers all lines of the partition's
    pods are shown.
    """
    from armonik_sdk.cli.actions.daily import logs
    from armonik_sdk.cli.cluster.connected import connected

    if sum(given[name] is not None for name in ("task", "session", "partition")) != 1:
        raise click.UsageError("name one of TASK, --session and --partition")
    wanted = logs.Wanted.of(given)
    connected(settings, lambda cluster: logs.show(cluster, wanted))
