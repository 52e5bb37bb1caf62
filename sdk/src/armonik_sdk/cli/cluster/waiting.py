"""Waits for objects, by one watch for all of them."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from armonik_sdk.apiserver import Kind
from armonik_sdk.cli.cluster.access import Cluster
from armonik_sdk.cli.errors import TimeOver
from armonik_sdk.cli.views.reading import Object, text
from armonik_sdk.client.errors import NotFound


async def until(
    cluster: Cluster,
    kind: Kind,
    names: Sequence[str],
    done: Callable[[Object], bool],
    timeout: float | None,
    what: str,
) -> list[Object]:
    """The objects, once `done` accepts each.

    Raises:
        NotFound: one does not exist, or was deleted meanwhile.
        TimeOver: the time, in seconds, is over before `what`.
    """
    try:
        async with asyncio.timeout(timeout):
            found = [await cluster.get(kind, name) for name in names]
            waits = (
                _one(cluster, kind, name, text(obj, "metadata", "uid"), done)
                for name, obj in zip(names, found, strict=True)
            )
            return await asyncio.gather(*waits)
    except TimeoutError as error:
        raise TimeOver(f"{timeout:g} s are over before {what}; what was asked for continues") from error


async def _one(cluster: Cluster, kind: Kind, name: str, uid: str, done: Callable[[Object], bool]) -> Object:
    return await cluster.kube.until(kind, cluster.namespace, name, uid, done)


async def gone(cluster: Cluster, kind: Kind, uids: Mapping[str, str], timeout: float | None) -> None:
    """Until these objects, by name and UID, are gone.

    Raises:
        TimeOver: the time, in seconds, is over.
    """

    async def one(name: str, uid: str) -> None:
        try:
            await _one(cluster, kind, name, uid, lambda _: False)
        except NotFound:
            return

    try:
        async with asyncio.timeout(timeout):
            await asyncio.gather(*(one(name, uid) for name, uid in uids.items()))
    except TimeoutError as error:
        raise TimeOver(
            f"{timeout:g} s are over before all were gone; they are still being deleted"
        ) from error
