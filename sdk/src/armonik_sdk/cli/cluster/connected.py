"""Runs an action with a connection."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from armonik_sdk.cli.cluster.access import Cluster
from armonik_sdk.cli.frame import running
from armonik_sdk.cli.frame.global_options import output_of_environment
from armonik_sdk.cli.frame.settings import Settings

T = TypeVar("T")


def connected(settings: Settings, action: Callable[[Cluster], Awaitable[T]]) -> T:
    """Connect, do it, and close the connections however it ends.

    Raises:
        NotConnected: no cluster can be reached that knows the user.
        and what the action raises.
    """
    output_of_environment(settings)

    async def run() -> T:
        cluster = await Cluster.connect(settings)
        try:
            return await action(cluster)
        finally:
            await cluster.close()

    return running.run(settings, run)
