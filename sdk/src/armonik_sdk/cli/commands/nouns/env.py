"""`armonikctl env`."""

import re
from pathlib import Path
from typing import Any

import click

from armonik_sdk.cli.commands import parts
from armonik_sdk.cli.frame.kinds_of_values import DURATION
from armonik_sdk.cli.frame.settings import Settings

env = parts.group(
    "env",
    "What functions import: packages and source files.",
    "An environment is an archive of Python packages and source files that functions import in the workers. A"
    " session of functions makes and uploads its own. One that is built and uploaded here is kept in the"
    " namespace's store for all sessions: those that need the same files use it, and upload nothing.",
)
_PYTHON = re.compile(r"3\.\d{1,2}", re.ASCII)
_file = click.Path(exists=True, dir_okay=False)
_older = click.option(
    "--older-than",
    "older",
    metavar="DURATION",
    type=DURATION,
    help="Only those that were uploaded longer ago: 12h, 30d.",
)


def _version(_: click.Context, __: click.Parameter, given: str | None) -> str | None:
    if given is not None and _PYTHON.fullmatch(given) is None:
        raise click.BadParameter(f"{given!r}: write a version of Python as 3.12")
    return given


@env.command(short_help="Build an environment, and upload it.")
@click.argument("packages", metavar="[PACKAGE]...", nargs=-1)
@click.option(
    "-r", "--requirements", metavar="FILE", type=_file, help="A file of requirements, one in a line."
)
@click.option("--lock", metavar="uv.lock", type=_file, help="The lock file of a project of uv.")
@click.option(
    "--code",
    metavar="PATH",
    type=click.Path(exists=True),
    multiple=True,
    help="A file or folder of source files that goes along; may be repeated.",
)
@click.option(
    "--python",
    metavar="VERSION",
    callback=_version,
    help="The workers' Python, such as 3.12.  [default: what the workers of the partition run]",
)
@parts.of_functions("The partition whose workers it is for.")
@click.option("--push", is_flag=True, help="Upload it, so that sessions of the namespace find it.")
@click.pass_obj
def build(settings: Settings, /, **given: Any) -> None:
    """Build the archive of packages, which uv installs here for the workers, and write its name.

    The name is the SHA-256 of the archive. With --python and without --push nothing is asked of the cluster,
    and the packages are for this machine's platform. A partition that never had a worker gets one, which says
    what it runs.
    """
    from armonik_sdk.cli.actions import environments
    from armonik_sdk.cli.cluster.connected import connected
    from armonik_sdk.cli.frame import running
    from armonik_sdk.cli.frame.global_options import output_of_environment

    requirements, lock = given.pop("requirements"), given.pop("lock")
    sources = [bool(given["packages"]), requirements is not None, lock is not None]
    if sum(sources) > 1:
        raise click.UsageError("packages are named here, or by -r, or by --lock")
    if not any(sources) and not given["code"]:
        raise click.UsageError("name packages, -r FILE, --lock uv.lock or --code PATH")
    if lock is not None and Path(lock).name != "uv.lock":
        raise click.UsageError(f"--lock: {lock} is no uv.lock; write -r for a file of requirements")
    wanted = environments.Wanted(file=requirements or lock, **given)
    if wanted.alone:
        output_of_environment(settings)
        running.prepare(settings)
        environments.build(settings, wanted)
    else:
        connected(settings, lambda cluster: environments.build_for(cluster, wanted))


@env.command("list", short_help="List the environments in the namespace's store.")
@_older
@click.pass_obj
def list_(settings: Settings, older: float | None) -> None:
    """List the environments that the namespace's store keeps for all sessions, the newest first.

    Those that sessions uploaded for themselves are part of their data, and not listed.
    """
    from armonik_sdk.cli.actions import environments
    from armonik_sdk.cli.cluster.connected import connected

    connected(settings, lambda cluster: environments.show_all(cluster, older))


@env.command(short_help="Remove environments that nothing needs.")
@_older
@parts.yes
@click.pass_obj
def prune(settings: Settings, older: float | None, yes: bool) -> None:
    """Remove environments from the namespace's store. One that a session needs that has not ended stays."""
    from armonik_sdk.cli.actions import environments
    from armonik_sdk.cli.cluster.connected import connected

    connected(settings, lambda cluster: environments.prune(cluster, older, yes=yes))
