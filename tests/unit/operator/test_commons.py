"""A bound that several tenants share: the largest gives up first, and one that is gone has nothing."""

import gc
from datetime import UTC, datetime

from armonik_operator.journal.backlog import Backlog, Glance
from armonik_operator.util.bounded_cache import BoundedCache
from armonik_operator.util.commons import Commons, Pool
from armonik_sdk.api.names import RunId
from armonik_sdk.api.records import RecordKind

KIB = 1024
MOST = 10_000
TIME = datetime(2026, 1, 1, tzinfo=UTC)


def test_what_has_a_name_is_made_once() -> None:
    commons = Commons()
    assert commons.pool("a", 1) is commons.pool("a", 1)
    assert commons.pool("a", 1) is not commons.pool("b", 1)
    assert commons.once("rate", list) is commons.once("rate", list)


def test_the_largest_gives_up_first_and_a_small_one_keeps_all() -> None:
    pool = Pool(100 * KIB)
    small, large = BoundedCache[int, str](pool), BoundedCache[int, str](pool)
    for number in range(5):
        small.put(number, "small", KIB)
    for number in range(1_000):
        large.put(number, "large", KIB)
        assert small.size + large.size <= 100 * KIB
    assert len(small) == 5
    assert len(large) == 95
    assert large.get(999) == "large"


def test_the_last_value_stays_and_others_make_room_for_it() -> None:
    pool = Pool(10)
    one, other = BoundedCache[int, str](pool), BoundedCache[int, str](pool)
    for number in range(3):
        other.put(number, "x", 3)
    one.put(0, "larger than all", 50)
    assert one.get(0) is not None
    assert len(other) == 1
    one.pop(0)
    assert pool.reaches(3)
    assert not pool.reaches(4)


def test_one_that_is_gone_has_nothing() -> None:
    pool = Pool(100)
    gone, kept = BoundedCache[int, str](pool), BoundedCache[int, str](pool)
    gone.put(0, "x", 90)
    del gone
    gc.collect()
    for number in range(9):
        kept.put(number, "x", 10)
    assert len(kept) == 9


def test_backlogs_of_tenants_share_their_bound() -> None:
    pool = Pool(MOST)
    greedy, modest = Backlog(pool), Backlog(pool)
    put(modest, "modest", 5)
    put(greedy, "greedy", 500)
    assert greedy.size + modest.size <= MOST
    assert all(waiting.data is not None for waiting in modest.of("modest"))
    assert any(waiting.data is None for waiting in greedy.of("greedy"))
    assert len(list(greedy.of("greedy"))) == 500


def put(backlog: Backlog, task: str, count: int) -> None:
    """Records of a Task of a namespace of the same name."""
    for start in range(count):
        glance = Glance(kind=RecordKind.DONE, start=start, end=start + 1)
        backlog.add(RunId(task, "session", task, start), glance, bytes(100), start + 1, TIME)
