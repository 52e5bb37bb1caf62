"""Payload and dependencies, laid into the folder that worker and agent share, before the worker is called."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

from armonik_agent.elements import Element
from armonik_agent.errors import InputUnavailable
from armonik_sdk.dataplane.errors import ChecksumMismatch, ObjectMissing
from armonik_sdk.dataplane.objects import ObjectStore

PARALLEL = 8
"""Downloads at once for one element."""


def plain_name(name: str) -> bool:
    """Whether an id is a file name of the data folder and nothing else."""
    return bool(name) and name not in (".", "..") and not set(name) & set("/\\\0") and len(name) <= 253


@contextlib.asynccontextmanager
async def data_folder(root: Path, token: str) -> AsyncIterator[Path]:
    """A new folder for one execution, removed afterwards."""
    folder = root / "data" / token
    folder.mkdir(parents=True)
    folder.chmod(0o777)  # the worker has a uid of its own; the volume is this pod's alone
    try:
        yield folder
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def fetch_inputs(store: ObjectStore, element: Element, folder: Path) -> None:
    """Download everything the element reads; an empty payload is an empty file.

    Raises:
        InputUnavailable: an input has no locator, is missing or altered.
        StoreUnavailable: the object store gives no usable answer.
    """
    bound = asyncio.Semaphore(PARALLEL)

    async def fetch(name: str) -> None:
        ref = element.inputs[name]
        if ref is None or not plain_name(name):
            raise InputUnavailable(f"input {name} has no data")
        async with bound:
            try:
                data = await store.get(ref)
            except (ObjectMissing, ChecksumMismatch) as error:
                raise InputUnavailable(f"input {name}: {error}") from error
        await asyncio.to_thread((folder / name).write_bytes, data)

    if element.empty_payload:
        (folder / element.payload_id).write_bytes(b"")
    results = await asyncio.gather(*(fetch(name) for name in element.inputs), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
