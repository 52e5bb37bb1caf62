"""The operator begins to watch once its kinds are served, and ends when a watch of them is gone."""

import asyncio
from collections.abc import Iterable
from typing import cast

import pytest

from armonik_operator.clients.kube import Kind, Kube
from armonik_operator.errors import KubeUnavailable, WatchEnded
from armonik_operator.sources import watches

ALL = ["watcher for sessions.v1alpha1.armonik.io@None", "watcher for partitions.v1alpha1.armonik.io@None"]
ALL += [
    "watcher for tasks.v1alpha1.armonik.io@None",
    "watcher for pods.v1@None",
    "Task-7",
    "worker for tasks",
]


class FakeKube:
    """Says in turn which kinds are not served."""

    def __init__(self, *answers: list[str] | Exception) -> None:
        self.answers = list(answers)

    async def unserved(self, kinds: Iterable[Kind]) -> list[str]:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_the_kinds_are_waited_for_and_why_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watches, "_PROBE_SECONDS", 0.0)
    said: list[str] = []
    kube = FakeKube(KubeUnavailable("no answer"), ["tasks.armonik.io"], [])
    await watches.until_served(cast("Kube", kube), said.append)
    assert "no answer" in said[0]
    assert "tasks.armonik.io are not served yet" in said[1]
    assert "kubectl apply -f crds/" in said[1]
    assert said[2:] == [""]


@pytest.mark.parametrize("gone", ["sessions", "partitions", "tasks", "pods"])
def test_a_kind_without_a_watch_is_found(gone: str) -> None:
    assert watches.unwatched(ALL) == []
    assert watches.unwatched(name for name in ALL if not name.startswith(f"watcher for {gone}")) == [gone]


async def test_a_watch_that_stays_away_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watches, "_CHECK_SECONDS", 0.0)
    monkeypatch.setattr(watches, "ENDED_SECONDS", 0.05)
    looks = 0

    def names() -> list[str]:
        nonlocal looks
        looks += 1
        return ALL if looks % 2 or looks < 100 else ALL[1:]

    guarding = asyncio.create_task(watches.guard(names))
    async with asyncio.timeout(10):
        while looks < 1_000:  # noqa: ASYNC110 - the fake has no event
            await asyncio.sleep(0)
    assert not guarding.done(), "a watch that comes again ends nothing"
    guarding.cancel()
    with pytest.raises(WatchEnded, match="no watch of sessions"):
        await watches.guard(lambda: ALL[1:])
