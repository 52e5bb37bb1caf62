"""What an execution came to: each code of a failed call, and each kind of reply."""

import grpc
import pytest
from armonik.protogen.common.objects_pb2 import Empty, Output
from armonik.protogen.common.worker_common_pb2 import ProcessReply

from armonik_agent.executors.verdict import Disposition, of_failure, of_reply
from armonik_sdk.api.const import FailureReason
from armonik_sdk.api.records import OutcomeKind


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
def test_a_call_that_fails_before_the_limit_is_tried_again(code: grpc.StatusCode) -> None:
    verdict = of_failure(code, "why", seconds=1, limit=10)
    assert (verdict.ending, verdict.text, verdict.worker_busy) == (
        Disposition.FAILED,
        f"{code.name}: why",
        False,
    )


@pytest.mark.parametrize("code", [grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED])
def test_only_the_clock_makes_a_time_out(code: grpc.StatusCode) -> None:
    """CANCELLED is what a tonic server says at the deadline ("Timeout expired")."""
    verdict = of_failure(code, "Timeout expired", seconds=10, limit=10)
    assert (verdict.ending, verdict.kind) == (Disposition.FINAL, OutcomeKind.TIMEOUT)
    assert (verdict.reason, verdict.worker_busy) == (FailureReason.MAX_DURATION_EXCEEDED, True)
    assert of_failure(code, None, seconds=9, limit=10).ending is Disposition.FAILED
    assert of_failure(grpc.StatusCode.UNAVAILABLE, None, seconds=10, limit=10).ending is Disposition.FAILED


def test_replies_are_distinguished() -> None:
    ok = ProcessReply(output=Output(ok=Empty()))
    refused = ProcessReply(output=Output(error=Output.Error(details="no")))
    assert of_reply(ok, []).ending is Disposition.COMPLETED
    missing = of_reply(ok, ["a", "b"])
    assert (missing.ending, missing.reason) == (Disposition.FINAL, FailureReason.OUTPUT_MISSING)
    assert missing.text == "never written: a, b"
    error = of_reply(refused, ["a"])
    assert (error.ending, error.reason, error.text) == (Disposition.FINAL, FailureReason.WORKER_ERROR, "no")
    assert of_reply(ProcessReply(), []).ending is Disposition.FAILED
