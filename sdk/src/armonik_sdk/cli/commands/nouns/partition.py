"""`armonikctl partition`."""

from typing import Final

import click

from armonik_sdk.cli.commands import parts
from armonik_sdk.cli.frame.settings import Settings

partition: Final = parts.group(
    "partition",
    "Worker pods of one kind.",
    "A partition has worker pods of one kind: their image, how many there are at least and at most."
    " Their number follows the work that waits.",
)


@partition.command("list", short_help="List partitions.")
@parts.everywhere
@parts.labels
@parts.watch
@click.pass_obj
def list_(settings: Settings, everywhere: bool, labels: str, watch: bool) -> None:
    """List partitions: whether their pods are ready, how many compute, and how many elements wait."""
    from armonik_sdk.cli.actions import listing
    from armonik_sdk.cli.cluster.connected import connected
    from armonik_sdk.cli.views.columns import PARTITION

    wanted = listing.Listing(PARTITION, everywhere=everywhere, labels=labels, watch=watch)
    connected(settings, lambda cluster: listing.show(cluster, wanted))


@partition.command(short_help="Show one partition.")
@parts.name_of("partition")
@click.pass_obj
def get(settings: Settings, name: str) -> None:
    """Show one partition: its pods, its bounds, its image, and its conditions."""
    from armonik_sdk.cli.actions import showing
    from armonik_sdk.cli.cluster.connected import connected
    from armonik_sdk.cli.views.columns import PARTITION

    connected(settings, lambda cluster: showing.show(cluster, PARTITION, name))


@partition.command(short_help="List the pods of a partition.")
@parts.name_of("partition")
@click.pass_obj
def pods(settings: Settings, name: str) -> None:
    """List the pods of a partition, with -o wide also what keeps each from being ready."""
    from armonik_sdk.cli.actions import partitions
    from armonik_sdk.cli.cluster.connected import connected

    connected(settings, lambda cluster: partitions.pods(cluster, name))


@partition.command(short_help="Change how many pods there are at least and at most.")
@parts.name_of("partition")
@click.option(
    "--reserved", metavar="N", type=click.IntRange(0, 10_000), help="Pods that run even without work."
)
@click.option(
    "--max",
    "most",
    metavar="N",
    type=click.IntRange(0, 10_000),
    help="Most pods at a time; 0 stops the partition.",
)
@click.pass_obj
def scale(settings: Settings, name: str, reserved: int | None, most: int | None) -> None:
    """Change how many pods there are at least and at most. Pods that compute end their element first."""
    from armonik_sdk.cli.actions import partitions
    from armonik_sdk.cli.cluster.connected import connected

    if reserved is None and most is None:
        raise click.UsageError("name --reserved, --max or both")
    connected(settings, lambda cluster: partitions.scale(cluster, name, reserved, most))


@partition.command(short_help="Replace all pods of a partition by new ones.")
@parts.name_of("partition")
@click.pass_obj
def restart(settings: Settings, name: str) -> None:
    """Replace all pods by new ones, a few at a time. Each ends the element that it computes first."""
    from armonik_sdk.cli.actions import partitions
    from armonik_sdk.cli.cluster.connected import connected

    connected(settings, lambda cluster: partitions.restart(cluster, name))
