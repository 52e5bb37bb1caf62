"""Uploads files as results, and downloads results."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from armonik_sdk.cli.actions.results import as_object, complete, result_of, session_of
from armonik_sdk.cli.cluster.access import Cluster
from armonik_sdk.cli.output.progress import Progress
from armonik_sdk.cli.output.remarks import remark
from armonik_sdk.cli.output.writers import list_writer
from armonik_sdk.cli.views.results import RESULT
from armonik_sdk.client.errors import ClientError
from armonik_sdk.client.results.base import ResultInfo, pieces
from armonik_sdk.client.results.client_result import ClientResult


@dataclass(frozen=True)
class Upload:
    """Files to be uploaded."""

    session: str
    files: Sequence[str]
    name: str | None
    manual_deletion: bool


async def put(cluster: Cluster, wanted: Upload) -> None:
    """Upload each, and write its id.

    Raises:
        NotFound: there is no such session.
        Refused: a name is too long.
        Unavailable: the object store or NATS do not answer; those before it were uploaded.
    """
    session = await session_of(cluster, wanted.session)
    writer = list_writer(RESULT, cluster.settings, namespaces=False)
    for file in wanted.files:
        path = Path(file)
        (made,) = await session.create_results(
            [wanted.name or path.name], manual_deletion=wanted.manual_deletion
        )
        with Progress(cluster.settings, "bytes") as progress:
            info = await _uploaded(made, path, progress)
        if cluster.settings.form in ("table", "wide"):
            sys.stdout.write(f"{made.id}\n")
            remark(cluster.settings, f"{path.name}: {info.size} bytes")
        else:
            writer.page([as_object(info, cluster.namespace)])
        sys.stdout.flush()
    if cluster.settings.form not in ("table", "wide"):
        writer.end()


async def _uploaded(made: ClientResult, path: Path, progress: Progress) -> ResultInfo:
    total = (await asyncio.to_thread(path.stat)).st_size
    try:
        return await made.upload(counted(path, progress, path.name, total))
    except BaseException:
        try:  # who waits for it shall not wait for what never comes
            await asyncio.shield(made.abort("its upload was broken off"))
        except ClientError as error:
            sys.stderr.write(f"result {made.id} stays without data: {error}\n")
        raise


async def counted(path: Path, progress: Progress, name: str, total: int) -> AsyncIterator[bytes]:
    """The pieces of a file; how many of its bytes are sent is shown under the name."""
    done = 0
    async for piece in pieces(path):
        yield piece
        done += len(piece)
        progress.at(name, done, total)


async def download(cluster: Cluster, session: str, result: str, file: str | None) -> None:
    """Download it: into a file, which appears complete or not at all, or to stdout.

    Raises:
        NotFound, Missing: there is no such result, or it is not complete.
        ResultAborted, ResultDeleted, ResultDamaged: it has no bytes, or others.
        OSError: the file cannot be written.
    """
    found = await result_of(cluster, await session_of(cluster, session), result)
    await complete(found)
    if file == "-":
        sys.stdout.flush()
        async for piece in found.chunks():
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        return
    total = (await found.wait()).length
    with Progress(cluster.settings, "bytes") as progress:
        size = await found.download(file or result, seen=lambda done: progress.at(result, done, total))
    remark(cluster.settings, f"{file or result}: {size} bytes")
