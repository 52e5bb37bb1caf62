"""One object: described for people, whole for programs."""

from datetime import UTC, datetime

from armonik_sdk.cli.cluster.access import KINDS, Cluster
from armonik_sdk.cli.output.remarks import write_facts
from armonik_sdk.cli.output.writers import write_object
from armonik_sdk.cli.views.columns import Noun
from armonik_sdk.cli.views.describing import described


async def show(cluster: Cluster, noun: Noun, name: str) -> None:
    """Write it.

    Raises:
        NotFound: there is none.
    """
    found = await cluster.get(KINDS[noun.word], name)
    if cluster.settings.form in ("table", "wide"):
        write_facts(described(noun.word, found, datetime.now(UTC)))
    else:
        write_object(found, noun, cluster.settings)
