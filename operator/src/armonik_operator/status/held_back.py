"""Maps errors that hold a Task back to its condition and the delay until it is reconciled again."""

from collections.abc import Callable
from typing import Final, NamedTuple

from armonik_operator.errors import ChildrenBlocked, ItemsUnread, Parked
from armonik_operator.planning.task import Refusal
from armonik_operator.status.outage import full_message, store_message
from armonik_operator.status.task import StatusInputs
from armonik_operator.util.text import shorten
from armonik_sdk.api.const import Reason
from armonik_sdk.dataplane.errors import (
    ChecksumMismatch,
    NotSendable,
    ObjectMissing,
    QueueFull,
    QueueUnavailable,
    StoreUnavailable,
)

SOON: Final = 0.01
"""Seconds until a Task is reconciled again of which more can be done at once."""


class HeldBack(NamedTuple):
    """What follows from the errors of one pass over a Task."""

    inputs: StatusInputs
    delay: float | None
    """Seconds until the next pass; None: planning/retries.py decides by the condition."""
    warning: str
    """For the log; empty where the condition says all."""


class _Row(NamedTuple):
    errors: tuple[type[Exception], ...]
    inputs: Callable[[Exception, str], StatusInputs | None]
    """Of the error and the address of the object store; None: the error changes no condition."""
    delay: float | None = None
    logged: bool = True


def _parked(error: Exception, _: str) -> StatusInputs:
    assert isinstance(error, Parked)
    return StatusInputs(refusal=Refusal(error.reason, error.message))


def _invalid(error: Exception, _: str) -> StatusInputs:
    message = shorten(f"{error}; delete the task and apply it again with other data")
    return StatusInputs(refusal=Refusal(Reason.DATA_INVALID, message))


def _no_store(error: Exception, address: str) -> StatusInputs:
    return StatusInputs(refusal=Refusal(Reason.STORE_UNAVAILABLE, shorten(store_message(address, error))))


def _no_queue(error: Exception, _: str) -> StatusInputs:
    message = f"NATS cannot be reached; work resumes when it is back: {error}"
    return StatusInputs(refusal=Refusal(Reason.QUEUE_UNAVAILABLE, message))


_TABLE: Final = (
    _Row((ChildrenBlocked,), lambda error, _: StatusInputs(blocked=str(error)), logged=False),
    _Row((ItemsUnread,), lambda *_: None, delay=SOON, logged=False),
    _Row((Parked,), _parked, logged=False),
    _Row((StoreUnavailable,), _no_store),
    _Row((QueueFull,), lambda error, _: StatusInputs(full=full_message(error))),  # before its base class
    _Row((QueueUnavailable,), _no_queue),
    _Row((NotSendable, ObjectMissing, ChecksumMismatch), _invalid),
)
ERRORS: Final = tuple(error for row in _TABLE for error in row.errors)
"""All errors of the table."""


def held_back(errors: BaseExceptionGroup[Exception], store: str) -> HeldBack:
    """What errors of the table lead to; of several, the later row decides the condition.

    Args:
        errors: the errors of one pass.
        store: address of the object store.
    """
    found: dict[int, Exception] = {}
    for error in _leaves(errors):
        found.setdefault(next(at for at, row in enumerate(_TABLE) if isinstance(error, row.errors)), error)
    inputs, delay, warning = StatusInputs(), None, ""
    for at, error in sorted(found.items(), key=lambda pair: pair[0]):
        row = _TABLE[at]
        inputs = row.inputs(error, store) or inputs
        delay = delay if row.delay is None else row.delay
        warning = str(error) if row.logged else warning
    return HeldBack(inputs, delay, warning)


def _leaves(group: BaseExceptionGroup[Exception]) -> list[Exception]:
    leaves: list[Exception] = []
    for error in group.exceptions:
        leaves += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return leaves
