"""Which conditions become Events, and that each does once."""

import asyncio
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from armonik_operator.clients.events import WAITING, EventRecorder
from armonik_operator.clients.kube import Kind, Kube
from armonik_operator.manifests.event import About, build_event, is_bad
from armonik_sdk.api.const import ConditionType, Reason
from armonik_sdk.api.kinds import Condition, condition

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TASK = About("Task", "n", "t", "u")


def make(type_: ConditionType, status: bool, reason: Reason, message: str = "m") -> Condition:
    return condition(type_, status, reason, message, generation=1, now=NOW)


PARKED = make(ConditionType.READY, False, Reason.SESSION_NOT_FOUND)
READY = make(ConditionType.READY, True, Reason.ACCEPTED)


@pytest.mark.parametrize(
    ("told", "bad"),
    [
        (PARKED, True),
        (READY, False),
        (make(ConditionType.READY, False, Reason.STARTING), False),
        (make(ConditionType.FINISHED, True, Reason.FAILED), True),
        (make(ConditionType.FINISHED, True, Reason.SUCCEEDED), False),
        (make(ConditionType.FINISHED, True, Reason.CANCELLED), False),
        (make(ConditionType.CHILDREN_BLOCKED, True, Reason.QUOTA_EXCEEDED), True),
        (make(ConditionType.SUSPENDED, True, Reason.PAUSED), False),
    ],
)
def test_what_somebody_should_look_at(told: Condition, bad: bool) -> None:
    assert is_bad(told) is bad


def test_the_event_names_object_reason_and_message() -> None:
    event = build_event(TASK, PARKED, NOW)
    assert (event["type"], event["reason"], event["message"]) == ("Warning", "SessionNotFound", "m")
    assert event["involvedObject"]["uid"] == "u"
    assert event["metadata"]["generateName"] == "t."


class Recorder:
    """An apiserver that takes everything."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.arrived = asyncio.Event()

    async def create(self, _: Kind, body: dict[str, Any], __: str) -> None:
        self.made.append(body["reason"])
        self.arrived.set()


async def told(*steps: tuple[list[Condition], list[Condition]]) -> list[str]:
    recorder = Recorder()
    announcer = EventRecorder(cast("Kube", recorder))
    for before, now in steps:
        announcer.record(TASK, before, now)
    work = asyncio.create_task(announcer.run())
    async with asyncio.timeout(30):
        await recorder.arrived.wait()
        while announcer.waiting:  # noqa: ASYNC110 - the announcer notifies nobody
            await asyncio.sleep(0.01)
    work.cancel()
    return recorder.made


async def test_a_condition_is_reported_once_while_it_lasts_and_again_when_it_returns() -> None:
    other = make(ConditionType.READY, False, Reason.PARTITION_NOT_FOUND)
    assert await told(([], [PARKED]), ([], [PARKED]), ([PARKED], [PARKED])) == ["SessionNotFound"]
    assert await told(([], [PARKED]), ([PARKED], [other])) == ["SessionNotFound", "PartitionNotFound"]
    assert await told(([], [PARKED]), ([PARKED], [READY]), ([READY], [PARKED])) == ["SessionNotFound"] * 2


async def test_what_existed_before_the_operator_started_is_not_reported_again() -> None:
    failed = make(ConditionType.FINISHED, True, Reason.FAILED)
    assert await told(([PARKED], [PARKED]), ([PARKED], [failed])) == ["Failed"]


def test_a_storm_of_events_is_bounded() -> None:
    announcer = EventRecorder(cast("Kube", Recorder()))
    for number in range(WAITING * 2):
        announcer.record(About("Task", "n", "t", str(number)), [], [PARKED])
    assert announcer.waiting == WAITING
