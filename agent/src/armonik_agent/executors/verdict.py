"""Judges an execution by the worker's answer alone; pure.

An error that the worker returns is final. A call that fails is tried again, whatever its code says, but for
one that ran into the element's own limit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import grpc

from armonik_sdk.api.const import FailureReason
from armonik_sdk.api.records import OutcomeKind

TOLERANCE = 0.05
"""Part of the limit that may be missing when the deadline is reported, for timers are not exact."""

_AT_DEADLINE = (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)
"""How a call ends at its deadline: servers such as tonic's say CANCELLED where others say nothing."""


class Disposition(Enum):
    """What follows from an execution."""

    COMPLETED = "its outputs are committed"
    FINAL = "it ends without outputs"
    FAILED = "it is tried again, if it may be"
    INTERRUPTED = "it was broken off on purpose, and nobody is charged"


@dataclass(frozen=True)
class ExecutionResult:
    """How an execution ended."""

    ending: Disposition
    text: str = ""
    kind: OutcomeKind = OutcomeKind.ERROR
    """Of FINAL."""
    reason: FailureReason = FailureReason.WORKER_ERROR
    """Of FINAL."""
    worker_busy: bool = False
    """The worker may still be working on it: nobody stopped it, or it does not notice that."""
    detail: bytes = b""
    """Of FINAL and FAILED: what the worker says beside the text."""


def of_reply(reply: Any, missing: Sequence[str]) -> ExecutionResult:
    """Judge a reply; `missing` names expected results that were neither written nor handed over."""
    output = reply.output
    if output.HasField("error"):
        return ExecutionResult(Disposition.FINAL, output.error.details or "the worker gave no details")
    if not output.HasField("ok"):
        return ExecutionResult(Disposition.FAILED, "the worker's reply is neither a success nor an error")
    if missing:
        text = f"never written: {', '.join(missing)}"
        return ExecutionResult(Disposition.FINAL, text, reason=FailureReason.OUTPUT_MISSING)
    return ExecutionResult(Disposition.COMPLETED)


def of_failure(code: grpc.StatusCode, details: str | None, seconds: float, limit: float) -> ExecutionResult:
    """Judge a call that failed after `seconds`, where the element may take `limit`.

    A worker may return these codes of its own, from a call it made itself: only the clock decides.
    """
    if code in _AT_DEADLINE and seconds >= limit * (1 - TOLERANCE):
        return ExecutionResult(
            Disposition.FINAL,
            f"longer than {limit:g} s",
            OutcomeKind.TIMEOUT,
            FailureReason.MAX_DURATION_EXCEEDED,
            worker_busy=True,
        )
    return ExecutionResult(Disposition.FAILED, f"{code.name}: {details or 'no details'}")
