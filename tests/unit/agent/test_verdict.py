"""What an execution came to: each code of a failed call, and each kind of reply."""

import grpc
import pytest
from armonik.protogen.common.objects_pb2 import Empty, Output
from armonik.protogen.common.worker_common_pb2 import ProcessReply

from armonik_agent.verdict import Ending, of_failure, of_reply
from armonik_sdk.api.const import FailureReason
from armonik_sdk.api.records import OutcomeKind


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
def test_a_call_that_fails_before_the_limit_is_tried_again(code: grpc.StatusCode) -> None:
    verdict = of_failure(code, "why", seconds=1, limit=10)
    assert (verdict.ending, verdict.text, verdict.worker_busy) == (Ending.FAILED, f"{code.name}: why", False)


def test_only_the_clock_makes_a_time_out() -> None:
    verdict = of_failure(grpc.StatusCode.DEADLINE_EXCEEDED, None, seconds=10, limit=10)
    assert (verdict.ending, verdict.kind) == (Ending.FINAL, OutcomeKind.TIMEOUT)
    assert (verdict.reason, verdict.worker_busy) == (FailureReason.MAX_DURATION_EXCEEDED, True)
    assert of_failure(grpc.StatusCode.CANCELLED, None, seconds=10, limit=10).ending is Ending.FAILED


def test_replies_are_told_apart() -> None:
    ok = ProcessReply(output=Output(ok=Empty()))
    refused = ProcessReply(output=Output(error=Output.Error(details="no")))
    assert of_reply(ok, []).ending is Ending.COMPLETED
    missing = of_reply(ok, ["a", "b"])
    assert (missing.ending, missing.reason) == (Ending.FINAL, FailureReason.OUTPUT_MISSING)
    assert missing.text == "never written: a, b"
    error = of_reply(refused, ["a"])
    assert (error.ending, error.reason, error.text) == (Ending.FINAL, FailureReason.WORKER_ERROR, "no")
    assert of_reply(ProcessReply(), []).ending is Ending.FAILED
