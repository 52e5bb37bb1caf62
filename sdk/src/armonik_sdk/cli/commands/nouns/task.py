"""`armonikctl task`."""

from typing import Any, Final

import click

from armonik_sdk.cli.commands import parts
from armonik_sdk.cli.commands.completing import names
from armonik_sdk.cli.frame.kinds_of_values import INDEXES, NEEDED
from armonik_sdk.cli.frame.settings import Settings

PHASES: Final = (
    "Creating", "Pending", "Submitted", "Dispatched", "Processing", "Completed", "Error", "Timeout",
    "Cancelled", "Paused", "Cancelling",
)  # fmt: skip

task: Final = parts.group(
    "task",
    "Work of one or many elements.",
    "A task is work of one element, or of many that are counted from 0. Each element has an input, its"
    " payload, and is computed once, by a worker of the task's partition; what it returns is kept.",
)
_indexes = click.option(
    "--index", "indexes", metavar="RANGES", type=INDEXES, help="Only these elements: 3,7-9."
)


@task.command("list", short_help="List tasks.")
@click.option(
    "-s",
    "--session",
    metavar="NAME",
    default="",
    shell_complete=names("session"),
    help="Only those of this session.",
)
@parts.everywhere
@parts.phases(PHASES)
@click.option("--waiting", is_flag=True, help="Only those that something keeps from being computed.")
@click.option("--failed", is_flag=True, help="Only those with elements that failed or took too long.")
@click.option(
    "--partition",
    metavar="NAME",
    default="",
    shell_complete=names("partition"),
    help="Only those that run in this partition.",
)
@parts.labels
@parts.watch
@click.pass_obj
def list_(settings: Settings, /, **given: Any) -> None:
    """List tasks: their status, how many of their elements succeeded and failed, and where they run."""
    from armonik_sdk.cli.actions import listing
    from armonik_sdk.cli.cluster.connected import connected
    from armonik_sdk.cli.views import choosing
    from armonik_sdk.cli.views.columns import TASK

    phases = given["phases"]
    wanted = listing.Listing(
        TASK,
        everywhere=given["everywhere"],
        labels=given["labels"],
        fields=choosing.fields(phases, session=given["session"], partition=given["partition"]),
        keep=choosing.tasks(phases, waiting=given["waiting"], failed=given["failed"]),
        watch=given["watch"],
    )
    connected(settings, lambda cluster: listing.show(cluster, wanted))


@task.command(short_help="Show one task.")
@parts.name_of("task")
@click.pass_obj
def get(settings: Settings, name: str) -> None:
    """Show one task: what it needs, what became of its elements, its first failures and its conditions."""
    from armonik_sdk.cli.actions import showing
    from armonik_sdk.cli.cluster.connected import connected
    from armonik_sdk.cli.views.columns import TASK

    connected(settings, lambda cluster: showing.show(cluster, TASK, name))


@task.command(short_help="Submit a task.")
@parts.of_session
@click.argument("name", metavar="[NAME]", required=False)
@click.option("--payload", metavar="TEXT", help="Input of every element that has none of its own.")
@click.option(
    "--payload-file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help="The same, the content of a file.",
)
@click.option("--count", metavar="N", type=click.IntRange(1, 10_000_000), help="That many equal elements.")
@click.option(
    "--items-file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help="One element for each line: a JSON text is its payload, a JSON object as in `spec.items`.",
)
@click.option(
    "--depends-on",
    "needed",
    metavar="TASK[.OUTPUT][:INDEX]",
    type=NEEDED,
    multiple=True,
    shell_complete=names("task"),
    help="What must be complete first, and is given to the worker: a task, one of its outputs, one of its"
    " elements; may be repeated.",
)
@click.option(
    "--output-name",
    "outputs",
    metavar="NAME",
    multiple=True,
    help="A result of each element; may be repeated.  [default: result]",
)
@click.option(
    "--partition",
    metavar="NAME",
    shell_complete=names("partition"),
    help="Where it runs; one of the session's.",
)
@parts.priority
@parts.max_retries
@parts.timeout
@parts.option
@click.option(
    "--wait", is_flag=True, help="Wait until all elements have ended; exit code 1 if one did not succeed."
)
@click.option("--follow", is_flag=True, help="The same, and show what its workers print meanwhile.")
@click.option("--dry-run", is_flag=True, help="Write the manifest, and submit nothing.")
@click.pass_obj
def submit(settings: Settings, /, **given: Any) -> None:
    """Submit a task to a session, and write its name.

    NAME is made up where it is left out. One element is made, or as many as --count or --items-file say.
    """
    from armonik_sdk.cli.actions.tasks import submitting
    from armonik_sdk.cli.cluster.connected import connected

    if given["payload"] is not None and given["payload_file"] is not None:
        raise click.UsageError("--payload and --payload-file exclude each other")
    if given["count"] is not None and given["items_file"] is not None:
        raise click.UsageError("--count and --items-file exclude each other")
    connected(settings, lambda cluster: submitting.submit(cluster, submitting.Wanted.of(given)))


@task.command(short_help="Wait for the end of tasks.")
@parts.names_of("task")
@click.option(
    "--for",
    "until",
    type=click.Choice(("finished", "succeeded")),
    default="finished",
    show_default=True,
    help="finished: all elements have ended. succeeded: the first failure ends the wait.",
)
@parts.wait_timeout
@click.option("--allow-failed", is_flag=True, help="Exit code 0 also if elements did not succeed.")
@click.pass_obj
def wait(
    settings: Settings, names: tuple[str, ...], until: str, wait_timeout: float | None, allow_failed: bool
) -> None:
    """Wait until tasks have ended. Exit code 1 if an element did not succeed, 124 if the time is over."""
    from armonik_sdk.cli.actions.tasks import ending
    from armonik_sdk.cli.cluster.connected import connected

    wanted = ending.Wait(names, until == "succeeded", wait_timeout, allow_failed)
    connected(settings, lambda cluster: ending.wait(cluster, wanted))


@task.command(short_help="Write the results of a task.")
@parts.name_of("task")
@_indexes
@click.option(
    "--output-name",
    metavar="NAME",
    default="result",
    show_default=True,
    help="Which result of each element.",
)
@click.option(
    "--to",
    "folder",
    metavar="FOLDER",
    type=click.Path(file_okay=False),
    help="Write a file for each element into this folder.",
)
@click.option(
    "--format",
    "encoding",
    type=click.Choice(("text", "raw", "base64")),
    default="text",
    show_default=True,
    help="text: a line for each element, with its index if there are several. raw: the bytes as they are.",
)
@click.pass_obj
def results(settings: Settings, /, **given: Any) -> None:
    """Write the results that are there, without waiting for the others.

    Exit code 1 if an element has ended without its result.
    """
    from armonik_sdk.cli.actions.tasks import results
    from armonik_sdk.cli.cluster.connected import connected

    wanted = results.Wanted(**given)
    connected(settings, lambda cluster: results.write(cluster, wanted))


@task.command(short_help="Show which elements failed, and why.")
@parts.name_of("task")
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(1, 1_000_000),
    default=100,
    show_default=True,
    help="Most failed elements to look at.",
)
@click.option(
    "--traceback",
    is_flag=True,
    help="Also where in a Python function it happened, or else what the element printed last.",
)
@click.pass_obj
def failures(settings: Settings, name: str, limit: int, traceback: bool) -> None:
    """Show which elements failed and why, those with the same reason together.

    For programs (-o json, yaml, jsonl) each element by itself.
    """
    from armonik_sdk.cli.actions.tasks import failures
    from armonik_sdk.cli.cluster.connected import connected

    connected(settings, lambda cluster: failures.show(cluster, name, limit, traceback=traceback))


@task.command(short_help="End tasks, or some elements of one.")
@parts.names_of("task")
@_indexes
@parts.yes
@click.pass_obj
def cancel(settings: Settings, names: tuple[str, ...], indexes: Any, yes: bool) -> None:
    """End what has not ended, also what runs. It cannot be undone."""
    from armonik_sdk.cli.actions.tasks import ending
    from armonik_sdk.cli.cluster.connected import connected

    if indexes is not None and len(names) > 1:
        raise click.UsageError("--index is about the elements of one task")
    connected(settings, lambda cluster: ending.cancel(cluster, names, indexes, yes=yes))


@task.command(short_help="Submit elements that did not succeed once more.")
@parts.name_of("task")
@click.option("--failed", is_flag=True, help="Those that ended with an error.")
@click.option("--timed-out", is_flag=True, help="Those that took too long.")
@click.option("--cancelled", is_flag=True, help="Those that were cancelled.")
@_indexes
@click.option("--name", "new", metavar="NEW", help="Name of the new task; made up where it is left out.")
@click.pass_obj
def retry(settings: Settings, /, name: str, new: str | None, **chosen: Any) -> None:
    """Submit elements of a task once more, as a new task of the same session, and write its name.

    Without options those that failed or took too long. Its elements are counted from 0 again.
    """
    from armonik_sdk.cli.actions.tasks import again
    from armonik_sdk.cli.cluster.connected import connected

    connected(settings, lambda cluster: again.retry(cluster, name, again.Chosen(**chosen), new))


@task.command(short_help="Show a task with the tasks that its workers submitted.")
@parts.name_of("task")
@click.option(
    "--depth",
    metavar="N",
    type=click.IntRange(1, 100),
    default=10,
    show_default=True,
    help="How many generations.",
)
@click.pass_obj
def tree(settings: Settings, name: str, depth: int) -> None:
    """Show a task with the tasks that its workers submitted while they computed, and those of these."""
    from armonik_sdk.cli.actions.tasks import family
    from armonik_sdk.cli.cluster.connected import connected

    connected(settings, lambda cluster: family.show(cluster, name, depth))


@task.command(short_help="Write when a task was computed, for Perfetto.")
@parts.name_of("task")
@click.option(
    "--to",
    "file",
    metavar="FILE.json",
    type=click.Path(dir_okay=False),
    help="Write it into this file.  [default: to stdout]",
)
@click.pass_obj
def timeline(settings: Settings, name: str, file: str | None) -> None:
    """Write when a task and its runs were computed, in the Chrome trace format, which Perfetto opens.

    A task of one element shows its steps: admitted, in the queue, with an agent, computed. A task of many
    is computed in runs of elements. Kept is when the last element of a run ended, and how long each element
    took the last time: so the end of a run is right, and its begin is an estimate, as if its elements were
    computed one after the other. Elements are shown one by one in tasks of at most 10000; what was not
    executed is not shown.
    """
    from armonik_sdk.cli.actions.tasks import timeline
    from armonik_sdk.cli.cluster.connected import connected

    connected(settings, lambda cluster: timeline.write(cluster, name, file))
