"""Elements of one call on executors that die when they like: each ends once, and only the guilty pay."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from armonik_sdk.worker.running import Ended, Running


class Executor:
    """What `Running` needs of a child; executes when told to."""

    def __init__(self, fates: dict[int, str]) -> None:
        self.fates = fates
        self.todo: deque[int] = deque()
        self.skip: set[int] = set()
        self.dead = False
        self.on_ended: Callable[[list[Ended]], None] | None = None
        self.on_death: Callable[[str], None] | None = None

    def send(self, head: dict[str, Any], blobs: list[memoryview]) -> None:
        self.todo += [entry["index"] for entry in head.get("elements", ())]
        self.skip |= set(head.get("skip", ())) & set(self.todo)

    def look(self) -> None:
        """It has said all it had to say."""

    def kill(self) -> None:
        self.dead = True

    def step(self) -> None:
        """Execute one element, or die."""
        if self.dead:
            self._die()
        elif self.todo:
            index = self.todo[0]
            if index not in self.skip and self.fates.get(index) == "die":
                self._die()
            elif index in self.skip or self.fates.get(index) != "hang":
                self.todo.popleft()
                how = {"skipped": True} if index in self.skip else {"outputs": {}}
                assert self.on_ended is not None
                self.on_ended([({"ended": [{"index": index, **how}]}, [])])

    def _die(self) -> None:
        self.dead = True
        died, self.on_death = self.on_death, None
        if died is not None:
            died("was killed")


class Executors:
    """Fresh ones for `Running`."""

    def __init__(self, fates: dict[int, str]) -> None:
        self.fates, self.made = fates, list[Executor]()

    async def take(self) -> Any:
        self.made.append(Executor(self.fates))
        return self.made[-1]

    def give_back(self, child: Executor) -> None:
        assert not child.todo

    def discard(self, child: Executor) -> None:
        child.on_death = None


@given(
    st.lists(st.sampled_from(["ok", "ok", "ok", "die", "hang"]), min_size=1, max_size=12),
    st.integers(1, 5),
    st.integers(0, 6),
)
def test_each_element_ends_once_and_only_its_own_fate_decides_how(
    fates: list[str], size: int, stop_after: int
) -> None:
    """What hangs is stopped after a while; nothing else is charged for it, or for what dies."""

    async def play() -> tuple[list[dict[str, Any]], int]:
        executors = Executors(dict(enumerate(fates)))
        running = Running(executors)  # type: ignore[arg-type]  # what it needs of them is there
        for at in range(0, len(fates), size):
            entries = [{"index": index} for index in range(at, min(at + size, len(fates)))]
            running.give({"elements": entries, "limit": 3600}, [])
        ended: list[dict[str, Any]] = []
        steps = 0
        while running.left or not ended:
            await asyncio.sleep(0)
            if executors.made:
                executors.made[-1].step()
            steps += 1
            if steps > stop_after:
                running.give({"stop": [index for index, fate in enumerate(fates) if fate == "hang"]}, [])
            assert steps < 1000
            if not running.left or steps % 3 == 0:
                running.wake()
                ended += [entry for entry, _ in await running.ended()]
        running.close()
        return ended, len(executors.made)

    ended, made = asyncio.run(play())
    assert sorted(entry["index"] for entry in ended) == list(range(len(fates)))
    for entry in ended:
        word = {"ok": "outputs", "die": "failed", "hang": "skipped"}[fates[entry["index"]]]
        assert word in entry
    assert made <= 1 + sum(fate != "ok" for fate in fates)
