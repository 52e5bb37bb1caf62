"""Completes names of objects: one list call, silent when it fails."""

import logging
from collections.abc import Callable
from typing import Final

import click
from click.shell_completion import CompletionItem

from armonik_sdk.cli.frame.global_options import settings_of

log = logging.getLogger(__name__)

SECONDS: Final = 1.0
"""Longest time of the list call: somebody waits at the keyboard."""
MOST: Final = 200
"""Names that are offered."""

KINDS_NAMED: Final = ("task", "session", "partition")
"""Before the slash of what may be of several kinds."""

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem[str]]]


def names(word: str) -> Completer:
    """Completes the name of an object of this kind."""

    def complete(ctx: click.Context, _: click.Parameter, begun: str) -> list[CompletionItem[str]]:
        import asyncio  # imported where it is used: no help needs it

        logging.getLogger("kubernetes").addHandler(logging.NullHandler())  # else it warns on stderr
        try:
            found = asyncio.run(_names(ctx, word))
        except Exception as error:  # noqa: BLE001 - completion must not disturb the line that is typed
            log.debug("no completion: %s", error)
            return []
        given = set(ctx.params.get("names") or ())
        return [CompletionItem(name) for name in found if name.startswith(begun) and name not in given]

    return complete


def subjects(ctx: click.Context, param: click.Parameter, begun: str) -> list[CompletionItem[str]]:
    """Completes `[KIND/]NAME`: names of tasks, or of the kind that is typed."""
    kind, slash, rest = begun.rpartition("/")
    if slash and kind in KINDS_NAMED:
        return [CompletionItem(f"{kind}/{one.value}") for one in names(kind)(ctx, param, rest)]
    kinds = [CompletionItem(f"{word}/") for word in KINDS_NAMED if word.startswith(begun)]
    return [*names("task")(ctx, param, begun), *kinds]


async def _names(ctx: click.Context, word: str) -> list[str]:
    import asyncio

    from armonik_sdk.cli.cluster.access import KINDS, Cluster
    from armonik_sdk.cli.views.reading import name_of

    cluster = await Cluster.connect(settings_of(ctx))
    try:
        async with asyncio.timeout(SECONDS):
            async for page in cluster.kube.pages(KINDS[word], cluster.namespace, size=MOST):
                return [name_of(found) for found in page.get("items", ())]
    finally:
        await cluster.close()
    return []
