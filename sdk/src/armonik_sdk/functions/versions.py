"""Versions of what writes and reads envelopes, and who may read whose."""

import sys
from typing import Final, NamedTuple

import cloudpickle

from armonik_sdk.functions.errors import PythonMismatch, VersionMismatch

SDK: Final = "0.2.0"
"""Version of this distribution. An image may hold the package without its metadata."""
ENVELOPE: Final = 1
"""Version of the envelope's form."""


class Versions(NamedTuple):
    """Of one side."""

    py: str
    """Python, major and minor: `3.11`."""
    sdk: str
    cloudpickle: str


def here() -> Versions:
    """Those of this process."""
    return _HERE


_HERE: Final = Versions(
    f"{sys.version_info.major}.{sys.version_info.minor}", SDK, str(cloudpickle.__version__)
)


def check_readable(writer: Versions, bytecode: str | None, reader: Versions | None = None) -> None:
    """Whether the reader understands what the writer made; the check after receiving.

    Args:
        writer: versions in the envelope's header.
        bytecode: name of a function in it that is pickled by value; None when there is none.
        reader: this process when left out.

    Raises:
        PythonMismatch: it holds bytecode of another minor version of Python.
        VersionMismatch: another major version of cloudpickle.
    """
    mine = reader or _HERE
    if bytecode is not None and writer.py != mine.py:
        raise PythonMismatch(
            f"`{bytecode}` was sent as bytecode of Python {writer.py}, and this is Python {mine.py}. Put it "
            f"into a module (its source is sent then), or use Python {mine.py}"
        )
    if _major(writer.cloudpickle) != _major(mine.cloudpickle):
        raise VersionMismatch(
            f"it was pickled by cloudpickle {writer.cloudpickle}, and here is {mine.cloudpickle}: install "
            f"cloudpickle {_major(mine.cloudpickle)} on the other side"
        )


def check_sendable(
    bytecode: str | None, worker: Versions, partition: str, client: Versions | None = None
) -> None:
    """Whether the workers of a partition will understand it; the check before anything is stored.

    Args:
        bytecode: name of a function that goes by value; None when nothing does.
        worker: versions in `Partition.status.worker`.
        partition: its name, for the message.
        client: this process when left out.

    Raises:
        PythonMismatch: bytecode does not pass between their Python and ours.
        VersionMismatch: another major version of cloudpickle.
    """
    mine = client or _HERE
    if bytecode is not None and worker.py != mine.py:
        raise PythonMismatch(
            f"this Python is {mine.py}, the workers of partition {partition} run {worker.py}, and "
            f"`{bytecode}` is sent as bytecode, which does not pass between them. Put it into a module (its "
            f"source is sent then), use Python {worker.py} here, or name a partition whose workers run "
            f"{mine.py}: armonikctl partition list"
        )
    if _major(worker.cloudpickle) != _major(mine.cloudpickle):
        raise VersionMismatch(
            f"here is cloudpickle {mine.cloudpickle}, and the workers of partition {partition} have "
            f"{worker.cloudpickle}: install cloudpickle {_major(worker.cloudpickle)} here, or name another "
            "partition"
        )


def _major(version: str) -> str:
    return version.partition(".")[0]
