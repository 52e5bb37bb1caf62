"""From bytes to values and exceptions."""

import concurrent.futures
from typing import Any

from armonik_sdk.aio.errors import DependencyFailed, ResultMissing, TaskTimeout, WorkerLost
from armonik_sdk.api.const import FailureReason
from armonik_sdk.client.errors import ResultDamaged, ResultDeleted
from armonik_sdk.functions import (
    EnvelopeDamaged,
    RemoteError,
    VersionMismatch,
    decode_error,
    decode_value,
    is_envelope,
    read,
)
from armonik_sdk.grid.protocol import Failure


def decode(data: bytes) -> Any:
    """The value of a result; the bytes themselves when it is of a worker in another language.

    Raises:
        ResultDamaged: it is no envelope that can be read.
        RemoteError: the value cannot be rebuilt here; the message says why.
    """
    if not is_envelope(data):
        return data
    try:
        return decode_value(read(data))
    except EnvelopeDamaged as error:
        raise ResultDamaged(str(error)) from error
    except VersionMismatch:
        raise
    except ModuleNotFoundError as error:
        raise RemoteError(
            "ModuleNotFoundError", str(error), why=f"module {error.name} is not here"
        ) from error
    except Exception as error:
        # Whatever the objects in it raise when they are rebuilt.
        raise RemoteError(type(error).__name__, str(error), why="its value cannot be rebuilt here") from error


def exception_of(failure: Failure, envelope: bytes | None, what: str, printed: str = "") -> BaseException:
    """What `result()` raises for an element that ended without its output.

    Args:
        failure: why.
        envelope: of the exception, if the worker sent one.
        what: the call in words, for notes.
        printed: the last lines that it printed, for a note where there is no envelope, which has them.
    """
    error = _of_envelope(envelope) if envelope is not None else None
    if error is None:
        error = _of_reason(failure, what)
        if printed:
            error.add_note(f"it printed last:\n{printed}")
        return error
    where = what.partition(": ")[2]
    if not any(where in note for note in getattr(error, "__notes__", ())):
        error.add_note(f"{what}, execution {failure.attempts or 1}")
    return error


def _of_envelope(data: bytes) -> BaseException | None:
    try:
        return decode_error(read(data))
    except (EnvelopeDamaged, VersionMismatch):
        return None  # the reason says enough


def _of_reason(failure: Failure, what: str) -> BaseException:
    said = f"{what}: {failure.message or failure.reason}"
    match failure.reason:
        case FailureReason.CANCELLED:
            return concurrent.futures.CancelledError(said)
        case FailureReason.MAX_DURATION_EXCEEDED:
            return TaskTimeout(said)
        case FailureReason.DEPENDENCY_ABORTED:
            return DependencyFailed(said)
        case FailureReason.ATTEMPTS_EXHAUSTED | FailureReason.LEASE_LOST:
            return WorkerLost(f"{said} (after {failure.attempts} executions)" if failure.attempts else said)
        case FailureReason.WORKER_ERROR:
            kind, colon, text = failure.message.partition(": ")
            simple = colon and " " not in kind
            return RemoteError(kind if simple else "Error", text if simple else failure.message)
        case "Deleted":
            return ResultDeleted(said)
        case "Damaged":
            return ResultDamaged(said)
        case _:
            return ResultMissing(f"{said} ({failure.reason})")
