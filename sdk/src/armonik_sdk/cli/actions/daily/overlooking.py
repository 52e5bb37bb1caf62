"""Shows partitions, sessions and pods with their rates, once or again and again."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import aiohttp

from armonik_sdk.api.const import PARTITION_LABEL
from armonik_sdk.apiserver import PARTITIONS, PODS, SESSIONS, Kind
from armonik_sdk.cli.cluster.access import Cluster
from armonik_sdk.cli.forms.top import Top
from armonik_sdk.cli.output.remarks import write_form
from armonik_sdk.cli.output.table import Table
from armonik_sdk.cli.overview import gathering
from armonik_sdk.cli.overview.rates import Rates
from armonik_sdk.cli.overview.sections import Section, sections
from armonik_sdk.cli.views.reading import Object, text
from armonik_sdk.client.errors import ClientError


@dataclass
class Looks:
    """Looks at a namespace, one after the other."""

    cluster: Cluster
    wanted: Sequence[str]
    """Of partitions, sessions and pods."""
    last: Top | None = None
    _rates: Rates = field(default_factory=Rates)

    async def look(self) -> Top:
        """The present state.

        Raises:
            Refused, Unavailable: it cannot be read.
        """
        partitions = pods = sessions = None
        if "partitions" in self.wanted:
            partitions = [gathering.partition(found) for found in await self._first(PARTITIONS)]
        if "sessions" in self.wanted:
            first = gathering.FirstSessions()
            async for page in self.cluster.pages(SESSIONS):
                first.add(page.get("items", ()))
            found = first.all()
            rates = self._rates.seen(time.monotonic(), {_uid(one): gathering.ended(one) for one in found})
            sessions = [gathering.session(one, rates.get(_uid(one))) for one in found]
        if "pods" in self.wanted:
            pods = [gathering.pod(found) for found in await self._first(PODS, PARTITION_LABEL)]
        self.last = Top(
            namespace=self.cluster.namespace,
            time=datetime.now(UTC),
            partitions=partitions,
            sessions=sessions,
            pods=pods,
        )
        return self.last

    async def show(self) -> tuple[str, Sequence[Section]]:
        """The same for a screen; what was seen last, and why it is old, where the cluster does not answer."""
        try:
            top = await self.look()
        except (ClientError, aiohttp.ClientError, TimeoutError) as error:
            assert self.last is not None, "the screen begins after a first look"
            top, said = self.last, f"not refreshed since {self.last.time:%H:%M:%S} UTC: {error}"
        else:
            said = f"{top.time:%H:%M:%S} UTC"
        return f"namespace {top.namespace}  {said}", sections(top)

    async def _first(self, kind: Kind, labels: str = "") -> list[Object]:
        async for page in self.cluster.pages(kind, labels=labels):
            return list(page.get("items", ()))[: gathering.MOST]
        return []


async def once(cluster: Cluster, wanted: Sequence[str]) -> None:
    """Write it once.

    Raises:
        Refused, Unavailable: it cannot be read.
    """
    top = await Looks(cluster, wanted).look()
    if write_form(cluster.settings, top):
        return
    tables = []
    for section in sections(top):
        table = Table(section.titles, section.right, coloured=cluster.settings.coloured(sys.stdout))
        tables.append("\n".join(table.lines(section.rows)) + "\n")
    sys.stdout.write("\n".join(tables))


async def again(cluster: Cluster, wanted: Sequence[str], interval: float) -> None:
    """Show it on a screen until the user leaves it.

    Args:
        cluster: where.
        wanted: of partitions, sessions and pods, in this order.
        interval: seconds between looks.

    Raises:
        Refused, Unavailable: it cannot be read the first time.
        KeyboardInterrupt: Ctrl-C, or a signal; the terminal is as it was.
    """
    from armonik_sdk.cli.output.screen import Screen  # an extra, which nothing else needs

    looks = Looks(cluster, wanted)
    await looks.look()
    coloured = cluster.settings.coloured(sys.stdout)
    await Screen(looks.show, wanted, interval, coloured=coloured).show()


def _uid(found: Object) -> str:
    return text(found, "metadata", "uid")
