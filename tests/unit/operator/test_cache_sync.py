"""The operator begins once the watches have delivered what exists, whatever users make meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest

from armonik_operator.clients.kube import SESSIONS, TASKS, Kind, Kube
from armonik_operator.errors import KubeUnavailable, NotFound, WatchEnded
from armonik_operator.sources import cache_sync
from armonik_operator.sources.cache_sync import FEW, CacheSync

Object = dict[str, Any]
WAIT = 20.0


def task(number: int, version: int = 1, **status: Any) -> Object:
    meta = {"uid": f"u{number}", "name": f"t{number}", "namespace": "n", "resourceVersion": str(version)}
    return {"metadata": meta} | ({"status": status} if status else {})


class FakeKube:
    """Tasks, and how often they were asked for."""

    def __init__(self, *tasks: Object) -> None:
        self.tasks = {one["metadata"]["name"]: one for one in tasks}
        self.lists = 0
        self.gets = 0
        self.listed: Callable[[], None] = lambda: None

    async def metadata(self, kind: Kind, space: str | None, **_: Any) -> AsyncIterator[Object]:
        self.lists += kind is TASKS
        for one in list(self.tasks.values()) if kind is TASKS else []:
            yield one["metadata"]
        if kind is TASKS:
            self.listed()

    async def get(self, kind: Kind, name: str, namespace: str | None = None) -> Object:
        self.gets += 1
        if name not in self.tasks:
            raise NotFound(404, {}, name)
        return self.tasks[name]


class Watch:
    """What waits, with an apiserver behind it."""

    def __init__(self, kube: FakeKube) -> None:
        self.kube = kube
        self.sync = CacheSync(self.deliver)

    def deliver(self, plural: str, type_: str | None, obj: Object) -> None:
        self.sync.note(plural, obj, deleted=type_ == "DELETED")

    async def wait(self) -> None:
        async with asyncio.timeout(WAIT):
            await self.sync.wait_for_sync(cast("Kube", self.kube), [None])


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_sync, "_MIN_DELAY", 0.01)


async def test_a_user_who_makes_objects_all_the_time_does_not_keep_the_operator_from_its_work() -> None:
    kube = FakeKube(task(0))
    watch = Watch(kube)
    made = 0

    def one_more() -> None:
        nonlocal made
        made += 1
        assert made < 100, "the metadata is listed again and again"
        kube.tasks[f"t{made}"] = task(made)

    kube.listed = one_more
    one_more()
    waiting = asyncio.create_task(watch.wait())
    await asyncio.sleep(0)
    for known in range(2):
        watch.deliver(TASKS.plural, None, task(known))
    await waiting
    assert made == 2


async def test_all_objects_are_listed_once_however_long_the_watches_take(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        cache_sync, "_MIN_DELAY", WAIT
    )  # of a loaded machine 10 ms pass between two deliveries
    tasks = [task(number) for number in range(5 * FEW)]
    watch = Watch(FakeKube(*tasks))
    waiting = asyncio.create_task(watch.wait())
    for one in tasks:
        await asyncio.sleep(0)
        watch.deliver(TASKS.plural, None, one)
    await waiting
    assert (watch.kube.lists, watch.kube.gets) == (1, 0)


async def test_statuses_are_those_that_the_apiserver_had_when_the_wait_began() -> None:
    """A watch that is behind shows an old one."""
    watch = Watch(FakeKube(task(1, 7, journalSequence=70), task(2, 8, journalSequence=80)))
    watch.deliver(TASKS.plural, None, task(1, 5, journalSequence=50))
    watch.deliver(TASKS.plural, None, task(2, 8, journalSequence=80))
    watch.deliver(TASKS.plural, None, task(3, 9, journalSequence=90))
    watch.deliver(TASKS.plural, "DELETED", task(3, 9))
    watch.deliver(SESSIONS.plural, None, task(4, 9, journalSequence=1))
    await watch.wait()
    found = watch.sync.statuses()
    assert found is not None
    assert {uid: known.journal_sequence for uid, known in found.items()} == {"u1": 70, "u2": 80}
    assert watch.sync.statuses() is None, "from then on they are listed"


@pytest.mark.parametrize("number", [1, 3 * FEW])
async def test_what_was_deleted_before_the_watch_began_is_not_waited_for(number: int) -> None:
    kube = FakeKube(*(task(one) for one in range(number)))
    kube.listed = kube.tasks.clear
    watch = Watch(kube)
    await watch.wait()
    assert kube.lists + kube.gets <= 3


async def test_a_deleted_object_is_not_kept() -> None:
    """An operator that waits for its Lease sees many come and go."""
    watch = Watch(FakeKube())
    for number in range(10):
        watch.deliver(TASKS.plural, "ADDED", task(number, 1, journalSequence=1))
        watch.deliver(TASKS.plural, "DELETED", task(number, 1))
    assert not watch.sync._delivered
    assert not watch.sync._statuses


async def test_watches_that_never_begin_end_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_sync, "STALLED_SECONDS", 0.05)
    watch = Watch(FakeKube(*(task(number) for number in range(3 * FEW))))
    with pytest.raises(WatchEnded, match=f"{3 * FEW} objects"):
        await watch.wait()


async def test_a_slow_watch_and_an_apiserver_that_is_away_end_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cache_sync, "STALLED_SECONDS", 0.5)
    kube = FakeKube(*(task(number) for number in range(3 * FEW)))
    watch = Watch(kube)

    def away() -> None:
        raise KubeUnavailable("no answer")

    waiting = asyncio.create_task(watch.wait())
    async with asyncio.timeout(WAIT):
        while not kube.lists:  # noqa: ASYNC110 - the fake has no event
            await asyncio.sleep(0)
    kube.listed = away
    await asyncio.sleep(1.0)  # not waited for: that nothing happens
    assert not waiting.done()
    for number in range(3 * FEW):
        watch.deliver(TASKS.plural, None, task(number))
    await waiting
