"""`armonikctl session`."""

from typing import Any, Final

import click

from armonik_sdk.cli.commands import parts
from armonik_sdk.cli.commands.completing import names
from armonik_sdk.cli.frame.kinds_of_values import WHOLE_SECONDS
from armonik_sdk.cli.frame.settings import Settings

PHASES: Final = ("Pending", "Running", "Paused", "Closed", "Cancelling", "Cancelled", "Purged", "Deleting")

session: Final = parts.group(
    "session",
    "Tasks that belong together.",
    "Sessions group tasks that belong together: they share defaults, and are ended and removed together.",
)


@session.command("list", short_help="List sessions.")
@parts.everywhere
@parts.phases(PHASES)
@parts.labels
@click.option(
    "--sort",
    type=click.Choice(("age", "name", "left")),
    help="By age, by name, or by elements that have not ended, most first.",
)
@parts.watch
@click.pass_obj
def list_(settings: Settings, /, phases: tuple[str, ...], sort: str | None, **chosen: Any) -> None:
    """List sessions: their status, how many elements succeeded and failed, and how many run."""
    from armonik_sdk.cli.actions import listing
    from armonik_sdk.cli.cluster.connected import connected
    from armonik_sdk.cli.views import choosing
    from armonik_sdk.cli.views.columns import SESSION

    wanted = listing.Listing(
        SESSION,
        fields=choosing.fields(phases=phases),
        keep=choosing.in_phases(phases, unset="Pending"),
        sort=sort or "",
        **chosen,
    )
    connected(settings, lambda cluster: listing.show(cluster, wanted))


@session.command(short_help="Show one session.")
@parts.name_of("session")
@click.pass_obj
def get(settings: Settings, /, name: str) -> None:
    """Show one session: its partitions, its defaults, what became of its elements, and its conditions."""
    from armonik_sdk.cli.actions import showing
    from armonik_sdk.cli.cluster.connected import connected
    from armonik_sdk.cli.views.columns import SESSION

    connected(settings, lambda cluster: showing.show(cluster, SESSION, name))


@session.command(short_help="Create a session.")
@parts.name_of("session", required=False)
@click.option(
    "-p",
    "--partition",
    "partitions",
    metavar="NAME",
    multiple=True,
    required=True,
    shell_complete=names("partition"),
    help="A partition that its tasks may use; may be repeated.",
)
@click.option(
    "--default-partition",
    metavar="NAME",
    help="Where tasks run that name none. Required with several partitions.",
)
@parts.priority
@parts.max_retries
@parts.timeout
@parts.option
@click.option(
    "--ttl",
    metavar="DURATION",
    type=WHOLE_SECONDS,
    help="Remove it with all its data this long after its end.  [default: keep it]",
)
@click.option("--if-not-exists", is_flag=True, help="It is all right if there is one of this name already.")
@click.pass_obj
def create(
    settings: Settings,
    /,
    name: str | None,
    partitions: tuple[str, ...],
    ttl: int | None,
    if_not_exists: bool,
    **defaults: Any,
) -> None:
    """Create a session, and write its name. The other options are defaults of its tasks.

    NAME is made up where it is left out.
    """
    from armonik_sdk.cli.actions import sessions
    from armonik_sdk.cli.cluster.connected import connected

    wanted = sessions.Wanted(name, partitions, ttl, if_not_exists, defaults)
    connected(settings, lambda cluster: sessions.create(cluster, wanted))


def _state(verb: str, short: str, text: str) -> None:
    """A command that takes sessions to another state."""

    @session.command(verb, short_help=short, help=text)
    @parts.names_of("session")
    @parts.wait
    @parts.wait_timeout
    @parts.yes
    @click.pass_obj
    def command(
        settings: Settings, /, names: tuple[str, ...], wait: bool, wait_timeout: float | None, yes: bool
    ) -> None:
        from armonik_sdk.cli.actions import sessions
        from armonik_sdk.cli.cluster.connected import connected

        change = sessions.Change(verb, names, wait or wait_timeout is not None, wait_timeout, yes)
        connected(settings, lambda cluster: sessions.change(cluster, change))


_state(
    "pause",
    "Begin no more elements.",
    "Let running elements end and begin no more of these sessions, until `resume`.",
)
_state("resume", "Continue after a pause.", "Continue sessions that were paused.")
_state(
    "close",
    "Take no more tasks.",
    "Take no more tasks: running elements end, those that wait are cancelled. It cannot be undone.",
)
_state(
    "cancel", "End all work.", "End all elements of these sessions, also those that run. It cannot be undone."
)
_state(
    "purge",
    "Remove the data of ended sessions.",
    "Remove payloads and results of sessions that have ended. Tasks and their statuses stay.",
)


@session.command(short_help="Delete sessions with all their data.")
@parts.names_of("session")
@click.option("--wait", is_flag=True, help="Return when they are gone.")
@parts.wait_timeout
@click.option("--ignore-not-found", is_flag=True, help="It is all right if one does not exist.")
@parts.yes
@click.pass_obj
def delete(settings: Settings, /, **given: Any) -> None:
    """Delete sessions with their tasks, results and data. It cannot be undone."""
    from armonik_sdk.cli.actions import sessions
    from armonik_sdk.cli.cluster.connected import connected

    deletion = sessions.Deletion(**given)
    connected(settings, lambda cluster: sessions.delete(cluster, deletion))


@session.command("stop-submission", short_help="Close a session for new tasks.")
@parts.name_of("session")
@click.option(
    "--clients/--no-clients", default=True, help="Tasks of clients, as of this program.  [default: clients]"
)
@click.option(
    "--workers/--no-workers",
    default=True,
    help="Tasks that workers submit while they compute.  [default: workers]",
)
@click.pass_obj
def stop_submission(settings: Settings, /, name: str, clients: bool, workers: bool) -> None:
    """Take no more new tasks; what was submitted runs to its end. It cannot be undone."""
    from armonik_sdk.cli.actions import sessions
    from armonik_sdk.cli.cluster.connected import connected

    who = [word for word, wanted in (("client", clients), ("worker", workers)) if wanted]
    if not who:
        raise click.UsageError("nothing to do with --no-clients and --no-workers")
    connected(settings, lambda cluster: sessions.stop_submission(cluster, name, who))
