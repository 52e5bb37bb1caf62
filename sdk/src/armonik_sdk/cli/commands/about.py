"""`armonikctl completion` and `armonikctl version`."""

from typing import Final

import click

from armonik_sdk.cli.frame.click_classes import Command
from armonik_sdk.cli.frame.settings import Settings

COMPLETE: Final = "_ARMONIKCTL_COMPLETE"
"""Variable by which shells ask for completions."""


_SCRIPT: Final = """Write a script that completes commands, options and names of objects when Tab is pressed.

\b
bash: add to ~/.bashrc   eval "$(armonikctl completion bash)"
zsh:  add to ~/.zshrc    eval "$(armonikctl completion zsh)"
fish: armonikctl completion fish > ~/.config/fish/completions/armonikctl.fish
"""


@click.command(cls=Command, short_help="Write a script for completion in a shell.", help=_SCRIPT)
@click.argument("shell", metavar="bash|zsh|fish", type=click.Choice(("bash", "zsh", "fish")))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Write the script of this shell."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(ctx.find_root().command, {}, "armonikctl", COMPLETE).source())


@click.command(cls=Command, short_help="Show the versions of this program and of the operator.")
@click.option("--client", is_flag=True, help="Only of this program; no cluster is asked.")
@click.pass_obj
def version(settings: Settings, /, client: bool) -> None:
    """Show the version of this program, and that of the operator, which runs in the cluster.

    The operator's is empty where you may not read its Deployment.
    """
    from armonik_sdk.cli.actions import versions
    from armonik_sdk.cli.frame.global_options import output_of_environment

    if client:
        output_of_environment(settings)
        versions.write(settings, operator=None)
        return
    from armonik_sdk.cli.cluster.connected import connected

    connected(settings, versions.show)
