"""How full NATS is: who has what room, who respects it, who is notified."""

import logging
from types import SimpleNamespace
from typing import Any, cast

import pytest

from armonik_operator.clients.store_usage import PartBounds, StoreUsage, TotalUse, rooms
from armonik_sdk.api.names import CONTROL, JOURNAL, QUEUE, RESULTS
from armonik_sdk.dataplane.errors import QueueFull


def test_the_journal_has_what_is_no_others_share() -> None:
    found = rooms({QUEUE: 400, CONTROL: 10, JOURNAL: -1}, 1_000)
    assert found == {QUEUE: 400, CONTROL: 10, JOURNAL: 200}


def test_an_undivided_store_has_no_rooms() -> None:
    assert rooms({QUEUE: -1, JOURNAL: -1}, 0) == {}


def test_a_bound_that_a_stream_has_itself_counts() -> None:
    assert rooms({JOURNAL: 50}, 1_000)[JOURNAL] == 50


@pytest.mark.parametrize(
    ("name", "fill", "scarce"),
    [(CONTROL, 0.79, False), (CONTROL, 0.81, True), (JOURNAL, 0.69, False), (JOURNAL, 0.71, True)],
)
def test_a_reserve_is_kept(name: str, fill: float, *, scarce: bool) -> None:
    measured = StoreUsage()
    assert not measured.scarce(name)
    measured.note({name: fill})
    assert measured.scarce(name) is scarce


def test_who_is_nearly_full_is_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        StoreUsage().note({RESULTS: 0.85, QUEUE: 0.2})
    assert "RESULTS is 85 % full" in caplog.text
    assert "QUEUE" not in caplog.text


async def test_the_log_names_the_namespace_whose_account_is_nearly_full(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        await StoreUsage(namespace="team-a").measure_account(cast("Any", Account(9 << 20, 10 << 20)))
    assert "JOURNAL of namespace team-a is 90 % full" in caplog.text
    assert {vars(record)["namespace"] for record in caplog.records} == {"team-a"}


def test_new_work_waits_while_the_journal_has_less_than_its_reserve() -> None:
    measured = StoreUsage()
    measured.admit()
    measured.note({JOURNAL: 0.7})
    measured.admit()
    measured.note({JOURNAL: 0.75})
    with pytest.raises(QueueFull, match="75 % full; its last 30 %"):
        measured.admit()


class Account:
    """What NATS answers of an account."""

    def __init__(self, used: int, most: int) -> None:
        self._info = SimpleNamespace(storage=used, limits=SimpleNamespace(max_storage=most))

    def jetstream(self, **_: object) -> "Account":
        return self

    async def account_info(self) -> Any:
        return self._info

    async def stream_info(self, stream: str, **_: object) -> Any:
        """Each stream has its name's number of bytes, in MiB."""
        return SimpleNamespace(
            state=SimpleNamespace(bytes=len(stream) << 20), config=SimpleNamespace(max_bytes=-1)
        )


ACCOUNTS = [(1_900_000, 2_097_152, True), (9, 2_097_152, False), (9, -1, False)]


@pytest.mark.parametrize(("used", "most", "full"), ACCOUNTS)
async def test_an_account_with_a_limit_is_one_room(*, used: int, most: int, full: bool) -> None:
    measured = StoreUsage()
    await measured.measure_account(cast("Any", Account(used, most)))
    assert measured.scarce(JOURNAL) is measured.scarce(CONTROL) is full
    if full:
        with pytest.raises(QueueFull, match=r"this namespace may keep in NATS \(2 MiB\) is 90 % full"):
            measured.admit()
    else:
        measured.admit()


async def test_new_work_of_all_namespaces_waits_while_their_accounts_together_fill_the_disk() -> None:
    total = TotalUse(10 << 20)
    one, other = StoreUsage(total), StoreUsage(total)
    await one.measure_account(cast("Any", Account(4 << 20, 8 << 20)))
    one.admit()
    await other.measure_account(cast("Any", Account(4 << 20, 8 << 20)))
    assert other.scarce(JOURNAL)
    assert not other.scarce(CONTROL)
    with pytest.raises(QueueFull, match=r"NATS may keep of all namespaces \(10 MiB\) is 80 % full"):
        other.admit()
    one.admit()  # it has not measured since: its own end of the wait is seen at its own measurement
    await one.measure_account(cast("Any", Account(4 << 20, 8 << 20)))
    assert one.scarce(JOURNAL)
    del one
    await other.measure_account(cast("Any", Account(4 << 20, 8 << 20)))
    other.admit()  # the other namespace is gone


async def test_where_it_is_not_known_what_nats_may_keep_only_the_own_limit_counts() -> None:
    measured = StoreUsage(TotalUse())
    await measured.measure_account(cast("Any", Account(9 << 40, -1)))
    measured.admit()


PARTS = {"journal": "JOURNAL", "queue": "QUEUE", "results": "KV_RESULTS"}


@pytest.mark.parametrize("part", PARTS)
async def test_new_work_waits_when_a_part_has_its_bound_and_the_message_says_how_to_raise_it(
    part: str,
) -> None:
    most = len(PARTS[part]) << 20
    notes = {f"armonik.io/nats-{part}": str(most)}
    now = [PartBounds.of("team-a", notes, {})]
    measured = StoreUsage(bounds=lambda: now[0])
    await measured.measure_account(cast("Any", Account(1, -1)))
    assert measured.waits
    assert not measured.scarce(JOURNAL)
    words = (
        rf"the {part} of this namespace in NATS holds {most:,} of {most:,} bytes; .*armonik\.io/nats-{part}"
    )
    with pytest.raises(QueueFull, match=words):
        measured.admit()
    now[0] = PartBounds.of("team-a", {f"armonik.io/nats-{part}": str(most + 1)}, {})
    await measured.measure_account(cast("Any", Account(1, -1)))
    assert not measured.waits
    measured.admit()


async def test_a_bound_that_is_no_size_lets_no_work_in_and_is_named() -> None:
    bounds = PartBounds.of("team-a", {"armonik.io/nats-queue": "much"}, {"queue": "1MB"})
    measured = StoreUsage(bounds=lambda: bounds)
    await measured.measure_account(cast("Any", Account(1, -1)))
    with pytest.raises(QueueFull, match=r"nats-queue of namespace team-a: 'much' is no size; write it as"):
        measured.admit()
