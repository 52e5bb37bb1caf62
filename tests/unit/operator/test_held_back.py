"""What an error that holds a Task back makes of its condition, and when the Task is reconciled again."""

import pytest

from armonik_operator.errors import ChildrenBlocked, ItemsUnread, Parked
from armonik_operator.planning.task import POLL, seconds_until_deletion
from armonik_operator.status.held_back import ERRORS, SOON, held_back
from armonik_sdk.api.const import Reason
from armonik_sdk.dataplane.errors import NotSendable, QueueFull, QueueUnavailable, StoreUnavailable


def test_each_error_of_the_table_changes_a_condition_or_has_a_delay() -> None:
    for kind in ERRORS:
        error = Parked(Reason.DEPENDENCY_INVALID, "why") if kind is Parked else kind("why")
        found = held_back(ExceptionGroup("", [error]), "s3:1")
        shown = found.inputs
        assert (found.delay is not None) is (kind is ItemsUnread)
        texts = [shown.blocked, shown.full, shown.refusal.message if shown.refusal else ""]
        assert any("why" in text for text in texts) is (kind is not ItemsUnread)


def test_a_full_queue_is_no_outage_of_the_queue() -> None:
    assert held_back(ExceptionGroup("", [QueueFull("full")]), "").inputs.full.startswith("full")
    down = held_back(ExceptionGroup("", [QueueUnavailable("down")]), "").inputs
    assert down.refusal is not None
    assert (down.full, down.refusal.reason) == ("", Reason.QUEUE_UNAVAILABLE)


def test_of_several_errors_the_later_row_decides_and_the_delay_stays() -> None:
    inner = ExceptionGroup("", [NotSendable("wrong"), StoreUnavailable("away")])
    found = held_back(ExceptionGroup("", [inner, ItemsUnread("more"), ChildrenBlocked("quota")]), "")
    assert found.inputs.refusal is not None
    assert (found.inputs.refusal.reason, found.inputs.blocked) == (Reason.DATA_INVALID, "")
    assert (found.delay, found.warning) == (SOON, "wrong")


@pytest.mark.parametrize(
    ("ttl", "now", "orphaned", "needed", "wait"),
    [
        (None, 100.0, False, False, None),
        (None, 100.0, True, True, 0.0),
        (10, 105.0, False, True, 5.0),
        (10, 110.0, False, False, 0.0),
        (10, 111.0, False, True, POLL),
    ],
)
def test_a_task_is_deleted_after_its_time_unless_it_is_needed(
    ttl: int | None, now: float, orphaned: bool, needed: bool, wait: float | None
) -> None:
    assert seconds_until_deletion(ttl, 100.0, now, orphaned=orphaned, needed=needed) == wait
