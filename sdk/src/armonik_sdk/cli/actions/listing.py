"""Lists of objects, sorted or as they come, and followed by their changes."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from armonik_sdk.apiserver import Kind
from armonik_sdk.cli.cluster.access import KINDS, Cluster
from armonik_sdk.cli.cluster.changes import changes
from armonik_sdk.cli.output.writers import Writer, list_writer
from armonik_sdk.cli.views.columns import Noun
from armonik_sdk.cli.views.reading import Object, left, name_of, text

_KEYS: Final[dict[str, Callable[[Object], Any]]] = {
    "age": lambda obj: text(obj, "metadata", "creationTimestamp"),
    "name": name_of,
    "left": lambda obj: -left(obj),
}
"""What to sort by."""


def _all(_: Object) -> bool:
    return True


@dataclass(frozen=True)
class Listing:
    """Which objects to show, and how."""

    noun: Noun
    everywhere: bool = False
    """In all namespaces."""
    labels: str = ""
    fields: str = ""
    keep: Callable[[Object], bool] = field(default=_all)
    """What selectors of the apiserver cannot say."""
    sort: str = ""
    """`age`, `name` or `left`; empty: as the apiserver has them. Sorting keeps all of them in memory."""
    watch: bool = False

    @property
    def kind(self) -> Kind:
        """As the apiserver knows it."""
        return KINDS[self.noun.word]


async def show(cluster: Cluster, listing: Listing) -> None:
    """Write the list; with `watch`, what changes as well, without end."""
    writer = list_writer(listing.noun, cluster.settings, namespaces=listing.everywhere, watch=listing.watch)
    if listing.watch:
        await _follow(cluster, listing, writer)
        return
    kept: list[Object] = []
    async for page in cluster.pages(
        listing.kind, everywhere=listing.everywhere, labels=listing.labels, fields=listing.fields
    ):
        found = [obj for obj in page.get("items", ()) if listing.keep(obj)]
        if listing.sort:
            kept += found
        else:
            _write(writer, found)
    if listing.sort:
        _write(writer, sorted(kept, key=_KEYS[listing.sort]))
    where = "the cluster" if listing.everywhere else f"namespace {cluster.namespace}"
    writer.end(nothing=f"No {listing.noun.plural} found in {where}.")
    sys.stdout.flush()


async def _follow(cluster: Cluster, listing: Listing, writer: Writer) -> None:
    async for _, objects in changes(
        cluster, listing.kind, everywhere=listing.everywhere, labels=listing.labels, fields=listing.fields
    ):
        _write(writer, [obj for obj in objects if listing.keep(obj)])


def _write(writer: Writer, objects: Sequence[Object]) -> None:
    """Write them, and let them be seen at once."""
    writer.page(objects)
    sys.stdout.flush()
