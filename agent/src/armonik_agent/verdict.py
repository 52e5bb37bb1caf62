"""What an execution came to, from the worker's answer alone; pure.

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


class Ending(Enum):
    """What follows."""

    COMPLETED = "its outputs are committed"
    FINAL = "it ends without outputs"
    FAILED = "it is tried again, if it may be"


@dataclass(frozen=True)
class Verdict:
    """How an execution ended."""

    ending: Ending
    text: str = ""
    kind: OutcomeKind = OutcomeKind.ERROR
    """Of FINAL."""
    reason: FailureReason = FailureReason.WORKER_ERROR
    """Of FINAL."""
    worker_busy: bool = False
    """The worker may still be working on it: nobody told it to stop, or it does not hear that."""


def of_reply(reply: Any, missing: Sequence[str]) -> Verdict:
    """Judge a reply; `missing` names expected results that were neither written nor handed over."""
    output = reply.output
    if output.HasField("error"):
        return Verdict(Ending.FINAL, output.error.details or "the worker gave no details")
    if not output.HasField("ok"):
        return Verdict(Ending.FAILED, "the worker's reply is neither a success nor an error")
    if missing:
        text = f"never written: {', '.join(missing)}"
        return Verdict(Ending.FINAL, text, reason=FailureReason.OUTPUT_MISSING)
    return Verdict(Ending.COMPLETED)


def of_failure(code: grpc.StatusCode, details: str | None, seconds: float, limit: float) -> Verdict:
    """Judge a call that failed after so many seconds, where the element may take `limit`.

    A worker may return DEADLINE_EXCEEDED of its own, from a call it made itself: only the clock tells.
    """
    if code is grpc.StatusCode.DEADLINE_EXCEEDED and seconds >= limit * (1 - TOLERANCE):
        return Verdict(
            Ending.FINAL,
            f"longer than {limit:g} s",
            OutcomeKind.TIMEOUT,
            FailureReason.MAX_DURATION_EXCEEDED,
            worker_busy=True,
        )
    return Verdict(Ending.FAILED, f"{code.name}: {details or 'no details'}")
