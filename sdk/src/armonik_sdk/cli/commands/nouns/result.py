"""`armonikctl result`."""

from typing import Any, Final

import click

from armonik_sdk.cli.commands import parts
from armonik_sdk.cli.frame.kinds_of_values import Words
from armonik_sdk.cli.frame.settings import Settings

STATES: Final = ("Created", "Completed", "Aborted", "Deleted")

result: Final = parts.group(
    "result",
    "Data that tasks read and write.",
    "A result is data of a session: an output of a task, or what a client or a worker made. Tasks wait for"
    " the results that they need. A result is named by its id; outputs have the id TASK-UID.INDEX.OUTPUT.",
)
_ids = click.argument("ids", metavar="ID...", nargs=-1, required=True)


@result.command("list", short_help="List the results of a session.")
@parts.of_session
@click.option(
    "--state",
    "states",
    metavar="STATE,...",
    type=Words(STATES),
    default=(),
    help=f"Only those in these states: {', '.join(STATES)}.",
)
@click.option("--named", is_flag=True, help="Only those with a name, which clients and workers give.")
@click.pass_obj
def list_(settings: Settings, session: str, states: tuple[str, ...], named: bool) -> None:
    """List results: first those that clients and workers made, then outputs of tasks that are complete."""
    from armonik_sdk.cli.actions import results
    from armonik_sdk.cli.cluster.connected import connected

    connected(settings, lambda cluster: results.show_all(cluster, session, states, named=named))


@result.command(short_help="Show one result.")
@parts.of_session
@click.argument("result", metavar="ID")
@click.pass_obj
def get(settings: Settings, session: str, result: str) -> None:
    """Show a result: its state, its size, and what makes it."""
    from armonik_sdk.cli.actions import results
    from armonik_sdk.cli.cluster.connected import connected

    connected(settings, lambda cluster: results.show(cluster, session, result))


@result.command(short_help="Upload files as results.")
@parts.of_session
@click.argument(
    "files", metavar="FILE...", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False)
)
@click.option("--name", help="Name of the result, for people.  [default: the file's]")
@click.option("--manual-deletion", is_flag=True, help="A purge of the session leaves it alone.")
@click.pass_obj
def put(settings: Settings, /, **given: Any) -> None:
    """Upload files as results, and write the id of each.

    What was interrupted is aborted: no half of a file is ever seen.
    """
    from armonik_sdk.cli.actions import transfer
    from armonik_sdk.cli.cluster.connected import connected

    if given["name"] is not None and len(given["files"]) > 1:
        raise click.UsageError("--name is about one file")
    upload = transfer.Upload(**given)
    connected(settings, lambda cluster: transfer.put(cluster, upload))


@result.command(short_help="Download a result into a file.")
@parts.of_session
@click.argument("result", metavar="ID")
@click.argument("file", metavar="[FILE]", required=False, type=click.Path(dir_okay=False, allow_dash=True))
@click.pass_obj
def download(settings: Settings, session: str, result: str, file: str | None) -> None:
    """Download a result that is complete. FILE is its id where it is left out; - is stdout.

    The file appears complete and checked, or not at all.
    """
    from armonik_sdk.cli.actions import transfer
    from armonik_sdk.cli.cluster.connected import connected

    connected(settings, lambda cluster: transfer.download(cluster, session, result, file))


@result.command(short_help="Remove the data of results.")
@parts.of_session
@_ids
@parts.yes
@click.pass_obj
def delete(settings: Settings, session: str, ids: tuple[str, ...], yes: bool) -> None:
    """Remove the data of results that are complete. It cannot be undone; tasks that wait for one end."""
    from armonik_sdk.cli.actions import results
    from armonik_sdk.cli.cluster.connected import connected

    connected(settings, lambda cluster: results.delete(cluster, session, ids, yes=yes))


@result.command(short_help="Say that results will never be uploaded.")
@parts.of_session
@_ids
@click.option(
    "--reason", metavar="TEXT", default="", help="Why; tasks that wait for it end with this reason."
)
@parts.yes
@click.pass_obj
def abort(settings: Settings, session: str, ids: tuple[str, ...], reason: str, yes: bool) -> None:
    """Say of results that have no data yet that they will never have. Tasks that wait for one end."""
    from armonik_sdk.cli.actions import results
    from armonik_sdk.cli.cluster.connected import connected

    connected(settings, lambda cluster: results.abort(cluster, session, ids, reason, yes=yes))
