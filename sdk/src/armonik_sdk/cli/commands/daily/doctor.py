"""`armonikctl doctor`."""

import click

from armonik_sdk.cli.doctor.findings import CHECKS
from armonik_sdk.cli.frame.click_classes import Command
from armonik_sdk.cli.frame.kinds_of_values import Words
from armonik_sdk.cli.frame.settings import Settings


@click.command(cls=Command, short_help="See whether the installation is all right.")
@click.option(
    "--run", is_flag=True, help="Also call a function in a worker, and say how long each step took."
)
@click.option(
    "--only",
    metavar="CHECK,...",
    type=Words(CHECKS),
    default=(),
    help=f"Only these checks, of {', '.join(CHECKS)}.",
)
@click.pass_obj
def doctor(settings: Settings, run: bool, only: tuple[str, ...]) -> int:
    """See whether the installation is all right, and what to do where it is not.

    ok: all well. warn: it may become a problem. FAIL: a problem, and exit code 1. skip: it could not be
    looked at.
    """
    from armonik_sdk.cli.actions.daily import examining
    from armonik_sdk.cli.cluster.connected import connected

    return connected(settings, lambda cluster: examining.examine(cluster, only, run=run))
