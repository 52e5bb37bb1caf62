"""Partitions: their pods, their size, new pods."""

from datetime import UTC, datetime
from typing import Final

from armonik_sdk.api.const import PARTITION_LABEL
from armonik_sdk.apiserver import PARTITIONS
from armonik_sdk.cli.actions import listing
from armonik_sdk.cli.cluster.access import Cluster
from armonik_sdk.cli.output.remarks import remark
from armonik_sdk.cli.views.columns import POD
from armonik_sdk.cli.views.reading import name_of, number

RESTARTED: Final = "kubectl.kubernetes.io/restartedAt"
"""Annotation of the template by which `kubectl rollout restart` makes a new one, too."""


async def pods(cluster: Cluster, name: str) -> None:
    """List the pods.

    Raises:
        NotFound: there is no such partition.
    """
    name = name_of(await cluster.get(PARTITIONS, name))
    await listing.show(cluster, listing.Listing(POD, labels=f"{PARTITION_LABEL}={name}"))


async def scale(cluster: Cluster, name: str, reserved: int | None, most: int | None) -> None:
    """Change the bounds of the number of pods.

    Raises:
        NotFound: there is no such partition.
        Refused: the floor would be above the maximum.
    """
    spec = {key: value for key, value in (("podReserved", reserved), ("podMax", most)) if value is not None}
    changed = await cluster.patch(PARTITIONS, await cluster.name(PARTITIONS, name), {"spec": spec})
    floor, top = number(changed, "spec", "podReserved"), number(changed, "spec", "podMax")
    remark(cluster.settings, f"partition {name_of(changed)}: at least {floor} pods, at most {top}")


async def restart(cluster: Cluster, name: str) -> None:
    """Change the template, so that pods of it take the place of those there are.

    Raises:
        NotFound: there is no such partition.
    """
    name = await cluster.name(PARTITIONS, name)
    annotations = {RESTARTED: datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
    await cluster.patch(PARTITIONS, name, {"spec": {"template": {"metadata": {"annotations": annotations}}}})
    remark(cluster.settings, f"partition {name}: its pods are being replaced")
