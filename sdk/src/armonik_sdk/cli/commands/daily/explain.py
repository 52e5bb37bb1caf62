"""`armonikctl explain`."""

import click

from armonik_sdk.cli.commands.completing import subjects
from armonik_sdk.cli.frame.click_classes import Command
from armonik_sdk.cli.frame.settings import Settings


@click.command(cls=Command, short_help="Say why something waits or failed, and what to do.")
@click.argument("subject", metavar="[KIND/]NAME[/INDEX]", shell_complete=subjects)
@click.pass_obj
def explain(settings: Settings, subject: str) -> None:
    """Say why a task, a session or a partition is as it is: the cause, how long it may last, and what to do.

    KIND is task, session or partition; without it the first of them that has the name. INDEX is one element
    of a task.
    """
    from armonik_sdk.cli.actions.daily import explaining
    from armonik_sdk.cli.cluster.connected import connected

    connected(settings, lambda cluster: explaining.show(cluster, subject))
